"""The benchmark of the engine still runs, and every contender really serves every request."""

import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks.engine.__main__ import fitting, report
from benchmarks.engine.budget import Budget
from benchmarks.engine.ceiling import datasheet
from benchmarks.engine.comparing import Comparing
from benchmarks.engine.contenders import Contender, Line, Ours, StaticBatches
from benchmarks.engine.correctness import compared
from benchmarks.engine.field import Field, Options, prepare
from benchmarks.engine.results import Results
from benchmarks.engine.tables import Table, rendered
from benchmarks.engine.work import Arrival, Asker, Outcome, at_once
from shared.catalogue import Catalogue
from tests.tiny_models import write_catalogue
from worker.engine import ImageRequest, TuningChoice
from worker.engine.rows.families.registry import adapt

pytestmark = pytest.mark.slow

NAMES = [
    "ours",
    "B0 one at a time",
    "B1 static batches",
    "B2 step batches of equal keys",
    "B3 by the guide, one at a time",
    "B3 by the guide, static batches",
]


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    folder = tmp_path_factory.mktemp("models")
    spec = Catalogue.load(write_catalogue(folder, tiny={"transparent": False})).specs[0]
    options = Options(
        sizes=["64x64", "96x64"],
        qualities=["low", "high"],
        tuning=TuningChoice("quick", folder / "tuning.json"),
        batch_rows=3,
        random=True,
        guide="none",
        datasheet_tflops=1.0,
    )
    results = Results(folder / "results.json", device="cpu")
    made, budget = Field(spec, Path(spec.weights), torch.device("cpu"), options, results), Budget(50)
    prepare(made, budget, 50)
    assert budget.missed == {}
    yield made
    made.close()


class Broken(Contender):
    name = "broken"

    def run(self, arrivals: Sequence[Arrival]) -> Outcome:
        message = f"{len(arrivals)} are too many"
        raise RuntimeError(message)

    def together(self, _request: ImageRequest) -> int:
        return 1


def test_every_contender_answers_every_request(field: Field) -> None:
    arrivals = field.asker.mixed(7, rate_per_s=50, seed=1)

    assert [contender.name for contender in field.contenders] == NAMES
    for contender in field.contenders:
        outcome = contender.run(arrivals)
        assert len(outcome.latencies_s) == 7
        assert all(0 < latency <= outcome.took_s for latency in outcome.latencies_s)


def test_the_report_is_whole_and_kept(field: Field, capsys: pytest.CaptureFixture[str]) -> None:
    budget, three = Budget(50), copy.copy(field)
    three.contenders = field.contenders[:3]
    report(three, budget, rounds=1, requests=2)

    told = capsys.readouterr().out
    for words in (
        "one at a time",
        "2 at once",
        "80%",
        "120%",
        "÷ device limit",
        "÷ R",
        "of datasheet",
        "GiB",
    ):
        assert words in told
    assert told.count("| ours |") == 7
    assert budget.missed == {}
    kept = json.loads((Path(str(field.options.tuning.file)).parent / "results.json").read_bytes())
    assert [table["offered"] for table in kept["tables"]] == [None, None, None, 1.2, 0.8, 0.5, 2.0]
    assert list(kept["tables"][1]["found"]) == NAMES[:3]
    assert kept["tables"][1]["found"]["ours"]["0"]["stages_s"]["denoise"] > 0
    assert set(kept) >= {"device", "limits", "correctness", "arithmetic", "guide", "memory_gib"}


def test_what_the_time_does_not_suffice_for_is_named(field: Field) -> None:
    budget = Budget(0.0)
    report(field, budget, rounds=2)

    assert "tiny: 64x64, one at a time" in budget.missed
    assert set(budget.missed.values()) == {"the time was over", "the capacity of B1 was not measured"}
    assert budget.failed == []


def test_a_contender_that_fails_is_named_and_the_others_are_measured(field: Field) -> None:
    budget, table = Budget(50), Table("t", 1)
    beside = copy.copy(field)
    beside.contenders = [Broken(), *field.contenders[:2]]
    Comparing(beside, budget, 1).compare(table, lambda: field.asker.uniform(1), 1)

    assert budget.missed == {"tiny: t: broken, round 1": "RuntimeError: 1 are too many"}
    assert [len(rounds) for rounds in table.found.values()] == [0, 1, 1]


def test_what_is_the_same_is_not_measured_twice(field: Field) -> None:
    table = Table("t", 1)
    Comparing(field, Budget(50), 1).compare(table, lambda: field.asker.uniform(1), 1)

    assert table.found[NAMES[1]][0] is table.found[NAMES[2]][0]
    Comparing(field, Budget(50), 1).compare(table, lambda: field.asker.uniform(2), 1)
    assert table.found[NAMES[1]][0] is not table.found[NAMES[2]][0]


def test_the_limit_is_that_of_three_stages_and_below_the_bare_loop(field: Field) -> None:
    limit = field.limits["64x64"]

    assert [each.stage for each in limit.stages] == ["text", "denoise", "decode"]
    assert [each.runs for each in limit.stages] == [1, 2, 1]
    assert limit.images_per_s < limit.forwards_images_per_s
    assert limit.images_per_s == pytest.approx(1 / sum(each.best_s * each.runs for each in limit.stages))


def test_the_arithmetic_is_that_of_all_stages_and_steps(field: Field) -> None:
    small, large = field.arithmetic["64x64"], field.arithmetic["96x64"]

    assert all(flops > 0 for flops in small.flops.values())
    assert large.flops["decode"] == pytest.approx(1.5 * small.flops["decode"], rel=0.01)
    of_peak, of_datasheet = small.shares(10.0)
    assert of_datasheet == pytest.approx(10 * sum(small.flops.values()) / 1e12)
    assert of_peak == pytest.approx(10 * sum(small.flops.values()) / small.measured_flops_per_s)


def test_a_photograph_is_encoded_in_place_of_what_is_drawn(field: Field) -> None:
    stock = StaticBatches("stock", field.copies.stock, field.alone)
    ours = next(each for each in field.contenders if isinstance(each, Ours))
    requests = [each.request for each in field.asker.uniform(2)]

    def pictures() -> list[bytes]:
        return [file for each in (stock, ours) for file in each.draw(requests)]

    def pixels(file: bytes) -> bytes:
        return Image.open(BytesIO(file)).convert("RGB").tobytes()

    assert len({pixels(file) for file in pictures()}) == 1
    field.copies.photograph.is_shown = False
    drawn = {pixels(file) for file in pictures()}
    field.copies.photograph.is_shown = True
    assert len(drawn) > 1


def test_the_stock_pipeline_is_not_changed_by_what_makes_others_fast(field: Field) -> None:
    stock = field.copies.stock.pipeline
    engines, guided, stepped = field.copies.engines(), field.copies.guided(), field.copies.stepped()
    family = adapt(engines)
    assert family is not None
    engines.pipeline.unet.to(memory_format=torch.contiguous_format)
    guided.pipeline.vae.to(memory_format=torch.contiguous_format)

    assert not stock.unet.conv_in.weight.is_contiguous()
    assert not stock.vae.decoder.conv_in.weight.is_contiguous()
    assert "forward" not in vars(stock.text_encoder)
    assert guided.pipeline.text_encoder.get_input_embeddings() is stock.text_encoder.get_input_embeddings()
    assert stepped.pipeline.unet is stock.unet


def test_what_became_of_each_mode_is_told_and_kept(field: Field, capsys: pytest.CaptureFixture[str]) -> None:
    family = adapt(field.copies.engines())
    assert family is not None
    with torch.inference_mode():
        field.tune_family(family)

    told = capsys.readouterr().out
    assert told.count("plain") >= 3
    assert "contiguous" in told
    assert {"text", "denoise", "decode"} <= set(field.results.found["tuning"])


def test_pictures_are_compared_by_their_pixels() -> None:
    def file(value: int) -> bytes:
        kept = BytesIO()
        Image.new("RGB", (8, 8), (value, value, value)).save(kept, "PNG")
        return kept.getvalue()

    assert compared([file(3)], [file(3)]).mean == 0
    found = compared([file(3), file(3)], [file(3), file(7)])
    assert (found.pictures, found.mean, found.spread) == (2, 4.0, 0.0)


@pytest.mark.parametrize(
    ("name", "tflops"),
    [
        ("NVIDIA H100 80GB HBM3", 989.0),
        ("NVIDIA H100 PCIe", 756.0),
        ("NVIDIA L40S", 362.0),
        ("NVIDIA L4", 121.0),
        ("Some other GPU", None),
    ],
)
def test_a_datasheet_is_found_by_the_name_of_the_device(name: str, tflops: float | None) -> None:
    assert datasheet(name) == tflops


def test_as_many_requests_are_made_as_fit() -> None:
    # At 1.2, 0.8, 0.5 and 2 times the capacity, and twice all at once.
    assert fitting(left_s=725, one_s=1.0, times=10) == int(72.5 / (2 + 1 + 1.25 + 2 + 1))
    assert fitting(left_s=0, one_s=1.0, times=0) == 3


def test_moments_are_those_of_the_seed(field: Field) -> None:
    first, second = (Asker(field.spec, ["64x64"], ["low"]).mixed(50, 10.0, 4) for _ in range(2))

    assert [each.at_s for each in first] == [each.at_s for each in second]
    assert 2.5 < first[-1].at_s < 10
    assert {each.at_s for each in at_once(first)} == {0.0}


@pytest.mark.parametrize("seed", range(5))
def test_a_few_come_as_often_as_many_would(field: Field, seed: int) -> None:
    few = Asker(field.spec, ["64x64"], ["low"]).mixed(16, 2.85, seed)

    assert 0.6 * 16 / 2.85 < few[-1].at_s < 16 / 2.85


def test_a_line_waits_for_who_comes_later(field: Field) -> None:
    (first,) = field.asker.uniform(1)
    line = Line([first, replace(first, at_s=0.05)])
    assert line.look(patiently=True)
    line.answer(line.waiting.popleft())
    assert line.look(patiently=True)
    line.answer(line.waiting.popleft())

    assert not line.look(patiently=True)
    assert line.outcome().took_s >= 0.05


def test_ratios_are_of_the_same_round_and_of_the_faster_b3() -> None:
    slow, quick = Outcome((1.0,), 1.0), Outcome((0.5,), 0.5)
    found = {
        "B0 a": {0: slow, 1: quick},
        "B1 b": {0: slow, 1: quick},
        "B3 c": {0: slow},
        "B3 d": {0: quick},
        "ours": {0: quick, 1: Outcome((0.25,), 0.25)},
        "none": {},
    }
    told = rendered(Table("t", 1, found=found), {})

    assert "| ours | 4.000 | 0.250 | 0.250 | 2.000 (2.00 to 2.00) | 2.000 (2.00 to 2.00) | 1.000 |" in told
    assert "| none | - | - | - | - | - | - | - |" in told


def test_b3_is_measured_only_at_sizes_at_which_it_is_compiled(field: Field) -> None:
    partly = copy.copy(field)
    partly.compiled = ["64x64"]

    assert [each.name for each in partly.ready(["64x64"])] == NAMES
    assert [each.name for each in partly.ready(["64x64", "96x64"])] == NAMES[:4]
