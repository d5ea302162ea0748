"""The benchmark of uploads sends bodies that are as large as it says, and tells what it saw."""

import os
from pathlib import Path

import pytest

from api.edits.form import FormReceiver
from api.edits.pictures import look
from api.uploads.form import boundary_of
from benchmarks.uploads.__main__ import MB, Row, report
from benchmarks.uploads.bodies import BODIES, PICTURES, form
from benchmarks.uploads.memory import Looking, Peak
from shared.settings import ApiSettings


@pytest.mark.parametrize("body", BODIES)
def test_a_body_has_nearly_as_many_bytes_as_were_asked_for(body: str) -> None:
    _, content = BODIES[body](1_000_000)

    assert 900_000 < len(content) <= 1_000_000


def test_a_form_of_50_mb_is_one_that_the_service_takes(tmp_path: Path) -> None:
    settings = ApiSettings()
    kind, content = form(50 * MB)
    receiver = FormReceiver(
        boundary_of(kind),
        tmp_path,
        max_images=PICTURES,
        max_file_bytes=settings.max_input_file_bytes,
    )

    receiver.write(content)
    sizes = look(receiver.end().files, settings.max_input_px)

    assert len(content) <= settings.max_upload_bytes
    assert len(sizes) == PICTURES


def test_a_process_that_takes_memory_is_seen_to_take_it() -> None:
    with Looking(os.getpid()) as looking:
        before = looking.now().serving
        taken = bytearray(os.urandom(40 * MB))
        while looking.peak.serving < before + 30 * MB:
            assert taken

    assert looking.peak.both >= looking.peak.serving


def test_the_table_says_what_one_body_costs() -> None:
    idle, peak = Peak(100 * MB, 0, 100 * MB), Peak(130 * MB, 200 * MB, 330 * MB)
    rows = [Row("form", 50 * MB, at_once, idle, peak, 2.0, (202,) * at_once) for at_once in (1, 4)]

    table = report(rows)

    assert "costs" in table.splitlines()[0]
    cells = "form 50.0 4 4 100.0 130.0 30.0 200.0 330.0 2.0"
    assert " ".join(table.splitlines()[2].split()) == cells
    assert table.endswith("one body alone costs at most 30.0 MB, median 30.0 MB")
