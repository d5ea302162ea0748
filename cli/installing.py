"""Runs pip and says in a few lines how far it is; when it fails, what to do.

Run as a script by make, before anything is installed: `installing.py COMMAND...` knows only the standard
library. What pip says is kept in a file, and shown only when it fails.
"""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_LARGE = re.compile(r"Downloading (\S+?)-(\d[\w.+]*)\S* \((\d+(?:\.\d+)?) (MB|GB)\)")
_INSTALLING = re.compile(r"Installing collected packages: (.*)")
_LARGE_MB = 20.0
_SHOWN_LINES = 12
_REMEDIES = (
    (
        r"No space left on device|Disk quota exceeded",
        "the disk is full: about 2 GB are needed, more for CUDA",
    ),
    (
        r"Name or service not known|Temporary failure in name resolution|NewConnectionError|ProxyError",
        "the package index cannot be reached: is there a network, a proxy (HTTPS_PROXY)?",
    ),
    (
        r"Network is unreachable|Connection refused|ReadTimeout|ConnectTimeout|No matching distribution",
        "the package index cannot be reached, or lacks a package: is there a mirror (PIP_INDEX_URL)?",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError",
        "a proxy signs with its own certificate: name its file in PIP_CERT",
    ),
    (
        r"Permission denied|Read-only file system",
        "this folder is not yours to write to: clone into one of your own",
    ),
    (r"MemoryError|Killed|signal 9", "the memory ran out"),
)


def remedy(text: str) -> str:
    """Return what to do after pip said this."""
    for pattern, what in _REMEDIES:
        if re.search(pattern, text):
            return what
    return "see above"


def in_words(line: str) -> str:
    """Say a line of pip's for somebody who waits; empty for most of them."""
    if found := _LARGE.search(line):
        megabytes = float(found[3]) * (1000 if found[4] == "GB" else 1)
        return f"downloading {found[1]} {found[2]}, {megabytes:.0f} MB" if megabytes >= _LARGE_MB else ""
    if found := _INSTALLING.search(line):
        return f"installing {found[1].count(',') + 1} packages"
    return ""


def _say(words: str) -> None:
    sys.stdout.write(f"make: {words}\n")
    sys.stdout.flush()


def install(command: Sequence[str], log: Path) -> int:
    """Run pip; return its exit status."""
    began_at = time.monotonic()
    with (
        log.open("w", encoding="utf-8") as kept,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as pip,
    ):
        for line in pip.stdout or ():
            kept.write(line)
            if words := in_words(line):
                _say(words)
    if pip.returncode == 0:
        log.unlink()
        _say(f"installed in {time.monotonic() - began_at:.0f} s")
        return 0
    said = log.read_text(encoding="utf-8").splitlines()
    sys.stderr.write("\n".join([*said[-_SHOWN_LINES:], ""]))
    ended = f"{' '.join(said)} signal {-pip.returncode}" if pip.returncode < 0 else " ".join(said)
    sys.stderr.write(f"make: installing failed: {remedy(ended)}\n")
    sys.stderr.write(f"make: all that pip said is in {log}; the same command goes on from here\n")
    return 1


def _main(arguments: Sequence[str]) -> int:
    log, *command = arguments
    try:
        return install(command, Path(log))
    except KeyboardInterrupt:
        sys.stderr.write(
            "make: stopped; what was downloaded is kept, and the same command goes on from here\n"
        )
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
