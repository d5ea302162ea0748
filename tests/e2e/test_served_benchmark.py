"""The whole service as a contender of the engine's benchmark."""

from pathlib import Path

import pytest

from benchmarks.engine.served import Served, write_catalogue
from benchmarks.engine.work import Asker
from benchmarks.service import service
from shared.catalogue import Catalogue
from tests import tiny_models

pytestmark = pytest.mark.slow


def test_the_service_answers_every_request_of_a_benchmark(tmp_path: Path) -> None:
    spec = Catalogue.load(tiny_models.write_catalogue(tmp_path)).specs[0]
    catalogue = write_catalogue(spec, Path(spec.weights), tmp_path / "one.toml")
    arrivals = Asker(spec, ["64x64", "96x64"], ["low", "high"]).mixed(5, rate_per_s=50, seed=1)

    with service(tmp_path / "service", MODELS__CATALOGUE=str(catalogue)) as (client, _):
        outcome = Served(client).run(arrivals)

    assert Catalogue.load(catalogue).specs[0].model_dump(exclude={"weights"}) == spec.model_dump(
        exclude={"weights"}
    )
    assert len(outcome.latencies_s) == 5
    assert all(0 < latency <= outcome.took_s for latency in outcome.latencies_s)
