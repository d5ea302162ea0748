"""What the service adds to a picture: the bare pipeline and the served one, in turn, in one run.

    python -m benchmarks.overhead [--rounds N] [--size WxH]

The bare side is diffusers' own call in this process (the same weights, data type and memory layout as the
worker's) up to a PIL image. The served side is an HTTP request through the API, Valkey, Celery and the
worker, up to the last byte of the documented response: it also encodes the PNG and its base64. Only one side
runs at a time. The ratio is taken round by round, since the speed of a shared machine drifts; the median is
what to quote.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import worker  # noqa: F401 - before torch, because it says how OpenMP's threads wait

# isort: split
import httpx2
import torch

from benchmarks.service import service
from shared.catalogue import Catalogue, ModelSpec
from shared.params import Params
from shared.settings import Settings
from worker.engine.models.devices import pick_device
from worker.engine.models.loading import LoadedModel, load
from worker.planning import image_request

PROMPT = "Black Swan"


@dataclass
class Round:
    """One pair of measurements, in seconds."""

    bare: float
    served: float
    stages: dict[str, float] = field(default_factory=dict)

    @property
    def added(self) -> float:
        """Seconds the service added."""
        return self.served - self.bare


def bare(model: LoadedModel, spec: ModelSpec, params: Params) -> float:
    """Draw with the pipeline's own call; return the seconds."""
    request = image_request(params, spec)
    width, height = spec.sizes.generated(params.width, params.height)
    started = time.perf_counter()
    with torch.inference_mode():
        model.pipeline(
            prompt=request.wording.text,
            width=width,
            height=height,
            num_inference_steps=request.steps,
            guidance_scale=request.guidance,
            generator=[torch.Generator("cpu").manual_seed(params.seed)],
        )
    return time.perf_counter() - started


def served(client: httpx2.Client, params: Params) -> tuple[float, str]:
    """Draw through HTTP; return the seconds and the job's id."""
    body = {"prompt": params.prompt, "size": params.size, "seed": params.seed}
    started = time.perf_counter()
    response = client.post("/v1/images/generations", json=body)
    seconds = time.perf_counter() - started
    if response.status_code != httpx2.codes.OK:
        sys.exit(f"the service answered {response.status_code}: {response.text[:300]}")
    return seconds, response.headers["x-job-id"]


def stages_of(log: Path, job_id: str) -> dict[str, float]:
    """Return the stage times of a job's attempt, from the worker's log line about it."""
    give_up_at = time.monotonic() + 5
    while time.monotonic() < give_up_at:
        for line in log.read_text(encoding="utf-8").splitlines():
            if job_id in line and "attempt.ended" in line:
                event: dict[str, Any] = json.loads(line)
                event.pop("waited_s")  # before the attempt, and so no part of its total
                return {k.removesuffix("_s"): v for k, v in event.items() if k.endswith("_s")}
        time.sleep(0.02)
    sys.exit("the worker's log has no line about the job")


def measure(rounds: int, size: str) -> list[Round]:
    """Measure both sides in turn; the first round of each is not counted."""
    catalogue = Catalogue.load(Settings().models.catalogue)
    spec = catalogue.specs[catalogue.names().index(catalogue.default)]
    model = load(spec, catalogue.check_weights(spec), pick_device("auto"))
    width, height = map(int, size.split("x"))
    found = []
    with tempfile.TemporaryDirectory() as folder, service(Path(folder)) as (client, log):
        for seed in range(rounds + 1):
            params = Params(prompt=PROMPT, width=width, height=height, seed=seed)
            bare_s = bare(model, spec, params)
            served_s, job_id = served(client, params)
            if seed:
                found.append(Round(bare_s, served_s, stages_of(log, job_id)))
    return found


def report(rounds: list[Round]) -> str:
    """Return the table."""
    median = statistics.median
    ratios = [r.served / r.bare for r in rounds]
    spread = f"   (min {min(ratios):.3f}, max {max(ratios):.3f})"
    lines = [
        f"bare pipeline      median {1000 * median(r.bare for r in rounds):8.1f} ms",
        f"served             median {1000 * median(r.served for r in rounds):8.1f} ms",
        f"served / bare      median {median(ratios):8.3f}{spread}",
        f"added              median {1000 * median(r.added for r in rounds):8.1f} ms",
        f"allowed (3 % + 60) median {median(30 * r.bare + 60 for r in rounds):8.1f} ms",
        "",
        "where a served request's time goes (medians, ms)",
    ]
    names = [name for name in rounds[0].stages if name != "total"]
    inside = {name: median(r.stages[name] for r in rounds) for name in names}
    outside = median(r.served - r.stages["total"] for r in rounds)
    other = median(r.stages["total"] - sum(r.stages[name] for name in names) for r in rounds)
    rows = {"HTTP, submit, ring, claim, wake, response": outside, **inside, "rest of the attempt": other}
    lines += [f"  {name:<42} {1000 * seconds:9.2f}" for name, seconds in rows.items()]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="counted pairs")
    parser.add_argument("--size", default="512x512", help="WIDTHxHEIGHT")
    options = parser.parse_args()
    print(report(measure(options.rounds, options.size)))


if __name__ == "__main__":
    main()
