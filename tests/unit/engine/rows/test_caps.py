"""How many rows one forward pass takes."""

from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.unit.engine.rows.conftest import Adapted
from tests.unit.engine.rows.drawing import call_of
from worker.engine.rows.buckets import Key
from worker.engine.rows.caps import MOST_ROWS, Caps, best_batch
from worker.engine.rows.families.family import RowFamily

CPU = torch.device("cpu")
# Nothing is asked of it but its name: what a cap is measured on does not matter to how it is kept.
ELSEWHERE = torch.device("meta")
NATIVE = Key("other", 64, 64, 32)


class Clock:
    """A device whose passes take as long as a function of the batch says."""

    def __init__(self, family: RowFamily, seconds: Any) -> None:
        self.now_s = 0.0
        self._hook = family.pipeline.unet.register_forward_pre_hook(self._spend)
        self._seconds = seconds

    def _spend(self, _module: object, inputs: tuple[torch.Tensor, ...]) -> None:
        self.now_s += self._seconds(len(inputs[0]))

    def __call__(self) -> float:
        return self.now_s

    def close(self) -> None:
        self._hook.remove()


def measured(family: RowFamily, seconds: Any) -> int:
    clock = Clock(family, seconds)
    try:
        return best_batch(family, call_of(family.model, "swan", 1, 1.0), clock)
    finally:
        clock.close()


def out_of_memory_beyond(rows: int) -> Any:
    def seconds(batch: int) -> float:
        if batch > rows:
            raise torch.OutOfMemoryError
        return 1.0

    return seconds


@pytest.mark.parametrize(
    ("seconds", "rows"),
    [
        (lambda batch: batch, 1),
        (lambda batch: max(1, batch / 4), 4),
        (lambda _: 1.0, MOST_ROWS),
        (out_of_memory_beyond(8), 8),
    ],
    ids=["slower in proportion", "free up to four", "always free", "no memory for more than eight"],
)
def test_the_batch_is_doubled_as_long_as_that_pays_and_fits(
    adapted: Adapted, seconds: Any, rows: int
) -> None:
    assert measured(adapted("StableDiffusionPipeline"), seconds) == rows


def test_a_cpu_takes_one_row_a_pass_unless_told_otherwise() -> None:
    assert Caps(CPU).of(NATIVE) == 1
    assert Caps(CPU, fixed=4).of(NATIVE) == 4


def test_what_did_not_fit_is_halved_for_its_own_bucket_down_to_one() -> None:
    caps = Caps(CPU, fixed=8)
    caps.halve(NATIVE, 5)

    assert caps.of(NATIVE) == 2
    assert caps.of(NATIVE._replace(width=128)) == 8
    caps.halve(NATIVE, 1)
    assert caps.of(NATIVE) == 1


def test_what_was_measured_is_kept_for_the_next_start(tmp_path: Path, adapted: Adapted) -> None:
    family, file, asked = adapted("StableDiffusionPipeline"), tmp_path / "deep" / "caps.json", count()

    def call() -> dict[str, Any]:
        next(asked)
        return call_of(family.model, "swan", 1, 1.0)

    first = Caps(ELSEWHERE, file=file)
    first.measure(family, call)
    first.measure(family, call)
    second = Caps(ELSEWHERE, file=file)
    second.measure(family, call)

    assert next(asked) == 1
    assert second.of(NATIVE) == first.of(NATIVE) >= 1


@pytest.mark.parametrize("content", ["", "[]", "no json"])
def test_a_broken_file_of_measurements_is_measured_anew(
    tmp_path: Path, adapted: Adapted, content: str
) -> None:
    family, file = adapted("StableDiffusionPipeline"), tmp_path / "caps.json"
    file.write_text(content)

    caps = Caps(ELSEWHERE, file=file)
    caps.measure(family, lambda: call_of(family.model, "swan", 1, 1.0))

    assert caps.of(NATIVE) >= 1
    assert file.read_text().startswith("{")


def test_other_sizes_get_as_many_rows_as_make_the_same_number_of_pixels(
    tmp_path: Path, adapted: Adapted
) -> None:
    family = adapted("StableDiffusionPipeline")
    caps = Caps(ELSEWHERE, file=tmp_path / "caps.json")
    clock = Clock(family, lambda _: 0.0)
    caps.measure(family, lambda: call_of(family.model, "swan", 1, 1.0))
    clock.close()
    native = caps.of(NATIVE)

    assert caps.of(NATIVE._replace(width=64 * 1000)) == 1
    assert caps.of(NATIVE._replace(width=32)) == min(MOST_ROWS, 2 * native)
