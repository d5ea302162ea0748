"""A list of terms: what is found, what is not, and what a hostile text costs."""

import asyncio
import time
from pathlib import Path

import pytest

from api.moderation.listed import LONG_CHARS, ListedTerms
from api.moderation.moderator import Words
from shared.errors import ConfigurationError
from shared.settings import ModerationSettings

# Made up, so that nothing here depends on the words of the built-in list.
LIST = """
allow = ["teapot lid", "kettle drum", "annalss"]
[categories]
violence = ["kettle", "boil over", "steam*", "anal", "tea"]
hate = ["湯"]
[groups]
spout = ["spout", "beak"]
cup = ["cup", "{age} year old cup"]
lid = ["teapot", "lid"]
unwanted = ["saucer"]
calm = ["calm"]
[[rules]]
category = "illicit"
all = ["spout", "cup"]
unless = ["calm"]
[[rules]]
category = "harassment"
all = ["lid"]
[[rules]]
category = "illicit_violent"
all = ["illicit", "violence"]
[[rules]]
category = "self_harm"
all = ["cup"]
negative = ["unwanted"]
"""


def listed(folder: Path, text: str = LIST) -> ListedTerms:
    file = folder / "terms.toml"
    file.write_text(text, encoding="utf-8")
    return ListedTerms(file)


@pytest.fixture
def terms(tmp_path: Path) -> ListedTerms:
    return listed(tmp_path)


def found(terms: ListedTerms, prompt: str, negative: str = "") -> list[str]:
    return [each.value for each in sorted(terms.read(Words(prompt, negative)).found)]


@pytest.mark.parametrize(
    "prompt",
    [
        "a kettle",
        "Kettles!",
        "KETTLE",
        "it will boil over",
        "boil-over",
        "steamy",
        "k3ttle",
        "k-e-t-t-l-e",
        "k e t t l e",
        "a red k e t t l e here",
        "kett1e",
        "keeettle",
        "kettttle",
        "kéttle",
        "кеттlе",
        "ket\u200btle",
        "ｋｅｔｔｌｅ",
        "PaintedKettle",
        "#kettle",
        "steeeam",
        "kettlespout",
        "#kettlecup",
        "k3ttlespout",
        "k*ttle",
        "k****e!",
        "k#ttle",
    ],
)
def test_a_term_is_found_in_every_disguise(terms: ListedTerms, prompt: str) -> None:
    assert found(terms, prompt) == ["violence"]


@pytest.mark.parametrize(
    "prompt",
    [
        "a black swan",
        "kettledrummer",
        "team steak",
        "boil it over there",
        "ketle",
        "team",
        "a kettle drum",
        "canal",
        "t e a m",
        "annalss",
        "the teapot lid",
        "1988",
        "a kettle drum-kit",
        "kettle/drum",
        "kettledrum",
        "redkettles",
        "spouting",
        "m*ttle",
        "aet",
        "",
        "!!!",
    ],
)
def test_a_word_that_only_resembles_a_term_is_left_alone(terms: ListedTerms, prompt: str) -> None:
    assert found(terms, prompt) == []


def test_a_word_without_blanks_counts_only_if_it_means_something_alone(terms: ListedTerms) -> None:
    assert found(terms, "spoutcup") == ["illicit"]
    assert found(terms, "a spout and a calmcup, a beakcalm") == []
    assert found(terms, "a spout, kettlecup") == ["illicit", "illicit_violent", "violence"]


@pytest.mark.parametrize(
    "prompt", ["elttek", "3lttek, sELTTEK", "maets", "revo liob", "liob revo", "e l t t e k"]
)
def test_a_term_is_found_backwards(terms: ListedTerms, prompt: str) -> None:
    assert found(terms, prompt) == ["violence"]


def test_what_is_found_backwards_is_never_severe(terms: ListedTerms) -> None:
    assert found(terms, "kettle, spout, cup") == ["illicit", "illicit_violent", "violence"]
    assert found(terms, "elttek, spout, cup") == ["illicit", "violence"]


def test_an_innocent_word_counts_backwards_only_beside_one_that_is_none(tmp_path: Path) -> None:
    terms = listed(tmp_path, LIST.replace('"annalss"', '"elttek"'))

    assert found(terms, "an elttek") == []
    assert found(terms, "an elttek tuops") == ["violence"]
    assert found(terms, "an elttek spout") == []


def test_what_reaches_out_of_an_allowed_phrase_counts(terms: ListedTerms) -> None:
    assert found(terms, "a kettle drum and a kettle") == ["violence"]
    assert found(terms, "the teapot lid of a teapot") == ["harassment"]


def test_scripts_without_blanks_are_searched_anywhere(terms: ListedTerms) -> None:
    assert found(terms, "熱湯です") == ["hate"]


def test_a_rule_needs_all_its_groups_and_none_of_those_that_excuse(terms: ListedTerms) -> None:
    assert found(terms, "a spout") == []
    assert found(terms, "a spout of a cup") == ["illicit"]
    assert found(terms, "a calm spout of a cup") == []


def test_rules_build_on_what_earlier_ones_found(terms: ListedTerms) -> None:
    assert found(terms, "kettle, spout, cup") == ["illicit", "illicit_violent", "violence"]


@pytest.mark.parametrize("age", ["1", "17", "nine", "seventeen"])
def test_ages_below_18_are_one_term(terms: ListedTerms, age: str) -> None:
    assert found(terms, f"beak, {age}-year-old cup") == ["illicit"]


def test_a_negative_prompt_counts_only_where_a_rule_says_so(terms: ListedTerms) -> None:
    assert found(terms, "a swan", "kettle, steam") == []
    assert found(terms, "a cup", "saucer") == ["self_harm"]
    assert found(terms, "a cup", "blurry, (saucer:1.4), noise") == ["self_harm"]
    assert found(terms, "a cup", "blurry, chipped saucer") == []
    assert found(terms, "a saucer", "cup") == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[categories]\nnonsense = ['a']", "categories"),
        ("[categories]\nhate = ['!!!']", "no letters"),
        ("[categories]\nhate = ['a* b']", "no letters"),
        ("[[rules]]\ncategory = 'hate'\nall = ['nobody']", "nobody"),
        ("surprise = 1", "surprise"),
        ("not toml", "cannot be read"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_at_start(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        listed(tmp_path, text)


def test_a_list_that_is_not_there_is_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        ListedTerms(tmp_path / "none.toml")


async def test_a_long_text_is_judged_like_a_short_one(terms: ListedTerms) -> None:
    long = Words("swan " * LONG_CHARS + "kettle")

    assert await terms.judge(long) == await terms.judge(Words("kettle")) == terms.read(long)


HOSTILE = {
    "one letter": "a",
    "single letters": "a ",
    "single digits": "4 ",
    "doubled letters": "pornn ",
    "one and l": "a!|1 ",
    "two cases": "aA",
    "invisible": "a\u200b",
    "long expansions": "\ufdfa",
    "five for one": "\u3300",
    "marks": "a\u0301\u0302\u0303",
    "first words of many terms": "how to ",
    "ages": "seven year ",
    "allowed": "naked eye ",
    "spelled out": "c u n t ",
    "hyphens": "-s-e-x",
    "blanks": "  \t\n",
    "ideographs": "裸",
    "half a pattern": "aAb",
    "a word of known words": "therapist",
    "nearly words of known words": "hothertheten ",
    "words without blanks": "nakedwoman ",
    "hidden letters": "n*de p*rn ",
    "many hidden letters": "n*",
    "words backwards": "dekan namow ",
    "backwards in doubt": "dekan ",
}


async def test_a_long_text_is_judged_while_others_are_served(terms: ListedTerms) -> None:
    judging = asyncio.ensure_future(terms.judge(Words("swan " * 4 * LONG_CHARS)))
    turns = 0
    while not judging.done():
        await asyncio.sleep(0)
        turns += 1

    # Judged in the loop, it would be done when the first turn is.
    assert turns > 10


@pytest.fixture(scope="module")
def built_in() -> ListedTerms:
    return ListedTerms(ModerationSettings().terms)


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_text_takes_the_built_in_list_long(built_in: ListedTerms, piece: str) -> None:
    short, long = (piece * 32_000)[:8_000], (piece * 32_000)[:32_000]

    def least_s(text: str) -> float:
        times = []
        for _ in range(3):
            started = time.process_time()
            built_in.read(Words(text))
            times.append(time.process_time() - started)
        return min(times)

    # In proportion to the length, with much to spare, in time of this process: neighbours take none of it.
    assert least_s(long) < max(0.05, 12 * least_s(short))
    assert least_s(long) < 2
