"""What the compose test reads from containers, the engine and responses."""

import base64
import io
import json

import pytest
from PIL import Image

from tests.containers.readings import (
    Confinement,
    Drawn,
    confinement,
    drawn,
    order_of_starting,
    picture,
    shares,
)
from tests.containers.report import Broken

STATUS = """Name:\tdocker-init
Uid:\t{uid}\t{uid}\t{uid}\t{uid}
Gid:\t{uid}\t{uid}\t{uid}\t{uid}
CapInh:\t0000000000000000
CapPrm:\t0000000000000000
CapEff:\t0000000000000000
CapBnd:\t{bounding}
CapAmb:\t0000000000000000
NoNewPrivs:\t{sealed}
"""


def test_a_process_without_capabilities_is_read_as_one() -> None:
    status = STATUS.format(uid=10001, bounding="0" * 16, sealed=1)

    assert confinement(status) == Confinement(10001, 10001, 0, no_new_privileges=True)


def test_a_capability_in_any_of_the_sets_counts() -> None:
    status = STATUS.format(uid=0, bounding="00000000a80425fb", sealed=0)

    assert confinement(status) == Confinement(0, 0, 0xA80425FB, no_new_privileges=False)


def ended(job_id: str, attempt: int = 1, outcome: str = "succeeded") -> str:
    return json.dumps({"event": "attempt.ended", "job_id": job_id, "attempt": attempt, "outcome": outcome})


def test_a_workers_log_says_what_it_drew() -> None:
    log = "\n".join(
        ["celery@host ready.", "{not json", ended("a"), ended("b", 2), ended("c", 1, "late"), "[1]"]
    )

    assert drawn(log) == [Drawn("a", 1), Drawn("b", 2)]


def test_shares_count_each_job_once_and_no_other_job() -> None:
    logs = {"one": f"{ended('a')}\n{ended('a', 2)}\n{ended('other')}", "two": ended("b"), "three": "quiet"}

    assert shares(logs, ["a", "b", "c"]) == {"one": 1, "two": 1, "three": 0}


def event(action: str, service: str, at: int) -> dict[str, object]:
    return {
        "Action": action,
        "timeNano": at,
        "Actor": {"Attributes": {"com.docker.compose.service": service}},
    }


def test_the_order_of_starting_is_that_of_the_times_and_has_each_once() -> None:
    events = [
        event("health_status: healthy", "valkey", 3),
        event("start", "valkey", 1),
        event("exec_create: valkey-cli ping", "valkey", 2),
        event("start", "api", 4),
        event("health_status: healthy", "valkey", 5),
        event("health_status: unhealthy", "api", 6),
    ]

    assert order_of_starting(events) == [("valkey", "started"), ("valkey", "healthy"), ("api", "started")]


def body(image: Image.Image) -> dict[str, object]:
    file = io.BytesIO()
    image.save(file, "PNG")
    return {"created": 1, "data": [{"b64_json": base64.b64encode(file.getvalue()).decode()}], "usage": {}}


def test_a_picture_is_decoded_and_measured() -> None:
    halves = Image.new("RGB", (64, 32), "white")
    halves.paste("black", (0, 0, 32, 32))

    seen = picture(body(halves))

    assert (seen.format, seen.size, seen.mode, seen.blank) == ("PNG", (64, 32), "RGB", False)


@pytest.mark.parametrize("colour", ["black", "white", "#808080"])
def test_a_picture_of_one_colour_is_blank(colour: str) -> None:
    assert picture(body(Image.new("RGB", (64, 64), colour))).blank


def test_what_is_no_picture_or_not_the_documented_answer_breaks_a_promise() -> None:
    answer = body(Image.new("RGB", (8, 8)))
    garbage = base64.b64encode(b"garbage").decode()

    for wrong in (
        {**answer, "data": [{"b64_json": garbage}]},
        {**answer, "data": [{"b64_json": "!"}]},
        {**answer, "data": []},
        {**answer, "id": "more"},
        {"error": {}},
    ):
        with pytest.raises(Broken):
            picture(wrong)
