"""The GPUs of this machine: what `nvidia-smi` lists, and what CUDA_VISIBLE_DEVICES leaves of it."""

import sys
from pathlib import Path

import pytest

from cli.gpus import Card, Listed, listed, told, torch_is_for_cuda, visible, visible_here
from shared.errors import ConfigurationError
from tests.fake_gpus import IN_WORDS, THREE, TWO, UUIDS, path_with_gpus

CARDS = (
    Card("gpu0", UUIDS[0], "NVIDIA H100 80GB HBM3", 81559 * 1024**2),
    Card("gpu1", UUIDS[1], "NVIDIA L40S", 46068 * 1024**2),
    Card("gpu2", UUIDS[2], "NVIDIA GB10"),
)


def test_each_gpu_is_listed_with_its_number_name_and_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", path_with_gpus(tmp_path, *THREE))

    assert listed() == Listed(CARDS)
    assert told(listed().cards) == f"{IN_WORDS}, gpu2 (NVIDIA GB10)"


def test_a_machine_without_the_program_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert listed() == Listed((), "there is no nvidia-smi")
    assert told(()) == "none"


@pytest.mark.parametrize(
    ("lines", "status", "why"),
    [
        (("NVIDIA-SMI has failed", "and more"), 9, "nvidia-smi says: NVIDIA-SMI has failed"),
        ((), 6, "nvidia-smi says: 6"),
        (("No devices were found",), 0, "nvidia-smi says what cannot be read: No devices were found"),
    ],
)
def test_a_program_that_fails_lists_none_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: tuple[str, ...], status: int, why: str
) -> None:
    monkeypatch.setenv("PATH", path_with_gpus(tmp_path, *lines, status=status))

    assert listed() == Listed((), why)


def test_a_program_that_cannot_be_run_lists_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nvidia-smi").write_bytes(b"\x00")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert listed().cards == ()
    assert listed().why.startswith("nvidia-smi does not answer: ")


@pytest.mark.parametrize(
    ("variable", "labels"),
    [
        (None, ["gpu0", "gpu1", "gpu2"]),
        ("", []),
        ("-1", []),
        ("2,0", ["gpu2", "gpu0"]),
        (" 1 , 2 ", ["gpu1", "gpu2"]),
        ("0,-1,1", ["gpu0"]),
        ("GPU-bbb", ["gpu1"]),
        (f"{UUIDS[2]},0", ["gpu2", "gpu0"]),
    ],
)
def test_what_the_variable_leaves_in_its_order(variable: str | None, labels: list[str]) -> None:
    assert [card.label for card in visible(CARDS, variable)] == labels


def test_a_part_of_a_gpu_is_taken_as_it_is_named() -> None:
    (first, second) = visible(CARDS, "MIG-1234,MIG-5678")

    assert (first.label, first.uuid) == ("mig0", "MIG-1234")
    assert (second.label, second.uuid) == ("mig1", "MIG-5678")


@pytest.mark.parametrize("wrong", ["7", "GPU-zzz", "GPU-", "first", UUIDS[0] + "0"])
def test_a_name_that_nothing_has_is_an_error_that_says_what_there_is(wrong: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        visible(CARDS[:2], f"0,{wrong}")

    assert raised.value.message == f"CUDA_VISIBLE_DEVICES names {wrong}; there are {IN_WORDS}"


@pytest.mark.parametrize("twice", ["0,0", "0,GPU-aaaa"])
def test_a_gpu_named_twice_is_an_error(twice: str) -> None:
    with pytest.raises(ConfigurationError, match="names a GPU twice"):
        visible(CARDS, twice)


def test_the_variable_of_this_process_is_heeded_where_there_are_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert visible_here(Listed(())) == ()

    monkeypatch.setenv("PATH", path_with_gpus(tmp_path, *TWO))
    assert [card.label for card in visible_here(listed())] == ["gpu1"]


@pytest.mark.parametrize(("cuda", "is_for_it"), [("'13.0'", True), ("None", False)])
def test_what_torch_is_built_for_is_read_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cuda: str, *, is_for_it: bool
) -> None:
    package = tmp_path / "torch"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('was imported')")
    (package / "version.py").write_text(f"cuda = {cuda}\n")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.syspath_prepend(tmp_path)

    assert torch_is_for_cuda() is is_for_it
