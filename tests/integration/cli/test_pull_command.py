"""`darkroom models pull` as it is typed: what it shows and asks, and how it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.catalogue import Catalogue
from tests.integration.cli.conftest import Darkroom
from tests.integration.cli.processes import REPO_ROOT
from tests.integration.cli.terminal import Terminal
from tests.loopback_hub import TOKEN, LoopbackHub, loopback_hub
from tests.tiny_models import save_tiny_pipeline, write_catalogue
from tests.waiting import wait_until

UNET = "unet/diffusion_pytorch_model.safetensors"
PULL = (sys.executable, "-m", "cli", "models", "pull")


@dataclass
class Machine:
    """Where the command runs: its folder, and an environment that knows one hub."""

    hub: LoopbackHub
    folder: Path

    def environment(self, **more: str) -> dict[str, str]:
        passed = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {
            **passed,
            "PYTHONPATH": str(REPO_ROOT),
            "DARKROOM_MODELS__CATALOGUE": str(self.folder / "catalog.toml"),
            "HF_ENDPOINT": self.hub.url,
            "HF_HOME": str(self.folder / "hf"),
            "TERM": "xterm-256color",
            "COLUMNS": "200",  # a path in a temporary folder is long
            **more,
        }

    def pull(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PULL, "tiny", *options],
            cwd=self.folder,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def is_offered(self, monkeypatch: pytest.MonkeyPatch) -> bool:
        monkeypatch.setenv("HF_HUB_CACHE", str(self.folder / "hf" / "hub"))
        return bool(Catalogue.load(self.folder / "catalog.toml").local())


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_pipeline(tmp_path_factory.mktemp("pull-command") / "tiny")


@pytest.fixture
def machine(tiny_folder: Path, tmp_path: Path) -> Iterator[Machine]:
    write_catalogue(tmp_path, tiny={"weights": "someone/tiny"})
    with loopback_hub() as hub:
        hub.has("someone/tiny", tiny_folder)
        yield Machine(hub, tmp_path)


def test_size_licence_and_place_are_shown_before_anything_is_fetched(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = machine.pull("--dry-run")

    assert result.returncode == 0, result.stderr
    for words in (
        "Apache-2.0",
        "https://www.apache.org/licenses/LICENSE-2.0",
        "someone/tiny, commit c0ffee000000: 10 files, 377 KiB",
        "377 KiB of 377 KiB; 557 B are here already",
        str(machine.folder / "hf" / "hub"),
        "0.1 GiB of memory",
    ):
        assert words in result.stdout
    assert machine.hub.fetched() == ["model_index.json"]
    assert not machine.is_offered(monkeypatch)


def test_with_yes_it_is_fetched_and_a_line_at_every_tenth_says_how_far_it_is(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.hub.needs_token = True

    result = machine.pull("--yes", HF_TOKEN=TOKEN)

    assert result.returncode == 0, result.stderr
    assert TOKEN not in result.stdout + result.stderr
    assert "tiny is here: " in result.stdout
    assert result.stderr.splitlines()[-1] == "377 KiB of 377 KiB"
    assert 3 <= len(result.stderr.splitlines()) <= 12
    assert machine.is_offered(monkeypatch)


def test_without_a_terminal_and_without_yes_nothing_is_fetched(machine: Machine) -> None:
    result = machine.pull()

    assert result.returncode == 1
    assert result.stderr.endswith("there is no terminal to ask on; say --yes if licence and size are right\n")
    assert machine.hub.fetched() == ["model_index.json"]


@pytest.mark.parametrize(
    ("answer", "code", "words"), [("n", 1, "nothing was fetched"), ("y", 0, "tiny is here")]
)
def test_on_a_terminal_it_asks_and_does_as_it_is_told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, words: str
) -> None:
    with Terminal([*PULL, "tiny"], machine.folder, machine.environment()) as terminal:
        terminal.wait_for("fetch it under this licence? [y/N]")
        terminal.enter(f"{answer}\n")
        assert terminal.wait() == code

    assert words in terminal.output
    assert ("━" in terminal.output) == (answer == "y"), "the bar"
    assert machine.is_offered(monkeypatch) == (answer == "y")


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_can_be_stopped_and_goes_on_from_there(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, signum: int, code: int
) -> None:
    machine.hub.stops_before = UNET
    with Terminal([*PULL, "tiny", "--yes"], machine.folder, machine.environment()) as terminal:
        wait_until(machine.hub.stopped.is_set, 20, "the first half of the file")
        blobs = machine.folder / "hf" / "hub" / "models--someone--tiny" / "blobs"
        wait_until(lambda: _longest_partial(blobs) > 100_000, 20, "the first half on disk")
        terminal.process.send_signal(signum)
        machine.hub.hang_up.set()
        assert terminal.wait() == code
    assert "what has come is kept, and the same command goes on from there" in terminal.output
    assert not machine.is_offered(monkeypatch)

    machine.hub.stops_before = ""
    assert machine.pull("--yes").returncode == 0
    # The one that is stopped may see the connection end before the signal, and ask again.
    first, *more = (asked.first_byte > 100_000 for asked in machine.hub.asked if asked.path == UNET)
    assert not first
    assert more
    assert all(more)
    assert machine.is_offered(monkeypatch)


def _longest_partial(blobs: Path) -> int:
    longest = 0
    for path in blobs.glob("*.incomplete"):
        with suppress(FileNotFoundError):  # it was complete meanwhile
            longest = max(longest, path.stat().st_size)
    return longest


def test_offline_nothing_is_asked(machine: Machine) -> None:
    result = machine.pull("--yes", HF_HUB_OFFLINE="1")

    assert result.returncode == 1
    assert result.stderr.startswith("error: HF_HUB_OFFLINE is set, so nothing is fetched")
    assert len(result.stderr.splitlines()) == 1
    assert machine.hub.asked == []


def test_a_refused_token_is_one_line_without_the_token(machine: Machine) -> None:
    machine.hub.needs_token = True

    result = machine.pull("--yes", HF_TOKEN="hf_wrongToken")

    assert result.returncode == 1
    assert "accepted its licence" in result.stderr
    assert "hf_" not in result.stdout + result.stderr


def test_no_address_that_is_signed_is_shown_when_a_download_fails(machine: Machine) -> None:
    machine.hub.spoilt[UNET] = 2

    result = machine.pull("--yes")

    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith(f"error: {UNET} arrived twice")
    assert "Signature" not in result.stderr


def test_a_hub_that_is_not_there_is_one_line(machine: Machine) -> None:
    result = machine.pull("--yes", HF_ENDPOINT="http://127.0.0.1:1")

    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        "error: http://127.0.0.1:1 cannot be reached (ConnectError); is there a network, a proxy?"
    )


def test_a_name_that_is_not_in_the_catalogue_is_one_line_with_the_nearest_one(darkroom: Darkroom) -> None:
    result = darkroom("models", "pull", "sd-turboo")

    assert result.exit_code == 1
    assert result.stderr.startswith("error: the catalogue has no model 'sd-turboo'; did you mean sd-turbo? ")
    assert len(result.stderr.splitlines()) == 1


def test_the_shipped_model_needs_no_hub(darkroom: Darkroom) -> None:
    result = darkroom("models", "pull", "glyph")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("glyph does not come from the hub; it is at ")
