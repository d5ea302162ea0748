"""What the tests take from whoever runs them: as little as can be.

A developer's own settings, proxies, colours and cache of models would otherwise decide what is red.
"""

import signal
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

# What somebody sets in order to change the tests themselves.
MEANT: Final = frozenset({"DARKROOM_LONG_FAULTS", "DARKROOM_FAULT_TIMES", "DARKROOM_SCREENSHOTS"})
# The service, its libraries, what examples read, and what a make hands on to the makes of the tests.
FAMILIES: Final = (
    "CELERY_",
    "DARKROOM_",
    "DIFFUSERS_",
    "FAULTS_",
    "FLOWER_",
    "HF_",
    "HUGGING_FACE_",
    "MAKE",
    "OPENAI_",
    "OTEL_",
    "PROMETHEUS_",
    "TRANSFORMERS_",
    "UVICORN_",
)
NAMES: Final = frozenset(
    {
        *("CLICOLOR", "CLICOLOR_FORCE", "COLORTERM", "COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR"),
        *("LC_TERMINAL", "TERM_PROGRAM", "TMUX", "TTY_COMPATIBLE", "TTY_INTERACTIVE"),
        *("MFLAGS", "OUTPUT", "PORT", "PYTEST_ADDOPTS", "PYTHON", "SECONDS", "SEED", "WEB_CONCURRENCY"),
        *("GPUS", "WHEELS", "WORKERS"),
    }
)
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


def leave_out(environment: MutableMapping[str, str], models: Path) -> None:
    """Take out of an environment what would change what the tests see.

    Proxies stay, for tests that install something, but nothing on this machine is asked through one.

    Args:
        environment: is changed.
        models: an empty folder, where the hub's files are looked for instead of in the user's own.
    """
    for name in [name for name in environment if _is_left_out(name)]:
        del environment[name]
    environment["HF_HOME"] = str(models)
    for name in ("no_proxy", "NO_PROXY"):
        said = [host for host in environment.get(name, "").split(",") if host]
        environment[name] = ",".join([*said, *(host for host in LOOPBACK if host not in said)])


def hear_ctrl_c() -> None:
    """Let SIGINT do what it does in a terminal: a shell that starts the tests with ``&`` has them ignore it.

    What the tests start would ignore it too.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_left_out(name: str) -> bool:
    return name not in MEANT and (name in NAMES or name.startswith(FAMILIES))
