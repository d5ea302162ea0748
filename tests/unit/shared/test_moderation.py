"""What is blocked: by category, by how severe it is, and by what the caller chose."""

import pytest

from shared.moderation import SEVERE, Category, Moderation, Policy, Severity, Verdict


@pytest.mark.parametrize("category", Category)
def test_low_blocks_what_is_severe_and_auto_everything(category: Category) -> None:
    policy = Policy()

    assert policy.blocks(category, Moderation.LOW) == (category in SEVERE)
    assert policy.blocks(category, Moderation.AUTO)


def test_the_operator_changes_one_category_and_leaves_the_others() -> None:
    policy = Policy({Category.SEXUAL: Severity.SEVERE, Category.HATE: Severity.OFF})

    assert policy.blocks(Category.SEXUAL, Moderation.LOW)
    assert not policy.blocks(Category.HATE, Moderation.AUTO)
    assert policy.blocks(Category.SEXUAL_MINORS, Moderation.LOW)
    assert not policy.blocks(Category.ILLICIT, Moderation.LOW)


def test_what_is_blocked_is_named_with_the_gravest_first() -> None:
    found = Verdict(frozenset({Category.OTHER, Category.SEXUAL, Category.SEXUAL_MINORS}))

    assert Policy().blocked(found, Moderation.AUTO) == (
        Category.SEXUAL_MINORS,
        Category.SEXUAL,
        Category.OTHER,
    )
    assert Policy().blocked(found, Moderation.LOW) == (Category.SEXUAL_MINORS,)
    assert Policy().blocked(Verdict(), Moderation.AUTO) == ()
