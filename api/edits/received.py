"""What came with a request for an edit: its fields, and where its files lie."""

from dataclasses import dataclass
from typing import Any

from api.edits.pictures import Files


@dataclass(frozen=True)
class Received:
    """A body that was read to its end.

    Attributes:
        fields: as they came, without the files; of a form, texts.
        files: where they lie, as they came.
        digests: a hash of the bytes of each file, the mask's last.
    """

    fields: dict[str, Any]
    files: Files
    digests: tuple[str, ...]
