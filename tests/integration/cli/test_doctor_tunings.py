"""What `darkroom doctor` says of how the models here run."""

from importlib.metadata import version
from pathlib import Path

import pytest

from cli.checks import Finding, Verdict, check_tunings
from cli.checks.device import Gpu
from shared.catalogue import Catalogue
from shared.settings import ModelSettings, WorkerSettings
from shared.tuning_file import Kept, KeptStage, TuningFile
from tests.tiny_models import write_catalogue

GPU = Gpu(driver="NVIDIA UNIX x86_64 Kernel Module  580.95.05", cards=1, device=True)
NO_GPU = Gpu(driver="", cards=0, device=False)


class Machine:
    """A catalogue with a tiny model, and a file of tunings."""

    def __init__(self, folder: Path) -> None:
        self.models = ModelSettings(catalogue=write_catalogue(folder, tiny={}))
        self.file = TuningFile(folder / "tuning.json")
        spec = Catalogue.load(self.models.catalogue).specs[0]
        self.kept = Kept(
            model="tiny",
            device="NVIDIA H100",
            level="full",
            found_at=1_795_780_800,
            libraries={"torch": version("torch")},
            weights=spec.weights_version,
            text=KeptStage(modes=("fewer layers", "graph"), images=8),
            denoise=KeptStage(modes=(), images=4),
            decode=KeptStage(modes=("compile",), images=2),
        )

    def keep(self, **changes: object) -> None:
        kept = self.kept.model_copy(update=changes)
        self.file.keep(f"{kept.device} {kept.level}", kept)

    def found(self, gpu: Gpu = GPU, tuning: str = "quick") -> list[Finding]:
        worker = WorkerSettings.model_validate({"tuning": tuning, "tuning_file": self.file.path})
        return list(check_tunings(self.models, worker, gpu))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_what_was_kept_is_one_line_a_device(machine: Machine) -> None:
    machine.keep()
    machine.keep(device="NVIDIA L4", level="quick")

    h100, l4 = machine.found()

    assert h100 == Finding(
        "tuning tiny",
        Verdict.OK,
        "NVIDIA H100: text fewer layers, graph (8); denoise plain (4); decode compile (2); "
        "full, on 27 November 2026",
    )
    assert l4.detail.startswith("NVIDIA L4: ")


def test_of_several_levels_the_one_that_a_worker_takes_is_shown(machine: Machine) -> None:
    for level in ("off", "quick", "full"):
        machine.keep(level=level)

    for tuning in ("quick", "full"):
        (finding,) = machine.found(tuning=tuning)
        assert "; full, on" in finding.detail


def test_where_nothing_was_kept_it_says_what_to_run(machine: Machine) -> None:
    (finding,) = machine.found()

    assert (finding.verdict, finding.mend) == (Verdict.NOTE, "darkroom tune tiny")
    assert finding.detail == "nothing is kept yet; a worker finds it at its start, quick"


def test_what_was_found_less_thoroughly_than_a_worker_is_to_look_counts_as_nothing(machine: Machine) -> None:
    machine.keep(level="quick")

    (finding,) = machine.found(tuning="full")

    assert finding.detail.startswith("nothing is kept yet")


@pytest.mark.parametrize("changes", [{"libraries": {"torch": "1.0"}}, {"weights": "others"}])
def test_what_was_found_with_other_libraries_or_weights_is_not_used(
    machine: Machine, changes: dict[str, object]
) -> None:
    machine.keep(**changes)

    (finding,) = machine.found()

    assert finding.verdict is Verdict.NOTE
    assert "other libraries or weights" in finding.detail


def test_without_a_gpu_nothing_is_said_but_of_what_there_is(machine: Machine) -> None:
    assert machine.found(NO_GPU) == machine.found(NO_GPU, "off") == []

    machine.keep()

    assert len(machine.found(NO_GPU)) == 1


def test_where_tuning_is_off_that_is_said_once(machine: Machine) -> None:
    machine.keep()

    (finding,) = machine.found(tuning="off")

    assert (finding.verdict, finding.mend) == (Verdict.NOTE, "unset DARKROOM_WORKER__TUNING")
