"""Bytes and seconds in words."""

from typing import Final

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP: Final = 1024
_TENTHS_BELOW: Final = 100


def in_bytes(count: float) -> str:
    """Say a number of bytes: 2.4 GiB."""
    for unit in _UNITS[:-1]:
        if count < _STEP:
            return f"{count:.0f} {unit}" if unit == "B" or count >= _TENTHS_BELOW else f"{count:.1f} {unit}"
        count /= _STEP
    return f"{count:.1f} {_UNITS[-1]}"
