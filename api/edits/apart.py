"""Has strangers' files read in processes of their own, whose end is nobody else's.

A decoder that crashes takes a process with it, one that is fooled takes memory and time: here both have an
end, and the calls that this process holds know nothing of it. What comes back is JSON, so that a process that
was taken over has nothing to say that this one would run.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from api.edits.document import DocumentError, Wrong
from api.edits.pictures import Files, PictureError, Size
from api.edits.reader import Message, files_message, files_of
from api.edits.received import Received
from shared.settings import REPO_ROOT

_COMMAND: Final = (sys.executable, "-m", "api.edits.reader")
# What it is told of this process's surroundings: no address, no password.
_HANDED_ON: Final = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TMPDIR")
# More than an answer can take: the fields of a body are the most of it.
_MAX_ANSWER_BYTES: Final = 4 * 1024**2


class ReaderLostError(Exception):
    """The process that was asked has ended, as of too little memory, or was ended."""


class Apart:
    """Reads files in processes of their own, which are kept for the next ones.

    Args:
        most: how many there are at a time; others wait.
        timeout_s: after so long one is ended.

    Every method that reads raises TimeoutError where that took too long, ReaderLostError, and OSError of a
    full or broken disk.
    """

    def __init__(self, most: int, timeout_s: float) -> None:
        self._turns = asyncio.Semaphore(most)
        self._timeout_s = timeout_s
        self._idle: list[Process] = []

    async def look(self, files: Files, max_px: int) -> tuple[Size, ...]:
        """Do what :func:`api.edits.pictures.look` does; raise what that raises."""
        found = await self._ask({"task": "look", "files": files_message(files), "max_px": max_px})
        return tuple(Size(*size) for size in found)

    async def convert(self, files: Files, folder: Path, most_px: int) -> Files:
        """Do what :func:`api.edits.pictures.convert` does; raise what that raises."""
        told = {"files": files_message(files), "folder": str(folder), "most_px": most_px}
        return files_of(await self._ask({"task": "convert", **told}))

    async def unpack(
        self, body: Path, folder: Path, max_images: int, max_file_bytes: int, inside: str = ""
    ) -> Received:
        """Do what :func:`api.edits.document.unpack` does; raise what that raises."""
        told = {"body": str(body), "folder": str(folder), "inside": inside}
        limits = {"max_images": max_images, "max_file_bytes": max_file_bytes}
        found = await self._ask({"task": "unpack", **told, **limits})
        return Received(found["fields"], files_of(found["files"]), tuple(found["digests"]))

    async def close(self) -> None:
        """End the processes that wait for work."""
        while self._idle:
            await _end(self._idle.pop())

    async def _ask(self, question: Message) -> Any:  # noqa: ANN401 - whatever JSON holds
        async with self._turns:
            while self._idle:
                # Lost, it may have gone while it waited, or by what came before: a new one is asked.
                with suppress(ReaderLostError):
                    return await self._asked(self._idle.pop(), question)
            return await self._asked(await self._started(), question)

    async def _started(self) -> Process:
        handed_on = {name: os.environ[name] for name in _HANDED_ON if name in os.environ}
        command = (*_COMMAND, str(self._timeout_s))
        return await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, cwd=REPO_ROOT, env=handed_on, limit=_MAX_ANSWER_BYTES
        )

    async def _asked(self, process: Process, question: Message) -> Any:  # noqa: ANN401 - whatever JSON holds
        try:
            # The time counts from here: who waits for a turn is bounded by the others' time.
            async with asyncio.timeout(self._timeout_s):
                answer = await _answer(process, question)
        except BaseException:
            # It is in the middle of something: kept, it would answer the next one with that.
            await asyncio.shield(_end(process))
            raise
        self._idle.append(process)
        return _found(answer)


async def _answer(process: Process, question: Message) -> Message:
    if process.stdin is None or process.stdout is None:
        raise ReaderLostError
    try:
        process.stdin.write(json.dumps(question).encode() + b"\n")
        await process.stdin.drain()
        answer: Message = json.loads(await process.stdout.readline())
    except (OSError, ValueError) as error:
        raise ReaderLostError from error
    return answer


async def _end(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _found(answer: Message) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return what was found, or raise what was wrong."""
    if "reason" in answer:
        raise PictureError(answer["picture"], answer["reason"])
    if "kind" in answer:
        raise DocumentError(Wrong[answer["kind"]], answer["message"], answer["param"])
    if "errno" in answer:
        raise OSError(answer["errno"], os.strerror(answer["errno"]))
    return answer["found"]
