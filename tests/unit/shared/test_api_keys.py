"""API keys: what opens them, and what is kept of them."""

import re
import time

import pytest

from shared.api_keys import ApiKey, digest, id_of, new_text
from tests.keys import found, secret_of

SALT = b"salt"


def key_of(text: str, **fields: object) -> ApiKey:
    key_id = id_of(text)
    assert key_id
    kept = {"id": key_id, "name": "a key", "digest": digest(text, SALT), "created_at": 1, **fields}
    return ApiKey.model_validate(kept)


def test_a_key_names_itself_and_is_never_the_same() -> None:
    texts = {new_text() for _ in range(100)}

    assert len(texts) == len({id_of(text) for text in texts}) == 100
    assert all(re.fullmatch(r"dk_[0-9a-f]{16}_[\w-]{43}", text) for text in texts)


def test_only_its_own_text_opens_a_key() -> None:
    text = new_text()
    key = key_of(text)

    assert key.opens(text, SALT)
    assert not key.opens(text, b"another salt")
    assert not key.opens(text[:-1] + ("a" if text[-1] != "a" else "b"), SALT)
    assert not key.opens(new_text(), SALT)


# The last has in its secret what parts a key: what stands behind it is a letter that stands everywhere.
@pytest.mark.parametrize("text", [new_text(), f"dk_{'0' * 16}_{'x' * 41}_e"], ids=["any", "unlucky"])
def test_what_is_kept_does_not_have_the_secret(text: str) -> None:
    assert len(secret_of(text)) == 43
    assert found([secret_of(text)], {"kept": key_of(text).model_dump_json()}) == []


@pytest.mark.parametrize("fields", [{"revoked_at": 2}, {"expires_at": int(time.time()) - 1}])
def test_a_key_that_no_longer_counts_opens_nothing(fields: dict[str, int]) -> None:
    text = new_text()

    assert not key_of(text, **fields).opens(text, SALT)
    assert key_of(text, expires_at=int(time.time()) + 100).opens(text, SALT)


@pytest.mark.parametrize("text", ["", "sk-proj-abc", "dk_", "dk_0123456789abcdef_short", "dk_" + "x" * 60])
def test_another_service_s_key_is_none_of_ours(text: str) -> None:
    assert id_of(text) is None
