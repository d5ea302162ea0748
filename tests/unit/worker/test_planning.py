"""From the caller's choices to what the engine draws."""

from shared.catalogue import Catalogue
from shared.params import Background, OutputFormat, Params, Quality, Style
from shared.settings import REPO_ROOT
from worker.engine import ImageRequest
from worker.planning import image_request


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
        prompt="Black Swan",
        conditioning_prompt="Black Swan, transparent background, flat illustration",
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

    assert request.conditioning_prompt == "Black Swan, 3d render"
    assert (request.steps, request.guidance, request.transparent) == (16, 5.0, False)
    assert (request.width, request.height, request.seeds) == (512, 512, (1,))
