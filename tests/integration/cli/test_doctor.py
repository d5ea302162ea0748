"""`darkroom doctor`: what is missing, how to mend it, and whether it can run."""

import json
import os
import shutil
import socket
import socketserver
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from pydantic import SecretStr

from cli.checks import (
    Verdict,
    check_disk,
    check_gpu,
    check_keys,
    check_memory,
    check_models,
    check_port,
    check_python,
    check_redis,
    check_torch,
)
from cli.checks.device import Gpu
from cli.keyholder import Keyholder
from cli.ports import free_port
from cli.run_folder import RunFolder
from cli.valkey import EmbeddedServer
from shared.settings import REPO_ROOT, ApiSettings, ModelSettings, RedisSettings, Settings
from tests.integration.cli.conftest import Darkroom
from tests.integration.cli.service import FakeService


def test_a_machine_that_lacks_nothing_can_run(darkroom: Darkroom) -> None:
    result = darkroom("doctor", "--port", str(free_port()))

    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("can run: darkroom up\n")
    assert "missing" not in result.stdout
    for subject in ("Python", "torch", "GPU driver", "Redis", "model glyph", "port", "disk"):
        assert subject in result.stdout


def test_what_is_missing_is_named_with_its_remedy(darkroom: Darkroom) -> None:
    result = darkroom("doctor", "--port", str(free_port()), DARKROOM_REDIS__URL="redis://127.0.0.1:1")

    assert result.exit_code == 1
    assert "redis://127.0.0.1:1 does not answer" in result.stdout
    assert "unset DARKROOM_REDIS__URL" in result.stdout
    assert result.stderr.endswith("cannot run: mend what is missing\n")


def test_a_wrong_setting_is_one_line_that_names_the_variable(darkroom: Darkroom) -> None:
    result = darkroom("doctor", DARKROOM_API__PORT="99999")

    assert result.exit_code == 1
    assert result.stderr.startswith("error: the configuration is wrong: DARKROOM_API__PORT: ")
    assert len(result.stderr.splitlines()) == 1


def test_this_python_is_new_enough() -> None:
    assert check_python().verdict is Verdict.OK


def test_a_configured_server_is_asked_for_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedServer() as server:
        monkeypatch.setenv("DARKROOM_REDIS__URL", server.url)

        finding = check_redis(Settings().redis)

    assert finding.verdict is Verdict.OK
    assert finding.detail == f"{server.url}, version {'.'.join(map(str, server.binary.version))}"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--maxmemory-policy", "allkeys-lru"), "throws jobs away when it is full"),
        (("--appendonly", "no"), "set appendonly to yes"),
    ],
)
def test_a_server_that_may_lose_jobs_is_noted(
    monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], words: str
) -> None:
    with EmbeddedServer(options=options) as server:
        monkeypatch.setenv("DARKROOM_REDIS__URL", server.url)

        finding = check_redis(Settings().redis)

    assert finding.verdict is Verdict.NOTE
    assert words in finding.mend


def test_a_server_that_is_too_old_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with old_redis() as url:
        monkeypatch.setenv("DARKROOM_REDIS__URL", url)

        finding = check_redis(Settings().redis)

    assert finding.verdict is Verdict.MISSING
    assert finding.detail == f"{url}, version 6.2.14"
    assert finding.mend == "version 7.0 or newer is needed"


@contextmanager
def old_redis() -> Iterator[str]:
    """A server that speaks the protocol of Redis 6 and answers INFO; one that old is hard to install now."""

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while words := self._command():
                info = b"# Server\r\nredis_version:6.2.14\r\n"
                said = (
                    b"$%d\r\n%s\r\n" % (len(info), info)
                    if words[0].upper() == b"INFO"
                    else b"-ERR unknown\r\n"
                )
                self.wfile.write(said)

        def _command(self) -> list[bytes]:
            count = self.rfile.readline().strip()
            words = []
            for _ in range(int(count[1:] or 0)):
                self.rfile.readline()
                words.append(self.rfile.readline().strip())
            return words

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"redis://127.0.0.1:{server.server_address[1]}/0"
        server.shutdown()
        thread.join()


def test_without_a_configured_server_the_embedded_one_is_found() -> None:
    finding = check_redis(RedisSettings())

    assert finding.verdict is Verdict.OK
    assert "embedded" in finding.detail


def test_a_port_that_another_program_has_is_missing_and_the_program_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        finding = check_port("127.0.0.1", port)

    assert finding.verdict is Verdict.MISSING
    comm = Path("/proc/self/comm").read_text().strip()
    assert finding.detail == f"127.0.0.1:{port} is taken by {comm} (process {os.getpid()})"
    assert finding.mend == f"choose another one: darkroom up --port {port + 1}"


def test_a_port_whose_program_cannot_be_told_is_missing_all_the_same() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening: no table has it
        finding = check_port("127.0.0.1", taken.getsockname()[1])

    assert finding.verdict is Verdict.MISSING
    assert finding.detail.endswith(" is taken")


def test_a_port_that_a_darkroom_has_is_only_noted(service: FakeService) -> None:
    service.will_answer("GET", "/healthz", {"status": "ok"})

    finding = check_port("127.0.0.1", service.port)

    assert finding.verdict is Verdict.NOTE
    assert "already runs" in finding.detail


def test_weights_that_are_cut_short_are_missing(tmp_path: Path) -> None:
    catalogue = shutil.copy(REPO_ROOT / "models" / "catalog.toml", tmp_path)
    shutil.copytree(REPO_ROOT / "models" / "glyph", tmp_path / "glyph")
    weights = tmp_path / "glyph" / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])

    findings = list(check_models(ModelSettings(catalogue=Path(catalogue), enabled=("glyph",))))

    assert findings[0].verdict is Verdict.MISSING
    assert "model 'glyph'" in findings[0].detail
    assert str(weights) in findings[0].detail


def test_an_unknown_model_that_is_enabled_is_missing() -> None:
    findings = list(check_models(ModelSettings(enabled=("nobody",))))

    assert [finding.verdict for finding in findings] == [Verdict.MISSING]
    assert "nobody" in findings[0].detail


def test_the_room_on_disk_is_told(tmp_path: Path) -> None:
    finding = check_disk(tmp_path)

    assert "GiB free" in finding.detail
    assert str(tmp_path) in finding.detail


def test_what_was_found_can_be_read_by_a_program(darkroom: Darkroom) -> None:
    result = darkroom(
        "doctor", "--json", "--port", str(free_port()), DARKROOM_REDIS__URL="redis://127.0.0.1:1"
    )

    told = json.loads(result.stdout)
    assert (result.exit_code, told["can_run"]) == (1, False)
    (redis,) = [finding for finding in told["findings"] if finding["subject"] == "Redis"]
    assert redis["verdict"] == "missing"
    assert "unset DARKROOM_REDIS__URL" in redis["mend"]


@pytest.fixture
def torch_that_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put another torch before the real one, for the process that imports it."""

    def put(program: str) -> None:
        (tmp_path / "torch.py").write_text(program)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    return put


def torch_of(cuda: str | None, gpus: int = 0, why: str = "") -> str:
    return f"""
from types import SimpleNamespace
def init():
    raise RuntimeError({why!r})
__version__ = "2.13.0"
version = SimpleNamespace(cuda={cuda!r})
cuda = SimpleNamespace(device_count=lambda: {gpus}, init=init)
"""


NO_GPU = Gpu(driver="", cards=0, device=False)
DRIVER = Gpu(driver="NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep 23", cards=1, device=True)
OLD_DRIVER = Gpu(driver="NVIDIA UNIX x86_64 Kernel Module  470.256.02  Thu May  2", cards=1, device=True)
NO_DRIVER = Gpu(driver="", cards=1, device=False)
IN_A_CONTAINER = Gpu(driver=DRIVER.driver, cards=1, device=False)


@pytest.mark.parametrize(
    ("torch", "gpu", "verdict", "detail", "mend"),
    [
        (torch_of(None), NO_GPU, Verdict.OK, "2.13.0, on the CPU", ""),
        (torch_of("13.0"), NO_GPU, Verdict.OK, "on the CPU: there is no GPU", ""),
        (torch_of("13.0", 2), DRIVER, Verdict.OK, "CUDA 13.0, 2 GPU(s)", ""),
        (
            torch_of(None),
            DRIVER,
            Verdict.NOTE,
            "is a CPU build, but there is a GPU",
            "install the CUDA build",
        ),
        (torch_of(None), NO_DRIVER, Verdict.NOTE, "is a CPU build", "install the CUDA build"),
        (
            torch_of("13.0", 0, "no driver"),
            NO_DRIVER,
            Verdict.NOTE,
            "sees no GPU: no driver",
            "NVIDIA's driver",
        ),
        (
            torch_of("13.0", 0, "too old"),
            OLD_DRIVER,
            Verdict.NOTE,
            "sees no GPU: too old",
            "CUDA 13.0 needs driver 580.0 or newer",
        ),
        (torch_of("12.8"), IN_A_CONTAINER, Verdict.NOTE, "sees no GPU", "docker run --gpus all"),
        (torch_of("12.8"), DRIVER, Verdict.NOTE, "sees no GPU", "CUDA_VISIBLE_DEVICES"),
        (
            "raise ImportError('libcudart.so: no such file')",
            NO_GPU,
            Verdict.MISSING,
            "libcudart.so",
            "reinstall",
        ),
    ],
)
def test_torch_is_judged_beside_driver_and_hardware(
    torch_that_says: Callable[[str], None], torch: str, gpu: Gpu, verdict: Verdict, detail: str, mend: str
) -> None:
    torch_that_says(torch)

    finding = check_torch(gpu)

    assert finding.verdict is verdict, finding
    assert detail in finding.detail
    assert mend in finding.mend
    assert bool(finding.mend) == bool(mend)


def test_the_gpu_is_looked_for_on_the_bus_and_its_driver_in_proc(tmp_path: Path) -> None:
    assert Gpu.of_this_machine(tmp_path) == NO_GPU

    for name, vendor, kind in (
        ("0", "0x10de", "0x030200"),
        ("1", "0x10de", "0x040300"),
        ("2", "0x8086", "0x030000"),
    ):
        device = tmp_path / "sys" / "bus" / "pci" / "devices" / name
        device.mkdir(parents=True)
        (device / "vendor").write_text(f"{vendor}\n")
        (device / "class").write_text(f"{kind}\n")
    assert Gpu.of_this_machine(tmp_path) == Gpu(driver="", cards=1, device=False)
    assert "there are 1 NVIDIA GPU(s)" in check_gpu(Gpu.of_this_machine(tmp_path)).detail

    version = tmp_path / "proc" / "driver" / "nvidia" / "version"
    version.parent.mkdir(parents=True)
    version.write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19\nGCC version:\n"
    )
    found = Gpu.of_this_machine(tmp_path)
    assert found.driver_version == (535, 104, 5)
    assert check_gpu(found).verdict is Verdict.OK


CONNECTIONS = ApiSettings().max_connections


def test_a_low_limit_of_open_files_is_told_with_how_many_calls_can_be_held(tmp_path: Path) -> None:
    command = f'ulimit -Sn 500; ulimit -Hn 1000; exec "{sys.executable}" -m cli doctor --json'
    told = _doctor_in_a_shell(command, tmp_path)

    finding = told["open files"]
    assert finding["verdict"] == "note"
    assert (
        finding["detail"]
        == f"1000 a process: 800 calls can be held, DARKROOM_API__MAX_CONNECTIONS is {CONNECTIONS}"
    )
    assert "LimitNOFILE" in finding["mend"]


def test_a_disk_that_is_full_is_missing(tmp_path: Path) -> None:
    mounted = "mount -t tmpfs -o size=1m tmpfs room && cd room"
    if subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    (tmp_path / "room").mkdir()

    told = _doctor_in_a_shell(
        f"unshare -rm sh -c '{mounted} && \"{sys.executable}\" -m cli doctor --json'", tmp_path
    )

    assert told["disk"]["verdict"] == "missing"
    assert told["disk"]["detail"].startswith(("1020 KiB free in ", "1.0 MiB free in "))
    assert "make room" in told["disk"]["mend"]


def _doctor_in_a_shell(command: str, folder: Path) -> dict[str, Any]:
    """What doctor finds, by subject, in a shell that changed something first; torch is a light one."""
    (folder / "torch.py").write_text(torch_of(None))
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{REPO_ROOT}"}
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return {finding["subject"]: finding for finding in json.loads(done.stdout)["findings"]}


def test_little_memory_is_noted(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal:       2048000 kB\nMemAvailable:   1048576 kB\n")

    finding = check_memory(tmp_path)

    assert (finding.verdict, finding.detail) == (Verdict.NOTE, "1.0 GiB free")


def test_the_limit_of_a_container_counts_where_it_is_lower(tmp_path: Path) -> None:
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text(f"{2**30}\n")
    (group / "memory.current").write_text(f"{2**29}\n")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemAvailable:   16777216 kB\n")

    assert check_memory(tmp_path).detail == "512 MiB free"

    (group / "memory.max").write_text("max\n")
    assert check_memory(tmp_path).detail == "16.0 GiB free"


def test_keys_under_the_salt_that_everybody_knows_are_noted(
    redis_settings: RedisSettings, tmp_path: Path
) -> None:
    api, folder = ApiSettings(), RunFolder(tmp_path)
    none = check_keys(api, redis_settings, folder)
    Keyholder(redis_settings, api.owner_salt.get_secret_value().encode()).create("somebody")

    noted = check_keys(api, redis_settings, folder)
    salted = check_keys(api.model_copy(update={"owner_salt": SecretStr("random")}), redis_settings, folder)

    assert none is not None
    assert none.verdict is Verdict.OK
    assert noted is not None
    assert noted.verdict is Verdict.NOTE
    assert "DARKROOM_API__OWNER_SALT" in noted.mend
    assert salted is not None
    assert salted.verdict is Verdict.OK


def test_a_service_that_others_reach_without_any_key_is_missing_one(
    redis_settings: RedisSettings, tmp_path: Path
) -> None:
    found = check_keys(ApiSettings(host="0.0.0.0"), redis_settings, RunFolder(tmp_path))

    assert found is not None
    assert found.verdict is Verdict.MISSING
    assert "darkroom keys create" in found.mend


def test_where_no_server_runs_nothing_is_said_of_keys(tmp_path: Path) -> None:
    assert check_keys(ApiSettings(), RedisSettings(), RunFolder(tmp_path)) is None
