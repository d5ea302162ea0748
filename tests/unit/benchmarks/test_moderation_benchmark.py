"""The committed prompts, and what the built-in list is held to on them."""

from benchmarks.moderation.judged import HARMLESS, groups, judge_all
from shared.moderation import SEVERE, Category, Moderation


def test_there_are_hundreds_of_prompts_of_every_kind_and_none_twice() -> None:
    prompts = [prompt for group in groups() for prompt in group.prompts]

    assert len(prompts) == len(set(prompts)) >= 200
    assert {group.how for group in groups()} == {"plain", "borderline", "disguised"}
    asked_for = {group.about for group in groups()}
    assert asked_for >= SEVERE | {HARMLESS, Category.SEXUAL, Category.VIOLENCE_GRAPHIC, Category.HATE}


def test_low_is_to_block_exactly_what_is_severe() -> None:
    for group in groups():
        severe = group.about in SEVERE
        assert (Moderation.LOW in group.blocked) == severe
        assert (Moderation.AUTO in group.blocked) == (group.about != HARMLESS)


def test_what_is_plainly_severe_is_not_let_through_often() -> None:
    # No measure of how good the list is, which docs/moderation.md has: a floor under what a change may do.
    judged = [each for each in judge_all() if each.about in SEVERE and each.how == "plain"]

    hits = sum(each.is_hit(Moderation.LOW) for each in judged)
    assert hits / len(judged) > 0.8


def test_everyday_prompts_are_drawn() -> None:
    judged = [each for each in judge_all() if each.about == HARMLESS and each.how == "plain"]

    assert [each.prompt for each in judged if each.is_] == []
