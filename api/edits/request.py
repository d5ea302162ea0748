"""The fields of a request for an edit, as the contract and the OpenAPI file give them."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field
from typing_extensions import override

from api.generations.choices import Spelled
from api.generations.request import GenerationRequest
from shared.params import InputFidelity, Params

# What the fields of a form are, where they are no texts. What cannot be read as that stays a text, and is
# refused with the name of its field.
_NUMBERS: Final = ("n", "output_compression", "partial_images", "seed", "strength")
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,19})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
_TRUTHS: Final[Mapping[str, bool]] = {"true": True, "1": True, "false": False, "0": False}


class EditRequest(GenerationRequest):
    """The fields of a generation, and how much of the picture is kept."""

    cannot_honour: ClassVar[Mapping[str, str]] = {
        "markup": "what is to be drawn anew is said by a mask",
        "svg": "this draws png, webp and jpeg",
        "frame_count": "this draws pictures that stand still",
    }

    input_fidelity: Annotated[InputFidelity | None, Spelled()] = Field(
        None, description="How much of the picture is kept, by models that begin with it; `strength` wins."
    )
    strength: Annotated[float, Field(strict=True, ge=0, le=1)] | None = Field(
        None, description="How much of the picture is drawn anew, 0 to 1, by models that begin with it."
    )

    @override
    def params(self, seed: int, *, followed: bool = True) -> Params:
        """Return the choices with every ``auto`` decided, but for what its pictures say."""
        drawn = super().params(seed, followed=followed)
        return drawn.model_copy(update={"strength": self.strength, "input_fidelity": self.input_fidelity})


def of_form(texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a form as JSON would have them; a text that is empty is no field.

    Browsers end the lines of a form's texts with CR and LF, whatever was typed.
    """
    return {name: _value(name, text.replace("\r\n", "\n")) for name, text in texts.items() if text}


def _document(text: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return what JSON in a field says; what is none stays a text, and is refused with the field's name."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _value(name: str, text: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    bare = text.strip()
    if name == "webhook":
        return _document(bare)
    if name == "stream":
        return _TRUTHS.get(bare.lower(), text)
    if name not in _NUMBERS:
        return text
    return json.loads(bare) if _NUMBER.fullmatch(bare) else text
