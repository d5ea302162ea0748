"""An independent look at what a run left behind: Redis as it is, and the event logs of the engines.

It shares no code with the service but the names of keys: statuses, results and counts are read raw. Each
finding is one line of text; none means that every promise was kept.
"""

import base64
import hashlib
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import redis
from PIL import Image

from tests.faults.harness.events import Event
from tests.faults.harness.sent import digest, sent

# Pictures whose job was never made are gone so soon; those of a job would be there for its whole deadline.
ORPHAN_MS: Final = 60_000
TERMINAL: Final = frozenset({"succeeded", "failed", "cancelled"})
# Keys that a quiet service may have for ever; every other one has a time to live or must have gone.
LASTING: Final = (
    r"done|moved|dead|models|reaped_at|order|pace|latency|eta_error|results|result_bytes|counts"
    r"|deliveries|couriers|webhook_secrets|open_webhook"
    # What lies in the store of results, until it is deleted.
    r"|objects|deleting|signing_key"
    r"|serving:[^:]+|vtime:[^:]+|idle:[^:]+"
)
# Keys that live as long as work does: none may be left, not even one that would expire.
OF_WORK: Final = (
    r"queue:.*|newer:.*|lanes:.*|lane:.*|backlog:.*|leases|low_running|deadlines|unfinished:.*|held"
    r"|holders:.*|owed:.*|inputs|input_bytes|input_bytes:.*|hooked"
    r"|batches|unfinished_batches:.*|batch_pending:.*|batch_refused:.*"
)


class Checker:
    """Looks at everything under one prefix of one server, and in the folder of results beside it."""

    def __init__(self, store: redis.Redis, prefix: str, results: Path) -> None:
        self._store: Any = store
        self._prefix = prefix
        self._results = results

    def unsettled(self, accepted: Iterable[str]) -> list[str]:
        """Return what is still to come: jobs that have not ended, and keys that work leaves behind."""
        records = self.records()
        waiting = [i for i in accepted if records.get(i, {}).get("status", "gone") not in TERMINAL]
        waiting += [i for i, record in records.items() if record["status"] not in TERMINAL]
        return waiting + [name for name in self._names() if re.fullmatch(OF_WORK, name)]

    def statuses(self) -> Counter[str]:
        """Return how many jobs ended how."""
        return Counter(record["status"] for record in self.records().values())

    def edits(self) -> int:
        """Return how many jobs began with pictures."""
        return sum(sent(_prompt(record)) is not None for record in self.records().values())

    def problems(
        self, accepted: Sequence[str], events: Sequence[Event], *, forgotten_at_ms: int = 0
    ) -> list[str]:
        """Return everything that is not as it must be once all work is done.

        Args:
            accepted: ids of the jobs that callers were promised.
            events: what the engines logged.
            forgotten_at_ms: when announcements were last deleted on purpose, by the server's clock.
        """
        records = self.records()
        found = [f"accepted job {i} has no record" for i in accepted if i not in records]
        found += self._announced_once(records, forgotten_at_ms)
        found += self._keys()
        found += self._counted_bytes()
        found += self._inputs()
        found += self._objects()
        found += self._counted_ends(records)
        found += self._told(records)
        found += _drawn_by_attempts(records, events)
        for job_id, record in records.items():
            found += self._ended_well(job_id, record, events)
        if channels := self._store.pubsub_channels():
            found.append(f"subscriptions are left: {channels}")
        return found

    def _names(self) -> list[str]:
        names = (key.decode() for key in self._store.scan_iter(f"{self._prefix}*", count=1000))
        return [name.removeprefix(self._prefix) for name in names]

    def records(self) -> dict[str, dict[str, str]]:
        """Return the raw records of all jobs, by their ids."""
        ids = [name.removeprefix("job:") for name in self._names() if name.startswith("job:")]
        pipe = self._store.pipeline(transaction=False)
        for job_id in ids:
            pipe.hgetall(f"{self._prefix}job:{job_id}")
        rows = pipe.execute()
        return {i: {k.decode(): v.decode() for k, v in row.items()} for i, row in zip(ids, rows, strict=True)}

    def _announced_once(self, records: dict[str, dict[str, str]], forgotten_at_ms: int) -> list[str]:
        announced: dict[str, list[str]] = defaultdict(list)
        for _, values in self._store.xrange(f"{self._prefix}done"):
            announced[values[b"id"].decode()].append(values[b"status"].decode())
        return [
            f"job {job_id} is {record['status']} and was announced as {announced[job_id]}"
            for job_id, record in records.items()
            if announced[job_id] != [record["status"]]
            and not (announced[job_id] == [] and int(record.get("finished_at") or 0) <= forgotten_at_ms)
        ]

    def _keys(self) -> list[str]:
        found = []
        for name in self._names():
            if re.fullmatch(OF_WORK, name):
                found.append(f"key {name} is left")
            elif not re.fullmatch(LASTING, name) and self._store.ttl(self._prefix + name) == -1:
                found.append(f"key {name} would stay for ever")
        return found

    def _told(self, records: dict[str, dict[str, str]]) -> list[str]:
        """Look whether everybody is told who wants to be, and nobody of a job that has not ended."""
        waiting = {name.decode() for name in self._store.zrange(f"{self._prefix}deliveries", 0, -1)}
        found = [f"an end is told of job {i}, which has none" for i in waiting if i not in records]
        for job_id, record in records.items():
            delivery = json.loads(record.get("delivery", "{}"))
            if delivery and record["status"] not in TERMINAL:
                found.append(f"job {job_id} was told of, and is {record['status']}")
            wanted = f"job.{record['status']}" in json.loads(record.get("webhook", "{}")).get("events", [])
            done = delivery.get("state") in {"delivered", "given_up"}
            if wanted and not done and job_id not in waiting:
                found.append(f"nobody will be told of job {job_id}")
        return found

    def _counted_bytes(self) -> list[str]:
        entries = self._store.zrange(f"{self._prefix}results", 0, -1)
        total = sum(int(entry.split()[-1]) for entry in entries)
        counted = int(self._store.get(f"{self._prefix}result_bytes") or 0)
        return [] if total == counted else [f"result_bytes is {counted}, its parts are {total}"]

    def _inputs(self) -> list[str]:
        """No file that a job began with outlives it, and what is counted is what is there."""
        names = [name for name in self._names() if name.startswith("input:")]
        left = {name: self._store.pttl(self._prefix + name) for name in names}
        found = [f"{name} is left for {ms} ms" for name, ms in left.items() if not 0 <= ms <= ORPHAN_MS]
        counts: Counter[str] = Counter()
        for member in self._store.zrange(f"{self._prefix}inputs", 0, -1):
            _, size, owner = member.decode().split()
            counts.update({"input_bytes": int(size), f"input_bytes:{owner}": int(size)})
        counters = [name for name in self._names() if re.fullmatch("input_bytes(:.*)?", name)]
        counted = Counter({name: int(self._store.get(self._prefix + name) or 0) for name in counters})
        return found + [
            f"{name} is {counted[name]}, its parts are {counts[name]}"
            for name in sorted(counts | counted)
            if counts[name] != counted[name]
        ]

    def _objects(self) -> list[str]:
        """No file is left of which nobody knows that it is to be deleted, nor a half of one."""
        known = {
            name.decode()
            for key in ("objects", "deleting")
            for name in self._store.zrange(f"{self._prefix}{key}", 0, -1)
        }
        files = {str(path.relative_to(self._results)) for path in self._results.rglob("*") if path.is_file()}
        return [f"{name} would lie there for ever" for name in sorted({_whole(f) for f in files} - known)]

    def _images(self, job_id: str) -> list[bytes] | str:
        """Return a job's pictures, from Redis or from the folder; or what is wrong with them."""
        images = self._store.hgetall(f"{self._prefix}result:{job_id}")
        if images:
            return [base64.b64decode(images[index]) for index in sorted(images, key=int)]
        names = self._store.hgetall(f"{self._prefix}stored:{job_id}")
        files = [self._results / names[index].decode() for index in sorted(names, key=int)]
        missing = [path.name for path in files if not path.is_file()]
        return f"job {job_id}: {missing} are not there" if missing else [path.read_bytes() for path in files]

    def _counted_ends(self, records: dict[str, dict[str, str]]) -> list[str]:
        """Each job's end is in the metrics' counters once, and its error where it failed."""
        ended = Counter(f"{record['model']}:ended:{record['status']}" for record in records.values())
        ended += Counter(
            f"{record['model']}:failed:{json.loads(record['error'])['code']}"
            for record in records.values()
            if record["status"] == "failed"
        )
        counts = self._store.hgetall(f"{self._prefix}counts").items()
        counted = Counter({name.decode(): int(times) for name, times in counts})
        return [
            f"{counted[each]} jobs are counted as {each}, there are {ended[each]}"
            for each in sorted(ended | counted)
            if counted[each] != ended[each] and each.split(":")[1] in {"ended", "failed"}
        ]

    def _ended_well(self, job_id: str, record: dict[str, str], events: Sequence[Event]) -> list[str]:
        if record["status"] not in TERMINAL:
            return [f"job {job_id} is {record['status']}"]
        params = json.loads(record["params"])
        if record.get("low") and params.get("stored") and record["status"] == "succeeded":
            # In the file of its batch by now, where others look; its objects may have gone.
            named = self._store.hlen(f"{self._prefix}stored:{job_id}")
            n = params["n"]
            return [] if named == n else [f"job {job_id} has {named} names of {n} pictures"]
        drawn = self._images(job_id)
        if isinstance(drawn, str):
            return [drawn]
        if record["status"] != "succeeded":
            found = [f"job {job_id} is {record['status']} and has a result"] if drawn else []
            return found + _failed_for_a_reason(job_id, record)
        if not drawn:
            return [f"job {job_id} succeeded and has no result"]
        found = [
            f"job {job_id}: an image is of {words}, not of the winner {record['token']}"
            for words in map(_words, drawn)
            if words != (job_id, record["token"])
        ]
        found += _edited_well(job_id, record, drawn)
        whole = hashlib.sha256(b"".join(drawn)).hexdigest()
        logged = [e.sha256 for e in events if e.event == "end" and e.token == record["token"]]
        return found + ([] if logged == [whole] else [f"job {job_id}: its winner drew {logged}, not {whole}"])


def _whole(name: str) -> str:
    """Return the name of the object of which this file is one, or a half."""
    return name.partition("#")[0]


def _failed_for_a_reason(job_id: str, record: dict[str, str]) -> list[str]:
    """A job fails because of what it asked for, because its time was up, or after its last allowed loss."""
    if record["status"] != "failed":
        return []
    code = json.loads(record["error"])["code"]
    losses = [line for line in json.loads(record.get("history", "[]")) if line["outcome"] == "worker_lost"]
    reasons = {
        # ``lost`` says a test that takes the pictures of an edit away.
        "generation_failed": re.search(r"poison:(raise|oom|lost)", record["params"]) is not None,
        "deadline_exceeded": int(record["finished_at"]) >= int(record["deadline_at"]),
        # ``unwritable`` says a test that lets nothing be written.
        "upload_failed": "unwritable" in record["params"],
        "worker_lost": len(losses) >= int(record["max_attempts"]),
    }
    return [] if reasons.get(code, False) else [f"job {job_id} failed with {code} for no reason: {record}"]


def _edited_well(job_id: str, record: dict[str, str], drawn: Sequence[bytes]) -> list[str]:
    """What was drawn is of the pictures that were sent, and outside of the mask it is what they were."""
    came = sent(_prompt(record))
    if came is None:
        return []
    found = []
    for file in drawn:
        with Image.open(io.BytesIO(file)) as picture:
            if picture.info.get("inputs") != digest((came.image,), came.mask):
                found.append(f"job {job_id}: an image was drawn of other pictures than were sent")
            elif came.mask is not None and _kept(picture, came.mask) != _kept(came.image, came.mask):
                found.append(f"job {job_id}: an image is another outside of its mask")
    return found


def _prompt(record: dict[str, str]) -> str:
    prompt: str = json.loads(record["params"])["prompt"]
    return prompt


def _kept(picture: Image.Image, mask: Image.Image) -> bytes:
    return Image.composite(Image.new("RGB", picture.size), picture, mask).tobytes()


def _words(image: bytes) -> tuple[str, str]:
    with Image.open(io.BytesIO(image)) as picture:
        return picture.info.get("job", ""), picture.info.get("token", "")


def _drawn_by_attempts(records: dict[str, dict[str, str]], events: Sequence[Event]) -> list[str]:
    """Each attempt is drawn by one engine, once, and for a job that is known."""
    starts = Counter(event.token for event in events if event.event == "start")
    found = [f"attempt {token} was drawn {times} times" for token, times in starts.items() if times > 1]
    jobs = {event.job for event in events if event.event == "start"}
    return found + [f"job {job} was drawn and has no record" for job in jobs - records.keys()]
