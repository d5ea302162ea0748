"""A device that runs out of memory: the real engine, told by its driver that a batch does not fit."""

import asyncio
from pathlib import Path

import pytest

from tests.faults import times
from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import Cluster
from tests.faults.harness.look import Look
from tests.tiny_models import write_catalogue

pytestmark = pytest.mark.slow

PROGRAM = "tests.faults.programs.short_of_memory"
FITS = {"size": "64x64", "quality": "low"}
NEVER_FITS = {"size": "128x128", "quality": "low"}


@pytest.mark.timeout(150)
async def test_a_batch_without_memory_finishes_smaller_and_a_row_without_fails_alone(tmp_path: Path) -> None:
    sizes = {"native_width": 64, "native_height": 64, "multiple": 16, "min_area_px": 4096}
    catalogue = write_catalogue(
        tmp_path / "models",
        tiny={"sizes": {**sizes, "max_area_px": 512 * 512, "max_side_px": 1024, "max_aspect": 4}},
    )
    with Cluster(tmp_path, catalogue=catalogue) as cluster:
        api = cluster.add_api("api-1")
        worker = cluster.add_worker("short", models=("tiny",), program=PROGRAM, WORKER__TORCH_THREADS="1")
        cluster.wait_ready()
        async with Caller(api.url) as caller:
            look = Look(cluster, caller.accepted)
            fitting = [caller.submit(f"picture {i}", n=4, **FITS) for i in range(3)]
            jobs = await asyncio.gather(*fitting, caller.submit("too large", **NEVER_FITS))
            *ends, never = [await look.ended(job_id) for job_id in jobs]
            after = await look.ended(await caller.submit("one more", **FITS))
        tried = [
            line.split() for line in cluster.events.folder.joinpath("short.jsonl").read_text().splitlines()
        ]

        assert worker.running
        assert {(end["status"], end["attempt"]) for end in [*ends, after]} == {("succeeded", "1")}
        assert (never["status"], never["attempt"]) == ("failed", "1")
        assert "generation_failed" in never["error"]
        assert ["4", "64", "False"] in tried
        assert ["2", "64", "True"] in tried
        # It is not tried again and again: once halved, the batch stays as small as it fits.
        assert tried.count(["4", "64", "False"]) == 1
        times.held("out-of-memory")
