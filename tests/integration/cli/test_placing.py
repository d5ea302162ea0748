"""Which workers `darkroom up` starts, each on which device."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.gpus import Listed, listed
from cli.placing import chosen, placed
from shared.errors import ConfigurationError
from shared.settings import WorkerSettings
from tests.fake_gpus import IN_WORDS, THREE, TWO, UUIDS, path_with_gpus


@pytest.fixture(autouse=True)
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put GPUs into this machine; at first it has two."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def put(*lines: str, status: int = 0) -> None:
        monkeypatch.setenv("PATH", path_with_gpus(tmp_path, *lines, status=status))

    put(*TWO)
    return put


def worker(**settings: Any) -> WorkerSettings:
    return WorkerSettings.model_validate(settings)


def test_a_worker_on_each_gpu_sees_that_one_alone_and_has_its_name() -> None:
    workers = placed("all", None, worker())

    assert [each.name for each in workers] == ["worker-gpu0", "worker-gpu1"]
    for number, each in enumerate(workers):
        assert each.environment == {
            "CUDA_VISIBLE_DEVICES": UUIDS[number],
            "DARKROOM_WORKER__DEVICE": "cuda",
            "DARKROOM_WORKER__DEVICE_LABEL": f"gpu{number}",
        }


def test_some_gpus_are_chosen_by_the_numbers_of_nvidia_smi(gpus: Callable[..., None]) -> None:
    gpus(*THREE)

    workers = placed("2,0", None, worker())

    assert [each.environment["CUDA_VISIBLE_DEVICES"] for each in workers] == [UUIDS[2], UUIDS[0]]


@pytest.mark.parametrize(
    ("device", "can_use", "labels"),
    [
        (None, True, ["gpu0", "gpu1"]),
        (None, False, []),
        ("auto", True, ["gpu0", "gpu1"]),
        ("auto", False, []),
        ("cuda", False, ["gpu0", "gpu1"]),
        ("cpu", True, []),
        ("cuda:1", True, []),
    ],
)
def test_unless_told_all_gpus_are_used_that_torch_can_use_and_the_device_allows(
    device: str | None, can_use: bool, labels: list[str]
) -> None:
    settings = worker() if device is None else worker(device=device)

    found = chosen(None, settings, can_use=lambda: can_use)

    assert [card.label for card in found] == labels


def test_a_device_that_is_set_is_kept() -> None:
    for each in placed("all", None, worker(device="auto")):
        assert "DARKROOM_WORKER__DEVICE" not in each.environment


def test_without_gpus_there_are_as_many_workers_as_asked_for(gpus: Callable[..., None]) -> None:
    gpus("NVIDIA-SMI has failed", status=9)

    assert [(each.name, each.environment) for each in placed(None, None, worker())] == [("worker-1", {})]
    assert [each.name for each in placed(None, 2, worker())] == ["worker-1", "worker-2"]


def test_none_is_the_cpu_whatever_there_is() -> None:
    workers = placed("none", 2, worker())

    assert [each.environment for each in workers] == [{"DARKROOM_WORKER__DEVICE": "cpu"}] * 2


def test_several_workers_share_neither_a_name_nor_a_port_for_metrics() -> None:
    settings = worker(name="anna", metrics_port=9100)

    on_gpus, on_cpu = placed("all", None, settings), placed("none", 2, settings)

    for workers, names in ((on_gpus, ["anna-gpu0", "anna-gpu1"]), (on_cpu, ["anna-1", "anna-2"])):
        assert [each.environment["DARKROOM_WORKER__NAME"] for each in workers] == names
        assert [each.environment["DARKROOM_WORKER__METRICS_PORT"] for each in workers] == ["9100", "9101"]


def test_a_worker_that_is_alone_keeps_its_name_and_its_port() -> None:
    for (each,) in (placed("1", None, worker(name="anna", metrics_port=9100)), placed("none", 1, worker())):
        assert not {"DARKROOM_WORKER__NAME", "DARKROOM_WORKER__METRICS_PORT"} & set(each.environment)


def test_any_free_port_for_metrics_is_left_to_each() -> None:
    for each in placed("all", None, worker(metrics_port=0)):
        assert "DARKROOM_WORKER__METRICS_PORT" not in each.environment


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        ("7", "there is no such GPU"),
        ("0,7", "there is no such GPU"),
        ("0,0", "it names a GPU twice"),
        ("0, 0", "it names a GPU twice"),
        ("x", "it is none of all, none, and numbers with commas between"),
        ("", "it is none of all, none, and numbers with commas between"),
        ("0,", "it is none of all, none, and numbers with commas between"),
        ("-1", "it is none of all, none, and numbers with commas between"),
        ("ALL", "it is none of all, none, and numbers with commas between"),
    ],
)
def test_what_is_not_there_is_an_error_that_says_what_is(asked: str, wrong: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        placed(asked, None, worker())

    assert raised.value.message == f"--gpus {asked}: {wrong}; there are {IN_WORDS}"


def test_a_gpu_that_the_operator_hides_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")

    assert [each.name for each in placed("all", None, worker())] == ["worker-gpu1"]
    with pytest.raises(ConfigurationError, match=r"no such GPU; there are gpu1 \(NVIDIA L40S, 45.0 GiB\)$"):
        placed("0", None, worker())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(ConfigurationError, match="was found: CUDA_VISIBLE_DEVICES leaves none of gpu0"):
        placed("all", None, worker())


def test_gpus_that_are_asked_for_where_there_are_none_are_an_error_with_the_reason(
    gpus: Callable[..., None],
) -> None:
    gpus("NVIDIA-SMI has failed", status=9)

    with pytest.raises(ConfigurationError) as raised:
        placed("all", None, worker())

    assert raised.value.message == "--gpus all: no GPU was found: nvidia-smi says: NVIDIA-SMI has failed"


@pytest.mark.parametrize(
    ("asked", "device"), [("all", "cpu"), ("0", "cuda:1"), ("none", "cuda"), ("none", "cuda:0")]
)
def test_an_option_that_contradicts_the_setting_is_an_error(asked: str, device: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        placed(asked, None, worker(device=device))

    contradiction = f"--gpus {asked} contradicts DARKROOM_WORKER__DEVICE={device}: leave out one of them"
    assert raised.value.message == contradiction


def test_a_number_of_workers_is_refused_where_there_is_one_a_gpu() -> None:
    with pytest.raises(ConfigurationError, match=rf"^--workers 3: .*there are {IN_WORDS[:4]}.*--gpus none"):
        placed("all", 3, worker())


def test_the_gpus_are_listed_once() -> None:
    asked = []

    def find() -> Listed:
        asked.append(1)
        return listed()

    chosen("all", worker(), find)

    assert len(asked) == 1
