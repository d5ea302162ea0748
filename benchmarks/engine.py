"""The engine against the stock pipeline: the same pictures, one request at a time and with many waiting.

    python benchmarks/engine.py [--model NAME] [--device cpu] [--rounds N] [--quality low] [--batch-rows N]

B0 is diffusers' own call in this process, one request after the other, up to an encoded PNG. Ours is the
engine in the same process (same weights, data type, layout and threads), up to the same. Only one side runs
at a time and their order changes from round to round. No words are asked for twice, so nothing comes from a
cache. Ratios are taken round by round, since the speed of a shared machine drifts; quote the median.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import worker  # noqa: F401 - before torch, because it says how OpenMP's threads wait

# isort: split
import torch

from shared.catalogue import Catalogue
from shared.params import Params
from shared.settings import REPO_ROOT
from worker.engine import Engine, ImageRequest
from worker.engine.arguments import call_arguments
from worker.engine.codecs import encode
from worker.engine.devices import describe, pick_device
from worker.engine.loading import LoadedModel, load
from worker.engine.pixels import to_picture, to_pixels, to_tensor
from worker.planning import image_request

PROMPT = "a red apple, number"
WAIT_S = 600


class Nobody:
    """Watches nothing."""

    def on_step(self, step: int, steps: int) -> None:
        """Take no note."""

    def stop_requested(self) -> bool:
        """Never stop."""
        return False


def draw_stock(model: LoadedModel, request: ImageRequest) -> bytes:
    """B0: one request, by the pipeline's own call."""
    pipeline, kept = model.pipeline, model.pipeline.scheduler
    pipeline.scheduler = model.fresh_scheduler()
    generator = torch.Generator("cpu").manual_seed(request.seeds[0])
    with torch.inference_mode():
        images = pipeline(**call_arguments(model, request), generator=[generator]).images
        pixels = to_pixels(to_tensor(images[0]), keep_alpha=request.transparent)
    pipeline.scheduler = kept
    picture = to_picture(pixels, request.width, request.height, model.spec.sizes)
    return encode(picture, request.output_format, request.output_compression)


def seconds(work: Callable[[], object]) -> float:
    started_at = time.perf_counter()
    work()
    return time.perf_counter() - started_at


class Sides:
    """Both sides, loaded and warm."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        catalogue = Catalogue.load(REPO_ROOT / "models" / "catalog.toml")
        spec = catalogue.find(arguments.model or catalogue.default)
        if spec is None:
            message = f"no model {arguments.model!r}"
            raise SystemExit(message)
        folder = catalogue.check_weights(spec)
        torch.set_num_threads(arguments.threads)
        self.stock = load(spec, folder, pick_device(arguments.device))
        self.engine = Engine(
            {spec.name: (spec, folder)},
            arguments.device,
            torch_threads=arguments.threads,
            batch_rows=arguments.batch_rows,
        )
        self.engine.start()
        self._quality = arguments.quality
        self._asked = 0
        for draw in (self.draw_theirs, self.draw_ours):
            draw(self.requests(1))

    def requests(self, number: int) -> list[ImageRequest]:
        """Return so many requests, each with words that were not asked for before."""
        asked = range(self._asked, self._asked + number)
        self._asked += number
        choices = [{"prompt": f"{PROMPT} {each}", "seed": each, "quality": self._quality} for each in asked]
        return [image_request(Params.model_validate(choice), self.stock.spec) for choice in choices]

    def draw_ours(self, requests: list[ImageRequest]) -> list[bytes]:
        """Submit all at once and wait for them."""
        futures = [self.engine.submit(request, Nobody()) for request in requests]
        return [future.result(WAIT_S).images[0] for future in futures]

    def draw_theirs(self, requests: list[ImageRequest]) -> list[bytes]:
        """Draw one after the other."""
        return [draw_stock(self.stock, request) for request in requests]


def compare(sides: Sides, number: int, rounds: int) -> str:
    """Return a line of the table: so many requests at once, ours against B0."""
    theirs, ours = [], []
    for index in range(rounds):
        requests = sides.requests(number)
        runs = [(sides.draw_theirs, theirs), (sides.draw_ours, ours)]
        for draw, times in reversed(runs) if index % 2 else runs:
            times.append(seconds(partial(draw, requests)) / number)
    ratios = [b0 / own for b0, own in zip(theirs, ours, strict=True)]
    return (
        f"| {number} | {statistics.median(theirs):.3f} | {statistics.median(ours):.3f} "
        f"| {statistics.median(ratios):.3f} | {min(ratios):.3f} to {max(ratios):.3f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", help="an entry of the catalogue; by default its default")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quality", default="low")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, nargs="+", default=[1, 4], help="how many at once")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch-rows", type=int, help="by default 1 on a CPU, measured on a GPU")
    arguments = parser.parse_args()
    sides = Sides(arguments)
    first = sides.requests(1)
    same = sides.draw_ours(first) == sides.draw_theirs(first)
    print(
        f"{sides.stock.spec.name} on {describe(pick_device(arguments.device))}, {arguments.threads} threads, "
        f"{arguments.rounds} rounds; files of both sides are {'the same' if same else 'not the same bytes'}"
    )
    print("| requests at once | B0, s an image | ours, s an image | ours / B0, images a second | range |")
    print("| --- | --- | --- | --- | --- |")
    for number in arguments.requests:
        print(compare(sides, number, arguments.rounds), flush=True)
    sides.engine.close()


if __name__ == "__main__":
    main()
