"""The documented request brings a picture, and three workers share the load."""

import os
import time
from base64 import b64decode
from io import BytesIO
from typing import Any, Final

import httpx2
from PIL import Image

from cli.commands.demo import BODY
from tests.containers.caller import Caller
from tests.containers.readings import picture, shares
from tests.containers.report import Report, require
from tests.containers.stack import Stack

WORKERS: Final = 3
_JOBS: Final = 9
_NOISE_SIZE: Final = (1536, 1024)
_COUNT_UPLOADS: Final = """
from pathlib import Path
print(sum(each.is_file() for each in Path("/tmp").glob("darkroom-uploads-*/**/*")))
"""


def quick(number: int) -> dict[str, Any]:
    """A request that takes a worker a second or two, unlike every other."""
    return {"prompt": f"a red apple {number}", "seed": number, "quality": "low"}


def the_documented_request_brings_a_picture(caller: Caller, report: Report) -> tuple[str, bytes]:
    """Send it as it stands in the documents; return the job's id and the body of the answer."""
    report.begins("the documented request")
    started = time.monotonic()
    answer = caller.draw(dict(BODY))
    require(answer.status_code == httpx2.codes.OK, f"{answer.status_code}: {answer.text[:500]}")
    seen = picture(answer.json())
    width, height = (int(each) for each in str(BODY["size"]).split("x"))
    require(seen.format == "PNG", f"it brought {seen}, not a PNG")
    require(seen.size == (width, height), f"it brought {seen}, not {BODY['size']}")
    require(not seen.blank, f"it brought a blank picture: {seen}")
    report.ok(f"200 after {time.monotonic() - started:.1f} s: {seen}, not blank")
    job_id = answer.headers["x-job-id"]
    require(caller.result(job_id) == answer.content, "the job's result is another than the call's")
    return job_id, answer.content


def an_edit_keeps_what_its_mask_keeps(stack: Stack, caller: Caller, report: Report) -> None:
    """Send a picture of noise of several megabytes through the proxy, and look for what is left of it."""
    report.begins("an edit")
    started = time.monotonic()
    noise = Image.frombytes("RGB", _NOISE_SIZE, os.urandom(_NOISE_SIZE[0] * _NOISE_SIZE[1] * 3))
    mask = Image.new("RGBA", _NOISE_SIZE, "black")
    mask.paste((0, 0, 0, 0), (0, 0, _NOISE_SIZE[0] // 2, _NOISE_SIZE[1]))
    image = _png(noise)
    answer = caller.edit({"prompt": "a red apple", "quality": "low"}, image, _png(mask))
    require(answer.status_code == httpx2.codes.OK, f"{answer.status_code}: {answer.text[:500]}")
    file = BytesIO(b64decode(answer.json()["data"][0]["b64_json"]))
    with Image.open(file) as opened:
        drawn = opened.convert("RGB")
    kept = (_NOISE_SIZE[0] // 2, 0, *_NOISE_SIZE)
    require(drawn.size == noise.size, f"it brought {drawn.size}")
    require(drawn.crop(kept).tobytes() == noise.crop(kept).tobytes(), "a pixel outside of the mask changed")
    require(drawn.tobytes() != noise.tobytes(), "nothing was drawn")
    brought = f"{len(image) / 1e6:.1f} MB through the proxy, 200 after {time.monotonic() - started:.1f} s"
    report.ok(f"{brought}, and what its mask keeps to the pixel")
    left = stack.inside(stack.container("api"), "python", "-c", _COUNT_UPLOADS).strip()
    require(left == "0", f"files of the upload are left: {left}")
    report.ok("nothing of the upload is left on the API's disk")


def _png(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def workers_share_the_load(stack: Stack, caller: Caller, report: Report) -> None:
    """Scale out, and look into the logs for who drew what."""
    report.begins(f"--scale worker={WORKERS}")
    started = time.monotonic()
    stack.up("--scale", f"worker={WORKERS}", "--no-recreate")
    report.ok(f"{WORKERS} workers healthy after {time.monotonic() - started:.0f} s")
    jobs = [caller.submit(quick(number)) for number in range(_JOBS)]
    caller.succeeded(jobs)
    drew = shares(stack.logs("worker"), jobs)
    require(len(drew) == WORKERS, f"there are {len(drew)} workers")
    require(all(drew.values()), f"a worker drew nothing: {drew}")
    require(sum(drew.values()) == _JOBS, f"{_JOBS} jobs were drawn {sum(drew.values())} times")
    report.ok(f"{_JOBS} jobs, drawn by {WORKERS} workers: {', '.join(map(str, drew.values()))}")
