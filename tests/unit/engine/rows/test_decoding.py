"""Pictures that are no pictures are not delivered; several are decoded as each alone."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from shared.errors import GenerationFailed
from tests.unit.engine.rows.conftest import Adapted
from tests.unit.engine.rows.drawing import call_of, tick
from tests.unit.engine.rows.tiny import SAVERS
from worker.engine.rows.decoding import Undecoded, decode, decode_preview
from worker.engine.rows.families.family import RowFamily
from worker.engine.stages.graphs import Graphs
from worker.engine.stages.inputs import Inputs

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def family(adapted: Adapted) -> RowFamily:
    return adapted("StableDiffusionPipeline")


def finished(family: RowFamily, count: int = 1) -> list[Undecoded]:
    rows = [family.prepare(call_of(family.model, f"swan {i}", 1, 1.0), i) for i in range(count)]
    tick(family, rows)
    return [Undecoded(row, row.latents, transparent=False) for row in rows]


def spoil(family: RowFamily, is_bad: Callable[[torch.Tensor], bool]) -> list[int]:
    """Let the decoder give values that are no numbers for some latents; what it was asked for."""
    asked, plain = list[int](), family.decoder

    def decoded(inputs: Inputs) -> torch.Tensor:
        asked.append(inputs.entries)
        images = plain(inputs).clone()
        for image, latents in zip(images, inputs.batched["latents"], strict=True):
            if is_bad(latents):
                image[..., 0, 0] = torch.nan
        return images

    family.decoder = Graphs(decoded)
    return asked


@pytest.mark.parametrize("name", list(SAVERS))
def test_several_are_decoded_as_each_alone(adapted: Adapted, name: str) -> None:
    family = adapted(name)
    images = finished(family, 3)

    together = decode(family, images)

    for pixels, image in zip(together, images, strict=True):
        (alone,) = decode(family, [image])
        assert np.abs(pixels.astype(int) - alone.astype(int)).max() <= 1


class Told:
    """Remembers what it was told of images that are no pictures."""

    def __init__(self) -> None:
        self.mended: list[bool] = []

    def __call__(self, *, mended: bool) -> None:
        self.mended.append(mended)


def test_what_is_no_number_is_decoded_once_more_in_full_precision(family: RowFamily) -> None:
    told = Told()
    images = [each._replace(tell=told) for each in finished(family)]
    (expected,) = decode(family, images)
    assert told.mended == []
    spoil(family, lambda _: True)

    (found,) = decode(family, images)

    assert told.mended == [True]

    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1


def test_where_the_entry_does_not_allow_that_it_fails(family: RowFamily) -> None:
    told = Told()
    images = [each._replace(tell=told) for each in finished(family)]
    spoil(family, lambda _: True)
    spec = family.model.spec
    object.__setattr__(family.model, "spec", spec.model_copy(update={"float32_decoding": False}))
    try:
        with pytest.raises(GenerationFailed, match="no numbers"):
            decode(family, images)
    finally:
        object.__setattr__(family.model, "spec", spec)
    assert told.mended == [False]


def test_what_is_no_number_in_full_precision_either_fails(family: RowFamily) -> None:
    image = finished(family)[0]
    told = Told()
    broken = image._replace(latents=torch.full_like(image.latents, torch.nan), tell=told)

    with pytest.raises(GenerationFailed, match="no numbers"):
        decode(family, [broken])

    assert told.mended == [False]


def test_among_several_each_is_then_decoded_alone(family: RowFamily) -> None:
    images = finished(family, 2)
    bad = images[1].latents / family.pipeline.vae.config.scaling_factor
    spoil(family, lambda latents: torch.equal(latents, bad[0]))

    told = Told()
    images = [each._replace(tell=told) for each in images]

    with pytest.raises(GenerationFailed):
        decode(family, images)

    assert told.mended == []
    assert len(decode(family, images[:1])) == len(decode(family, images[1:])) == 1
    assert told.mended == [True]


def test_a_preview_of_no_numbers_is_left_out(family: RowFamily) -> None:
    told = Told()
    (image,) = (each._replace(tell=told) for each in finished(family))
    spoil(family, lambda _: True)

    with pytest.raises(GenerationFailed):
        decode_preview(family, image)
    assert told.mended == []
