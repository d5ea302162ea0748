"""What is read from what containers, the engine and responses say. Pure: text in, findings out."""

import base64
import binascii
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image, ImageStat, UnidentifiedImageError
from typing_extensions import override

from tests.containers.report import require

_CAPABILITIES: Final = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
# A picture whose brightest channel varies less than this is one colour to the eye.
_LEAST_DEVIATION: Final = 8.0


@dataclass(frozen=True)
class Confinement:
    """What a process in a container may do, as its kernel says."""

    uid: int
    gid: int
    capabilities: int
    no_new_privileges: bool


def confinement(status: str) -> Confinement:
    """Read ``/proc/PID/status``."""
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    capabilities = 0
    for name in _CAPABILITIES:
        capabilities |= int(lines[name], 16)
    return Confinement(
        uid=int(lines["Uid"].split()[1]),
        gid=int(lines["Gid"].split()[1]),
        capabilities=capabilities,
        no_new_privileges=lines["NoNewPrivs"].strip() == "1",
    )


def json_lines(text: str) -> list[dict[str, Any]]:
    """Return the lines that are JSON objects; a log has others, too."""
    found = []
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


@dataclass(frozen=True)
class Drawn:
    """An attempt that ended with a picture."""

    job_id: str
    attempt: int


def drawn(log: str) -> list[Drawn]:
    """Read a worker's log: the attempts that it brought to a picture."""
    return [
        Drawn(line["job_id"], line["attempt"])
        for line in json_lines(log)
        if line.get("event") == "attempt.ended" and line["outcome"] == "succeeded"
    ]


def shares(logs: Mapping[str, str], jobs: Iterable[str]) -> dict[str, int]:
    """How many of these jobs each worker drew, by its log."""
    wanted = set(jobs)
    return {worker: len({each.job_id for each in drawn(log)} & wanted) for worker, log in logs.items()}


def order_of_starting(events: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Read the engine's events: which service started and which became healthy, in order, once each."""
    told = []
    for event in sorted(events, key=lambda each: each["timeNano"]):
        service = event["Actor"]["Attributes"].get("com.docker.compose.service", "")
        action = {"start": "started", "health_status: healthy": "healthy"}.get(event["Action"])
        if action and (service, action) not in told:
            told.append((service, action))
    return told


@dataclass(frozen=True)
class Picture:
    """An image file that was wholly decoded."""

    format: str
    size: tuple[int, int]
    mode: str
    file_bytes: int
    deviation: float

    @property
    def blank(self) -> bool:
        """Whether it is all of one colour, or nearly."""
        return self.deviation < _LEAST_DEVIATION

    @override
    def __str__(self) -> str:
        width, height = self.size
        return f"{self.format} {width}x{height} {self.mode}, {self.file_bytes // 1024} KiB"


def picture(body: Mapping[str, Any]) -> Picture:
    """Read the documented answer; decode its only picture.

    Raises:
        Broken: it is not the documented answer, or the picture is none.
    """
    require(set(body) == {"created", "data", "usage"}, f"the answer has the members {sorted(body)}")
    require(len(body["data"]) == 1, f"{len(body['data'])} pictures came back, not one")
    try:
        file = base64.b64decode(body["data"][0]["b64_json"], validate=True)
        image = Image.open(io.BytesIO(file))
        image.load()
    except (binascii.Error, UnidentifiedImageError, OSError) as error:
        require(holds=False, otherwise=f"the picture cannot be decoded: {error}")
        raise
    deviation = max(ImageStat.Stat(image.convert("RGB")).stddev)
    return Picture(image.format or "", image.size, image.mode, len(file), deviation)
