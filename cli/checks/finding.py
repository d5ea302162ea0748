"""What a check has to say."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How good it is what a check found."""

    OK = "ok"
    NOTE = "note"
    MISSING = "missing"


@dataclass(frozen=True)
class Finding:
    """What a check found, and what to do about it."""

    subject: str
    verdict: Verdict
    detail: str
    mend: str = ""
