"""What is asked of every contender: the same requests at the same moments."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from shared.catalogue import ModelSpec
from shared.params import Params
from worker.engine import ImageRequest
from worker.planning import image_request

PROMPT = "a red apple, number"


@dataclass(frozen=True)
class Arrival:
    """A request, and how many seconds after the start it is made."""

    at_s: float
    request: ImageRequest
    body: dict[str, Any]
    """The same as a client of the API says it."""


@dataclass(frozen=True)
class Outcome:
    """What a contender made of some work: seconds from each request to its file, and from first to last."""

    latencies_s: tuple[float, ...]
    took_s: float
    stages_s: Mapping[str, float] = field(default_factory=dict)
    """What a request spent in each stage, on average, where the contender says it."""

    @property
    def images_per_s(self) -> float:
        """Pictures a second, from the first request to the last file."""
        return len(self.latencies_s) / self.took_s

    def percentile_s(self, share: float) -> float:
        """Return the latency that so large a share of the requests stayed below."""
        ranked = sorted(self.latencies_s)
        return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


class Asker:
    """Makes requests up, none with words that were asked for before, so that no cache helps anybody."""

    def __init__(self, spec: ModelSpec, sizes: Sequence[str], qualities: Sequence[str]) -> None:
        self._spec = spec
        self._sizes = sizes
        self._qualities = qualities
        self._made = 0

    def uniform(self, count: int, size: str | None = None) -> list[Arrival]:
        """Return requests that differ in words and seed only, all at once; by default of the first size."""
        wanted = size or self._sizes[0]
        return [self._arrival(0.0, wanted, self._qualities[0], "vivid") for _ in range(count)]

    def mixed(self, count: int, rate_per_s: float, seed: int) -> list[Arrival]:
        """Return requests of different sizes, steps and guidance at random moments.

        Args:
            count: how many.
            rate_per_s: how many a second; the moments are those of a Poisson process, stretched so that the
                few of them come at this rate too.
            seed: decides both.
        """
        rng, at_s, arrivals = random.Random(seed), 0.0, []  # noqa: S311 - not for secrets
        for _ in range(count):
            style = rng.choice(["vivid", "natural"])
            arrivals.append(self._arrival(at_s, rng.choice(self._sizes), rng.choice(self._qualities), style))
            at_s += rng.expovariate(rate_per_s)
        stretch = count / rate_per_s / at_s
        return [replace(arrival, at_s=stretch * arrival.at_s) for arrival in arrivals]

    def _arrival(self, at_s: float, size: str, quality: str, style: str) -> Arrival:
        self._made += 1
        width, height = map(int, size.split("x"))
        choices = {
            "prompt": f"{PROMPT} {self._made}",
            "seed": self._made,
            "quality": quality,
            "style": style,
        }
        params = Params.model_validate({**choices, "width": width, "height": height})
        return Arrival(at_s, image_request(params, self._spec), {**choices, "size": size})


def at_once(arrivals: Sequence[Arrival]) -> list[Arrival]:
    """Return the same requests, all made at the start: what a contender does with a full queue."""
    return [replace(arrival, at_s=0.0) for arrival in arrivals]
