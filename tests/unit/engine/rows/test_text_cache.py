"""Encoded prompts that are kept."""

import torch

from worker.engine.beside.texts import Entries, TextCache, size_bytes

ENTRIES: Entries = ({"text": torch.zeros(25)},)


def test_the_one_unused_for_longest_is_forgotten_when_the_room_is_full() -> None:
    cache, encoded = TextCache(room_bytes=2 * size_bytes(ENTRIES)), list[str]()

    def encode(words: str) -> Entries:
        encoded.append(words)
        return ENTRIES

    for words in ("swan", "apple", "swan", "cat", "swan", "apple"):
        cache.get(words, lambda words=words: encode(words))  # type: ignore[misc]

    assert encoded == ["swan", "apple", "cat", "apple"]
    assert len(cache) == 2


def test_what_is_larger_than_the_room_is_encoded_and_not_kept() -> None:
    cache = TextCache(room_bytes=10)

    assert cache.get("swan", lambda: ENTRIES) is ENTRIES
    assert len(cache) == 0


def test_a_cleared_cache_is_empty() -> None:
    cache = TextCache(room_bytes=size_bytes(ENTRIES))
    cache.get("swan", lambda: ENTRIES)

    cache.clear()
    cache.get("apple", lambda: ENTRIES)

    assert len(cache) == 1
