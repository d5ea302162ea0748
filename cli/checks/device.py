"""Torch and what it could draw on: the build, the driver, and the hardware."""

import importlib.metadata
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from cli.checks.finding import Finding, Verdict

_TORCH_TIMEOUT_S: Final = 120
_NVIDIA: Final = "0x10de"
_DISPLAY_CLASS: Final = "0x03"  # Source: the PCI code and ID assignment specification; 3D controllers too
# The oldest driver for each major version of CUDA.
# Source: https://docs.nvidia.com/deploy/cuda-compatibility (minor version compatibility)
_OLDEST_DRIVERS: Final = {11: (450, 80), 12: (525, 60), 13: (580, 0)}
_ASK_TORCH: Final = """
import json, torch
found = {"version": torch.__version__, "cuda": torch.version.cuda, "gpus": torch.cuda.device_count()}
if found["cuda"] and not found["gpus"]:
    try:
        torch.cuda.init()
    except Exception as error:
        found["why"] = str(error).strip().partition("\\n")[0]
print(json.dumps(found))
"""
_CUDA_BUILD: Final = "install the CUDA build of torch: docs/models.md, On a GPU"


class _Torch(BaseModel):
    """What torch says of itself."""

    version: str
    cuda: str | None
    gpus: int
    why: str = ""


@dataclass(frozen=True)
class Gpu:
    """The NVIDIA hardware of this machine.

    Attributes:
        driver: The line with the driver's version; empty where none is loaded.
        cards: How many GPUs are on the bus, driver or not.
        device: Whether there is a device file, which a container must be given.
    """

    driver: str
    cards: int
    device: bool

    @classmethod
    def of_this_machine(cls, root: Path = Path("/")) -> "Gpu":
        """Look for it, in a root folder where `proc`, `sys` and `dev` are."""
        return cls(_driver(root), _cards(root), (root / "dev" / "nvidiactl").exists())

    @property
    def driver_version(self) -> tuple[int, ...]:
        """The driver's version; empty where none is loaded."""
        found = re.search(r"\b\d{3,4}(?:\.\d+)+\b", self.driver)
        return tuple(map(int, found.group().split("."))) if found else ()


def _driver(root: Path) -> str:
    try:
        text = (root / "proc" / "driver" / "nvidia" / "version").read_text()
    except OSError:
        return ""
    return text.partition("\n")[0].removeprefix("NVRM version:").strip()


def _cards(root: Path) -> int:
    devices = (root / "sys" / "bus" / "pci" / "devices").glob("*")
    return sum(
        _reads(device / "vendor", _NVIDIA) and _reads(device / "class", _DISPLAY_CLASS) for device in devices
    )


def _reads(file: Path, beginning: str) -> bool:
    try:
        return file.read_text().startswith(beginning)
    except OSError:
        return False


def check_gpu(gpu: Gpu) -> Finding:
    """Look whether there is a driver for the GPU that is there; it runs without."""
    subject = "GPU driver"
    if gpu.driver:
        return Finding(subject, Verdict.OK, gpu.driver)
    if gpu.cards:
        mend = (
            "install NVIDIA's driver (Debian: nvidia-driver, Ubuntu: ubuntu-drivers install), then start anew"
        )
        return Finding(subject, Verdict.NOTE, f"none, but there are {gpu.cards} NVIDIA GPU(s)", mend)
    return Finding(subject, Verdict.NOTE, "none; pictures are drawn on the CPU, some seconds each")


def check_torch(gpu: Gpu) -> Finding:
    """Import torch in a process of its own, as a worker would."""
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        mend = "make setup, or: pip install -c constraints.txt -e '.[torch]'"
        return Finding("torch", Verdict.MISSING, "is not installed", mend)
    try:
        command = [sys.executable, "-c", _ASK_TORCH]
        said = subprocess.run(command, capture_output=True, text=True, timeout=_TORCH_TIMEOUT_S, check=True)
        torch = _Torch.model_validate(json.loads(said.stdout.splitlines()[-1]))
    except (subprocess.SubprocessError, ValueError, IndexError) as error:
        mend = "pip install --force-reinstall -c constraints.txt -e '.[torch]'"
        return Finding("torch", Verdict.MISSING, f"{version} cannot be imported: {_last_line(error)}", mend)
    return _judged(torch, gpu)


def _last_line(error: Exception) -> str:
    said = getattr(error, "stderr", None) or str(error)
    return str(said).strip().splitlines()[-1]


def _judged(torch: _Torch, gpu: Gpu) -> Finding:
    if torch.gpus:
        return Finding("torch", Verdict.OK, f"{torch.version}, CUDA {torch.cuda}, {torch.gpus} GPU(s)")
    if torch.cuda is None:
        if gpu.driver or gpu.cards:
            detail = f"{torch.version} is a CPU build, but there is a GPU"
            return Finding("torch", Verdict.NOTE, detail, f"to draw on it, {_CUDA_BUILD}")
        return Finding("torch", Verdict.OK, f"{torch.version}, on the CPU")
    if not (gpu.driver or gpu.cards):
        return Finding(
            "torch", Verdict.OK, f"{torch.version} (CUDA {torch.cuda}), on the CPU: there is no GPU"
        )
    why = f": {torch.why}" if torch.why else ""
    detail = f"{torch.version} (CUDA {torch.cuda}) sees no GPU{why}"
    return Finding("torch", Verdict.NOTE, detail, _why_unseen(torch, gpu))


def _why_unseen(torch: _Torch, gpu: Gpu) -> str:
    """What to do where torch is built for a GPU and sees none."""
    oldest = _OLDEST_DRIVERS.get(int((torch.cuda or "0").partition(".")[0]))
    if not gpu.driver:
        return "install NVIDIA's driver"
    if oldest and gpu.driver_version < oldest:
        wanted = ".".join(map(str, oldest))
        return f"CUDA {torch.cuda} needs driver {wanted} or newer: install a newer one"
    if not gpu.device:
        return "give the container the GPU: docker run --gpus all, or docker-compose.gpu.yml"
    return "look at nvidia-smi, and at CUDA_VISIBLE_DEVICES"
