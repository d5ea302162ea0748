"""`darkroom batch`, against the service and a courier as they are."""

import json
from pathlib import Path

from typer.testing import CliRunner

from cli.main import app
from tests.integration.courier.test_batches import Batching, Begin, batching, jsonl, line

__all__ = ["batching"]


def run(service: Batching, *arguments: str) -> str:
    result = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(
        app, ["batch", *arguments, "--base-url", service.service.api.url, "--api-key", "key"]
    )
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_file_is_drawn_and_fetched(batching: Begin, tmp_path: Path) -> None:
    service = batching()
    (tmp_path / "lines.jsonl").write_bytes(jsonl([line("a"), line("b", n=99), line("c")]))
    with service.clerk(), service.service.worker.serving():
        said = run(service, "submit", str(tmp_path / "lines.jsonl"), "--output", str(tmp_path / "drawn"))

    assert "is completed: 2 drawn, 1 not, of 3" in said
    drawn = [json.loads(each)["custom_id"] for each in (tmp_path / "drawn").read_text().splitlines()]
    assert drawn == ["a", "c"]
    (error,) = (tmp_path / "drawn.errors").read_text().splitlines()
    assert json.loads(error)["response"]["status_code"] == 422


def test_what_is_wrong_with_a_file_is_said_line_by_line(batching: Begin, tmp_path: Path) -> None:
    service = batching()
    (tmp_path / "lines.jsonl").write_bytes(jsonl([line("a"), line("a")]) + b"{\n")
    with service.clerk():
        said = run(service, "submit", str(tmp_path / "lines.jsonl"), "--wait")

    assert "is failed" in said
    assert "line 2: 'custom_id' is that of another line." in said
    assert "line 3: This line is no JSON object." in said


def test_a_batch_is_shown_and_cancelled(batching: Begin) -> None:
    service = batching()
    batch = service.begin([line("a")])

    assert f"batch {batch.id} is validating" in run(service, "show", batch.id)
    assert f"batch {batch.id} is cancelling" in run(service, "cancel", batch.id)
