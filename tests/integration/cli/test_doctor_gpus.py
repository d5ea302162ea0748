"""`darkroom doctor` tells of each GPU, and which would get a worker."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.checks import Verdict, check_gpus
from cli.ports import free_port
from shared.settings import WorkerSettings
from tests.fake_gpus import IN_WORDS, THREE, TWO, path_with_gpus
from tests.integration.cli.conftest import Darkroom


@pytest.fixture(autouse=True)
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", path_with_gpus(tmp_path, *TWO))


def found(*, can_use: bool = True, **settings: Any) -> list[tuple[str, Verdict, str]]:
    findings = check_gpus(WorkerSettings.model_validate(settings), can_use=lambda: can_use)
    return [(each.subject, each.verdict, each.detail) for each in findings]


def test_each_gpu_is_told_with_its_memory_and_gets_a_worker() -> None:
    assert found() == [
        ("gpu0", Verdict.OK, "NVIDIA H100 80GB HBM3, 79.6 GiB: gets a worker"),
        ("gpu1", Verdict.OK, "NVIDIA L40S, 45.0 GiB: gets a worker"),
    ]


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"can_use": False}, "as torch is not one for CUDA"),
        ({"device": "cpu"}, "as DARKROOM_WORKER__DEVICE is cpu"),
        ({"device": "cuda:1"}, "as DARKROOM_WORKER__DEVICE is cuda:1"),
    ],
)
def test_why_a_gpu_gets_no_worker_is_told(settings: dict[str, Any], why: str) -> None:
    for _, verdict, detail in found(**settings):
        assert verdict is Verdict.NOTE
        assert detail.endswith(f": gets no worker of its own, {why}")


def test_what_the_operator_hides_is_told_and_a_part_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", path_with_gpus(tmp_path, *THREE))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,MIG-1234")

    assert found() == [
        ("gpu0", Verdict.OK, "NVIDIA H100 80GB HBM3, 79.6 GiB: left out by CUDA_VISIBLE_DEVICES"),
        ("gpu1", Verdict.OK, "NVIDIA L40S, 45.0 GiB: left out by CUDA_VISIBLE_DEVICES"),
        ("gpu2", Verdict.OK, "NVIDIA GB10: gets a worker"),
        ("mig1", Verdict.OK, "MIG-1234, a part of a GPU: gets a worker"),
    ]


def test_a_variable_that_names_no_gpu_is_to_be_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")

    (finding,) = check_gpus(WorkerSettings())

    assert (finding.verdict, finding.detail) == (
        Verdict.MISSING,
        f"CUDA_VISIBLE_DEVICES names 7; there are {IN_WORDS}",
    )
    assert finding.mend == "mend CUDA_VISIBLE_DEVICES, or unset it"


def test_of_a_machine_without_gpus_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", path_with_gpus(tmp_path, "NVIDIA-SMI has failed", status=9))

    assert found() == []


def test_the_command_has_a_line_for_each(darkroom: Darkroom) -> None:
    result = darkroom("doctor", "--json", "--port", str(free_port()), DARKROOM_WORKER__DEVICE="cuda")

    told = {finding["subject"]: finding["detail"] for finding in json.loads(result.stdout)["findings"]}
    assert told["gpu0"] == "NVIDIA H100 80GB HBM3, 79.6 GiB: gets a worker"
    assert told["gpu1"] == "NVIDIA L40S, 45.0 GiB: gets a worker"
