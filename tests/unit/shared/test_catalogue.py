"""The catalogue: what is in it, and one clear error for each way it can be wrong."""

import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.catalogue import Catalogue, ModelSpec, Sizes
from shared.errors import CatalogueError
from shared.params import Params, Quality, Style
from shared.settings import REPO_ROOT
from tests.tiny_models import TINY_ENTRY, write_catalogue

SHIPPED = Catalogue.load(REPO_ROOT / "models" / "catalog.toml")
EVERY_SIDE = st.integers(8, 512).map(lambda eighth: eighth * 8)


def spec(**changes: object) -> ModelSpec:
    return ModelSpec.model_validate({"name": "tiny", "weights": "tiny", **TINY_ENTRY, **changes})


def test_the_shipped_catalogue_offers_glyph_and_knows_real_models() -> None:
    assert SHIPPED.default == "glyph"
    assert SHIPPED.names() == (
        "glyph",
        "flux.2-klein-4b",
        "flux.2-klein-base-4b",
        "z-image-turbo",
        "z-image",
        "flux.1-schnell",
        "chroma1-hd",
        "sdxl-lightning",
        "sdxl",
        "sd-turbo",
        "qwen-image",
        "qwen-image-2512",
        "qwen-image-edit-2511",
        "ernie-image-turbo",
        "longcat-image",
    )
    glyph = SHIPPED.find("glyph")
    assert glyph is not None
    assert SHIPPED.check_weights(glyph) == REPO_ROOT / "models" / "glyph"
    assert SHIPPED.weights_folder(glyph) == REPO_ROOT / "models" / "glyph"


def test_a_model_is_found_by_name_and_by_alias() -> None:
    assert SHIPPED.find("sd-turbo") is SHIPPED.find("stabilityai/sd-turbo")
    assert SHIPPED.find("SD-TURBO") is SHIPPED.find("StabilityAI/SD-Turbo") is SHIPPED.find("sd-turbo")
    assert SHIPPED.find("") is None
    assert SHIPPED.find("\u212a") is None  # no k, though lower case makes one of it


def test_an_entry_says_how_it_is_asked() -> None:
    glyph = SHIPPED.find("glyph")
    assert glyph is not None

    assert [glyph.steps_for(quality) for quality in Quality] == [8, 16, 28]
    assert [glyph.guidance_for(style) for style in Style] == [5.0, 4.0]
    assert glyph.memory_bytes == 2**30
    assert glyph.supports_size(2048, 512)
    assert not glyph.supports_size(2056, 1024)
    assert not glyph.supports_size(1032, 256)


@pytest.mark.parametrize(
    ("style", "transparent", "rendered"),
    [
        (Style.VIVID, False, "a {prompt}, 3d render"),
        (Style.NATURAL, False, "a {prompt}, flat illustration"),
        (Style.VIVID, True, "a {prompt}, transparent background, 3d render"),
    ],
)
def test_a_prompt_is_rendered_in_its_templates(style: Style, transparent: bool, rendered: str) -> None:
    glyph = SHIPPED.find("glyph")
    assert glyph is not None

    assert glyph.wording("a {prompt}", style, transparent=transparent).text == rendered


def test_cost_is_generated_megapixels_times_steps_times_images() -> None:
    glyph = SHIPPED.find("glyph")
    assert glyph is not None

    assert glyph.cost(Params(prompt="p", seed=0, width=2048, height=2048, n=3)) == pytest.approx(
        0.262144 * 16 * 3
    )
    assert spec().cost(
        Params(prompt="p", seed=0, width=128, height=64, quality=Quality.LOW)
    ) == pytest.approx(128 * 64 / 1e6 * 2)


@pytest.mark.parametrize(
    ("model", "choices", "looked_at_px", "steps"),
    [
        ("sdxl", {"quality": "high", "strength": 0.5}, 0, 20),
        ("sd-turbo", {"quality": "low"}, 0, 1),
        ("sd-turbo", {"quality": "medium"}, 0, 2),
        ("flux.2-klein-4b", {}, 640 * 512, 4),
        ("flux.2-klein-4b", {"input_sizes": [(640, 512), (4096, 4096)]}, 640 * 512 + 1024 * 1024, 4),
    ],
)
def test_an_edit_costs_the_steps_it_takes_and_the_pictures_it_looks_at(
    model: str, choices: dict[str, object], looked_at_px: int, steps: int
) -> None:
    found = SHIPPED.find(model)
    assert found is not None
    asked = {"prompt": "p", "seed": 0, "width": 640, "height": 512, "input_sizes": [(640, 512)], "n": 2}
    params = Params.model_validate({**asked, **choices})
    width, height = found.sizes.generated(640, 512)

    assert found.cost(params) == pytest.approx((width * height + looked_at_px) / 1e6 * steps * 2)


@given(EVERY_SIDE, EVERY_SIDE, st.sampled_from(SHIPPED.specs))
def test_any_supported_size_is_planned(width: int, height: int, model: ModelSpec) -> None:
    sizes = model.sizes
    assume(model.supports_size(width, height))

    picture_width, picture_height = sizes.picture(width, height)
    generated_width, generated_height = sizes.generated(width, height)

    assert generated_width % sizes.multiple == 0
    assert generated_height % sizes.multiple == 0
    assert picture_width == width or picture_height == height
    assert min(picture_width, picture_height) == min(width, height)
    longest, shortest = max(picture_width, picture_height), min(picture_width, picture_height)
    assert longest <= shortest * sizes.max_generated_aspect
    if sizes.min_area_px <= picture_width * picture_height <= sizes.max_area_px:
        assert 0 <= generated_width - picture_width < sizes.multiple
        assert 0 <= generated_height - picture_height < sizes.multiple
    else:
        slack = sizes.multiple * (generated_width + generated_height)
        assert abs(generated_width * generated_height - sizes.native_area_px) <= slack
        aspects = math.log(generated_width / generated_height) - math.log(picture_width / picture_height)
        assert abs(aspects) <= sizes.multiple / min(generated_width, generated_height)


@given(EVERY_SIDE, EVERY_SIDE, st.sampled_from(SHIPPED.specs))
def test_a_size_is_resampled_unless_it_is_cut_from_what_was_drawn(
    width: int, height: int, model: ModelSpec
) -> None:
    sizes = model.sizes
    assume(model.supports_size(width, height))
    picture = sizes.picture(width, height)

    over = [drawn - asked for drawn, asked in zip(sizes.generated(width, height), picture, strict=True)]

    assert sizes.resamples(width, height) == (min(over) < 0 or max(over) >= sizes.multiple)
    if sizes.min_area_px <= picture[0] * picture[1] <= sizes.max_area_px:
        assert not sizes.resamples(width, height)


def test_the_native_size_is_drawn_as_it_is() -> None:
    for model in SHIPPED.specs:
        native = (model.sizes.native_width, model.sizes.native_height)
        assert model.sizes.generated(*native) == native


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": {"low": 0, "medium": 2, "high": 3}}, "steps.low"),
        ({"steps": {"low": 1, "medium": 2}}, "steps.high: Field required"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"family": "os.system"}, "family"),
        ({"licence_url": "ask me"}, "licence_url"),
        ({"token_limit": 0}, "token_limit"),
        ({"memory_gib": 0}, "memory_gib"),
        ({"dtype": "int8"}, "dtype"),
        ({"guidance_argument": "prompt"}, "guidance_argument"),
        ({"prompt_templates": {"vivid": "a picture"}}, "prompt_templates.vivid: .*exactly once"),
        ({"aliases": ["random"]}, "the name 'random' is reserved"),
        ({"aliases": ["Random"]}, "the name 'random' is reserved"),
        ({"aliases": ["TINY"]}, "'TINY' is already taken by 'tiny'"),
        ({"aliases": ["tiny"]}, "'tiny' is already taken by 'tiny'"),
        ({"aliases": [""]}, "aliases.0"),
        ({"components": {"unet": {"weights": "x", "file": "model.bin"}}}, "components.unet.file"),
        ({"scheduler": {"name": "rm -rf"}}, "scheduler.name"),
        ({"sizes": {**TINY_ENTRY["sizes"], "native_width": 60}}, "sizes: .*not a multiple of 16"),
        ({"sizes": {**TINY_ENTRY["sizes"], "min_area_px": 9000}}, "sizes: .*native area is not between"),
        (
            {"sizes": {**TINY_ENTRY["sizes"], "native_width": 128, "max_generated_aspect": 1}},
            "more elongated",
        ),
    ],
)
def test_a_wrong_entry_is_named_with_its_field(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    path = write_catalogue(tmp_path, tiny={"weights": "tiny", **changes})

    with pytest.raises(CatalogueError, match=rf"^model 'tiny': .*{message}"):
        Catalogue.load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("default = ", "cannot be read: "),
        ("", "needs default"),
        ('default = "tiny"', r"needs default = .* and one \[\[model\]\]"),
        ('default = "tiny"\nmodel = []', "needs default"),
        ('default = "tiny"\nmodels = []', "unknown name 'models'"),
        ('default = "tiny"\n[[model]]', "number 1 of .*: name: Field required"),
        ('default = "tiny"\n[[model]]\nname = "Tiny!"', "model 'Tiny!': name"),
    ],
)
def test_a_wrong_file_is_said_to_be(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text(text)

    with pytest.raises(CatalogueError, match=message):
        Catalogue.load(path)


def test_a_missing_file_and_a_missing_default_are_said(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"nowhere\.toml: cannot be read"):
        Catalogue.load(tmp_path / "nowhere.toml")

    path = write_catalogue(tmp_path)
    path.write_text(path.read_text().replace('default = "tiny"', 'default = "gone"'))
    with pytest.raises(CatalogueError, match="default model 'gone' has no entry"):
        Catalogue.load(path)


def test_two_entries_cannot_share_a_name(tmp_path: Path) -> None:
    path = write_catalogue(tmp_path, one={"weights": "x"}, two={"weights": "x", "aliases": ["one"]})

    with pytest.raises(CatalogueError, match="model 'two': the name 'one' is already taken by 'one'"):
        Catalogue.load(path)


def cut_short(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 1)


def cut_to_nothing(file: Path) -> None:
    os.truncate(file, 4)


def spoil(file: Path) -> None:
    file.write_bytes((12).to_bytes(8, "little") + b"no json here")


def empty_folder(file: Path) -> None:
    for inside in file.iterdir():
        inside.unlink()
    file.rmdir()


def turn_into_list(file: Path) -> None:
    file.write_text("[]")


def rename_class(file: Path) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), "_class_name": "FluxPipeline"}))


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("model_index.json", Path.unlink, r"model_index\.json is missing"),
        ("model_index.json", cut_to_nothing, r"model_index\.json cannot be read"),
        ("model_index.json", turn_into_list, r"model_index\.json is no JSON object"),
        (
            "model_index.json",
            rename_class,
            "is of class 'FluxPipeline', the entry says 'StableDiffusionPipeline'",
        ),
        ("tokenizer", empty_folder, r"component folder .*tokenizer is missing"),
        ("tokenizer/tokenizer_config.json", Path.unlink, r"tokenizer_config\.json is missing"),
        ("scheduler/scheduler_config.json", Path.unlink, r"scheduler_config\.json is missing"),
        ("unet/config.json", Path.unlink, r"unet/config\.json is missing"),
        ("text_encoder/model.safetensors", Path.unlink, "text_encoder has no weights for CLIPTextModel"),
        ("unet/diffusion_pytorch_model.safetensors", cut_short, r"truncated: \d+ bytes of \d+"),
        ("vae/diffusion_pytorch_model.safetensors", cut_to_nothing, "truncated or no safetensors file"),
        ("vae/diffusion_pytorch_model.safetensors", spoil, "no readable safetensors header"),
    ],
)
def test_broken_weights_are_one_clear_error(
    tmp_path: Path, file: str, damage: Callable[[Path], object], message: str
) -> None:
    catalogue = Catalogue.load(write_catalogue(tmp_path))
    assert catalogue.check_weights(catalogue.specs[0]) == tmp_path / "tiny-rgba"

    damage(tmp_path / "tiny-rgba" / file)

    with pytest.raises(CatalogueError, match=rf"^model 'tiny': .*{message}"):
        catalogue.check_weights(catalogue.specs[0])


def test_sharded_weights_are_checked_shard_by_shard(tmp_path: Path) -> None:
    catalogue = Catalogue.load(write_catalogue(tmp_path))
    unet = tmp_path / "tiny-rgba" / "unet"
    (unet / "diffusion_pytorch_model.safetensors").rename(unet / "part-1.safetensors")
    index = unet / "diffusion_pytorch_model.safetensors.index.json"

    index.write_text(json.dumps({"weight_map": {"a": "part-1.safetensors"}}))
    assert catalogue.check_weights(catalogue.specs[0])

    index.write_text(json.dumps({"weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors"}}))
    with pytest.raises(CatalogueError, match=r"part-2\.safetensors is missing"):
        catalogue.check_weights(catalogue.specs[0])

    index.write_text(json.dumps({"weight_map": {}}))
    with pytest.raises(CatalogueError, match="names no weight files"):
        catalogue.check_weights(catalogue.specs[0])


def test_a_variant_is_looked_for_by_its_name(tmp_path: Path) -> None:
    catalogue = Catalogue.load(write_catalogue(tmp_path, tiny={"variant": "fp16"}))
    with pytest.raises(CatalogueError, match=r"diffusion_pytorch_model\.fp16\.safetensors"):
        catalogue.check_weights(catalogue.specs[0])

    for file in (tmp_path / "tiny-rgba").rglob("*.safetensors"):
        file.rename(file.with_suffix(".fp16.safetensors"))
    assert catalogue.check_weights(catalogue.specs[0])


def test_a_replaced_component_needs_its_file_and_not_the_weights_beside_the_rest(tmp_path: Path) -> None:
    replacement = {"unet": {"weights": "extra", "file": "unet.safetensors"}}
    catalogue = Catalogue.load(write_catalogue(tmp_path, tiny={"components": replacement}))
    weights = tmp_path / "tiny-rgba" / "unet" / "diffusion_pytorch_model.safetensors"
    with pytest.raises(CatalogueError, match=r"weights folder .*extra is missing"):
        catalogue.check_weights(catalogue.specs[0])

    (tmp_path / "extra").mkdir()
    with pytest.raises(CatalogueError, match=r"unet\.safetensors is missing"):
        catalogue.check_weights(catalogue.specs[0])

    weights.rename(tmp_path / "extra" / "unet.safetensors")
    assert catalogue.check_weights(catalogue.specs[0])


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def download(hub_cache: Path, repository: str, commit: str = "abc") -> Path:
    """What a download leaves behind: a snapshot of a commit, and the branch that points at it."""
    folder = hub_cache / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text(commit)
    snapshot = folder / "snapshots" / commit
    snapshot.mkdir(parents=True)
    return snapshot


def test_a_model_of_the_hub_is_off_until_it_is_downloaded(tmp_path: Path, hub_cache: Path) -> None:
    catalogue = Catalogue.load(write_catalogue(tmp_path, tiny={}, remote={"weights": "someone/tiny"}))
    remote = catalogue.specs[1]

    assert catalogue.weights_folder(remote) is None
    assert [model.name for model in catalogue.local()] == ["tiny"]
    with pytest.raises(
        CatalogueError, match=r"^model 'remote': .* fetch it with: darkroom models pull remote$"
    ):
        catalogue.check_weights(remote)

    snapshot = download(hub_cache, "someone/tiny")
    assert catalogue.weights_folder(remote) == snapshot
    snapshot.rmdir()
    shutil.copytree(tmp_path / "tiny-rgba", snapshot)
    assert [model.name for model in catalogue.local()] == ["tiny", "remote"]
    assert catalogue.check_weights(remote) == snapshot


def test_a_download_that_was_cut_switches_nothing_on(tmp_path: Path, hub_cache: Path) -> None:
    catalogue = Catalogue.load(write_catalogue(tmp_path, tiny={}, remote={"weights": "someone/tiny"}))
    snapshot = download(hub_cache, "someone/tiny")

    assert [model.name for model in catalogue.local()] == ["tiny"]
    with pytest.raises(CatalogueError, match=r"model_index\.json is missing; fetch it with: darkroom models"):
        catalogue.check_weights(catalogue.specs[1])

    snapshot.rmdir()
    shutil.copytree(tmp_path / "tiny-rgba", snapshot)
    (snapshot / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    assert [model.name for model in catalogue.local()] == ["tiny"]


def test_a_pinned_revision_is_the_one_that_must_be_there(tmp_path: Path, hub_cache: Path) -> None:
    download(hub_cache, "someone/tiny", commit="abc")
    path = write_catalogue(tmp_path, tiny={"weights": "someone/tiny", "revision": "def"})
    catalogue = Catalogue.load(path)

    assert catalogue.local() == ()
    with pytest.raises(CatalogueError, match="someone/tiny at revision def is not in the cache"):
        catalogue.check_weights(catalogue.specs[0])

    snapshot = download(hub_cache, "someone/tiny", commit="def")
    assert catalogue.weights_folder(catalogue.specs[0]) == snapshot


def test_a_model_is_off_until_its_replaced_component_is_downloaded_too(
    tmp_path: Path, hub_cache: Path
) -> None:
    replacement = {"unet": {"weights": "someone/fast", "file": "unet.safetensors"}}
    catalogue = Catalogue.load(write_catalogue(tmp_path, tiny={"components": replacement}))
    assert catalogue.local() == ()

    snapshot = download(hub_cache, "someone/fast")
    assert catalogue.local() == ()
    with pytest.raises(
        CatalogueError, match=r"unet\.safetensors is missing; fetch it with: darkroom models pull tiny"
    ):
        catalogue.check_weights(catalogue.specs[0])

    (snapshot / "unet.safetensors").touch()
    assert catalogue.local() == ()

    shutil.copy(
        tmp_path / "tiny-rgba" / "unet" / "diffusion_pytorch_model.safetensors", snapshot / "unet.safetensors"
    )
    assert [model.name for model in catalogue.local()] == ["tiny"]


def test_the_cache_is_where_the_hub_library_puts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    snapshot = download(tmp_path / "hub", "someone/tiny")
    catalogue = Catalogue.load(write_catalogue(tmp_path / "models", tiny={"weights": "someone/tiny"}))

    assert catalogue.weights_folder(catalogue.specs[0]) == snapshot


def test_a_folder_that_an_entry_names_must_be_there(tmp_path: Path) -> None:
    catalogue = Catalogue.load(write_catalogue(tmp_path, tiny={}, gone={"weights": "gone"}))

    with pytest.raises(CatalogueError, match=r"^model 'gone': the weights folder .*gone is missing"):
        catalogue.local()


def test_exactly_the_enabled_models_are_offered(tmp_path: Path) -> None:
    path = write_catalogue(tmp_path, one={"aliases": ["first"]}, two={}, three={"weights": "someone/three"})
    catalogue = Catalogue.load(path)

    assert [model.name for model in catalogue.local(("two",))] == ["two"]
    assert [model.name for model in catalogue.local(("three", "first", "one"))] == ["three", "one"]
    with pytest.raises(
        CatalogueError, match="model 'four': enabled, but the catalogue has only one, two, three"
    ):
        catalogue.local(("one", "four"))


def test_sizes_say_what_is_wrong_with_themselves() -> None:
    with pytest.raises(ValueError, match="not a multiple"):
        Sizes(native_width=100, native_height=64, multiple=16, min_area_px=64, max_area_px=10**6)
