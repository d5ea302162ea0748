"""The engine through its public face, on a tiny model."""

import re
import threading
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest
import torch

from shared.catalogue import Catalogue
from shared.errors import (
    AttemptCancelled,
    CatalogueError,
    ConfigurationError,
    DarkroomError,
    DeviceBroken,
    GenerationFailed,
    OutOfDeviceMemory,
)
from tests.tiny_models import write_catalogue
from tests.unit.engine.drawing import Recorder, RequestMaker, engine_of, picture, pixels
from tests.waiting import wait_until
from worker.engine import Engine, ImageRequest, ImageResult, Tuning
from worker.engine.stages.tuner import Tuned

PILLOW_NAMES = {"png": "PNG", "webp": "WEBP", "jpeg": "JPEG"}


def draw(engine: Engine, request: ImageRequest, watcher: Recorder | None = None) -> ImageResult:
    return engine.submit(request, watcher or Recorder()).result(timeout=30)


@pytest.mark.parametrize("output_format", ["png", "webp", "jpeg"])
@pytest.mark.parametrize("size", [(64, 64), (120, 72), (200, 104), (1024, 1024), (64, 256)])
def test_an_image_has_exactly_the_asked_size_and_format(
    engine: Engine, make_request: RequestMaker, output_format: str, size: tuple[int, int]
) -> None:
    request = make_request(width=size[0], height=size[1], output_format=output_format, quality="low")

    image = picture(draw(engine, request).images[0])

    assert (image.format, image.size, image.mode) == (PILLOW_NAMES[output_format], size, "RGB")


@pytest.mark.parametrize("output_format", ["png", "webp"])
def test_a_transparent_image_keeps_the_models_alpha(
    engine: Engine, make_request: RequestMaker, output_format: str
) -> None:
    request = make_request(background="transparent", output_format=output_format)

    image = picture(draw(engine, request).images[0])

    assert image.mode == "RGBA"
    lowest, highest = image.getchannel("A").getextrema()
    assert lowest < highest


def test_an_opaque_image_is_the_transparent_one_on_white(engine: Engine, make_request: RequestMaker) -> None:
    transparent = make_request(background="transparent")
    same_words = ImageRequest(**{**transparent.__dict__, "transparent": False})

    rgba = pixels(draw(engine, transparent).images[0]).astype(float)
    rgb = pixels(draw(engine, same_words).images[0]).astype(float)

    alpha = rgba[..., 3:] / 255
    assert np.abs(rgba[..., :3] * alpha + 255 * (1 - alpha) - rgb).max() <= 2


def test_a_model_without_alpha_refuses_transparency(engine: Engine, make_request: RequestMaker) -> None:
    request = make_request("plain", background="transparent")

    with pytest.raises(GenerationFailed, match="'plain' cannot draw transparent"):
        draw(engine, request)


def test_a_model_that_promises_alpha_and_draws_none_fails(tmp_path: Path) -> None:
    path = write_catalogue(tmp_path, plain={"transparent": False})
    path.write_text(path.read_text().replace("transparent = false", "transparent = true"))
    liar = engine_of(Catalogue.load(path))

    with pytest.raises(CatalogueError, match=r"model 'plain': its first picture failed.*no alpha channel"):
        liar.start()

    liar.close()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(
    engine: Engine, make_request: RequestMaker
) -> None:
    first = draw(engine, make_request(seed=7)).images
    draw(engine, make_request(seed=8, width=128, height=64))
    again = draw(engine, make_request(seed=7)).images
    other = draw(engine, make_request(seed=8)).images

    assert first == again
    assert first != other


def test_image_i_of_n_is_the_image_of_seed_plus_i(engine: Engine, make_request: RequestMaker) -> None:
    together = draw(engine, make_request(seed=7, n=3)).images

    alone = [draw(engine, make_request(seed=7 + i)).images[0] for i in range(3)]

    assert list(together) == alone
    assert len(set(together)) == 3


def test_the_words_the_style_and_the_negative_prompt_decide_what_is_drawn(
    engine: Engine, make_request: RequestMaker
) -> None:
    choices: list[dict[str, object]] = [
        {},
        {"prompt": "Red Apple"},
        {"style": "natural"},
        {"negative_prompt": "3d render"},
        {"quality": "high"},
    ]

    images = {draw(engine, make_request(**choice)).images[0] for choice in choices}

    assert len(images) == len(choices)


def test_a_negative_prompt_is_refused_by_a_model_that_takes_none(
    engine: Engine, make_request: RequestMaker
) -> None:
    with pytest.raises(GenerationFailed, match="takes no negative prompt"):
        draw(engine, make_request("plain", negative_prompt="blurred"))


def test_a_size_beyond_the_model_is_refused(engine: Engine, make_request: RequestMaker) -> None:
    with pytest.raises(GenerationFailed, match="does not draw 4096x64"):
        draw(engine, make_request(width=4096))


def test_progress_counts_the_steps_of_all_images(engine: Engine, make_request: RequestMaker) -> None:
    watcher = Recorder()

    result = draw(engine, make_request(n=2, quality="medium"), watcher)

    assert watcher.reports == [(step, 8) for step in range(9)]
    assert set(result.timings_s) == {"queue", "load", "denoise", "decode", "encode"}
    assert all(seconds >= 0 for seconds in result.timings_s.values())


@pytest.mark.parametrize("stop_after", [0, 1, 5])
def test_a_request_to_stop_is_followed_before_the_next_step(
    engine: Engine, make_request: RequestMaker, stop_after: int
) -> None:
    watcher = Recorder(stop_after=stop_after)

    with pytest.raises(AttemptCancelled):
        draw(engine, make_request(n=2), watcher)

    assert watcher.reports[-1][0] == stop_after


def test_a_stopped_request_leaves_nothing_behind(engine: Engine, make_request: RequestMaker) -> None:
    before = draw(engine, make_request()).images
    with pytest.raises(AttemptCancelled):
        draw(engine, make_request(seed=1, quality="high"), Recorder(stop_after=3))

    assert draw(engine, make_request()).images == before


def test_a_request_that_raises_fails_alone(engine: Engine, make_request: RequestMaker) -> None:
    words = "Black Swan"

    def fail(step: int) -> None:
        if step == 2:
            raise ZeroDivisionError(words)

    failing = engine.submit(make_request(), Recorder(at_step=fail))
    healthy = engine.submit(make_request(), Recorder())

    with pytest.raises(GenerationFailed) as failure:
        failing.result(timeout=30)
    assert isinstance(failure.value.__cause__, ZeroDivisionError)
    assert "Swan" not in failure.value.message
    assert picture(healthy.result(timeout=30).images[0]).size == (64, 64)


def test_a_pipeline_that_raises_fails_only_that_request(engine: Engine, make_request: RequestMaker) -> None:
    broken = ImageRequest(**{**make_request().__dict__, "seeds": (2**70,)})

    with pytest.raises(GenerationFailed, match="'tiny' could not draw this picture"):
        draw(engine, broken)

    assert draw(engine, make_request()).images


def test_an_image_that_cannot_be_encoded_fails_only_that_request(
    engine: Engine, make_request: RequestMaker
) -> None:
    broken = ImageRequest(**{**make_request().__dict__, "output_format": "tiff"})

    with pytest.raises(GenerationFailed) as failure:
        draw(engine, broken)

    assert isinstance(failure.value.__cause__, KeyError)
    assert draw(engine, make_request()).images


def test_running_out_of_memory_fails_only_that_request(engine: Engine, make_request: RequestMaker) -> None:
    watcher = Recorder(at_step=lambda _: torch.empty(2**60, dtype=torch.uint8))

    with pytest.raises(OutOfDeviceMemory):
        draw(engine, make_request(), watcher)

    assert draw(engine, make_request()).images


def test_a_model_it_does_not_serve_fails_only_that_request(
    engine: Engine, make_request: RequestMaker
) -> None:
    stranger = ImageRequest(**{**make_request().__dict__, "model": "stranger"})

    with pytest.raises(GenerationFailed, match="does not serve model 'stranger'"):
        draw(engine, stranger)

    assert draw(engine, make_request()).images


def test_a_broken_device_ends_all_requests(tiny_catalogue: Catalogue, make_request: RequestMaker) -> None:
    message = "CUDA error: an illegal memory access was encountered"

    def fail(_step: int) -> None:
        raise torch.AcceleratorError(message)

    engine = engine_of(tiny_catalogue)
    engine.start()

    failures = [engine.submit(make_request(), watcher) for watcher in (Recorder(at_step=fail), Recorder())]

    assert [type(failure.exception(timeout=30)) for failure in failures] == [DeviceBroken, DeviceBroken]
    engine.close()


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        ("black swan", 2),
        ("black swan " * 2000, 4000),
        ("🦢" * 4000, None),
        ("بجعة سوداء على الماء", None),
        ("\u202enawS\u202c \u200d 黒鳥", None),
    ],
)
def test_any_prompt_is_drawn_and_counted(
    engine: Engine, make_request: RequestMaker, prompt: str, tokens: int | None
) -> None:
    result = draw(engine, make_request(prompt=prompt, quality="low"))

    assert result.prompt_tokens == tokens if tokens else result.prompt_tokens > 5
    assert picture(result.images[0]).size == (64, 64)


def test_words_that_the_model_does_not_read_are_told_and_not_drawn(
    engine: Engine, make_request: RequestMaker
) -> None:
    def drawn(*words: str) -> ImageResult:
        return draw(engine, make_request(prompt=" ".join(words), quality="low"))

    words = ["black", "swan"] * 10
    beyond, other = drawn(*words, "red", "apple"), drawn(*words, "blue", "apple")
    (warning,) = beyond.warnings
    found = re.fullmatch(
        "The prompt has 22 tokens, of which the model reads the first ([0-9]+): it reads 22 in all, and the "
        "words for style and background are among them.",
        warning.message,
    )

    assert (warning.code, beyond.prompt_tokens, found is not None) == ("prompt_truncated", 22, True)
    assert first(beyond) == first(other)  # they differ only in what is not read
    assert other.warnings == beyond.warnings
    read = int(found[1]) if found else 0
    assert 10 < read < 20
    assert (drawn(*words[:read]).warnings, first(drawn(*words[:read]))) == ((), first(beyond))
    assert len(drawn(*words[: read + 1]).warnings) == 1


def first(result: ImageResult) -> bytes:
    """The first picture, without what its file says of the prompt."""
    return picture(result.images[0]).tobytes()


def test_a_negative_prompt_that_is_cut_is_told(engine: Engine, make_request: RequestMaker) -> None:
    fits = draw(engine, make_request(negative_prompt="red apple " * 11, quality="low"))
    cut = draw(engine, make_request(negative_prompt="red apple " * 12, quality="low"))
    same = draw(engine, make_request(negative_prompt=f"{'red apple ' * 11}black swan", quality="low"))

    assert fits.warnings == ()
    assert first(cut) == first(same) == first(fits)
    assert [(each.code, each.message) for each in cut.warnings] == [
        (
            "negative_prompt_truncated",
            "The negative prompt has 24 tokens, of which the model reads the first 22.",
        )
    ]


def test_a_long_prompt_is_still_drawn_in_its_style_and_not_printed(
    engine: Engine, make_request: RequestMaker, capfd: pytest.CaptureFixture[str]
) -> None:
    vivid, natural = (
        draw(engine, make_request(prompt="black swan " * 100, style=style)).images
        for style in ("vivid", "natural")
    )

    assert vivid != natural
    assert capfd.readouterr() == ("", "")


def test_the_engine_shows_that_it_is_alive_when_idle_and_at_each_step(
    engine: Engine, make_request: RequestMaker
) -> None:
    ticks: list[float] = []
    draw(engine, make_request(), Recorder(at_step=lambda _: ticks.append(engine.last_tick_at)))
    assert ticks == sorted(set(ticks))

    idle_since = engine.last_tick_at
    wait_until(lambda: engine.last_tick_at > idle_since, 5, "a tick of the idle engine")


def test_the_thread_is_free_for_the_next_request_while_an_image_is_encoded(
    engine: Engine, make_request: RequestMaker
) -> None:
    large = engine.submit(make_request(width=2048, height=2048, n=4), Recorder())
    started_with_large_unfinished: list[bool] = []

    draw(
        engine,
        make_request(),
        Recorder(at_step=lambda _: started_with_large_unfinished.append(not large.done())),
    )

    assert started_with_large_unfinished[0]
    assert picture(large.result(timeout=30).images[0]).size == (2048, 2048)


def test_a_future_cancelled_while_queued_is_never_drawn(engine: Engine, make_request: RequestMaker) -> None:
    first_step, go_on = threading.Event(), threading.Event()

    def hold(step: int) -> None:
        if step == 1:
            first_step.set()
            go_on.wait(10)

    running = engine.submit(make_request(), Recorder(at_step=hold))
    watcher = Recorder()
    queued = engine.submit(make_request(), watcher)
    first_step.wait(10)

    assert queued.cancel()
    go_on.set()

    assert running.result(timeout=30).images
    with pytest.raises(CancelledError):
        queued.result(timeout=30)
    assert draw(engine, make_request()).images
    assert watcher.reports == []


def test_closing_stops_the_running_request_and_refuses_the_others(
    tiny_catalogue: Catalogue, make_request: RequestMaker
) -> None:
    engine = engine_of(tiny_catalogue)
    engine.start()
    first_step, closing = threading.Event(), threading.Event()

    def hold(step: int) -> None:
        if step == 1:
            first_step.set()
            closing.wait(10)

    watcher = Recorder(at_step=hold)
    futures = [engine.submit(make_request(), watcher), engine.submit(make_request(), Recorder())]
    first_step.wait(10)
    closer = threading.Thread(target=engine.close)
    closer.start()
    futures.append(engine.submit(make_request(), Recorder()))
    closing.set()
    closer.join(30)
    futures.append(engine.submit(make_request(), Recorder()))

    assert [type(future.exception(timeout=30)) for future in futures] == [AttemptCancelled] * 4
    assert len(watcher.reports) <= 3


def test_a_model_that_cannot_be_loaded_ends_the_start(tmp_path: Path) -> None:
    catalogue = Catalogue.load(write_catalogue(tmp_path, tiny={}))
    engine = engine_of(catalogue)
    config = tmp_path / "tiny-rgba" / "unet" / "config.json"
    config.write_text(config.read_text().replace('"in_channels": 4', '"in_channels": 5'))

    with pytest.raises(CatalogueError, match=r"model 'tiny': .* cannot be loaded"):
        engine.start()

    engine.close()


def test_another_model_that_cannot_be_loaded_fails_its_requests_only(
    make_request: RequestMaker, tmp_path: Path
) -> None:
    catalogue = Catalogue.load(write_catalogue(tmp_path, tiny={}, plain={"transparent": False}))
    engine = engine_of(catalogue)
    engine.start()
    (tmp_path / "tiny-rgb" / "vae" / "diffusion_pytorch_model.safetensors").unlink()

    with pytest.raises(GenerationFailed, match="model 'plain' could not be loaded"):
        draw(engine, make_request("plain"))

    assert draw(engine, make_request()).images
    engine.close()


@pytest.mark.parametrize("device", ["tpu", "cuda:99", "mps", "cpu:x"])
def test_a_device_that_is_not_there_is_a_configuration_error(tiny_catalogue: Catalogue, device: str) -> None:
    spec = tiny_catalogue.specs[0]

    with pytest.raises(ConfigurationError, match=device):
        Engine({spec.name: (spec, Path(spec.weights))}, device)


def test_an_engine_without_models_is_a_configuration_error() -> None:
    with pytest.raises(DarkroomError, match="no model to serve"):
        Engine({})


def test_how_its_models_run_is_known_of_those_that_were_loaded_until_now(tiny_catalogue: Catalogue) -> None:
    engine = engine_of(tiny_catalogue)
    assert engine.tunings == {}
    plain = Tuned((), 1, ())
    tuning = Tuning(plain, plain, plain, "quick", 0)

    # As when a model is loaded for a request, long after the start.
    engine._tunings.known["plain"] = tuning
    seen = engine.tunings
    engine._tunings.known["tiny"] = tuning

    assert seen == {"plain": tuning}
    assert engine.tunings == {"plain": tuning, "tiny": tuning}
