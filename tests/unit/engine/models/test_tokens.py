"""Counting tokens and making long prompts fit."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from shared.catalogue import Wording
from shared.settings import REPO_ROOT
from worker.engine.models.tokens import Fitted, count_tokens, fit_prompt

TOKENIZER = CLIPTokenizer.from_pretrained(REPO_ROOT / "models" / "glyph" / "tokenizer", local_files_only=True)
LIMIT = 46


@pytest.mark.parametrize(("text", "tokens"), [("black swan", 2), ("", 0), ("a red apple, 3d render", 7)])
def test_tokens_are_counted_without_special_ones(text: str, tokens: int) -> None:
    assert count_tokens(TOKENIZER, text) == tokens


def test_tokens_are_counted_beyond_the_models_limit(capfd: pytest.CaptureFixture[str]) -> None:
    assert count_tokens(TOKENIZER, "black swan " * 500) == 1000
    assert capfd.readouterr().err == ""


def test_a_prompt_that_fits_is_left_alone() -> None:
    prompt = fit_prompt(TOKENIZER, Wording("", "Black  Swan", ", 3d render"), LIMIT)

    assert prompt == Fitted("Black  Swan, 3d render", tokens=2, read=2)


def test_a_long_prompt_loses_its_own_end_and_keeps_the_templates() -> None:
    words = "black swan " * 100

    fitted = fit_prompt(TOKENIZER, Wording("an icon of ", words, ", 3d render"), LIMIT)

    assert fitted.text.startswith("an icon of black swan black swan")
    assert fitted.text.endswith(" black, 3d render")
    assert count_tokens(TOKENIZER, fitted.text) == LIMIT
    template = count_tokens(TOKENIZER, "an icon of , 3d render")
    assert (fitted.tokens, fitted.read, fitted.reads_ending) == (200, LIMIT - template, True)


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=400))
def test_any_prompt_fits_with_its_template(words: str) -> None:
    fitted = fit_prompt(TOKENIZER, Wording("", words, ", 3d render"), LIMIT)

    assert fitted.text.endswith(", 3d render")
    assert count_tokens(TOKENIZER, fitted.text) <= LIMIT
    assert fitted.tokens == count_tokens(TOKENIZER, words)
    # Whether it says that something was left out, and whether something was, is the same.
    assert (fitted.read < fitted.tokens) == (len(fitted.text) < len(f"{words}, 3d render".rstrip()))


def test_a_tokenizer_that_knows_no_places_leaves_the_cutting_to_the_pipeline() -> None:
    class Slow:
        is_fast = False

        def __call__(self, text: str, **_options: Any) -> dict[str, list[int]]:
            return {"input_ids": [0] * len(text.split())}

    def fitted(before: str, after: str, limit: int) -> Fitted:
        return fit_prompt(Slow(), Wording(before, "a b c", after), limit)

    assert fitted("", ", 3d", 2) == Fitted("a b c, 3d", 3, 2, reads_ending=False)
    assert fitted("", " , 3d", 4) == Fitted("a b c , 3d", 3, 3, reads_ending=False)
    assert fitted("of ", "", 3) == Fitted("of a b c", 3, 2)
