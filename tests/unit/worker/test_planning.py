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


def entry(model: str) -> ModelSpec:
    spec = Catalogue.load(REPO_ROOT / "models" / "catalog.toml").find(model)
    assert isinstance(spec, ModelSpec)
    return spec


def asked(**choices: object) -> Params:
    return Params.model_validate({"prompt": "swan", "seed": 1, **choices})


def planned(model: str, **choices: object) -> ImageRequest:
    return image_request(asked(**choices), entry(model))


def warned(model: str, **choices: object) -> dict[str, str]:
    """What a model of the shipped catalogue does otherwise than it is asked, by code."""
    return {each.code: each.message for each in entry_warnings(asked(**choices), entry(model))}


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


# --- edits

PICTURE = [(512, 512)]


@pytest.mark.parametrize(
    ("model", "quality", "strength", "schedule"),
    [
        ("glyph", "medium", 0.5, 16),
        ("sdxl-lightning", "low", None, 4),
        # Of one step, all would be drawn anew; of two the last is.
        ("sd-turbo", "low", None, 2),
        ("sd-turbo", "low", 1.0, 1),
        ("sd-turbo", "medium", 0.5, 4),
        ("sd-turbo", "high", 0.25, 8),
        ("flux.2-klein-4b", "low", None, 4),
    ],
)
def test_an_edits_schedule_is_long_enough_to_take_some_of_it(
    model: str, quality: str, strength: float | None, schedule: int
) -> None:
    edit = planned(model, input_sizes=PICTURE, quality=quality, strength=strength)

    assert edit.steps == schedule


def test_what_is_said_of_a_change_has_no_style_and_what_is_said_of_a_picture_has() -> None:
    drawn, told, begun = (
        planned("flux.2-klein-4b", style="natural").wording,
        planned("flux.2-klein-4b", style="natural", input_sizes=PICTURE).wording,
        planned("glyph", style="natural", background="transparent", input_sizes=PICTURE).wording,
    )

    assert drawn == ("", "swan", ", natural light, muted colours")
    assert told == ("", "swan", "")
    assert begun == ("", "swan", ", transparent background, flat illustration")


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_a_picture_that_is_edited_is_continued_by_nothing(masked: bool) -> None:
    resampled = {
        "size_resampled": "What is drawn anew was drawn at 512x256 and resampled to 1024x512."
        if masked
        else "It was edited at 512x256 and resampled to 1024x512."
    }

    assert warned("glyph", width=1024, height=512, input_sizes=PICTURE, masked=masked) == resampled
    assert warned("glyph", width=512, height=384, input_sizes=PICTURE, masked=masked) == {}
    assert warned("glyph", input_sizes=PICTURE, masked=masked) == {}


def test_a_picture_that_is_looked_at_is_drawn_as_any_other_unless_a_part_of_it_stays() -> None:
    size = {"width": 4096, "height": 512}
    spec = entry("flux.2-klein-4b").model_copy(update={"sizes": entry("glyph").sizes})

    (drawn,) = entry_warnings(asked(**size, input_sizes=PICTURE), spec)
    assert drawn.code == "size_extended"
    (only,) = entry_warnings(asked(**size, input_sizes=PICTURE, masked=True), spec)
    assert only.message == "What is drawn anew was drawn at 512x64 and resampled to 4096x512."


def test_a_quality_is_without_effect_where_as_many_steps_are_taken() -> None:
    says = "Such an edit takes as many steps at quality {} as at medium."
    turbo = {"width": 512, "height": 512, "input_sizes": PICTURE}

    # Of schedules of 4 steps each the last two.
    assert warned("sd-turbo", **turbo, strength=0.5, quality="high") == {
        "quality_without_effect": says.format("high")
    }
    assert warned("glyph", input_sizes=PICTURE, strength=0.05, quality="low") == {
        "quality_without_effect": says.format("low")
    }
    assert warned("sd-turbo", **turbo, strength=0.75, quality="high") == {}
    assert warned("sd-turbo", **turbo, strength=0.75, quality="low") == {}
    assert warned("sd-turbo", **turbo, strength=0.5) == {}
    assert warned("flux.2-klein-4b", **turbo, quality="high") == {
        "quality_without_effect": "The model takes 4 steps at quality high, as many as at medium."
    }
