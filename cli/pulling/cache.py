"""Where a repository lies in the Hugging Face cache: the layout that every tool of the hub shares.

A file is a blob named by its checksum; a snapshot is a folder of links to blobs, named by a commit; a
reference says which commit a branch is. The snapshot is made last and in one step, so that a repository that
is not whole is not there.

Source: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from cli.pulling.errors import PullFailed
from cli.pulling.files import RemoteFile

_LAST: Final = "model_index.json"  # without it nothing takes a folder for a model


class CachedRepository:
    """The place of one repository in a cache.

    Args:
        cache: The folder of the cache.
        repository: Its id, ``organization/name``.
    """

    def __init__(self, cache: Path, repository: str) -> None:
        self._cache = cache
        self._name = f"models--{repository.replace('/', '--')}"
        self._folder = cache / self._name
        self._repository = repository

    def blob(self, file: RemoteFile) -> Path:
        """Where the bytes of a file lie."""
        return self._folder / "blobs" / file.digest

    def partial(self, file: RemoteFile) -> Path:
        """Where the bytes that have arrived so far lie."""
        return self._folder / "blobs" / f"{file.digest}.incomplete"

    def has(self, file: RemoteFile) -> bool:
        """Whether the file is here; its length is looked at, not its bytes."""
        blob = self.blob(file)
        return blob.is_file() and blob.stat().st_size == file.size_bytes

    def arrived_bytes(self, file: RemoteFile) -> int:
        """How much of a file is here."""
        if self.has(file):
            return file.size_bytes
        partial = self.partial(file)
        return min(partial.stat().st_size, file.size_bytes) if partial.is_file() else 0

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other pulls of the same repository out.

        Raises:
            PullFailed: Another process pulls it.
        """
        file = self._cache / ".locks" / self._name / "darkroom-pull.lock"
        file.parent.mkdir(parents=True, exist_ok=True)
        (self._folder / "blobs").mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(file, timeout=0):
                yield
        except Timeout as error:
            msg = f"another process fetches {self._repository} at the moment; wait until it is done"
            raise PullFailed(msg) from error

    def keep(self, file: RemoteFile) -> None:
        """Make the bytes that have arrived, all of them and checked, the file."""
        self.partial(file).replace(self.blob(file))

    def show(self, commit: str, revision: str, files: Iterable[RemoteFile]) -> Path:
        """Make the snapshot of a commit out of files that are all here, and point the revision at it."""
        snapshot = self._folder / "snapshots" / commit
        ordered = sorted(files, key=lambda file: (file.path == _LAST, file.path))
        if snapshot.is_dir():
            self._link(snapshot, ordered)
        else:
            fresh = snapshot.with_name(f"{commit}.new")
            shutil.rmtree(fresh, ignore_errors=True)
            self._link(fresh, ordered)
            fresh.replace(snapshot)
        if revision != commit:
            self._refer(revision, commit)
        return snapshot

    def _link(self, snapshot: Path, files: Iterable[RemoteFile]) -> None:
        for file in files:
            pointer = snapshot / file.path
            blob = self.blob(file)
            if pointer.exists() and pointer.samefile(blob):
                continue
            pointer.parent.mkdir(parents=True, exist_ok=True)
            fresh = pointer.with_name(f"{pointer.name}.new")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(os.path.relpath(blob, pointer.parent))
            fresh.replace(pointer)

    def _refer(self, revision: str, commit: str) -> None:
        reference = self._folder / "refs" / revision
        reference.parent.mkdir(parents=True, exist_ok=True)
        fresh = reference.with_name(f"{reference.name}.new")
        fresh.write_text(commit, encoding="ascii")
        fresh.replace(reference)
