"""Fetching a model: all of it and nothing beside it, checked, and from where an earlier try stopped.

The hub is one on the loopback, with the faults of a real one.
"""

import json
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cli.pulling.errors import Corrupt, HubUnreachable, NoRoom, NotAllowed, PullFailed
from cli.pulling.hub import Hub
from cli.pulling.pull import Pull
from shared.catalogue import Catalogue, ModelSpec
from tests.loopback_hub import COMMIT, TOKEN, LoopbackHub, loopback_hub
from tests.tiny_models import save_tiny_pipeline, write_catalogue

UNET = "unet/diffusion_pytorch_model.safetensors"
VAE = "vae/diffusion_pytorch_model.safetensors"
TINY = "someone/tiny"


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_pipeline(tmp_path_factory.mktemp("pull") / "tiny")


@pytest.fixture
def hub(tiny_folder: Path) -> Iterator[LoopbackHub]:
    with loopback_hub() as hub:
        hub.has(TINY, tiny_folder)
        yield hub


@dataclass
class Machine:
    """A machine that fetches: its cache, its catalogue, and what its progress bar was told."""

    hub: LoopbackHub
    folder: Path
    arrived: list[int] = field(default_factory=list)

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def blobs(self) -> Path:
        return self.cache / "models--someone--tiny" / "blobs"

    def catalogue(self, **entry: Any) -> Catalogue:
        return Catalogue.load(write_catalogue(self.folder, tiny={"weights": TINY, **entry}))

    def pull(self, token: str | None = None, *, verify: bool = False, **entry: Any) -> list[str]:
        """Pull the entry; return the files whose bytes were asked for."""
        before = len(self.hub.asked)
        spec: ModelSpec = self.catalogue(**entry).specs[0]
        pull = Pull(spec, Hub(self.hub.url, token), self.cache, self.arrived.append, first_pause_s=0.01)
        with pull.planned() as plan:
            if verify:
                pull.discard_spoiled(plan)
            plan.check_room()
            pull.fetch(plan)
        return self.hub.fetched()[before:]

    def offers(self, **entry: Any) -> list[str]:
        return [spec.name for spec in self.catalogue(**entry).local()]


@pytest.fixture
def machine(hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(hub, tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(machine.cache))
    return machine


def test_a_pull_brings_every_file_that_the_entry_needs_and_switches_it_on(
    machine: Machine, tiny_folder: Path
) -> None:
    assert machine.offers() == []

    machine.pull()

    assert machine.offers() == ["tiny"]
    snapshot = machine.cache / "models--someone--tiny" / "snapshots" / COMMIT
    assert (machine.cache / "models--someone--tiny" / "refs" / "main").read_text() == COMMIT
    for file in tiny_folder.rglob("*.*"):
        assert (snapshot / file.relative_to(tiny_folder)).read_bytes() == file.read_bytes()
    assert sum(machine.arrived) == sum(file.stat().st_size for file in tiny_folder.rglob("*.*"))


def test_nothing_is_fetched_that_is_not_loaded(machine: Machine) -> None:
    files = machine.hub.repositories[TINY]
    beside = {
        "README.md": b"#",
        "tiny.safetensors": b"all in one",
        "unet/diffusion_pytorch_model.bin": b"pickled",
        "unet/diffusion_pytorch_model.fp16.safetensors": b"half",
        "unet/diffusion_pytorch_model.safetensors.index.fp16.json": b"{}",
        "unet/modeling.py": b"import os",
        "safety_checker/model.safetensors": b"not in the index",
    }
    files |= beside

    assert set(machine.pull()) == set(files) - set(beside)


def test_a_component_that_the_entry_goes_without_is_not_fetched(machine: Machine) -> None:
    files = machine.hub.repositories[TINY]
    index = json.loads(files["model_index.json"])
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    files["model_index.json"] = json.dumps(index).encode()
    files["safety_checker/config.json"] = b"{}"
    files["safety_checker/model.safetensors"] = b"large"

    fetched = machine.pull(without=["safety_checker"])

    assert not [path for path in fetched if path.startswith("safety_checker")]
    assert machine.offers(without=["safety_checker"]) == ["tiny"]
    assert machine.offers() == []


def test_a_tokenizer_of_no_class_of_its_own_has_no_weights(machine: Machine) -> None:
    files = machine.hub.repositories[TINY]
    files["model_index.json"] = files["model_index.json"].replace(b"CLIPTokenizer", b"TokenizersBackend")

    assert set(machine.pull()) == set(files)
    assert machine.offers() == ["tiny"]


def test_of_a_variant_only_its_own_weights_are_fetched(machine: Machine) -> None:
    files = machine.hub.repositories[TINY]
    for path in [path for path in files if path.endswith(".safetensors")]:
        files[path.replace(".safetensors", ".fp16.safetensors")] = files[path]
        files[path] = b"the other precision"

    fetched = machine.pull(variant="fp16")

    weights = [path for path in fetched if path.endswith(".safetensors")]
    assert len(weights) == 3
    assert all(path.endswith(".fp16.safetensors") for path in weights)
    assert machine.offers(variant="fp16") == ["tiny"]


def test_shards_are_found_through_their_index(machine: Machine) -> None:
    files = machine.hub.repositories[TINY]
    files["unet/part-1.safetensors"] = files.pop(UNET)
    files[f"{UNET}.index.json"] = b'{"weight_map": {"a": "part-1.safetensors"}}'
    files["unet/part-2.safetensors"] = b"named by no index"

    fetched = machine.pull()

    assert "unet/part-1.safetensors" in fetched
    assert "unet/part-2.safetensors" not in fetched
    assert machine.offers() == ["tiny"]


def test_a_replaced_component_comes_from_its_own_repository(machine: Machine) -> None:
    machine.hub.repositories["someone/fast"] = {
        "unet.safetensors": machine.hub.repositories[TINY][UNET],
        "other.safetensors": b"for another number of steps",
    }
    entry = {"components": {"unet": {"weights": "someone/fast", "file": "unet.safetensors"}}}

    fetched = machine.pull(**entry)

    assert "unet.safetensors" in fetched
    assert "unet/config.json" in fetched
    assert not {UNET, "other.safetensors"} & set(fetched)
    assert machine.offers(**entry) == ["tiny"]


def test_a_second_pull_fetches_nothing(machine: Machine) -> None:
    machine.pull()

    assert machine.pull() == []


@pytest.mark.parametrize("at", [1, 100_000, 230_000])
def test_a_cut_connection_is_taken_up_where_it_was_cut(machine: Machine, at: int) -> None:
    machine.hub.cuts[UNET] = [at]

    machine.pull()

    assert [asked.first_byte for asked in machine.hub.asked if asked.path == UNET] == [0, at]
    assert sum(machine.arrived) == sum(map(len, machine.hub.repositories[TINY].values()))
    assert machine.offers() == ["tiny"]


def test_a_pull_that_was_given_up_goes_on_the_next_time(machine: Machine) -> None:
    machine.hub.cuts[UNET] = [100_000, *[0] * 5]
    with pytest.raises(HubUnreachable, match=r"was cut off 5 times in a row .* the same command goes on"):
        machine.pull()
    assert machine.offers() == []
    had = {path.name for path in machine.blobs.iterdir() if path.suffix != ".incomplete"}
    sent_before = machine.hub.sent_bytes()

    machine.pull()

    again = machine.hub.asked[-1]
    assert (again.path, again.first_byte) == (UNET, 100_000)
    whole = sum(map(len, machine.hub.repositories[TINY].values()))
    assert machine.hub.sent_bytes() - sent_before == whole - 100_000 - _length(machine.blobs, had)
    assert machine.offers() == ["tiny"]


def _length(folder: Path, names: set[str]) -> int:
    return sum((folder / name).stat().st_size for name in names)


def test_a_server_that_ignores_where_to_begin_is_read_from_the_beginning(machine: Machine) -> None:
    machine.hub.cuts[UNET] = [100_000]
    machine.hub.ignores_ranges = True

    machine.pull()

    assert machine.offers() == ["tiny"]
    assert sum(machine.arrived) == sum(map(len, machine.hub.repositories[TINY].values()))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_that_is_busy_for_a_moment_is_asked_again(machine: Machine, status: int) -> None:
    machine.hub.refusals = [status, status]

    machine.pull()

    assert machine.offers() == ["tiny"]


@pytest.mark.parametrize("file", [UNET, "scheduler/scheduler_config.json"])
def test_a_file_with_a_wrong_byte_is_fetched_again(machine: Machine, file: str) -> None:
    machine.hub.spoilt[file] = 1

    assert machine.pull().count(file) == 2
    assert machine.pull(verify=True) == []
    assert machine.offers() == ["tiny"]


def test_a_file_that_stays_wrong_is_an_error_and_leaves_nothing_of_it(machine: Machine) -> None:
    machine.hub.spoilt[VAE] = 2

    with pytest.raises(Corrupt, match=f"^{VAE} arrived twice with other bytes than its checksum says"):
        machine.pull()

    assert machine.offers() == []
    assert not (machine.cache / "models--someone--tiny" / "snapshots").exists()
    wrong = [path for path in machine.blobs.iterdir() if path.read_bytes()[:100] == _head(machine, VAE)]
    assert wrong == []


def _head(machine: Machine, path: str) -> bytes:
    return machine.hub.repositories[TINY][path][:100]


def test_what_was_spoilt_on_this_disk_is_found_and_fetched_again(machine: Machine) -> None:
    machine.pull()
    (spoilt,) = [path for path in machine.blobs.iterdir() if path.read_bytes()[:100] == _head(machine, VAE)]
    content = spoilt.read_bytes()
    spoilt.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    assert machine.pull() == []
    assert machine.pull(verify=True) == [VAE]
    assert spoilt.read_bytes() == content


def test_a_partial_file_that_is_longer_than_the_file_is_thrown_away(machine: Machine) -> None:
    machine.pull()
    (vae,) = [path for path in machine.blobs.iterdir() if path.read_bytes()[:100] == _head(machine, VAE)]
    content = vae.read_bytes()
    vae.rename(vae.with_name(f"{vae.name}.incomplete")).write_bytes(content + b"more")

    assert machine.pull() == [VAE]
    assert vae.read_bytes() == content


def test_the_token_goes_to_the_hub_and_nowhere_else(machine: Machine) -> None:
    machine.hub.needs_token = True

    machine.pull(TOKEN)

    sent_to_the_hub = {a.authorization for a in machine.hub.asked if not a.path.endswith(".safetensors")}
    sent_elsewhere = {a.authorization for a in machine.hub.asked if a.path.endswith(".safetensors")}
    assert sent_to_the_hub == {f"Bearer {TOKEN}"}
    assert sent_elsewhere == {None}


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (None, "make a token at .*/settings/tokens, set HF_TOKEN"),
        ("hf_other", "with the account of your token"),
    ],
)
def test_a_gated_repository_is_an_error_that_says_how_to_be_let_in(
    machine: Machine, token: str | None, words: str
) -> None:
    machine.hub.needs_token = True

    with pytest.raises(
        NotAllowed, match=f"accepted its licence: do so at {machine.hub.url}/{TINY}"
    ) as caught:
        machine.pull(token)

    assert caught.match(words)
    assert "hf_" not in str(caught.value)


def test_a_repository_that_is_not_there_is_an_error(machine: Machine) -> None:
    with pytest.raises(NotAllowed, match="has no repository someone/gone, or shows it only to some accounts"):
        machine.pull(weights="someone/gone")


def test_a_pinned_commit_is_the_one_that_is_fetched(machine: Machine) -> None:
    machine.pull(revision=COMMIT)

    assert machine.offers(revision=COMMIT) == ["tiny"]
    assert not (machine.cache / "models--someone--tiny" / "refs").exists()


def test_a_revision_that_is_not_there_is_an_error(machine: Machine) -> None:
    with pytest.raises(PullFailed, match=f"^someone/tiny has no revision v2 on {machine.hub.url}$"):
        machine.pull(revision="v2")


def _is_another_family(files: dict[str, bytes]) -> None:
    files["model_index.json"] = b'{"_class_name": "FluxPipeline"}'


def _has_only_pickles(files: dict[str, bytes]) -> None:
    files["vae/diffusion_pytorch_model.bin"] = files.pop(VAE)


def _has_no_index(files: dict[str, bytes]) -> None:
    del files["model_index.json"]


def _lacks_a_shard(files: dict[str, bytes]) -> None:
    del files[VAE]
    files[f"{VAE}.index.json"] = b'{"weight_map": {"a": "part-1.safetensors"}}'


def _has_a_broken_index(files: dict[str, bytes]) -> None:
    files["model_index.json"] = b"<html>"


def _leads_out_of_its_folder(files: dict[str, bytes]) -> None:
    files["unet/../../../evil.json"] = b"{}"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_is_another_family, "someone/tiny is a FluxPipeline, the entry 'tiny' says StableDiffusionPipeline"),
        (_has_only_pickles, "has no weights in safetensors for vae; others are never loaded"),
        (_has_no_index, "someone/tiny has no file model_index.json"),
        (_lacks_a_shard, "someone/tiny has no file vae/part-1.safetensors"),
        (_has_a_broken_index, "model_index.json of the repository is no JSON"),
        (_leads_out_of_its_folder, "which is no path inside a repository"),
    ],
)
def test_a_repository_that_cannot_be_used_is_refused_before_its_weights_are_fetched(
    machine: Machine, change: Callable[[dict[str, bytes]], None], words: str
) -> None:
    change(machine.hub.repositories[TINY])

    with pytest.raises(PullFailed, match=words):
        machine.pull()

    assert not [path for path in machine.hub.fetched() if path.endswith(".safetensors")]


def test_a_model_that_does_not_fit_is_refused_before_its_weights_are_fetched(machine: Machine) -> None:
    machine.hub.sizes[UNET] = 2**60

    with pytest.raises(NoRoom, match=r"free, .* TiB are needed; make room, or set HF_HUB_CACHE"):
        machine.pull()

    assert not [path for path in machine.hub.fetched() if path.endswith(".safetensors")]


@pytest.fixture
def _no_file_longer_than_100_kb() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("_no_file_longer_than_100_kb")
def test_a_disk_that_takes_no_more_is_an_error_that_keeps_what_has_come(machine: Machine) -> None:
    with pytest.raises(PullFailed, match=r"cannot write to .*: File too large; what has arrived is kept"):
        machine.pull()

    assert max(path.stat().st_size for path in machine.blobs.iterdir()) == 100_000
    assert machine.offers() == []


def test_two_pulls_of_one_repository_do_not_meet(machine: Machine) -> None:
    spec = machine.catalogue().specs[0]
    pull = Pull(spec, Hub(machine.hub.url), machine.cache, machine.arrived.append)

    with pull.planned(), pytest.raises(PullFailed, match="another process fetches someone/tiny"):
        machine.pull()
