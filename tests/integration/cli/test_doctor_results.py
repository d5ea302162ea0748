"""What `darkroom doctor` says of the store of results."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.checks import Verdict, check_results
from shared.settings import ResultSettings
from tests.s3_server import SECRETS, S3Server


@pytest.fixture
def server() -> Iterator[S3Server]:
    with S3Server() as running:
        yield running


def test_where_none_is_named_there_is_nothing_to_say() -> None:
    assert check_results(ResultSettings()) is None


def test_a_folder_that_can_be_used_is_fine_and_left_as_it_was(tmp_path: Path) -> None:
    finding = check_results(ResultSettings(urls=str(tmp_path / "results")))

    assert finding is not None
    assert finding.verdict is Verdict.OK
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_folder_that_cannot_be_used_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    for urls in (tmp_path / "file" / "results", tmp_path / "file"):
        finding = check_results(ResultSettings(urls=str(urls)))
        assert finding is not None
        assert finding.verdict is Verdict.MISSING
        assert "DARKROOM_RESULTS__URLS" in finding.mend


def test_a_folder_in_which_nothing_can_be_written_is_missing(tmp_path: Path) -> None:
    (tmp_path / "probes").write_text("")

    finding = check_results(ResultSettings(urls=str(tmp_path)))

    assert finding is not None
    assert finding.verdict is Verdict.MISSING


def test_a_bucket_is_written_read_and_left_empty(server: S3Server) -> None:
    finding = check_results(ResultSettings(**server.settings))

    assert finding is not None
    assert (finding.verdict, finding.detail.split(": ")[1]) == (Verdict.OK, "written, read and deleted")
    assert server.names() == set()


def test_a_server_that_is_away_is_missing_and_no_secret_is_said(server: S3Server) -> None:
    server.away()
    finding = check_results(ResultSettings(**server.settings))

    assert finding is not None
    assert finding.verdict is Verdict.MISSING
    assert not any(secret in finding.detail + finding.mend for secret in SECRETS.values())
