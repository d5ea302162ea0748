"""Other people's clients edit pictures, as each of them sends them by itself."""

from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest

from shared.params import Quality
from shared.usage import output_tokens
from tests.docs.installed import CLIENTS, OFFICIAL, python_with, told
from tests.e2e.edits import SIZE, assert_kept_outside, write
from tests.e2e.test_examples import look, run
from tests.service import RunningService

LOOKED_AT: Final = output_tokens(*SIZE, Quality.MEDIUM)
PARTIAL, COMPLETED = "image_edit.partial_image", "image_edit.completed"

# Installing takes longer than any call.
pytestmark = pytest.mark.timeout(900)


def by_name(said: str) -> dict[str, dict[str, Any]]:
    """What each call came to."""
    return {call.pop("name"): call for call in told(said)}


def assert_edited(folder: Path, calls: dict[str, dict[str, Any]], *, alike: tuple[str, ...]) -> None:
    """Every call brought a picture of the size of the one that was sent, and these brought the same.

    Masked ones are kept outside of the mask, and each picture that was sent is counted.
    """
    for name in (name for name, call in calls.items() if "image_tokens" in call):
        assert look(folder / f"{name}.png") == ("PNG", SIZE, "RGB"), name
        assert calls[name]["image_tokens"] == LOOKED_AT * (2 if "two" in name else 1), name
    for name in (name for name in calls if name.endswith(("masked", "faithful", "streamed"))):
        assert_kept_outside((folder / f"{name}.png").read_bytes(), (folder / "picture.png").read_bytes())
    assert len({(folder / f"{name}.png").read_bytes() for name in alike}) == 1


def assert_streamed(types: list[str]) -> None:
    """There were previews, and then the picture; one that comes later than its picture is left out."""
    assert types in ([PARTIAL, COMPLETED], [PARTIAL, PARTIAL, COMPLETED])


@pytest.mark.parametrize("version", OFFICIAL)
def test_the_official_client(service: RunningService, tmp_path: Path, version: str) -> None:
    write(tmp_path)
    python = python_with(f"openai-{version}", f"openai=={version}")

    calls = by_name(run(service, tmp_path, python, CLIENTS / "official_edits.py", tmp_path))

    refused = {"error": "BadRequestError", "code": "invalid_image", "param": "image"}
    for kind in ("", "async "):
        assert calls.pop(f"{kind}broken") == refused
        assert_streamed(calls.pop(f"{kind}events")["types"])
        two, one_twice = (tmp_path / f"{kind}{name}.png" for name in ("two", "two of one"))
        assert two.read_bytes() != one_twice.read_bytes()
    ways = ("path", "bytes", "file", "typed", "listed")
    assert_edited(tmp_path, calls, alike=tuple(map("".join, product(("", "async "), ways))))
    assert len(calls) == 2 * 10


def test_the_official_client_for_javascript(
    service: RunningService, javascript: Path, tmp_path: Path
) -> None:
    write(tmp_path)

    calls = by_name(run(service, javascript, "node", "official_edits.js", tmp_path))

    assert calls.pop("broken") == {"error": "BadRequestError", "code": "invalid_image", "param": "image"}
    assert_streamed(calls.pop("events")["types"])
    assert_edited(tmp_path, calls, alike=("stream of a file", "bytes", "typed"))
    assert len(calls) == 6


def test_litellm_s_library(service: RunningService, litellm: Path, tmp_path: Path) -> None:
    write(tmp_path)

    calls = by_name(run(service, tmp_path, litellm, CLIENTS / "litellm_edits.py", tmp_path))

    broken = calls.pop("broken")
    assert broken["error"] == "BadRequestError"
    assert "The image is broken, or not whole." in broken["message"]
    assert_edited(tmp_path, calls, alike=("file", "old", "async bytes"))
    assert len(calls) == 5


def test_open_webui(service: RunningService, litellm: Path, tmp_path: Path) -> None:
    write(tmp_path)

    calls = told(run(service, tmp_path, litellm, CLIENTS / "open_webui_edit.py", tmp_path))

    assert [call["status"] for call in calls] == [200, 200, 200, 400]
    assert calls[-1]["code"] == "unsupported_value"
    assert look(tmp_path / "edited-1.png")[1] == (64, 64)
    assert look(tmp_path / "edited-2.png")[1] == SIZE
