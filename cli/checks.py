"""What a machine needs to run the service, looked at one by one.

Each check returns what it found; nothing is changed, and nothing of the service is started.
"""

import importlib.metadata
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from cli.client import Client, Connection
from cli.ports import is_free, reachable_host
from cli.servers import (
    NO_SERVER,
    OLDEST_VERSION,
    ServerBinary,
    installed_servers,
    public_address,
    running_version,
    version_text,
)
from shared.catalogue import Catalogue
from shared.errors import ConfigurationError, StoreUnavailable
from shared.settings import ModelSettings, RedisSettings

OLDEST_PYTHON: Final = (3, 11)
LEAST_DISK_BYTES: Final = 256 * 1024**2
GOOD_DISK_BYTES: Final = 2 * 1024**3
_TORCH_TIMEOUT_S: Final = 120
_DRIVER: Final = Path("/proc/driver/nvidia/version")
_ASK_TORCH: Final = """
import json, torch
found = {"version": torch.__version__, "cuda": torch.version.cuda, "gpus": torch.cuda.device_count()}
print(json.dumps(found))
"""


class Verdict(StrEnum):
    """How good it is what a check found."""

    OK = "ok"
    NOTE = "note"
    MISSING = "missing"


@dataclass(frozen=True)
class Finding:
    """What a check found, and what to do about it."""

    subject: str
    verdict: Verdict
    detail: str
    mend: str = ""


def check_python() -> Finding:
    """Look at the version of Python."""
    version = version_text(sys.version_info[:3])
    if sys.version_info < OLDEST_PYTHON:
        return Finding("Python", Verdict.MISSING, version, "install Python 3.11 or newer, then: make setup")
    return Finding("Python", Verdict.OK, f"{version} ({sys.executable})")


def check_torch(driver: str) -> Finding:
    """Import torch in a process of its own, as a worker would.

    Args:
        driver: version of the GPU driver; empty where there is none.
    """
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        mend = "pip install -c constraints.txt -e '.[torch]'"
        return Finding("torch", Verdict.MISSING, "is not installed", mend)
    try:
        command = [sys.executable, "-c", _ASK_TORCH]
        said = subprocess.run(command, capture_output=True, text=True, timeout=_TORCH_TIMEOUT_S, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        why = str(error.stderr or error).strip().splitlines()[-1]
        mend = "pip install --force-reinstall -c constraints.txt -e '.[torch]'"
        return Finding("torch", Verdict.MISSING, f"{version} cannot be imported: {why}", mend)
    found = json.loads(said.stdout)
    return _torch_finding(found["version"], found["cuda"], found["gpus"], driver)


def _torch_finding(version: str, cuda: str | None, gpus: int, driver: str) -> Finding:
    if gpus:
        return Finding("torch", Verdict.OK, f"{version}, CUDA {cuda}, {gpus} GPU(s)")
    if driver and cuda is None:
        mend = "to use the GPU, install the CUDA build of torch (see docs/models.md)"
        return Finding("torch", Verdict.NOTE, f"{version} is a CPU build, but there is a GPU driver", mend)
    if driver:
        mend = "to use the GPU, look at nvidia-smi: the driver may be too old for this CUDA"
        return Finding(
            "torch", Verdict.NOTE, f"{version} (CUDA {cuda}) sees no GPU; pictures are drawn on the CPU", mend
        )
    return Finding("torch", Verdict.OK, f"{version}, on the CPU")


def gpu_driver() -> str:
    """Return the version line of the GPU driver; empty where there is none."""
    try:
        return _DRIVER.read_text().splitlines()[0].removeprefix("NVRM version:").strip()
    except (OSError, IndexError):
        return ""


def check_gpu(driver: str) -> Finding:
    """Say whether there is a GPU driver; it runs without."""
    if driver:
        return Finding("GPU driver", Verdict.OK, driver)
    return Finding("GPU driver", Verdict.NOTE, "none; pictures are drawn on the CPU, some seconds each")


def check_redis(settings: RedisSettings) -> Finding:
    """Look for a server: the one that is configured, or one that can be embedded."""
    if "url" in settings.model_fields_set:
        return _check_given_redis(settings)
    servers = list(installed_servers())
    usable = next((server for server in servers if server.usable), None)
    if usable:
        return Finding("Redis", Verdict.OK, f"embedded {usable.label}")
    return Finding("Redis", Verdict.MISSING, _too_old(servers), NO_SERVER)


def _check_given_redis(settings: RedisSettings) -> Finding:
    try:
        version = running_version(settings)
    except StoreUnavailable as error:
        mend = "start it, or unset DARKROOM_REDIS__URL to use an embedded Valkey"
        return Finding("Redis", Verdict.MISSING, error.message, mend)
    detail = f"{public_address(settings)}, version {version_text(version)}"
    if version < OLDEST_VERSION:
        return Finding("Redis", Verdict.MISSING, detail, "version 7.0 or newer is needed")
    return Finding("Redis", Verdict.OK, detail)


def _too_old(servers: list[ServerBinary]) -> str:
    return f"too old: {', '.join(server.label for server in servers)}" if servers else "no server found"


def check_models(settings: ModelSettings) -> Iterator[Finding]:
    """Look at the weights of every model that would be offered."""
    try:
        catalogue = Catalogue.load(settings.catalogue)
        specs = catalogue.local(settings.enabled)
    except ConfigurationError as error:
        yield Finding(
            "models", Verdict.MISSING, error.message, "mend the catalogue, or DARKROOM_MODELS__ENABLED"
        )
        return
    for spec in specs:
        subject = f"model {spec.name}"
        try:
            yield Finding(subject, Verdict.OK, str(catalogue.check_weights(spec)))
        except ConfigurationError as error:
            yield Finding(subject, Verdict.MISSING, error.message, "fetch its weights again")
    if not specs:
        yield Finding("models", Verdict.MISSING, "no model has its weights here", "git checkout models/")
    if off := len(catalogue.specs) - len(specs):
        yield Finding("models", Verdict.OK, f"{off} more in the catalogue are off (darkroom models says why)")


def check_port(host: str, port: int) -> Finding:
    """Look whether the API could listen."""
    place = f"{host}:{port}"
    if is_free(host, port):
        return Finding("port", Verdict.OK, f"{place} is free")
    with Client(Connection(f"http://{reachable_host(host)}:{port}")) as client:
        if client.alive():
            return Finding("port", Verdict.NOTE, f"a Darkroom already runs on {place}")
    return Finding("port", Verdict.MISSING, f"{place} is taken", "darkroom up --port with another number")


def check_disk(folder: Path) -> Finding:
    """Look at the room for jobs and logs."""
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1024**3:.1f} GiB free in {folder}"
    if free < LEAST_DISK_BYTES:
        return Finding("disk", Verdict.MISSING, detail, "make room: jobs and their pictures are kept on disk")
    if free < GOOD_DISK_BYTES:
        return Finding("disk", Verdict.NOTE, detail, "a busy service needs more")
    return Finding("disk", Verdict.OK, detail)
