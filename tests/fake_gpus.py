"""GPUs that are not there: an `nvidia-smi` of our own, before any other on the PATH."""

import os
import shlex
from pathlib import Path
from typing import Final

UUIDS: Final = tuple(f"GPU-{digit * 8}-d72c-4106-c12f-20bd9faed9f6" for digit in "abc")
TWO: Final = (
    f"0, {UUIDS[0]}, NVIDIA H100 80GB HBM3, 81559",
    f"1, {UUIDS[1]}, NVIDIA L40S, 46068",
)
THREE: Final = (*TWO, f"2, {UUIDS[2]}, NVIDIA GB10, [N/A]")
IN_WORDS: Final = "gpu0 (NVIDIA H100 80GB HBM3, 79.6 GiB), gpu1 (NVIDIA L40S, 45.0 GiB)"


def path_with_gpus(folder: Path, *lines: str, status: int = 0) -> str:
    """Return a PATH whose `nvidia-smi` prints these lines, and nothing for any other question.

    Args:
        folder: where the program is put.
        lines: number, UUID, name and memory in MiB of each GPU; or what it says as it fails.
        status: its exit status.
    """
    program = folder / "nvidia-smi"
    said = "\n".join(f"echo {shlex.quote(line)}" for line in lines)
    asked = '"--query-gpu=index,uuid,name,memory.total --format=csv,noheader,nounits"'
    program.write_text(f'#!/bin/sh\n[ "$*" = {asked} ] || exit 2\n{said}\nexit {status}\n')
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"
