"""The benchmark of the engine still runs, and every contender really serves every request."""

import argparse
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.engine.__main__ import Stage, report, table
from benchmarks.engine.contenders import Line
from benchmarks.engine.work import Asker, Outcome, at_once
from shared.catalogue import Catalogue
from tests.tiny_models import write_catalogue


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    spec = Catalogue.load(write_catalogue(tmp_path_factory.mktemp("models"))).specs[0]
    arguments = argparse.Namespace(
        device="cpu",
        threads=torch.get_num_threads(),
        batch_rows=3,
        sizes=["64x64", "96x64"],
        quality=["low", "high"],
    )
    return Stage(spec, Path(spec.weights), arguments)


def test_every_contender_answers_every_request(stage: Stage) -> None:
    arrivals = stage.asker.mixed(7, rate_per_s=50, seed=1)

    for contender in stage.contenders:
        outcome = contender.run(arrivals)
        assert len(outcome.latencies_s) == 7
        assert all(0 < latency <= outcome.took_s for latency in outcome.latencies_s)


def test_the_report_is_whole(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    report(stage, rounds=1, minutes=0.0)

    told = capsys.readouterr().out
    for words in ("R, the bare loop", "One at a time", "Uniform", "80%", "120%", "ours ÷ R", "GiB"):
        assert words in told
    assert told.count("| ours |") == 5
    stage.engine.close()


def test_moments_are_those_of_the_seed(stage: Stage) -> None:
    spec = stage.model.spec
    first, second = (Asker(spec, ["64x64"], ["low"]).mixed(50, 10.0, 4) for _ in range(2))

    assert [each.at_s for each in first] == [each.at_s for each in second]
    assert 2.5 < first[-1].at_s < 10
    assert {each.at_s for each in at_once(first)} == {0.0}


def test_a_line_waits_for_who_comes_later(stage: Stage) -> None:
    (first,) = stage.asker.uniform(1)
    line = Line([first, replace(first, at_s=0.05)])
    assert line.look(patiently=True)
    line.answer(line.waiting.popleft())
    assert line.look(patiently=True)
    line.answer(line.waiting.popleft())

    assert not line.look(patiently=True)
    assert line.outcome().took_s >= 0.05


def test_ratios_are_of_the_same_round() -> None:
    slow, quick = Outcome((1.0,), 1.0), Outcome((0.5,), 0.5)
    told = table("t", {"B0 a": [slow, quick], "B1 b": [slow, quick], "ours": [quick, Outcome((0.25,), 0.25)]})

    assert "| ours | 4.000 | 0.25 | 0.25 | 2.000 (2.00 to 2.00) | 2.000 (2.00 to 2.00)" in told
