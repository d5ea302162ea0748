"""Who is who: digests that depend on every part and run nothing together."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from api.callers.owner import Caller

PARTS = ["", "a", "b", "ab", "1:a", "a1:b", ":"]


def test_no_two_lists_of_parts_have_one_digest() -> None:
    caller = Caller("owner", b"salt")
    lists = [parts for length in (1, 2, 3) for parts in product(PARTS, repeat=length)]

    assert len({caller.digest(*parts) for parts in lists}) == len(lists)


def test_a_digest_depends_on_the_owner_and_on_the_salt() -> None:
    digests = {Caller(owner, salt).digest("text") for owner in ("a", "b") for salt in (b"1", b"2")}

    assert len(digests) == 4


def test_each_user_of_an_owner_has_a_lane() -> None:
    caller = Caller("owner", b"salt")

    assert len({caller.lane(""), caller.lane("anna"), caller.lane("bert")}) == 3
    assert caller.lane("anna") == Caller("owner", b"salt").lane("anna")


@given(st.text(st.characters(codec=None)))
def test_any_text_has_a_digest_of_32_hexadecimal_digits(text: str) -> None:
    digest = Caller("owner", b"salt").digest(text)

    assert len(bytes.fromhex(digest)) == 16
