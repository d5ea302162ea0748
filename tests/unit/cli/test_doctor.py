"""`darkroom doctor`: what is missing, how to mend it, and whether it can run."""

import shutil
import socket
from pathlib import Path

import pytest

from cli.checks import (
    Verdict,
    _torch_finding,
    check_disk,
    check_models,
    check_port,
    check_python,
    check_redis,
)
from cli.ports import free_port
from cli.valkey import EmbeddedServer
from shared.settings import REPO_ROOT, ModelSettings, RedisSettings, Settings
from tests.unit.cli.conftest import Darkroom
from tests.unit.cli.service import FakeService


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


@pytest.mark.parametrize(
    ("cuda", "gpus", "driver", "verdict", "words"),
    [
        (None, 0, "", Verdict.OK, "on the CPU"),
        ("13.0", 2, "580.1", Verdict.OK, "CUDA 13.0, 2 GPU(s)"),
        (None, 0, "580.1", Verdict.NOTE, "is a CPU build, but there is a GPU driver"),
        ("13.0", 0, "580.1", Verdict.NOTE, "sees no GPU"),
    ],
)
def test_torch_is_judged_beside_the_driver(
    cuda: str | None, gpus: int, driver: str, verdict: Verdict, words: str
) -> None:
    finding = _torch_finding("2.13.0", cuda, gpus, driver)

    assert finding.verdict is verdict
    assert words in finding.detail
    assert bool(finding.mend) == (verdict is not Verdict.OK)


def test_a_configured_server_is_asked_for_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedServer() as server:
        monkeypatch.setenv("DARKROOM_REDIS__URL", server.url)

        finding = check_redis(Settings().redis)

    assert finding.verdict is Verdict.OK
    assert finding.detail == f"{server.url}, version {'.'.join(map(str, server.binary.version))}"


def test_without_a_configured_server_the_embedded_one_is_found() -> None:
    finding = check_redis(RedisSettings())

    assert finding.verdict is Verdict.OK
    assert "embedded" in finding.detail


def test_a_port_that_another_program_has_is_missing() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        finding = check_port("127.0.0.1", taken.getsockname()[1])

    assert finding.verdict is Verdict.MISSING
    assert "--port" in finding.mend


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
