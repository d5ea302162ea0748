"""`darkroom edit` against the real API and job store; only what is drawn is made up."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import Result

from shared.params import Params
from tests import odd_pictures as odd
from tests.integration.cli.conftest import Darkroom
from tests.integration.cli.processes import REPO_ROOT
from tests.integration.conftest import BEGINS, Serve, Service
from tests.tiny_models import write_catalogue
from tests.waiting import wait_until

LOOKS = {"by": "reference", "most_images": 3}
SIZE, ANOTHER = (96, 64), (64, 80)
Edit = Callable[..., Result]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny` begins with a picture, `looks` looks at up to three, `plain` draws from text only."""
    return write_catalogue(
        tmp_path_factory.mktemp("models"),
        tiny={"edits": BEGINS},
        looks={"family": "SomeWholePipeline", "weights": "tiny-rgba", "edits": LOOKS},
        plain={"transparent": False, "negative_prompt": False},
    )


@pytest.fixture(scope="module", autouse=True)
def _logs_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the service's log, which is of the same process, out of what the command says."""
    before = structlog.get_config()
    with (tmp_path_factory.mktemp("logs") / "api.log").open("w") as log:
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(log))
        yield
        structlog.configure(**before)


@pytest.fixture(scope="module")
def running(serve_module: Serve) -> Iterator[Service]:
    """A service of the module whose worker answers everything at once."""
    names = ("tiny", "looks", "plain")
    service = serve_module(models=names, model_settings={"enabled": names})
    with service.worker.serving():
        yield service


@pytest.fixture(autouse=True)
def _pictures(tmp_path: Path) -> None:
    """What lies in the folder in which the command runs."""
    (tmp_path / "swan.png").write_bytes(odd.plain(SIZE))
    (tmp_path / "lake.webp").write_bytes(odd.plain(ANOTHER, "webp"))
    (tmp_path / "hole.png").write_bytes(odd.masking(SIZE, hole=10))
    (tmp_path / "words.png").write_text("no picture")


@pytest.fixture
def edit(running: Service, darkroom: Darkroom) -> Edit:
    """Run the command on the module's service."""

    def run(*arguments: str) -> Result:
        return darkroom("edit", *arguments, "--base-url", running.api.url)

    return run


def drawn(service: Service) -> Params:
    """What the worker was told last."""
    return list(service.worker.drawn.values())[-1]


def test_a_picture_and_a_prompt_become_a_file(running: Service, edit: Edit, tmp_path: Path) -> None:
    result = edit("swan.png", "a white swan", "-o", "white.png", "--seed", "7")

    assert result.exit_code == 0, result.output
    assert result.stdout == "wrote white.png\n"
    assert result.stderr.endswith("model tiny, seed 7\n")
    assert (tmp_path / "white.png").read_bytes() == b"a white swan 7"
    params = drawn(running)
    assert (params.input_sizes, params.masked) == ((SIZE,), False)
    assert (params.width, params.height) == SIZE


def test_a_mask_goes_with_it(running: Service, edit: Edit) -> None:
    assert edit("swan.png", "a white swan", "--mask", "hole.png").exit_code == 0

    assert (drawn(running).input_sizes, drawn(running).masked) == ((SIZE,), True)


def test_several_pictures_go_in_their_order(running: Service, edit: Edit) -> None:
    assert edit("lake.webp", "swan.png", "a swan on a lake", "--model", "looks").exit_code == 0

    assert drawn(running).input_sizes == (ANOTHER, SIZE)


def test_several_results_are_numbered(edit: Edit, tmp_path: Path) -> None:
    result = edit("swan.png", "a swan", "-n", "2", "--seed", "4", "-o", "new.png")

    assert result.stdout == "wrote new-1.png\nwrote new-2.png\n"
    assert [(tmp_path / f"new-{i}.png").read_bytes() for i in (1, 2)] == [b"a swan 4", b"a swan 5"]


@pytest.mark.parametrize(
    ("option", "value", "field", "sent"),
    [
        ("--strength", "0.25", "strength", 0.25),
        ("--input-fidelity", "high", "input_fidelity", "high"),
        ("--model", "looks", "model", "looks"),
        ("--size", "128x64", "width", 128),
        ("--quality", "high", "quality", "high"),
        ("--style", "natural", "style", "natural"),
        ("--background", "transparent", "background", "transparent"),
        ("--n", "3", "n", 3),
        ("--output-format", "webp", "output_format", "webp"),
        ("--output-compression", "0", "output_compression", 0),
        ("--moderation", "low", "moderation", "low"),
        ("--seed", "0", "seed", 0),
        ("--negative-prompt", "rain", "negative_prompt", "rain"),
    ],
)
def test_an_option_is_sent_as_the_field_it_names(
    running: Service, edit: Edit, option: str, value: str, field: str, sent: object
) -> None:
    result = edit("swan.png", "a swan", "-o", "new", option, value)

    assert result.exit_code == 0, result.output
    params = drawn(running).model_dump()
    assert {**params, "model": result.stderr.split("model ")[1].split(",")[0]}[field] == sent


@pytest.mark.parametrize(("name", "sent"), [("a.png", "png"), ("a.webp", "webp"), ("a.JPG", "jpeg")])
def test_the_name_of_the_file_says_the_format(running: Service, edit: Edit, name: str, sent: str) -> None:
    edit("swan.png", "a swan", "-o", name)

    assert drawn(running).output_format == sent


@pytest.mark.parametrize("name", ["schwän „1“.png", "no-suffix", "\udcff.png", "new\nline.png"])
def test_a_picture_may_have_any_name(running: Service, edit: Edit, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(odd.plain(ANOTHER))

    assert edit(name, "a swan").exit_code == 0
    assert drawn(running).input_sizes == (ANOTHER,)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("gone.png", "a swan"), "cannot read gone.png: No such file or directory"),
        ((".", "a swan"), "cannot read .: Is a directory"),
        (("swan.png", "a swan", "--mask", "gone.png"), "cannot read gone.png: No such file or directory"),
        (("swan.png", "a swan", "-o", "no/new.png"), "cannot write no/new.png: there is no folder no"),
        (("swan.png", "a swan \udcff"), "prompt is not valid UTF-8"),
        (("words.png", "a swan"), "The image is no png, webp or jpeg."),
        (("swan.png", "words.png", "a swan", "--model", "looks"), "Image 2 of 2 is no png, webp or jpeg."),
        (("lake.webp", "a swan", "--mask", "hole.png"), "The mask is 96x64, and the first image 64x80."),
        (("swan.png", "a swan", "--mask", "swan.png"), "The mask has no alpha channel; what is to be drawn "),
        (("swan.png", "lake.webp", "a swan"), "looks"),
        (("swan.png", "a swan", "--strength", "2"), "strength: "),
        (("swan.png", "a swan", "--strength", "nan"), "strength: "),
        (("swan.png", "a swan", "--model", "none"), "none"),
    ],
    ids=str,
)
def test_what_cannot_be_is_one_line_and_nothing_is_drawn(
    running: Service, edit: Edit, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    before, files = len(running.worker.drawn), set(tmp_path.iterdir())

    result = edit(*arguments)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert len(running.worker.drawn) == before
    assert set(tmp_path.iterdir()) == files


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Missing argument"),
        (("swan.png",), "Missing argument"),
        (("swan.png", "lake.webp"), "the prompt comes last, and lake.webp is a file"),
        (("swan.png", "a swan", "--strength", "much"), "--strength"),
    ],
    ids=str,
)
def test_wrong_usage_is_2(edit: Edit, arguments: tuple[str, ...], said: str) -> None:
    result = edit(*arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_a_prompt_may_be_longer_than_a_path(edit: Edit) -> None:
    assert edit("swan.png", "a swan " * 1000).exit_code == 0


def test_a_file_that_is_too_large_is_said_to_be(serve: Serve, darkroom: Darkroom, tmp_path: Path) -> None:
    service = serve(api={"max_input_file_bytes": 1_000_000})
    # More than what lies between the two of them on the way: the service has answered before all is sent.
    (tmp_path / "large.png").write_bytes(os.urandom(30_000_000))

    result = darkroom("edit", "large.png", "a swan", "--base-url", service.api.url)

    assert (result.exit_code, result.stderr) == (1, "error: A file is larger than 1000000 bytes.\n")


def test_a_service_that_is_not_there_is_one_line_with_the_way_to_start_it(darkroom: Darkroom) -> None:
    result = darkroom("edit", "swan.png", "a swan", "--base-url", "http://127.0.0.1:1")

    assert result.exit_code == 1
    assert result.stderr.startswith("error: no service answers at http://127.0.0.1:1 ")
    assert len(result.stderr.splitlines()) == 1


def test_ctrl_c_cancels_the_job(serve: Serve, tmp_path: Path) -> None:
    service = serve()
    command = [sys.executable, "-m", "cli", "edit", "swan.png", "a swan", "--base-url", service.api.url]
    environment = {**os.environ, "PYTHONPATH": str(REPO_ROOT), "DARKROOM_API_KEY": "key"}

    def jobs() -> list[str]:
        listed = service.caller.http.get("/v1/images/jobs").json()["data"]
        return [job["status"] for job in listed]

    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_until(lambda: jobs() == ["queued"], 60, "the job")
        assert process.stderr
        first = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=10)

    assert process.returncode == 130
    assert first.startswith("queued")
    assert "cancelled job " in said
    assert jobs() == ["cancelled"]


def test_its_help_names_the_files_and_the_prompt(darkroom: Darkroom) -> None:
    result = darkroom("edit", "--help")

    assert result.exit_code == 0
    assert "edit [OPTIONS] {FILE}... {PROMPT}" in result.stdout
    assert {"--mask", "--strength", "--input-fidelity"} <= set(result.stdout.split())
