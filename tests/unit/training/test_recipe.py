"""The recipe of the shipped model in miniature: every stage, cut and gone on with, up to a picture."""

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from shared.catalogue import Catalogue
from training import autoencoder, denoiser, glyphs, samples, tokens
from training.__main__ import app
from training.canvas import Canvas, over
from training.config import SHIPPED, TINY
from training.export import export
from training.files import load
from training.loop import Budget
from training.scenes import Composer
from worker.engine.models.loading import load as load_model

pytestmark = pytest.mark.slow

# Two things in both styles, one that is only rendered, one that is only drawn, and some that are left out.
ENTRIES = (
    ("red apple", "1f34e", 4, ("fruit", "food"), "both"),
    ("swan", "1f9a2", 3, ("bird",), "both"),
    ("key", "1f511", 7, (), "3d"),
    ("umbrella", "2602-fe0f", 5, ("rain",), "flat"),
    ("person facing right", "1f9cd", 1, (), "both"),
    ("flag", "1f1e6", 9, (), "both"),
    ("nothing", "1f000", 8, (), "none"),
)
SHAPE = '<circle cx="64" cy="64" r="50" fill="#c33"/>'


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three packages, as npm unpacks them, with a handful of made-up glyphs."""
    folder = tmp_path_factory.mktemp("node_modules")
    assets = folder / "@lobehub" / "fluent-emoji-3d" / "assets"
    noto = folder / "@iconify-json" / "noto"
    names = folder / "emojibase-data" / "en"
    for each in (assets, noto, names):
        each.mkdir(parents=True)
    data, icons, characters = [], {}, {}
    for label, code, group, tags, styles in ENTRIES:
        data.append({"label": label, "hexcode": code.upper(), "group": group, "tags": list(tags)})
        if styles in {"both", "3d"}:
            picture = Image.new("RGBA", (96, 96))
            ImageDraw.Draw(picture).ellipse((8, 8, 88, 88), fill=(200, 40, 40, 255))
            picture.save(assets / f"{code}.webp", lossless=True)
        if styles in {"both", "flat"}:
            characters[code.removesuffix("-fe0f")] = label
            icons[label] = {"body": SHAPE}
    (names / "data.json").write_text(json.dumps(data))
    (noto / "icons.json").write_text(json.dumps({"icons": icons, "width": 128, "height": 128}))
    (noto / "chars.json").write_text(json.dumps(characters))
    return folder


@pytest.fixture(scope="module")
def prepared(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    assert glyphs.prepare(packages, folder) == 4
    assert tokens.train(folder, TINY) <= TINY.vocabulary
    return folder


def silent(_: str) -> None:
    """Say nothing."""


def steps(count: int) -> Budget:
    return Budget(count)


def test_glyphs_have_their_names_styles_and_pictures(prepared: Path) -> None:
    known = {glyph.label: glyph for glyph in glyphs.read(prepared)}

    assert set(known) == {"red apple", "swan", "key", "umbrella"}
    assert known["red apple"].styles == ("3d", "flat")
    assert (known["key"].styles, known["umbrella"].styles) == (("3d",), ("flat",))
    for number, glyph in enumerate(glyphs.read(prepared)):
        for style in glyph.styles:
            with Image.open(glyphs.picture(prepared, number, style)) as picture:
                assert picture.convert("RGBA").getpixel((0, 0))[3] == 0
                centre = (picture.width // 2, picture.height // 2)
                assert picture.convert("RGBA").getpixel(centre)[3] == 255


def test_preparing_goes_on_where_it_was_cut(packages: Path, prepared: Path) -> None:
    kept, lost = glyphs.picture(prepared, 0, "3d"), glyphs.picture(prepared, 1, "flat")
    written_at = kept.stat().st_mtime_ns
    lost.unlink()

    glyphs.prepare(packages, prepared)

    assert lost.exists()
    assert kept.stat().st_mtime_ns == written_at


def test_a_scene_is_decided_by_its_random_numbers_and_shows_what_its_caption_says(prepared: Path) -> None:
    canvas = Canvas(prepared, TINY.glyph_px, torch.device("cpu"))
    scenes = canvas.compose(60, Random(3))

    assert scenes == canvas.compose(60, Random(3))
    drawn = canvas.draw(scenes, 64)
    assert drawn.shape == (60, 4, 64, 64)
    assert drawn.min() >= -1
    assert drawn.max() <= 1
    for scene, picture in zip(scenes, drawn, strict=True):
        corner = picture[3, 0, 0].item()
        if "transparent" in scene.caption:
            assert scene.background.alpha == 0
        elif all(abs(each.x) + each.half < 0.9 and abs(each.y) + each.half < 0.9 for each in scene.placed):
            assert corner == pytest.approx(1, abs=1e-3)
        assert len(scene.placed) in {1, 2, 3, 4}


def test_every_caption_fits_the_shipped_text_encoder(prepared: Path) -> None:
    known = glyphs.read(prepared)
    composer = Composer(known, {(n, s): 0 for n, glyph in enumerate(known) for s in glyph.styles})
    rng = Random(5)
    words = [composer.compose(rng).caption for _ in range(300)]

    assert len(set(words)) > 200
    assert max(len(caption.split()) for caption in words) < SHIPPED.tokens


def test_a_stage_that_was_cut_ends_as_if_it_had_not_been(prepared: Path, tmp_path: Path) -> None:
    whole, cut = copy(prepared, tmp_path / "whole"), copy(prepared, tmp_path / "cut")
    for stage in (autoencoder, denoiser):
        stage.train(whole, TINY, steps(4), silent)
    for stage in (autoencoder, denoiser):
        cut_after(stage, cut, 2)
        stage.train(cut, TINY, steps(4), silent)

    for name in ("autoencoder.pt", "denoiser.pt"):
        assert same(load(whole / name), load(cut / name)), name


class Cut(Exception):
    """The process was killed, in all but the process."""


def cut_after(stage: Any, folder: Path, count: int) -> None:
    told = []

    def say(words: str) -> None:
        if words.startswith("step"):
            told.append(words)
        if len(told) > count:
            raise Cut

    with pytest.raises(Cut):
        stage.train(folder, TINY, steps(4), say)


def copy(prepared: Path, folder: Path) -> Path:
    folder.mkdir()
    for name in ("glyphs", "glyphs.json", "tokenizer"):
        (folder / name).symlink_to(prepared / name)
    return folder


def same(first: Any, second: Any) -> bool:
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    return bool(torch.equal(first, second)) if isinstance(first, torch.Tensor) else bool(first == second)


def test_a_stage_keeps_to_its_time(prepared: Path, tmp_path: Path) -> None:
    folder = copy(prepared, tmp_path / "timed")

    autoencoder.train(folder, TINY, Budget(10**9, minutes=0.01), silent)

    kept = load(folder / "checkpoints" / "autoencoder.pt")
    assert 0.6 <= kept["seconds"] < 30
    # Its time is over, however often it is asked again.
    autoencoder.train(folder, TINY, Budget(10**9, minutes=0.01), silent)
    assert load(folder / "checkpoints" / "autoencoder.pt")["steps"] == kept["steps"]


@pytest.mark.timeout(240)
def test_the_autoencoder_learns(prepared: Path, tmp_path: Path) -> None:
    folder, told = copy(prepared, tmp_path / "learning"), []
    eager = replace(TINY, autoencoder_rate=0.1, autoencoder_batch=8)

    autoencoder.train(folder, eager, steps(60), told.append)

    losses = [float(words.rpartition(" ")[2]) for words in told]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_what_is_exported_loads_as_the_shipped_model_does_and_draws(prepared: Path, tmp_path: Path) -> None:
    folder, model = copy(prepared, tmp_path / "data"), tmp_path / "model"
    run = CliRunner()
    for stage in ("autoencoder", "denoiser"):
        told = run.invoke(app, [stage, "--folder", str(folder), "--preset", "tiny", "--steps", "2"])
        assert told.exit_code == 0, told.output
    export(folder, model, TINY)

    shipped = Path(__file__).parents[3] / "models" / "glyph"
    layout = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    expected = {
        path.relative_to(shipped).as_posix()
        for path in shipped.rglob("*")
        if path.is_file() and path.suffix in {".json", ".safetensors"}
    }
    assert expected <= layout
    spec = next(
        spec for spec in Catalogue.load(shipped.parent / "catalog.toml").specs if spec.name == "glyph"
    )
    loaded = load_model(spec, model, torch.device("cpu"))
    image = loaded.pipeline("red apple", num_inference_steps=2, width=64, height=64).images[0]
    assert (image.size, image.mode) == ((64, 64), "RGBA")
    sheet = tmp_path / "sheet.png"
    samples.draw(model, sheet, steps=1, side_px=32)
    with Image.open(sheet) as picture:
        assert picture.size == (4 * 32, 3 * 32)


def test_colours_over_a_background_are_what_alpha_says() -> None:
    half = torch.tensor([1.0, -1.0, 0.0, 0.0]).view(1, 4, 1, 1)

    assert over(half, -1.0).flatten().tolist() == [0.0, -1.0, -0.5]
