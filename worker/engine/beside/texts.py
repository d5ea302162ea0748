"""Encoded prompts that may be asked for again: by the other images of a request, or by the next one."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from threading import Lock
from typing import Final

import torch

ROOM_BYTES: Final = 256 * 2**20
"""A prompt takes 0.2 MB for Stable Diffusion and 8 MB for FLUX.2 [klein]."""

Entry = Mapping[str, torch.Tensor]
"""What one entry of the denoiser's batch is conditioned on, by the family's own names."""
Entries = tuple[Entry, ...]


class TextCache:
    """Keeps what was used last, up to a number of bytes. It stays on the device."""

    def __init__(self, room_bytes: int = ROOM_BYTES) -> None:
        self._room_bytes = room_bytes
        self._filled_bytes = 0
        self._kept: OrderedDict[Hashable, Entries] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, encode: Callable[[], Entries]) -> Entries:
        """Return the entries for a key, encoding them if need be."""
        found = self.find(key)
        return found if found is not None else self.put(key, encode())

    def find(self, key: Hashable) -> Entries | None:
        """Return the entries for a key, or nothing."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key]

    def put(self, key: Hashable, entries: Entries) -> Entries:
        """Keep the entries for a key, and return those that are kept."""
        with self._lock:
            if key in self._kept:
                return self._kept[key]
            self._kept[key] = entries
            self._filled_bytes += size_bytes(entries)
            self._shrink()
        return entries

    def clear(self) -> None:
        """Forget everything: the device is short of memory."""
        with self._lock:
            self._kept.clear()
            self._filled_bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def _shrink(self) -> None:
        while self._filled_bytes > self._room_bytes:
            _, entries = self._kept.popitem(last=False)
            self._filled_bytes -= size_bytes(entries)


def size_bytes(entries: Entries) -> int:
    """Return the memory of the entries' tensors."""
    return sum(tensor.nbytes for entry in entries for tensor in entry.values())
