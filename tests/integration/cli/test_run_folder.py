"""One service at a time has a run folder."""

from contextlib import suppress
from pathlib import Path

import pytest

from cli.run_folder import RunFolder, passing_folder
from shared.errors import ConfigurationError


def test_a_folder_is_made_and_can_be_entered_again_after_it_was_left(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run"

    for _ in range(2):
        with RunFolder(path) as folder:
            assert folder.path.is_dir()
            assert folder.log("api") == path / "logs" / "api.log"


def test_a_folder_that_is_in_use_cannot_be_entered(tmp_path: Path) -> None:
    with (
        RunFolder(tmp_path),
        pytest.raises(ConfigurationError, match="another darkroom runs in"),
        RunFolder(tmp_path),
    ):
        pass


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match="cannot write to"), RunFolder(tmp_path / "file" / "run"):
        pass


def test_a_passing_folder_is_removed_when_all_went_well(tmp_path: Path) -> None:
    with passing_folder(tmp_path, "demo-") as folder:
        folder.log("api").parent.mkdir()

    assert list(tmp_path.iterdir()) == []


def test_a_passing_folder_is_kept_with_its_logs_when_not(tmp_path: Path) -> None:
    with suppress(RuntimeError), passing_folder(tmp_path, "demo-") as folder:
        folder.log("api").parent.mkdir()
        raise RuntimeError

    assert folder.log("api").parent.is_dir()


def test_a_passing_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with (
        pytest.raises(ConfigurationError, match="cannot write to"),
        passing_folder(tmp_path / "file", "demo-"),
    ):
        pass
