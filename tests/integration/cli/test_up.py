"""`darkroom up` and `darkroom demo` where they cannot run: one clear error, and nothing left behind."""

import os
import re
import socket
from pathlib import Path

import pytest
from PIL import Image

from cli.commands.demo import check_picture
from cli.ports import free_port
from shared.errors import JobFailed
from tests.fake_gpus import IN_WORDS, TWO, path_with_gpus
from tests.integration.cli.conftest import Darkroom
from tests.integration.cli.service import FakeService


def children() -> list[str]:
    return Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()


@pytest.fixture
def broken_catalogue(tmp_path: Path) -> str:
    path = tmp_path / "catalog.toml"
    path.write_text("default = ")
    return str(path)


def test_a_port_that_is_taken_is_found_before_anything_is_started(darkroom: Darkroom) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = darkroom("up", "--port", str(port))

    assert result.exit_code == 1
    by = f"{Path('/proc/self/comm').read_text().strip()} (process {os.getpid()})"
    other = f"make up PORT={port + 1}, or darkroom up --port {port + 1}"
    assert result.stderr == f"error: port {port} of 127.0.0.1 is taken by {by}; choose another one: {other}\n"


def test_a_darkroom_that_has_the_port_already_is_pointed_at(service: FakeService, darkroom: Darkroom) -> None:
    service.will_answer("GET", "/healthz", {"status": "ok"})

    result = darkroom("up", "--port", str(service.port))

    assert result.exit_code == 1
    assert result.stderr.endswith(f": a Darkroom that answers at {service.url}\n")


def test_a_store_that_does_not_answer_is_one_line(darkroom: Darkroom) -> None:
    result = darkroom("up", "--port", str(free_port()), "--redis-url", "redis://:secret@127.0.0.1:1/0")

    assert result.exit_code == 1
    assert result.stderr.startswith("error: redis://127.0.0.1:1/0 does not answer")
    assert "secret" not in result.output


def test_a_part_that_does_not_start_is_an_error_with_the_end_of_its_log(
    darkroom: Darkroom, broken_catalogue: str
) -> None:
    before = children()

    result = darkroom("up", "--port", str(free_port()), DARKROOM_MODELS__CATALOGUE=broken_catalogue)

    assert result.exit_code == 1
    assert re.search(r"(api|worker-\w+) ended with exit code \d while the service", result.stderr)
    assert f"catalogue {broken_catalogue}: cannot be read" in result.stderr
    assert "what to do: look at models/catalog.toml" in result.stderr
    assert children() == before


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ("--gpus 7", "--gpus 7: there is no such GPU"),
        ("--gpus 0,0", "--gpus 0,0: it names a GPU twice"),
        ("--gpus x", "--gpus x: it is none of all, none, and numbers with commas between"),
    ],
)
def test_gpus_that_are_not_there_are_one_line_that_says_which_are(
    darkroom: Darkroom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, wrong: str
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    gpus = path_with_gpus(tmp_path, *TWO)

    result = darkroom("up", *options.split(), "--port", str(free_port()), PATH=gpus)

    assert (result.exit_code, result.stderr) == (1, f"error: {wrong}; there are {IN_WORDS}\n")
    assert not (tmp_path / ".darkroom").exists()


def test_a_number_of_workers_beside_gpus_is_one_line_that_says_what_to_do(
    darkroom: Darkroom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    gpus = path_with_gpus(tmp_path, *TWO)

    result = darkroom("up", "--gpus", "all", "--workers", "2", PATH=gpus)

    assert result.exit_code == 1
    assert result.stderr == (
        f"error: --workers 2: there is one worker for each GPU, and there are {IN_WORDS}; "
        "--gpus says which to use, --gpus none draws on the CPU\n"
    )


@pytest.mark.slow
def test_a_worker_whose_torch_cannot_use_its_gpu_ends_the_start_with_the_way_out(
    darkroom: Darkroom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    # Of an UUID that no GPU has: so torch finds none, whatever it was built for.
    gpus = path_with_gpus(tmp_path, TWO[0])

    result = darkroom("up", "--gpus", "0", "--port", str(free_port()), PATH=gpus)

    assert result.exit_code == 1
    assert "one worker on each of: gpu0 (NVIDIA H100 80GB HBM3, 79.6 GiB)\n" in result.stdout
    assert "worker-gpu0 ended with exit code 1 while the service was starting" in result.stderr
    assert "device 'cuda' is not there: 0 CUDA devices found" in result.stderr
    assert "`darkroom up --gpus none` draws on the CPU" in result.stderr


def test_a_demo_that_fails_says_what_to_do_and_keeps_its_logs(darkroom: Darkroom, tmp_path: Path) -> None:
    before = children()

    result = darkroom("demo", DARKROOM_REDIS__URL="redis://127.0.0.1:1/0")

    (folder,) = (tmp_path / ".darkroom").iterdir()
    assert result.exit_code == 1
    assert result.stderr.startswith("error: redis://127.0.0.1:1/0 does not answer")
    assert f"logs: .darkroom/{folder.name}\n" in result.stderr
    assert "darkroom doctor" in result.stderr
    assert not (tmp_path / "black-swan.png").exists()
    assert children() == before


def test_the_picture_of_the_demo_is_looked_at(tmp_path: Path) -> None:
    picture = tmp_path / "swan.png"
    Image.new("RGB", (1024, 1024)).save(picture)

    check_picture(picture)


def test_a_picture_of_another_size_is_no_success(tmp_path: Path) -> None:
    picture = tmp_path / "swan.png"
    Image.new("RGB", (512, 512)).save(picture)

    with pytest.raises(JobFailed, match=r"is not what was asked for: PNG of \(512, 512\)"):
        check_picture(picture)


@pytest.mark.parametrize("length", [0, 40, 2000])
def test_a_picture_that_is_cut_short_is_no_success(tmp_path: Path, length: int) -> None:
    picture = tmp_path / "swan.png"
    Image.effect_noise((1024, 1024), 50).save(picture)
    picture.write_bytes(picture.read_bytes()[:length])

    with pytest.raises(JobFailed, match="is not a picture"):
        check_picture(picture)
