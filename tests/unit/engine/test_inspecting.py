"""Who looks at pictures before they are encoded, through the engine's public face."""

import threading
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from shared.errors import DarkroomError, GenerationFailed, PictureBlocked
from tests.unit.engine.drawing import Recorder, RequestMaker, Viewer
from tests.waiting import wait_until
from worker.engine import Engine, ImageRequest
from worker.engine.request import StageWatcher


class Looking:
    """Notes what it was shown, and refuses what it is told to."""

    def __init__(
        self, refuse: int | None = None, error: Exception | None = None, *, previews: bool = False
    ) -> None:
        self.images: list[tuple[str, tuple[int, int]]] = []
        self.previews = 0
        self._refuse = refuse
        self._error = error or PictureBlocked()
        self._refuses_previews = previews
        self._lock = threading.Lock()

    def __call__(self, picture: Image.Image, *, preview: bool) -> None:
        with self._lock:
            if preview:
                self.previews += 1
                if self._refuses_previews:
                    raise self._error
                return
            self.images.append((picture.mode, picture.size))
            if len(self.images) - 1 == self._refuse:
                raise self._error


def failure(engine: Engine, request: ImageRequest, watcher: Any = None) -> DarkroomError:
    error = engine.submit(request, watcher or Recorder()).exception(30)
    assert isinstance(error, DarkroomError)
    return error


def test_every_image_is_looked_at_as_it_was_drawn(engine: Engine, make_request: RequestMaker) -> None:
    looking = Looking()
    request = make_request(n=2, width=72, height=88)

    without = engine.submit(request, Recorder()).result(30)
    looked_at = engine.submit(replace(request, inspector=looking), Recorder()).result(30)

    assert looked_at.images == without.images
    # Before it is cut to the asked size: what is cut off, and what is added, would only dilute what there is.
    assert [mode for mode, _ in looking.images] == ["RGB", "RGB"]
    assert all(width > 72 for _, (width, _) in looking.images)
    assert "inspect" in looked_at.timings_s
    assert "inspect" not in without.timings_s


def test_a_transparent_picture_is_looked_at_with_its_alpha(
    engine: Engine, make_request: RequestMaker
) -> None:
    looking = Looking()

    engine.submit(replace(make_request(background="transparent"), inspector=looking), Recorder()).result(30)

    assert looking.images[0][0] == "RGBA"


@pytest.mark.parametrize("refused", [0, 1, 2])
def test_one_refused_image_fails_its_request_and_no_other(
    engine: Engine, make_request: RequestMaker, refused: int
) -> None:
    other = engine.submit(make_request(seed=8), Recorder())
    request = replace(make_request(n=3), inspector=Looking(refused))

    assert isinstance(failure(engine, request), PictureBlocked)
    assert other.result(30).images
    assert engine.submit(make_request(), Recorder()).result(30).images


def test_the_images_that_are_not_drawn_yet_end_with_a_refused_one(
    engine: Engine, make_request: RequestMaker
) -> None:
    looking = Looking(0)
    # On a CPU they are drawn one after the other, six steps each.
    recorder = Recorder(at_step=lambda step: step < 8 or wait_until(lambda: looking.images))

    error = failure(engine, replace(make_request(n=4, quality="high"), inspector=looking), recorder)

    assert isinstance(error, PictureBlocked)
    done, steps = recorder.reports[-1]
    assert done < steps == 24
    assert len(looking.images) < 4


def test_an_inspector_that_breaks_shows_nothing(engine: Engine, make_request: RequestMaker) -> None:
    request = replace(make_request(), inspector=Looking(0, ZeroDivisionError("a private matter")))

    error = failure(engine, request)

    assert type(error) is GenerationFailed
    assert "private" not in error.message


def test_a_refused_preview_is_left_out_and_the_image_comes(
    engine: Engine, make_request: RequestMaker
) -> None:
    looking = Looking(previews=True)
    viewer = Viewer()
    request = replace(make_request(partial_images=3, quality="high"), inspector=looking)

    assert engine.submit(request, viewer).result(30).images

    assert looking.previews > 0
    assert viewer.files == []


def test_a_preview_that_passes_is_shown(engine: Engine, make_request: RequestMaker) -> None:
    looking = Looking()
    viewer = Viewer(lambda step: int(step > 2))

    engine.submit(replace(make_request(partial_images=1), inspector=looking), viewer).result(30)

    assert looking.previews == len(viewer.files) == 1


def test_looking_is_a_stage_of_its_own(engine: Engine, make_request: RequestMaker) -> None:
    class Noting(Recorder, StageWatcher):
        def __init__(self) -> None:
            super().__init__()
            self.stages: list[str] = []

        def on_stage(self, stage: str, began_at: float, ended_at: float) -> None:
            assert began_at <= ended_at
            self.stages.append(stage)

    noting = Noting()
    engine.submit(replace(make_request(n=2), inspector=Looking()), noting).result(30)

    assert noting.stages.count("inspect") == 2
