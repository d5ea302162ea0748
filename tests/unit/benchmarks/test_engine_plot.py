"""What is drawn is what was measured, and the picture stands in for noise as a photograph would."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks.engine.photograph import photograph
from benchmarks.engine.plot import draw, speeds, stages
from benchmarks.engine.results import Results
from benchmarks.engine.tables import Table
from benchmarks.engine.work import Outcome
from worker.engine.pictures.codecs import encode


@pytest.fixture
def results() -> Results:
    found = Results(model="tiny", device="cpu")
    fast, slow = Outcome((0.5, 1.0), 1.0, {"denoise": 0.2, "decode": 0.1}), Outcome((1.0, 2.0), 2.0)
    found.add("tables", Table("at once", 2, found={"ours": {0: fast}}).written())
    for load in (1.2, 0.5):
        table = Table(f"{load}", 2, load, 3.0, {"ours": {0: fast, 1: fast}, "B0": {0: slow}, "B3": {}})
        found.add("tables", table.written())
    return found


def test_speeds_are_by_offered_load_and_stages_by_workload(results: Results) -> None:
    assert speeds(results.found) == {"ours": [(0.5, 2.0), (1.2, 2.0)], "B0": [(0.5, 1.0), (1.2, 1.0)]}
    assert stages(results.found)["at once"] == pytest.approx({"denoise": 200.0, "decode": 100.0})
    assert list(stages(results.found)) == ["at once", "1.2", "0.5"]


def test_it_is_drawn_where_matplotlib_is(results: Results, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw(results.found, tmp_path / "engine.svg")

    assert "images a second" in (tmp_path / "engine.svg").read_text(encoding="utf-8").replace("<!-- ", "")


def test_a_photograph_is_smaller_than_noise_and_larger_than_a_drawing() -> None:
    def size(picture: torch.Tensor) -> int:
        pixels = (picture * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous()
        return len(encode(Image.fromarray(pixels.numpy()), "png", 95))

    noise = torch.rand(3, 256, 256, generator=torch.Generator().manual_seed(0))
    flat = torch.linspace(0, 1, 256).expand(3, 256, 256)
    taken = photograph(256, 256)

    assert taken.min() >= 0
    assert taken.max() <= 1
    assert torch.equal(taken, photograph(256, 256))
    assert 10 * size(flat) < size(taken) < 0.7 * size(noise)
