"""A file of a repository, and how to tell that it arrived whole."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from cli.pulling.errors import Corrupt

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SHA1: Final = re.compile(r"[0-9a-f]{40}")
_CHUNK_BYTES: Final = 4 * 1024**2


@dataclass(frozen=True)
class RemoteFile:
    """A file as the hub describes it.

    Attributes:
        path: Where it is in the repository, with slashes.
        size_bytes: How long it is.
        digest: The SHA-256 of a large file, git's blob id of any other; its name in the cache too.
    """

    path: str
    size_bytes: int
    digest: str

    def __post_init__(self) -> None:
        parts = PurePosixPath(self.path).parts
        # The path and the digest become names on this disk, and they are somebody else's words.
        if not parts or self.path.startswith("/") or ".." in parts or "\\" in self.path:
            msg = f"the hub names a file {self.path!r}, which is no path inside a repository"
            raise Corrupt(msg)
        if not (_SHA256.fullmatch(self.digest) or _SHA1.fullmatch(self.digest)):
            msg = f"the hub gives no checksum for {self.path}"
            raise Corrupt(msg)

    def is_in(self, file: Path) -> bool:
        """Whether a file on this disk has exactly these bytes; reads all of it."""
        if file.stat().st_size != self.size_bytes:
            return False
        if _SHA256.fullmatch(self.digest):
            digest = hashlib.sha256()
        else:  # Source: git's object format; a checksum that the hub gives, not a safeguard against forgery
            digest = hashlib.sha1(b"blob %d\0" % self.size_bytes, usedforsecurity=False)
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
        return digest.hexdigest() == self.digest
