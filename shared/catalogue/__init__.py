"""The model catalogue: which models there are, where their weights lie, and how each is asked.

Knows nothing of torch or diffusers and never downloads anything, so the API can read it too.
"""

from shared.catalogue.catalogue import Catalogue
from shared.catalogue.families import EditsBy
from shared.catalogue.sizes import Box, Sizes, place
from shared.catalogue.spec import (
    ComponentFile,
    Edits,
    Guidance,
    ModelSpec,
    SchedulerChoice,
    Steps,
    Strength,
    Templates,
)
from shared.catalogue.wording import Wording

__all__ = [
    "Box",
    "Catalogue",
    "ComponentFile",
    "Edits",
    "EditsBy",
    "Guidance",
    "ModelSpec",
    "SchedulerChoice",
    "Sizes",
    "Steps",
    "Strength",
    "Templates",
    "Wording",
    "place",
]
