"""Prints what the built-in list of terms gets right and wrong, and what it costs."""

import sys
from collections.abc import Sequence
from itertools import product
from string import ascii_lowercase
from time import process_time
from typing import Final

from api.moderation.listed import ListedTerms
from api.moderation.moderator import Words
from benchmarks.moderation.judged import SCORE_HEADS, WRONG_HEADS, Row, score_rows, wrong_rows
from shared.settings import ModerationSettings

REPEATS: Final = 500
NORMAL: Final = (
    "A black swan gliding over a misty lake at dawn, soft golden light, reeds in the foreground, mountains "
    "far away, highly detailed oil painting in the style of the old masters"
)
DISTINCT: Final = ["".join(each) for each in product(ascii_lowercase, repeat=3)]
HOSTILE: Final = {
    "two readings": "a!|1 " * 6400,
    "two readings, no word twice": " ".join(f"a!|1{each}" for each in DISTINCT),
    "one word of known ones": "therapist" * 3600,
    "such words, none twice": " ".join(f"hothertheten{each}" for each in DISTINCT),
    "such words in two readings, none twice": " ".join(f"h0therthe1ten{each}" for each in DISTINCT),
    "words without blanks": "nakedwoman " * 3000,
    "hidden letters": "n*de p*rn " * 3200,
    "words backwards": "dekan namow " * 2700,
}
TEXTS: Final = {
    "Black Swan": "Black Swan",
    "a normal prompt": NORMAL,
    "the same, with accents": NORMAL.replace("a", "á"),
    "the same, with digits for letters": NORMAL.replace("a", "4"),
    "32,000 characters of such prompts": (NORMAL + ". ") * 200,
    **{f"32,000 characters: {name}": text for name, text in HOSTILE.items()},
}


def main() -> int:
    """Print three tables; return the exit status."""
    _print(SCORE_HEADS, list(score_rows()))
    _print(WRONG_HEADS, list(wrong_rows()))
    terms = ListedTerms(ModerationSettings().terms)
    _print(
        ("prompt", "characters", "median ms of CPU"),
        [
            (name, str(len(text[:32_000])), f"{_median_ms(terms, text[:32_000]):.3f}")
            for name, text in TEXTS.items()
        ],
    )
    return 0


def _median_ms(terms: ListedTerms, text: str) -> float:
    words = Words(text)
    times = []
    for _ in range(REPEATS if len(text) < 1000 else 9):  # noqa: PLR2004
        began_at = process_time()
        terms.read(words)
        times.append(process_time() - began_at)
    return sorted(times)[len(times) // 2] * 1000


def _print(heads: Row, rows: Sequence[Row]) -> None:
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print()


if __name__ == "__main__":
    sys.exit(main())
