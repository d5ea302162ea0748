"""A row's picture does not depend on its neighbours: it is the one that the stock pipeline draws alone."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import diffusers
import pytest
import torch

from shared.catalogue import Wording
from shared.catalogue.families import batched_families
from tests.unit.engine.rows.conftest import Adapted
from tests.unit.engine.rows.drawing import call_of, draw_joining, furthest, stock, tick
from tests.unit.engine.rows.tiny import SAVERS
from worker.engine.models.tokens import fit_prompt
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.families.registry import ADAPTERS

TOLERANCE = 1e-5
LONG = "a red apple on a table, and very many more words, so that this text is of another length than others"
NOISE_SCHEDULERS = [
    ("DDIMScheduler", {"clip_sample": False}),
    ("EulerDiscreteScheduler", {}),
    ("EulerAncestralDiscreteScheduler", {}),
    ("DPMSolverMultistepScheduler", {}),
    ("HeunDiscreteScheduler", {}),
    ("UniPCMultistepScheduler", {}),
    ("PNDMScheduler", {"skip_prk_steps": True}),
    ("DPMSolverSinglestepScheduler", {}),
]
FLOW_SCHEDULERS = [
    ("FlowMatchEulerDiscreteScheduler", {"shift": 2.0}),
    ("FlowMatchEulerDiscreteScheduler", {"use_dynamic_shifting": True, "shift_terminal": 0.02}),
    (
        "UniPCMultistepScheduler",
        {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "use_dynamic_shifting": True},
    ),
]

every_family = pytest.mark.parametrize("name", list(SAVERS))
# Of numpy about torch's tensors, raised by some schedulers.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@contextmanager
def scheduled_by(family: RowFamily, scheduler: str, settings: dict[str, object]) -> Iterator[None]:
    """While another scheduler is the pipeline's."""
    kept = family.pipeline.scheduler
    family.pipeline.scheduler = getattr(diffusers, scheduler).from_config(kept.config, **settings)
    try:
        yield
    finally:
        family.pipeline.scheduler = kept


def mixed_calls(family: RowFamily) -> list[dict[str, object]]:
    """Calls alike in size only: other words, steps and guidance; some have a negative prompt."""
    model = family.model
    negative = {"negative_prompt": "dog"} if model.spec.negative_prompt else {}
    return [
        call_of(model, "black swan", 4, 5.0),
        call_of(model, LONG, 7, 0.0),
        call_of(model, "cat", 3, 2.5, **negative),
        call_of(model, "", 5, 4.0),
        call_of(model, "black swan", 1, 1.0),
        call_of(model, LONG, 6, 7.5, **negative),
    ]


def test_the_adapters_are_those_that_are_promised() -> None:
    assert set(ADAPTERS) == batched_families() == set(SAVERS)


@every_family
def test_rows_that_join_and_leave_are_drawn_as_if_each_were_alone(adapted: Adapted, name: str) -> None:
    family = adapted(name)
    calls = mixed_calls(family)
    expected = [stock(family.model, call, seed) for seed, call in enumerate(calls)]

    images = draw_joining(family, [family.prepare(call, seed) for seed, call in enumerate(calls)])

    assert furthest(images, expected) <= TOLERANCE


@every_family
def test_a_row_alone_is_drawn_as_by_the_stock_pipeline(adapted: Adapted, name: str) -> None:
    family = adapted(name)
    call = call_of(family.model, "black swan", 3, 1.0, width=64, height=96)
    expected = stock(family.model, call, 11)

    (image,) = draw_joining(family, [family.prepare(call, 11)])

    # Without guidance the forward passes are the same to the last bit, and nothing else is.
    assert torch.equal(image, expected)


@every_family
def test_the_words_the_seed_and_the_steps_decide_what_is_drawn(adapted: Adapted, name: str) -> None:
    family = adapted(name)
    calls = [("black swan", 3, 1), ("red apple", 3, 1), ("black swan", 4, 1), ("black swan", 3, 2)]
    rows = [family.prepare(call_of(family.model, words, steps, 5.0), seed) for words, steps, seed in calls]

    first, *others = draw_joining(family, rows)

    assert min(furthest([first], [other]) for other in others) > 100 * TOLERANCE


@every_family
@pytest.mark.slow
def test_giving_up_one_of_eight_leaves_the_others_as_they_were(adapted: Adapted, name: str) -> None:
    family = adapted(name)
    calls = [call_of(family.model, "black swan", 4 + seed % 3, 3.0) for seed in range(8)]
    expected = [stock(family.model, call, seed) for seed, call in enumerate(calls) if seed != 2]
    rows = [family.prepare(call, seed) for seed, call in enumerate(calls)]

    images = draw_joining(family, rows, leave=lambda ticks: [rows[2]] if ticks >= 3 else [])

    assert furthest(images, expected) <= TOLERANCE


@every_family
@pytest.mark.slow
def test_each_row_has_its_own_scheduler(adapted: Adapted, name: str) -> None:
    family = adapted(name)
    schedulers = FLOW_SCHEDULERS if "Flow" in type(family.pipeline.scheduler).__name__ else NOISE_SCHEDULERS
    if name == "ZImagePipeline":
        # Its own call hands the other one something that it does not take.
        schedulers = schedulers[:2]
    rows, expected = [], []
    for seed, (scheduler, settings) in enumerate(schedulers):
        call = call_of(family.model, "black swan", 4 + seed, 3.0)
        with scheduled_by(family, scheduler, settings):
            expected.append(stock(family.model, call, seed))
            rows.append(family.prepare(call, seed))

    images = draw_joining(family, rows)

    assert furthest(images, expected) <= TOLERANCE


@pytest.mark.parametrize("name", [name for name in SAVERS if not name.startswith("StableDiffusion")])
def test_noise_along_the_way_comes_from_the_rows_own_seed(adapted: Adapted, name: str) -> None:
    family = adapted(name)
    call = call_of(family.model, "black swan", 4, 3.0)
    with scheduled_by(family, "FlowMatchEulerDiscreteScheduler", {"stochastic_sampling": True}):
        alone = draw_joining(family, [family.prepare(call, 5)])
        rows = [family.prepare(call, 5), family.prepare({**call, "num_inference_steps": 6}, 6)]

    together = draw_joining(family, rows)

    assert furthest(together[:1], alone) <= TOLERANCE
    assert furthest(together[1:], alone) > 100 * TOLERANCE


@every_family
def test_a_prompt_that_was_seen_is_not_encoded_again(adapted: Adapted, name: str) -> None:
    family = adapted(name)
    call = call_of(family.model, "black swan", 2, 3.0)
    first = family.prepare(call, 1)

    again = family.prepare({**call, "num_inference_steps": 5}, 2)
    other = family.prepare({**call, "prompt": "red apple"}, 1)

    assert again.entries[-1]["text"] is first.entries[-1]["text"]
    assert other.entries[-1]["text"] is not first.entries[-1]["text"]
    assert len(family.texts) == 2


@every_family
def test_progress_is_counted_in_the_asked_steps(adapted: Adapted, name: str) -> None:
    family = adapted(name)
    row = family.prepare(call_of(family.model, "black swan", 3, 3.0), 1)
    done = [row.steps_done]

    while not row.is_done:
        tick(family, [row])
        done.append(row.steps_done)

    assert done == [0, 1, 2, 3]


def test_an_argument_that_an_adapter_does_not_know_leaves_the_model_to_its_pipeline(adapted: Adapted) -> None:
    family = adapted("StableDiffusionPipeline")
    known = family.model.spec.model_copy(update={"arguments": {"guidance_rescale": 0.7, "eta": 0.5}})
    unknown = family.model.spec.model_copy(update={"arguments": {"ip_adapter_image": "x"}})

    assert type(family).handles(model_with(family, known))
    assert not type(family).handles(model_with(family, unknown))


def model_with(family: RowFamily, spec: object) -> object:
    return type(family.model)(spec, family.model.pipeline, family.model.parameters)  # type: ignore[arg-type]


def test_rescaled_guidance_and_noise_along_the_way_are_the_pipelines_own(adapted: Adapted) -> None:
    family = adapted("StableDiffusionPipeline")
    calls = [
        call_of(family.model, "black swan", 4, 5.0, guidance_rescale=0.7, eta=0.5),
        call_of(family.model, "red apple", 5, 5.0, eta=1.0),
    ]
    expected = [stock(family.model, call, seed) for seed, call in enumerate(calls)]

    images = draw_joining(family, [family.prepare(call, seed) for seed, call in enumerate(calls)])

    assert furthest(images, expected) <= TOLERANCE


@pytest.mark.parametrize("name", ["StableDiffusionPipeline", "Flux2KleinPipeline"])
@pytest.mark.slow
def test_prompts_are_counted_while_others_are_encoded_on_another_thread(adapted: Adapted, name: str) -> None:
    family = adapted(name)
    call = family.call(call_of(family.model, "a red apple", 2, 1.0))
    wording = Wording("", "a red apple " * 40, ", flat")
    alone = fit_prompt(family.model.tokenizer, wording, 12)

    with ThreadPoolExecutor(1) as beside:
        encoding = beside.submit(lambda: [encoded(family, call) for _ in range(60)])
        fitted = set()
        while not encoding.done():
            fitted.add(fit_prompt(family.model.tokenizer, wording, 12))

    assert fitted <= {alone}
    first, *others = encoding.result()
    assert all(torch.equal(each, first) for each in others)


def encoded(family: RowFamily, call: Mapping[str, Any]) -> torch.Tensor:
    with torch.inference_mode():
        return family.encode(call)[-1]["text"]
