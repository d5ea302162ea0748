"""What the service adds to a picture: the bare pipeline and the served one, in turn, in one run.

    python -m benchmarks.overhead [--rounds N] [--size WxH] [--edit]

The bare side is diffusers' own call in this process (the same weights, data type and memory layout as the
worker's) up to a PIL image. The served side is an HTTP request through the API, Valkey, Celery and the
worker, up to the last byte of the documented response: it also encodes the PNG and its base64. Only one side
runs at a time. The ratio is taken round by round, since the speed of a shared machine drifts; the median is
what to quote.

With --edit both sides are given a picture of that size as a PNG file and draw it anew at strength 0.8:
diffusers' image-to-image call with the file opened and fitted to what the model draws, and a form to
POST /v1/images/edits.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import worker  # noqa: F401 - before torch, because it says how OpenMP's threads wait

# isort: split
import httpx2
import torch
from diffusers import AutoPipelineForImage2Image
from PIL import Image

from benchmarks.service import service
from shared.catalogue import Catalogue
from shared.params import Params
from shared.settings import Settings
from worker.engine.models.devices import pick_device
from worker.engine.models.loading import LoadedModel, load
from worker.engine.pictures.pixels import RGBA_CHANNELS
from worker.planning import image_request

PROMPT = "Black Swan"
STRENGTH = 0.8


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


def file_to_edit(width: int, height: int) -> bytes:
    """Make a picture of that size; a PNG file."""
    one = Image.radial_gradient("L").resize((width, height))
    others = one.transpose(Image.Transpose.FLIP_LEFT_RIGHT), one.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    file = BytesIO()
    Image.merge("RGB", (one, *others)).save(file, "PNG")
    return file.getvalue()


class Bare:
    """Diffusers' own call.

    Args:
        model: whose pipeline it is.
        edited: what each picture begins with, or nothing.
    """

    def __init__(self, model: LoadedModel, edited: bytes | None) -> None:
        self._spec = model.spec
        self._edited = edited
        self._pipeline = model.pipeline
        if edited is not None:
            self._pipeline = AutoPipelineForImage2Image.from_pipe(model.pipeline)
            self._pipeline.set_progress_bar_config(disable=True)
            if self._pipeline.vae.config.in_channels == RGBA_CHANNELS:
                _take_rgb(self._pipeline.vae)

    def draw(self, params: Params) -> float:
        """Draw one picture; return the seconds."""
        request = image_request(params, self._spec)
        size = self._spec.sizes.generated(params.width, params.height)
        started = time.perf_counter()
        with torch.inference_mode():
            self._pipeline(
                prompt=request.wording.text,
                num_inference_steps=request.steps,
                guidance_scale=request.guidance,
                generator=[torch.Generator("cpu").manual_seed(params.seed)],
                **self._begins_with(params, size),
            )
        return time.perf_counter() - started

    def _begins_with(self, params: Params, size: tuple[int, int]) -> dict[str, Any]:
        if self._edited is None:
            return {"width": size[0], "height": size[1]}
        opened = Image.open(BytesIO(self._edited)).convert("RGB")
        return {"image": opened.resize(size, Image.Resampling.LANCZOS), "strength": params.strength}


def _take_rgb(vae: Any) -> None:  # noqa: ANN401 - diffusers is untyped
    """Let an autoencoder that knows alpha take pictures without: those pipelines hold RGBA for latents."""
    encode = vae.encode

    def encode_opaque(picture: torch.Tensor, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return encode(torch.cat([picture, torch.ones_like(picture[:, :1])], dim=1), *args, **kwargs)

    vae.encode = encode_opaque


def served(client: httpx2.Client, params: Params, edited: bytes | None) -> tuple[float, str]:
    """Draw through HTTP; return the seconds and the job's id."""
    body = {"prompt": params.prompt, "size": params.size, "seed": params.seed}
    started = time.perf_counter()
    if edited is None:
        response = client.post("/v1/images/generations", json=body)
    else:
        fields = {**body, "strength": params.strength}
        response = client.post("/v1/images/edits", data=fields, files={"image": edited})
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


def measure(rounds: int, size: tuple[int, int], edited: bytes | None) -> list[Round]:
    """Measure both sides in turn; the first round of each is not counted."""
    catalogue = Catalogue.load(Settings().models.catalogue)
    spec = catalogue.specs[catalogue.names().index(catalogue.default)]
    by_diffusers = Bare(load(spec, catalogue.check_weights(spec), pick_device("auto")), edited)
    width, height = size
    strength = None if edited is None else STRENGTH
    found = []
    with tempfile.TemporaryDirectory() as folder, service(Path(folder)) as (client, log):
        for seed in range(rounds + 1):
            params = Params(prompt=PROMPT, width=width, height=height, seed=seed, strength=strength)
            bare_s = by_diffusers.draw(params)
            served_s, job_id = served(client, params, edited)
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
    parser.add_argument("--edit", action="store_true", help="draw a picture anew")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    edited = file_to_edit(width, height) if options.edit else None
    print(report(measure(options.rounds, (width, height), edited)))


if __name__ == "__main__":
    main()
