"""The ways in which a text is read as words."""

import pytest

from api.moderation.readings import disguised, masked, pieces, spelled


def test_letters_and_digits_are_words_of_their_own() -> None:
    assert pieces("a 9yo, black-and-white_swan!") == ["a", "9", "yo", "black", "and", "white", "swan"]


@pytest.mark.parametrize("plain", ["a black swan", "a swan, a lake. 'Misty' (very) 1889", "swan -- lake", ""])
def test_a_plain_text_has_no_other_reading(plain: str) -> None:
    assert list(disguised(plain)) == []


@pytest.mark.parametrize(
    ("written", "word"),
    [("sw4n", "swan"), ("$wan", "swan"), ("s-w-a-n,", "swan"), ("s.w@n", "swan"), ("5w4n!", "swan")],
)
def test_digits_and_signs_are_read_as_letters(written: str, word: str) -> None:
    assert ["a", word] in [reading.words for reading in disguised(f"a {written}")]


def test_it_is_known_which_words_are_read_otherwise() -> None:
    assert [reading.new for reading in disguised("a bl4ck mute-swan here")] == [[False, True, True, False]]


def test_letters_that_are_hidden_in_a_word_are_told() -> None:
    assert masked("a sw*n, *here*, on #lake 5*3 and b##d") == {"sw*n", "b**d"}


def test_a_one_is_an_i_and_an_l() -> None:
    assert [reading.words for reading in disguised("1ake b1rd")] == [["iake", "bird"], ["lake", "blrd"]]


def test_letters_that_stand_alone_are_joined() -> None:
    assert list(spelled(["a", *"sw4n", "and", *"bc", "on", *"lake"])) == ["aswan", "lake"]


@pytest.mark.parametrize("number", ["8.8008", "53x", "45s", "1/5", "4:55", "+18", "$8.00", "0x8008"])
def test_what_is_mostly_digits_is_a_number(number: str) -> None:
    assert list(disguised(f"a swan, {number}")) == []


def test_what_is_half_digits_may_be_a_word() -> None:
    assert ["a", "swan"] in [reading.words for reading in disguised("a 5w4n")]


def test_digits_that_stand_alone_are_numbers() -> None:
    assert list(spelled(["8", "0", "0", "8", "5", "on", *"s3x"])) == ["sex"]
