"""The process in which strangers' files are read, and nothing else is done.

    python -m api.edits.reader SECONDS

It is asked in JSON, a line each, and answers so: what was found, or what was wrong with which picture.
SECONDS of work on one question end it, also where nobody is left who would.
"""

import json
import math
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from api.edits.document import DocumentError, unpack
from api.edits.pictures import Files, PictureError, convert, look
from api.edits.received import Received

MEMORY_BYTES: Final = 768 * 1024**2
"""What it may take: the largest picture in four channels six times, and what Python takes."""

Message = dict[str, Any]


def files_message(files: Files) -> Message:
    """Return where files lie as JSON has it."""
    return {"images": [str(path) for path in files.images], "mask": files.mask and str(files.mask)}


def files_of(message: Message) -> Files:
    """Return what :func:`files_message` was told."""
    mask = message["mask"]
    return Files(tuple(map(Path, message["images"])), None if mask is None else Path(mask))


def answered(question: Message) -> Message:
    """Return what there is to say to a question: its ``task``, and what that is given."""
    try:
        return {"found": _TASKS[question["task"]](question)}
    except PictureError as error:
        return {"picture": error.picture, "reason": error.reason}
    except DocumentError as error:
        return {"kind": error.kind.name, "message": error.message, "param": error.param}
    except OSError as error:
        return {"errno": error.errno}


def _look(question: Message) -> object:
    return look(files_of(question["files"]), question["max_px"])


def _convert(question: Message) -> object:
    files, folder = files_of(question["files"]), Path(question["folder"])
    return files_message(convert(files, folder, question["most_px"]))


def _unpack(question: Message) -> object:
    body, folder = Path(question["body"]), Path(question["folder"])
    limits = question["max_images"], question["max_file_bytes"]
    received: Received = unpack(body, folder, *limits, question["inside"])
    files = files_message(received.files)
    return {"fields": received.fields, "files": files, "digests": received.digests}


_TASKS: Final = {"look": _look, "convert": _convert, "unpack": _unpack}


def _limit(what: int, most: int) -> None:
    with suppress(ValueError, OSError):  # a system may have a lower one
        resource.setrlimit(what, (most, resource.getrlimit(what)[1]))


def main() -> None:
    """Answer until nothing is asked any more."""
    longest_s = float(sys.argv[1])
    _limit(resource.RLIMIT_DATA, MEMORY_BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    # Ctrl-C reaches it, too, and is for the process that asks: this one ends when nothing more can be asked.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin.buffer:
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime + longest_s) + 1)
        sys.stdout.buffer.write(json.dumps(answered(json.loads(line))).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
