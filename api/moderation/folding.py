"""Text as it is compared: without case, accents, look-alikes of other scripts and invisible characters.

All of it is one pass of C code for each step, whatever the text.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from string import ascii_lowercase
from typing import Final

# Letters that look like a Latin one, by that one; after case folding, so only small ones.
_LOOK_ALIKES: Final = {
    "a": "аαɑᴀ🅰🇦",
    "b": "вьβʙƅ🅱🇧",
    "c": "сᴄ🅲🇨",
    "d": "ԁđɖᴅ🅳🇩",
    "e": "еєεɛҽᴇǝ🅴🇪",
    "f": "ƒꞙꜰ🅵🇫",
    "g": "ɡɢց🅶🇬",
    "h": "нһհʜħ🅷🇭",
    "i": "іιıɩɪӏ🅸🇮",
    "j": "јϳᴊ🅹🇯",
    "k": "кκᴋ🅺🇰",
    "l": "łʟ🅻🇱",
    "m": "мᴍ🅼🇲",
    "n": "пηɴո🅽🇳",
    "o": "оοσօøᴏө🅾🇴",
    "p": "рρᴘ🅿🇵",
    "q": "ԛ🆀🇶",
    "r": "ʀгᴦ🆁🇷",
    "s": "ѕꜱʂ🆂🇸",
    "t": "тτᴛŧ🆃🇹",
    "u": "υսᴜ🆄🇺",
    "v": "ѵνᴠ🆅🇻",
    "w": "ѡωԝᴡ🆆🇼",
    "x": "хχ🆇🇽",
    "y": "уүγʏ🆈🇾",
    "z": "ᴢȥ🆉🇿",
}
# Capitals that look like another letter than their small ones do, and circled ones that have none.
_CAPITALS: Final[dict[int, str]] = {
    0x0397: "h",
    0x039D: "n",
    0x03A5: "y",
    0x0396: "z",
    0x039C: "m",
    **{0x1F150 + place: letter for place, letter in enumerate(ascii_lowercase)},
}
# Where marks and invisible characters are; elsewhere there are none (a test looks).
_PLANES: Final = (range(0x80, 0x3400), range(0xA000, 0xAC00), range(0xD7B0, 0x20000), range(0xE0000, 0xE0200))
_MARKS: Final = frozenset({"Mn", "Me"})
# SexyPicture is two words, written without a space between them.
_CAMEL: Final = re.compile(r"([a-z])([A-Z][a-z])")
# One character that stands for a sentence: unfolded, a prompt of them would be eighteen times as long.
_SENTENCES: Final = re.compile("[\ufdfa\ufdfb]")


def fold(text: str) -> Iterator[str]:
    """Yield the forms in which a text is compared: one, or two where invisible characters may part words."""
    spread = _CAMEL.sub(r"\1_\2", text)
    if text.isascii():
        yield spread.lower()
        return
    text = unicodedata.normalize("NFKD", _SENTENCES.sub(" ", spread))
    plain = text.translate(_CAPITALS).casefold().translate(_letters())
    whole = plain.translate(_invisible(None))
    yield whole
    if whole != plain:
        yield plain.translate(_invisible(" "))


@cache
def _letters() -> dict[int, str | None]:
    """Return what becomes of look-alikes and of marks."""
    table: dict[int, str | None] = {ord(mark): None for mark in _of_categories(_MARKS)}
    for latin, others in _LOOK_ALIKES.items():
        table |= {ord(other): latin for other in others}
    return table


@cache
def _invisible(instead: str | None) -> dict[int, str | None]:
    return {ord(each): instead for each in _of_categories(frozenset({"Cf"}))}


def _of_categories(categories: frozenset[str]) -> Iterator[str]:
    characters = (chr(code) for plane in _PLANES for code in plane)
    return (each for each in characters if unicodedata.category(each) in categories)
