"""Choices as clients spell them: in any case, with blanks around them, or empty for the default.

The schema says the same: beside the values themselves stands the pattern of everything that is read as one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticUseDefault, core_schema

_BLANKS: Final = " \t\r\n"
_SPACE: Final = r"[ \t\r\n]*"


@dataclass(frozen=True)
class Spelled:
    """Marks a field that takes its values as clients spell them.

    Attributes:
        also: what else clients say, in lower case, and the value that it stands for.
        pattern: what the values look like to the schema, where there is no list of them.
    """

    also: Mapping[str, str] = field(default_factory=dict)
    pattern: str = ""

    def read(self, value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Return the value that a text stands for; what is no text, or not ours, is left to the next rule.

        Raises:
            PydanticUseDefault: it is empty.
        """
        if not isinstance(value, str):
            return value
        bare = value.strip(_BLANKS)
        if not bare:
            raise PydanticUseDefault
        # Of ASCII only: lower case makes an ordinary k of the sign for Kelvin.
        folded = bare.lower() if bare.isascii() else bare
        return self.also.get(folded, folded)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        """Read the text before the field's own rules do."""
        return core_schema.no_info_before_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Say in the schema what is read, and where there is a list of values, that too."""
        document = handler(schema)
        values = handler.resolve_ref_schema(document).get("enum")
        if values is None:
            return {"type": "string", "pattern": spelled(self.pattern)}
        text = {"type": "string", "pattern": spelled(all_of((*values, *self.also)))}
        return {"anyOf": [document, text]}


def spelled(pattern: str, *, empty: bool = True) -> str:
    """Return the pattern of a text of this pattern with blanks around it, or of an empty one."""
    return f"^{_SPACE}({pattern}){'?' if empty else ''}{_SPACE}$"


def any_case(word: str) -> str:
    """Return the pattern of a word in any case; JSON's patterns have no flag for it."""
    return "".join(f"[{each}{each.upper()}]" if each.isalpha() else each for each in word)


def all_of(words: Sequence[str]) -> str:
    """Return the pattern of one of these words in any case."""
    return "|".join(map(any_case, words))
