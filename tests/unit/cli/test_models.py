"""`darkroom models`: what is offered, and which entries of the catalogue are off."""

from pathlib import Path

from tests.unit.cli.conftest import Darkroom
from tests.unit.cli.service import FakeService

GLYPH = {
    "id": "glyph",
    "object": "model",
    "created": 1,
    "owned_by": "darkroom",
    "title": "Glyph",
    "description": "icons",
    "aliases": ["icons"],
    "licence": "Apache-2.0",
    "default": True,
    "ready": True,
    "transparent": True,
}


def row(output: str, name: str) -> str:
    return next(line for line in output.splitlines() if line.startswith(name))


def test_models_are_listed_with_what_they_are(service: FakeService, darkroom: Darkroom) -> None:
    unready = {**GLYPH, "id": "other", "aliases": [], "default": False, "ready": False, "transparent": False}
    service.will_answer("GET", "/v1/models", {"object": "list", "data": [GLYPH, unready]})

    result = darkroom("models", "--base-url", service.url)

    assert result.exit_code == 0, result.output
    assert row(result.stdout, "glyph").split("  ")[0] == "glyph (icons)"
    for words in ("ready, default", "Glyph, transparent", "Apache-2.0"):
        assert words in row(result.stdout, "glyph")
    assert "no worker" in row(result.stdout, "other")


def test_entries_that_are_off_are_listed_with_the_reason(service: FakeService, darkroom: Darkroom) -> None:
    service.will_answer("GET", "/v1/models", {"object": "list", "data": [GLYPH]})

    result = darkroom("models", "--base-url", service.url, HF_HUB_CACHE="/nonexistent")

    assert " off " in row(result.stdout, "sd-turbo")
    assert "fetch it with: hf download stabilityai/sd-turbo" in row(result.stdout, "model 'sd-turbo'")


def test_a_broken_catalogue_does_not_hide_what_is_offered(
    service: FakeService, darkroom: Darkroom, tmp_path: Path
) -> None:
    service.will_answer("GET", "/v1/models", {"object": "list", "data": [GLYPH]})
    (tmp_path / "catalog.toml").write_text("default = ")

    result = darkroom(
        "models", "--base-url", service.url, DARKROOM_MODELS__CATALOGUE=str(tmp_path / "catalog.toml")
    )

    assert result.exit_code == 0
    assert "glyph" in result.stdout
    assert "catalog.toml: cannot be read" in result.stdout
