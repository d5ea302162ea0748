"""`darkroom tune`: what it shows of modes that pay, disagree, raise or do not fit; on a CPU there is none."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
import torch
import typer
from rich.console import Console
from typing_extensions import override

from cli.commands.tune import Shown
from cli.tuning import TuningProgress, check_writable
from shared.catalogue import Catalogue, ModelSpec
from shared.errors import CatalogueError, ConfigurationError
from shared.tuning_file import TuningFile
from tests.integration.cli.conftest import Darkroom
from tests.integration.cli.processes import REPO_ROOT
from tests.tiny_models import write_catalogue
from worker.engine import TuningChoice
from worker.engine.ahead import Ahead
from worker.engine.rows.caps import Caps
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.tuning import Tunings
from worker.engine.stages.modes import Mode
from worker.engine.stages.stage import Stage
from worker.engine.stages.tuner import Trial

CPU = torch.device("cpu")


class Planted(Mode):
    """A mode of the denoiser, or of another stage, that does what it is told to the network's results."""

    exact, slow, alone = True, False, False

    def __init__(
        self, name: str, *, stage: str = "denoise", error: Exception | None = None, off_by: float = 0.0
    ) -> None:
        self.name = name
        self._stage, self._error, self._off_by = stage, error, off_by

    @override
    def applies(self, stage: Stage) -> bool:
        return stage.name == self._stage

    @override
    def apply(self, stage: Stage) -> None:
        plain, known = stage.module.forward, dict[torch.Size, object]()

        def forward(sample: torch.Tensor, *more: object, **named: object) -> object:
            """Fast, since it computes only once."""
            if self._error is not None:
                raise self._error
            if sample.shape not in known:
                (result, *_) = plain(sample, *more, **named)
                known[sample.shape] = (result + self._off_by,)
            return known[sample.shape]

        stage.module.forward = forward  # type: ignore[method-assign]

    @override
    def undo(self, stage: Stage) -> None:
        stage.module.__dict__.pop("forward", None)


class Slow(Planted):
    """Is only tried where there is time."""

    slow = True


MODES = (
    Planted("raises", error=ValueError("a kernel that is not there")),
    Planted("too large", error=torch.OutOfMemoryError()),
    Planted("wrong", off_by=0.5),
    Planted("no number", off_by=float("nan")),
    Slow("takes minutes", error=RuntimeError()),
    Planted("right"),
)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return Catalogue.load(write_catalogue(tmp_path_factory.mktemp("tune"), tiny={}))


@pytest.fixture
def spec(catalogue: Catalogue) -> ModelSpec:
    return catalogue.specs[0]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def ahead_on(file: Path, level: str = "quick", modes: tuple[Mode, ...] = MODES) -> Ahead:
    """What tunes on this machine with modes of a test's own."""

    def modes_of(_: RowFamily, __: Stage) -> tuple[Mode, ...]:
        return modes

    choice = TuningChoice(level, file)
    return Ahead("cpu", choice, Tunings(CPU, Caps(CPU), choice, lambda: None, modes_of))


def row(output: str, mode: str) -> str:
    (found,) = (line for line in output.splitlines() if line.startswith("denoise") and f" {mode} " in line)
    return " ".join(found.split())


@pytest.mark.slow
def test_the_table_says_what_became_of_every_mode_and_the_next_time_it_is_known(
    catalogue: Catalogue, spec: ModelSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, folder = tmp_path / "tuning.json", catalogue.check_weights(spec)

    Shown(ahead_on(file), spec).show(folder)
    found = capsys.readouterr()
    Shown(ahead_on(file), spec, as_json=True).show(folder)
    again = json.loads(capsys.readouterr().out)

    table = found.out
    assert row(table, "plain").endswith("1.00 x 0.0e+00 kept")
    assert row(table, "raises") == "denoise raises - - - ValueError"
    assert row(table, "too large") == "denoise too large - - - out of memory"
    assert "disagrees: " in row(table, "wrong")
    assert "disagrees: inf" in row(table, "no number")
    assert row(table, "takes minutes").startswith("denoise takes minutes - - - takes long")
    assert row(table, "right").endswith(" x 0.0e+00 kept")
    assert "denoise: right; " in table
    assert "text: plain; " in table
    # No terminal: a line for each.
    lines = found.err.splitlines()
    assert lines[0] == "9 trials"
    assert len(lines) == 10
    assert "denoise, raises: ValueError" in lines

    assert (again["model"], again["device"], again["tuned"], again["level"]) == ("tiny", "cpu", True, "quick")
    assert again["found_before"] is True
    assert again["stages"]["denoise"]["modes"] == ["right"]
    assert [trial["mode"] for trial in again["stages"]["denoise"]["trials"]] == [
        "plain",
        *(mode.name for mode in MODES),
    ]
    assert [kept.denoise.modes for kept in TuningFile(file).read().values()] == [("right",)]


def test_on_a_terminal_a_bar_says_how_many_of_how_many_were_tried() -> None:
    shown = StringIO()
    with TuningProgress("tiny", Console(file=shown, force_terminal=True, width=100)) as progress:
        progress.plan(2)
        progress.tell(Trial("text", "plain", 1.0, 1.0, 0.0, kept=True))
        progress.tell(Trial("text", "graph", 0.5, 2.0, 0.0, kept=True))

    assert "loading tiny" in shown.getvalue()
    assert "text, graph, 2.00 x: kept" in shown.getvalue()
    assert "2/2" in shown.getvalue()


@pytest.mark.slow
def test_ctrl_c_ends_it_with_a_word_and_keeps_nothing(
    catalogue: Catalogue, spec: ModelSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupting(Planted):
        """Is interrupted while it is applied."""

        @override
        def apply(self, stage: Stage) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    ahead = ahead_on(tmp_path / "tuning.json", modes=(Interrupting("interrupting"),))

    with pytest.raises(typer.Exit) as ended:
        Shown(ahead, spec).show(catalogue.check_weights(spec))

    assert ended.value.exit_code == 130
    assert capsys.readouterr().err.splitlines()[-1] == "stopped; nothing new was kept"
    assert TuningFile(tmp_path / "tuning.json").read() == {}


def test_on_a_cpu_there_is_nothing_to_tune_and_no_file_is_made(darkroom: Darkroom, tmp_path: Path) -> None:
    file = tmp_path / "deep" / "tuning.json"

    said = darkroom("tune", "glyph", "--device", "cpu", DARKROOM_WORKER__TUNING_FILE=str(file))
    told = darkroom("tune", "GLYPH", "--json", "--device", "cpu", DARKROOM_WORKER__TUNING_FILE=str(file))

    assert (said.exit_code, said.stderr) == (0, "")
    assert said.stdout == "nothing to tune: on a CPU models run as they are\n"
    assert told.exit_code == 0
    assert json.loads(told.stdout) == {
        "model": "glyph",
        "device": "cpu",
        "tuned": False,
        "why": "nothing to tune: on a CPU models run as they are",
    }
    assert not file.parent.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sd-turboo",), "the catalogue has no model 'sd-turboo'; did you mean sd-turbo? it has "),
        (("sd-turbo",), "fetch it with: darkroom models pull sd-turbo"),
        (("glyph", "--device", "cuda:99"), "device 'cuda:99' is not there: "),
        (("glyph", "--device", "tpu"), "device 'tpu' is not one of auto, cpu, cuda, cuda:N"),
    ],
    ids=str,
)
def test_what_cannot_be_tuned_is_one_line(
    darkroom: Darkroom, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    result = darkroom("tune", *arguments, HF_HUB_CACHE=str(tmp_path))

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_unknown_level_is_wrong_usage(darkroom: Darkroom) -> None:
    result = darkroom("tune", "glyph", "--level", "off")

    assert (result.exit_code, result.stdout) == (2, "")


def test_a_model_whose_pipeline_is_run_whole_is_one_line(darkroom: Darkroom, tmp_path: Path) -> None:
    whole = write_catalogue(tmp_path, tiny={"family": "PixArtSigmaPipeline"})

    result = darkroom("tune", "tiny", DARKROOM_MODELS__CATALOGUE=str(whole))

    assert result.exit_code == 1
    assert result.stderr == (
        "error: model 'tiny' cannot be tuned: its pipeline, PixArtSigmaPipeline, is run whole\n"
    )


def test_so_is_one_whose_entry_asks_for_more_than_rows_can_have(tmp_path: Path) -> None:
    catalogue = Catalogue.load(write_catalogue(tmp_path, tiny={"arguments": {"num_images_per_prompt": 1}}))
    spec = catalogue.specs[0]

    with pytest.raises(CatalogueError, match="is run whole"):
        ahead_on(tmp_path / "file").tune(spec, catalogue.check_weights(spec), print)


def test_where_torch_is_not_installed_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('no torch', name='torch')")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{REPO_ROOT}"}
    command = [sys.executable, "-m", "cli", "tune", "glyph"]

    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: torch is not installed here; what this machine lacks: darkroom doctor\n"


@pytest.mark.parametrize("file", [None, "file/tuning.json"])
def test_where_nothing_can_be_kept_that_is_said_before_anything_is_tried(
    tmp_path: Path, file: str | None
) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match="set DARKROOM_WORKER__TUNING_FILE"):
        check_writable(tmp_path / file if file else None)


def test_the_command_line_starts_without_torch() -> None:
    program = "import sys, cli.main; print('torch' in sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPO_ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout == "False\n"
