"""`darkroom models`: what is offered, and which entries of the catalogue are off."""

from pathlib import Path

from tests.integration.cli.conftest import Darkroom
from tests.integration.cli.service import FakeService

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


def test_entries_that_are_not_here_are_listed_with_the_way_to_fetch_them(
    service: FakeService, darkroom: Darkroom
) -> None:
    service.will_answer("GET", "/v1/models", {"object": "list", "data": [GLYPH]})

    result = darkroom("models", "--base-url", service.url, HF_HUB_CACHE="/nonexistent")

    assert "not here" in row(result.stdout, "sd-turbo")
    assert "Stability AI Community License" in row(result.stdout, "sd-turbo")
    assert result.stdout.endswith("can be fetched: darkroom models pull NAME\n")


def test_a_model_that_is_half_here_is_off_with_the_reason(
    service: FakeService, darkroom: Darkroom, tmp_path: Path
) -> None:
    service.will_answer("GET", "/v1/models", {"object": "list", "data": [GLYPH]})
    folder = tmp_path / "models--stabilityai--sd-turbo"
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")

    result = darkroom("models", "--base-url", service.url, HF_HUB_CACHE=str(tmp_path))

    assert " off " in row(result.stdout, "sd-turbo")
    assert "model_index.json is missing; fetch it with: darkroom models pull sd-turbo" in result.stdout


def test_without_a_service_the_catalogue_of_this_machine_is_listed(darkroom: Darkroom) -> None:
    result = darkroom("models", "--base-url", "http://127.0.0.1:1", HF_HUB_CACHE="/nonexistent")

    assert result.exit_code == 0
    assert "no service answers at http://127.0.0.1:1" in result.stderr
    assert "here, default" in row(result.stdout, "glyph")
    assert "MiB" in row(result.stdout, "glyph")
    assert "not here" in row(result.stdout, "qwen-image")


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
