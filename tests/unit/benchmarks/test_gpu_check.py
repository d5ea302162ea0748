"""The check for machines with a GPU does all of its parts, within its time, whatever happens in one."""

import argparse
import json
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import gpu_check
from benchmarks.engine.budget import OVER, Budget
from benchmarks.engine.results import Results
from shared.catalogue import Catalogue, ModelSpec
from tests.tiny_models import write_catalogue
from worker.engine.models.loading import LoadedModel

PART = gpu_check.Part(("64x64",), 2, "quick", 1.0, 0.25)


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    return Catalogue.load(write_catalogue(tmp_path, tiny={"transparent": False})).specs[0]


@pytest.fixture
def options(tmp_path: Path) -> argparse.Namespace:
    parsed = gpu_check.arguments_of(["--out", str(tmp_path), "--guide", "none"])
    parsed.device = "cpu"
    return parsed


@pytest.mark.slow
def test_a_model_is_checked_from_loading_to_its_tables(spec: ModelSpec, options: argparse.Namespace) -> None:
    budget, results = Budget(50), Results(options.out / "results.json")
    source = Path(spec.weights)
    gpu_check.check_model(spec, source, PART, options, budget, results.part(spec.name))

    assert budget.missed == {}
    kept = json.loads((options.out / "results.json").read_bytes())["tiny"]
    assert [table["title"] for table in kept["tables"]] == ["64x64, 2 at once", "64x64, one at a time"]
    assert all(rounds for table in kept["tables"] for rounds in table["found"].values())
    assert len(kept["tables"][0]["found"]) == 6
    assert kept["correctness"][0]["mean"] < 0.5


def test_what_cannot_be_loaded_is_named(spec: ModelSpec, options: argparse.Namespace) -> None:
    def broken(spec: ModelSpec, device: torch.device) -> LoadedModel:
        message = f"no {spec.name} on {device}"
        raise RuntimeError(message)

    budget = Budget(50)
    gpu_check.check_model(spec, broken, PART, options, budget, Results())

    assert budget.missed == {"tiny: loading": "RuntimeError: no tiny on cpu"}


def test_without_time_everything_is_named_and_nothing_is_done(options: argparse.Namespace) -> None:
    options.budget_s, options.parts = 0.0, ["sd-turbo", "flux.2-klein-4b"]
    budget = gpu_check.check(options)

    assert budget.missed == {"sd-turbo: loading": OVER, "flux.2-klein-4b: loading": OVER}
    kept = json.loads((options.out / "results.json").read_bytes())
    assert kept["missed"] == budget.missed
    assert kept["device"] == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu_check"])

    assert gpu_check.main() == 1
    told = capsys.readouterr()
    assert told.err == "gpu-check: there is no GPU here\n"
    assert told.out == ""
