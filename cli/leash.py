"""Ties a process to the life of the one that started it.

Run as a script, `leash.py SIGNAL PARENT_PID COMMAND...` asks the kernel to send SIGNAL when the parent dies,
then becomes COMMAND in the same process. A wrapper, and not a `preexec_fn`, because running Python between
fork and exec can deadlock in a process that has threads. It knows only the standard library, so that the
script starts without the packages of the service.

The kernel watches the thread that started the process, not the whole parent: start from the main thread.
Only Linux has this; elsewhere the command runs without a leash.
"""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1  # Source: linux/prctl.h
_CANNOT_RUN = 127  # what shells answer for a command that cannot be run


def leashed(command: Sequence[str]) -> list[str]:
    """Return the command line that runs a command and kills it when this process dies.

    The signal is SIGKILL: whoever dies without stopping its children can no longer insist, and a worker in
    the middle of a picture would take its time over anything gentler.

    Raises:
        RuntimeError: Called from another thread than the main one; the command would die with that thread.
    """
    if threading.current_thread() is not threading.main_thread():
        msg = "start child processes from the main thread: they are ended with the thread that started them"
        raise RuntimeError(msg)
    return [sys.executable, "-I", "-S", __file__, signal.SIGKILL.name, str(os.getpid()), *command]


def _tie_to_parent(death_signal: int, parent_pid: int) -> None:
    """Ask for the signal; end at once when the parent is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit(_CANNOT_RUN)


def _main(arguments: Sequence[str]) -> None:
    name, parent_pid, *command = arguments
    _tie_to_parent(signal.Signals[name], int(parent_pid))
    try:
        os.execvp(command[0], command)  # noqa: S606 -- becoming the command, without a shell, is the purpose
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    _main(sys.argv[1:])
