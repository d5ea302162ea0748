"""On a process's path, this makes it one of a later version: requests and params have a field ``grain``.

Nothing else differs, and nothing is done about grain: what matters is who can read a job that asks for it.
"""

import sys
from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

import shared.params

LATER = shared.params.PARAMS_VERSION + 1


class Params(shared.params.Params):
    added_in: ClassVar[Mapping[str, int]] = {**shared.params.Params.added_in, "grain": LATER}
    grain: int = Field(0, ge=0, le=9)


# Before anything else of the service is imported.
shared.params.Params = Params  # type: ignore[misc]
shared.params.PARAMS_VERSION = LATER  # type: ignore[misc]

if "api" in sys.orig_argv:
    import api.generations.request

    class GenerationRequest(api.generations.request.GenerationRequest):
        grain: int = Field(0, ge=0, le=9)

        def params(self, seed: int, *, followed: bool = True) -> Params:
            asked = super().params(seed, followed=followed).model_dump()
            return Params.model_validate({**asked, "grain": self.grain})

    api.generations.request.GenerationRequest = GenerationRequest  # type: ignore[misc]
