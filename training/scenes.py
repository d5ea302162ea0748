"""Captions, and what each says is to be seen: one to four glyphs on a background.

No pixels here: a scene is numbers that :mod:`training.canvas` draws.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from training.glyphs import Glyph

Colour = tuple[int, int, int]

COLOURS: Final[Mapping[str, Colour]] = {
    "red": (222, 44, 44),
    "orange": (245, 135, 31),
    "yellow": (250, 208, 44),
    "green": (58, 165, 74),
    "blue": (42, 103, 214),
    "purple": (132, 64, 190),
    "pink": (244, 122, 178),
    "brown": (126, 78, 44),
    "black": (34, 34, 38),
    "white": (244, 244, 246),
    "gray": (136, 140, 148),
    "gold": (224, 170, 40),
    "teal": (28, 160, 160),
    "navy": (24, 40, 96),
}
BACKGROUNDS: Final[Mapping[str, Colour]] = {
    **COLOURS,
    "light blue": (176, 216, 250),
    "mint": (190, 240, 214),
    "beige": (240, 226, 200),
    "lavender": (214, 204, 246),
    "dark gray": (62, 66, 74),
}
NEUTRAL: Final[Sequence[Colour]] = (
    (255, 255, 255),
    (250, 250, 248),
    (244, 246, 250),
    (240, 240, 240),
    (252, 246, 236),
)
WHITE: Final[Colour] = (255, 255, 255)
# How often a glyph of each CLDR group is taken when it is drawn: faces are many and much alike.
SHARES: Final = {0: 0.6, 1: 0.3, 3: 1.0, 4: 1.0, 5: 0.7, 6: 0.7, 7: 0.7, 8: 0.35}
NUMBERS: Final = {2: "two", 3: "three", 4: "four"}
PLACES: Final = {
    2: ((-0.47, 0.0), (0.47, 0.0)),
    3: ((0.0, -0.46), (-0.47, 0.44), (0.47, 0.44)),
    4: ((-0.47, -0.47), (0.47, -0.47), (-0.47, 0.47), (0.47, 0.47)),
}
STYLE_WORDS: Final = {"3d": ", 3d render", "flat": ", flat illustration"}


@dataclass(frozen=True)
class Placed:
    """A glyph in a scene: its picture's number, its centre, half its size (the scene is 2 wide), its tint."""

    picture: int
    x: float
    y: float
    half: float
    tint: str | None


@dataclass(frozen=True)
class Background:
    """Two colours from top to bottom, and how opaque they are."""

    alpha: float
    top: Colour
    bottom: Colour


@dataclass(frozen=True)
class Scene:
    """One caption and what it says."""

    caption: str
    placed: tuple[Placed, ...]
    background: Background


class Composer:
    """Makes scenes up."""

    def __init__(self, glyphs: Sequence[Glyph], pictures: Mapping[tuple[int, str], int]) -> None:
        """Take the vocabulary.

        Args:
            glyphs: what there is.
            pictures: the number of each picture by (glyph, style).
        """
        self._glyphs = glyphs
        self._pictures = pictures

    def compose(self, rng: Random) -> Scene:
        """Return a scene that only the random numbers decide."""
        style = rng.choice([style for style in STYLE_WORDS if any(s == style for _, s in self._pictures)])
        kind = rng.random()
        if kind < 0.70:  # noqa: PLR2004 - shares, here and below
            placed, caption = self._one(rng, style)
        elif kind < 0.92:  # noqa: PLR2004
            placed, caption = self._two(rng, style)
        else:
            placed, caption = self._several(rng, style)
        background, words = _background(rng)
        caption += words
        if rng.random() < 0.6:  # noqa: PLR2004
            caption += STYLE_WORDS[style]
        if rng.random() < 0.15:  # noqa: PLR2004
            caption = rng.choice(["a picture of ", "an image of ", "a drawing of ", "an icon of "]) + caption
        return Scene(caption, tuple(placed), background)

    def _one(self, rng: Random, style: str) -> tuple[list[Placed], str]:
        glyph, tint = self._pick(rng, style), _tint(rng, 0.33)
        half, size = rng.uniform(0.62, 0.9), ""
        if rng.random() < 0.12:  # noqa: PLR2004
            small = rng.random() < 0.5  # noqa: PLR2004
            half = rng.uniform(0.3, 0.42) if small else rng.uniform(0.9, 1.0)
            size = "small " if small else "big "
        words = size + self._words(rng, glyph, tint)
        placed = Placed(self._pictures[glyph, style], _off(rng, 0.06), _off(rng, 0.06), half, tint)
        return [placed], rng.choice([words, words, article(words), article(words), f"the {words}"])

    def _two(self, rng: Random, style: str) -> tuple[list[Placed], str]:
        glyphs = (self._pick(rng, style), self._pick(rng, style))
        tints = (_tint(rng, 0.3), _tint(rng, 0.3))
        first, second = (article(self._words(rng, g, t)) for g, t in zip(glyphs, tints, strict=True))
        beside = rng.random() < 0.72  # noqa: PLR2004
        placed = []
        for glyph, tint, side in zip(glyphs, tints, (-0.47, 0.47), strict=True):
            along, across = side + _off(rng, 0.04), _off(rng, 0.08)
            x, y = (along, across) if beside else (across, along)
            half = rng.uniform(0.38, 0.47 if beside else 0.46)
            placed.append(Placed(self._pictures[glyph, style], x, y, half, tint))
        if not beside:
            ways = [f"{first} above {second}", f"{second} below {first}", f"{first} on top of {second}"]
            return placed, rng.choice(ways)
        both = f"{first} and {second}"
        ways = [
            both,
            both,
            f"{first} next to {second}",
            f"{first} to the left of {second}",
            f"{first} with {second}",
        ]
        caption = rng.choice(ways)
        return placed, f"{second} to the right of {first}" if rng.random() < 0.15 else caption  # noqa: PLR2004

    def _several(self, rng: Random, style: str) -> tuple[list[Placed], str]:
        glyph, tint, count = self._pick(rng, style), _tint(rng, 0.25), rng.choice(list(PLACES))
        half = rng.uniform(0.36, 0.45)
        placed = [
            Placed(self._pictures[glyph, style], x + _off(rng, 0.03), y + _off(rng, 0.03), half, tint)
            for x, y in PLACES[count]
        ]
        colour = f"{tint} " if tint else ""
        return placed, f"{NUMBERS[count]} {plural(colour + self._glyphs[glyph].label)}"

    def _pick(self, rng: Random, style: str) -> int:
        while True:
            number = rng.randrange(len(self._glyphs))
            share = SHARES.get(self._glyphs[number].group, 0.5)
            if (number, style) in self._pictures and rng.random() < share:
                return number

    def _words(self, rng: Random, number: int, tint: str | None) -> str:
        glyph = self._glyphs[number]
        words = glyph.label
        if rng.random() < 0.12 and glyph.tags:  # noqa: PLR2004
            words = rng.choice(glyph.tags)
        elif rng.random() < 0.08 and glyph.tags:  # noqa: PLR2004
            words = ", ".join([glyph.label, *rng.sample(glyph.tags, min(3, len(glyph.tags)))])
        return f"{tint} {words}" if tint else words


def article(words: str) -> str:
    """Return words with their article."""
    return ("an " if words[0] in "aeiou" else "a ") + words


def plural(words: str) -> str:
    """Return the plural, as far as English is regular."""
    if words.endswith(("s", "x", "ch", "sh")):
        return words + "es"
    if words.endswith("y") and words[-2:-1] not in "aeiou":
        return words[:-1] + "ies"
    return words + "s"


def _background(rng: Random) -> tuple[Background, str]:
    kind = rng.random()
    if kind < 0.30:  # noqa: PLR2004
        words = rng.choice([" on a transparent background", ", transparent background"])
        return Background(0.0, WHITE, WHITE), words
    if kind < 0.62:  # noqa: PLR2004
        colour = rng.choice(NEUTRAL)
        words = " on a plain background" if rng.random() < 0.12 else ""  # noqa: PLR2004
        return Background(1.0, colour, colour), words
    if kind < 0.9:  # noqa: PLR2004
        name = rng.choice(list(BACKGROUNDS))
        on = f" on {article(name)} background"
        return Background(1.0, BACKGROUNDS[name], BACKGROUNDS[name]), rng.choice(
            [on, f", {name} background", on]
        )
    top, bottom = rng.sample(list(BACKGROUNDS), 2)
    words = f" on {article(top)} and {bottom} gradient background"
    return Background(1.0, BACKGROUNDS[top], BACKGROUNDS[bottom]), words


def _tint(rng: Random, chance: float) -> str | None:
    return rng.choice(list(COLOURS)) if rng.random() < chance else None


def _off(rng: Random, most: float) -> float:
    return rng.uniform(-most, most)
