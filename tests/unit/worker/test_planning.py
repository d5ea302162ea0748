"""From the caller's choices to what the engine draws."""

import pytest

from shared.catalogue import Catalogue, ModelSpec, Wording
from shared.params import Background, OutputFormat, Params, Quality, Style
from shared.settings import REPO_ROOT
from worker.engine import ImageRequest
from worker.planning import entry_warnings, image_request


def test_every_choice_reaches_the_engine() -> None:
    spec = Catalogue.load(REPO_ROOT / "models" / "catalog.toml").find("glyph")
    assert spec is not None
    params = Params(
        prompt="Black Swan",
        negative_prompt="white",
        background=Background.TRANSPARENT,
        n=3,
        output_compression=40,
        output_format=OutputFormat.WEBP,
        quality=Quality.HIGH,
        width=1024,
        height=768,
        style=Style.NATURAL,
        seed=41,
    )

    assert image_request(params, spec) == ImageRequest(
        model="glyph",
        wording=Wording("", "Black Swan", ", transparent background, flat illustration"),
        negative_prompt="white",
        width=1024,
        height=768,
        steps=28,
        guidance=4.0,
        seeds=(41, 42, 43),
        transparent=True,
        output_format="webp",
        output_compression=40,
    )


def test_the_defaults_are_opaque_vivid_and_of_medium_quality() -> None:
    spec = Catalogue.load(REPO_ROOT / "models" / "catalog.toml").find("glyph")
    assert spec is not None

    request = image_request(Params(prompt="Black Swan", seed=1), spec)

    assert request.wording == ("", "Black Swan", ", 3d render")
    assert (request.steps, request.guidance, request.transparent) == (16, 5.0, False)
    assert (request.width, request.height, request.seeds) == (512, 512, (1,))


def warned(model: str, **choices: object) -> dict[str, str]:
    """What a model of the shipped catalogue does otherwise than it is asked, by code."""
    spec = Catalogue.load(REPO_ROOT / "models" / "catalog.toml").find(model)
    assert isinstance(spec, ModelSpec)
    params = Params.model_validate({"prompt": "swan", "seed": 1, **choices})
    return {each.code: each.message for each in entry_warnings(params, spec)}


def test_what_is_drawn_as_it_was_asked_for_needs_no_warning() -> None:
    assert warned("glyph") == {}
    assert warned("glyph", quality="high", background="transparent", style="natural") == {}
    # A few pixels of the edge are cut off, none is made up.
    assert warned("flux.2-klein-4b", width=1000, height=1000) == {}


def test_a_size_that_is_drawn_at_another_is_said_with_both() -> None:
    assert warned("glyph", width=1024, height=1024) == {
        "size_resampled": "It was drawn at 512x512 and resampled to 1024x1024."
    }
    assert warned("flux.2-klein-4b", width=256, height=256) == {
        "size_resampled": "It was drawn at 1024x1024 and resampled to 256x256."
    }


def test_a_size_that_is_too_elongated_is_said_to_be_continued() -> None:
    assert warned("glyph", width=1024, height=512) == {
        "size_extended": "The model draws nothing as elongated as 1024x512: 512x512 of it are drawn, and the "
        "rest continues the background."
    }
    assert set(warned("glyph", width=1024, height=2048)) == {"size_resampled", "size_extended"}


@pytest.mark.parametrize(
    ("model", "quality", "steps"),
    [("flux.2-klein-4b", "low", 4), ("flux.2-klein-4b", "high", 4), ("flux.1-schnell", "high", 4)],
)
def test_a_quality_that_changes_nothing_is_said_to(model: str, quality: str, steps: int) -> None:
    assert warned(model, quality=quality, width=1024, height=1024) == {
        "quality_without_effect": f"The model takes {steps} steps at quality {quality}, as many as at medium."
    }


def test_the_quality_that_nobody_asked_for_is_none_to_warn_of() -> None:
    assert warned("flux.2-klein-4b", quality="medium", width=1024, height=1024) == {}
    assert warned("flux.1-schnell", quality="low", width=1024, height=1024) == {}
