"""Results that travel by themselves: addresses of pictures, and batches."""

import json
import time
from io import BytesIO
from typing import Final
from urllib.parse import urlsplit

from PIL import Image

from tests.containers.caller import Caller
from tests.containers.promises.drawing import quick
from tests.containers.report import Report, require, until

_LINES: Final = 4
_BATCH_S: Final = 300.0
_ENDS: Final = ("completed", "failed", "expired", "cancelled")


def a_picture_has_an_address(caller: Caller, report: Report) -> None:
    """Ask for an address, and for what is there: the worker has written what the API reads."""
    report.begins("results by URL, from the volume that containers share")
    answer = caller.draw({**quick(0), "response_format": "url"})
    require(answer.is_success, f"it was answered {answer.status_code}: {answer.text[:500]}")
    address = urlsplit(answer.json()["data"][0]["url"])
    found = caller.get(f"{address.path}?{address.query}")
    require(found.is_success, f"its address was answered {found.status_code}: {found.text[:500]}")
    with Image.open(BytesIO(found.content)) as picture:
        report.ok(f"{picture.format} of {picture.size[0]}x{picture.size[1]} at a signed address")
    changed = caller.get(f"{address.path}?{address.query[:-1]}")
    require(changed.status_code == 403, f"a changed one was answered {changed.status_code}")
    report.ok("a changed address is refused")


def a_batch_is_drawn(caller: Caller, report: Report) -> None:
    """Send a file of requests; the courier makes jobs of its lines and a file of their pictures."""
    report.begins("a batch, fed by the courier")
    started = time.monotonic()
    names = [f"line {number}" for number in range(_LINES)]
    lines = [
        {"custom_id": name, "method": "POST", "url": "/v1/images/generations", "body": quick(number)}
        for number, name in enumerate(names)
    ]
    batch_id = caller.send_batch("\n".join(map(json.dumps, lines)).encode())
    batch = until(lambda: _ended(caller, batch_id), _BATCH_S, "the end of the batch")
    require(batch["status"] == "completed", f"the batch {batch['status']}: {batch['errors']}")
    answers = caller.get(f"/v1/files/{batch['output_file_id']}/content").text.splitlines()
    drawn = [answer["custom_id"] for answer in map(json.loads, answers)]
    require(drawn == names, f"it answered {drawn}")
    report.ok(f"{_LINES} lines answered in their order after {time.monotonic() - started:.0f} s")


def _ended(caller: Caller, batch_id: str) -> dict[str, str]:
    batch: dict[str, str] = caller.get(f"/v1/batches/{batch_id}").json()
    return batch if batch["status"] in _ENDS else {}
