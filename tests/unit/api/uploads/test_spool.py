"""Folders of uploads: gone with their upload, with their process, or with the next one."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from api.uploads.spool import PREFIX, Spool
from shared.settings import REPO_ROOT

HOLD = """
import sys
from api.uploads.spool import Spool
with Spool().folder() as folder:
    (folder / "image-0").write_bytes(b"a file")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def other_process(tmp: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start one in which an upload lies; return it, and where."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        cwd=REPO_ROOT,
        env={**os.environ, "TMPDIR": str(tmp)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_folder_is_gone_with_its_upload_and_everything_with_the_process(tmp: Path) -> None:
    spool = Spool()
    with spool.folder() as one, spool.folder() as other:
        (one / "image-0").write_bytes(b"a file")
        assert one != other
    assert not one.exists()
    assert len(list(tmp.glob(f"{PREFIX}*"))) == 1

    spool.close()

    assert list(tmp.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_nothing_of_a_living_one(tmp: Path) -> None:
    process, folder = other_process(tmp)
    Spool().clear()
    assert (folder / "image-0").exists()

    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert (folder / "image-0").exists()
    Spool().clear()

    assert list(tmp.iterdir()) == []


def test_what_is_nobody_s_upload_is_left_alone(tmp: Path) -> None:
    (tmp / "something-else").mkdir()
    (tmp / f"{PREFIX}link").symlink_to(tmp / "something-else")

    Spool().clear()

    assert {path.name for path in tmp.iterdir()} == {"something-else", f"{PREFIX}link"}


def test_a_folder_that_somebody_took_away_is_made_anew(tmp: Path) -> None:
    spool = Spool()
    with spool.folder():
        pass
    (own,) = tmp.iterdir()
    own.rmdir()

    with spool.folder() as folder:
        assert folder.is_dir()
    spool.close()


def test_where_nothing_can_be_written_there_is_nothing_to_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")

    Spool().clear()
