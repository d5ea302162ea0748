"""What tests look for that must be nowhere."""

from typing import Final

from shared.api_keys import id_of

# Shorter words stand in a text by chance.
LEAST: Final = 12


def secret_of(text: str) -> str:
    """The part of an API key that proves it: all behind its id, whatever letters it has."""
    key_id = id_of(text)
    assert key_id, "no key"
    return text.removeprefix(f"dk_{key_id}_")


def found(secrets: list[str], texts: dict[str, str]) -> list[tuple[str, str]]:
    """Which secrets stand in which texts.

    Args:
        secrets: each long enough that it stands nowhere by chance.
        texts: by the names under which they are told.
    """
    assert all(len(secret) >= LEAST for secret in secrets), "a secret that stands anywhere proves nothing"
    return [(name, secret) for name, text in texts.items() for secret in secrets if secret in text]
