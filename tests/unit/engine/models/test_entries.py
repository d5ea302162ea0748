"""Every entry of the shipped catalogue against its pipeline in the installed diffusers, without weights."""

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import diffusers
import pytest

from shared.catalogue import Catalogue, EditsBy, ModelSpec
from shared.catalogue.families import batched_families
from shared.params import InputFidelity, Params, Quality, Style
from shared.settings import REPO_ROOT
from worker.engine.models.loading import LoadedModel
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.families.registry import ADAPTERS

SHIPPED: Final = Catalogue.load(REPO_ROOT / "models" / "catalog.toml")
ASKED_OF_ALL: Final = {"prompt", "width", "height", "num_inference_steps", "output_type", "generator"}
CALLBACKS: Final = {"callback_on_step_end", "callback"}
FACTOR: Final = 2
"""How far from the pipeline's own default the steps and the guidance of an entry may be."""
FEW_STEPS: Final = {
    "flux.2-klein-4b": "distilled to 4",
    "z-image-turbo": "distilled to 8",
    "flux.1-schnell": "distilled to 4",
    "sdxl-lightning": "distilled to 4",
    "sd-turbo": "distilled to 4",
    "ernie-image-turbo": "distilled to 8",
    "glyph": "trained here: 28 steps are its high quality; the pipeline's 50 are those of other weights",
}
GUIDED: Final = {"glyph"}
"""Of those, which are not distilled without guidance."""

every_entry = pytest.mark.parametrize("spec", SHIPPED.specs, ids=lambda spec: spec.name)
image_to_image = pytest.mark.parametrize(
    "spec",
    [spec for spec in SHIPPED.specs if spec.edits and spec.edits.by is EditsBy.IMAGE_TO_IMAGE],
    ids=lambda spec: spec.name,
)


def parameters_of(function: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


def call_of(spec: ModelSpec, change: str = "") -> Mapping[str, inspect.Parameter]:
    """What the call of an entry's pipeline takes, or that of the pipeline beside it."""
    name = spec.family.replace("Pipeline", f"{change}Pipeline")
    return parameters_of(getattr(diffusers, name).__call__)


@every_entry
def test_its_pipeline_takes_all_that_it_is_given(spec: ModelSpec) -> None:
    negative = {"negative_prompt"} if spec.negative_prompt else set()

    assert ASKED_OF_ALL | {spec.guidance_argument} | set(spec.arguments) | negative <= set(call_of(spec))


@every_entry
def test_its_arguments_are_of_the_kinds_that_the_pipeline_has_by_itself(spec: ModelSpec) -> None:
    for name, value in spec.arguments.items():
        default = call_of(spec)[name].default
        assert default is None or type(default) is type(value), name


@every_entry
def test_its_components_are_the_pipelines(spec: ModelSpec) -> None:
    components = set(parameters_of(getattr(diffusers, spec.family).__init__))

    assert {spec.tokenizer, "scheduler", *spec.components, *spec.without} <= components
    assert spec.tokenizer not in spec.without
    assert spec.scheduler is None or hasattr(diffusers, spec.scheduler.name)


@every_entry
def test_whoever_waits_hears_of_its_steps(spec: ModelSpec) -> None:
    assert spec.family in batched_families() or CALLBACKS & set(call_of(spec))


@pytest.mark.parametrize(
    "spec",
    [spec for spec in SHIPPED.specs if spec.family in ADAPTERS],
    ids=lambda spec: spec.name,
)
def test_what_can_be_drawn_in_rows_is(spec: ModelSpec) -> None:
    module, name = ADAPTERS[spec.family]
    adapter: type[RowFamily] = getattr(import_module(f"worker.engine.rows.families.{module}"), name)

    assert adapter.handles(LoadedModel(spec, None, frozenset()))


@every_entry
def test_prompts_are_cut_by_the_service_and_not_by_the_pipeline(spec: ModelSpec) -> None:
    longest = call_of(spec).get("max_sequence_length")

    assert longest is None or spec.token_limit <= spec.arguments.get("max_sequence_length", longest.default)


@every_entry
def test_an_editor_can_be_given_pictures_and_masks(spec: ModelSpec) -> None:
    if spec.edits is None:
        return
    if spec.edits.by is EditsBy.REFERENCE:
        assert "image" in call_of(spec)
    else:
        assert {"image", "strength"} <= set(call_of(spec, "Img2Img"))
    if spec.edits.masks:
        assert "mask_image" in call_of(spec, "Inpaint")


@every_entry
def test_steps_are_about_the_pipelines_own_unless_it_is_distilled(spec: ModelSpec) -> None:
    own = call_of(spec)["num_inference_steps"].default

    if spec.name in FEW_STEPS:
        assert spec.steps.medium < own / FACTOR, "it is not of a few steps any more"
    else:
        assert own / FACTOR <= spec.steps.medium <= spec.steps.high <= own * FACTOR
    assert spec.steps.low <= spec.steps.medium <= spec.steps.high


@every_entry
def test_guidance_is_about_the_pipelines_own_unless_it_is_distilled(spec: ModelSpec) -> None:
    own = call_of(spec)[spec.guidance_argument].default

    for style in Style:
        if spec.name in FEW_STEPS and spec.name not in GUIDED:
            assert spec.guidance_for(style) <= 1
        else:
            assert own / FACTOR <= spec.guidance_for(style) <= own * FACTOR


@image_to_image
@pytest.mark.parametrize("quality", Quality)
def test_an_edit_takes_a_step_at_least_and_keeps_something(spec: ModelSpec, quality: Quality) -> None:
    low, high = (
        Params(prompt="p", seed=0, quality=quality, input_sizes=((64, 64),), input_fidelity=fidelity)
        for fidelity in (InputFidelity.LOW, InputFidelity.HIGH)
    )

    assert all(1 <= spec.steps_taken(each) < spec.steps_of(each) for each in (low, high))
    assert (spec.strength_of(low) or 0) > (spec.strength_of(high) or 1), "what is kept more is redrawn less"
