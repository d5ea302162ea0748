"""Whoever can write to the broker can ring, and nothing else: no message makes a worker run code, or end."""

import base64
import json
import pickle
import secrets
from pathlib import Path
from typing import Any, Final

from shared.bell.message import RING
from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import PREFIX, Cluster
from tests.faults.harness.look import Look
from tests.waiting import wait_until

BELL: Final = f"{PREFIX}ring:light"


class Bomb:
    """Makes a file of whatever unpickles it."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._mark,))


def message(
    body: bytes | str = b"",
    *,
    task: str = RING,
    args: Any = None,
    content_type: str = "application/json",
    **headers: Any,
) -> bytes:
    """A message as Celery's protocol 2 has it, with a body of its own or these arguments."""
    raw = body or json.dumps([args if args is not None else ["light"], {}, {}]).encode()
    raw = raw if isinstance(raw, bytes) else raw.encode()
    task_id = secrets.token_hex(16)
    return json.dumps(
        {
            "body": base64.b64encode(raw).decode(),
            "content-encoding": "binary" if "python" in content_type else "utf-8",
            "content-type": content_type,
            "headers": {
                "lang": "py",
                "task": task,
                "id": task_id,
                "root_id": task_id,
                "argsrepr": "",
                **headers,
            },
            "properties": {
                "correlation_id": task_id,
                "reply_to": "",
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": BELL},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": secrets.token_hex(16),
            },
        }
    ).encode()


def forgeries(mark: Path) -> dict[str, bytes]:
    bomb = pickle.dumps((["light"], {}, Bomb(mark)))
    yaml = f"!!python/object/apply:pathlib.Path.touch [{mark}]"
    whole = json.loads(message())
    return {
        "a pickle": message(bomb, content_type="application/x-python-serialize"),
        "a pickle that says it is JSON": message(bomb),
        "yaml": message(yaml, content_type="application/x-yaml"),
        "msgpack": message(b"\x93\x91\xa5light\x80\x80", content_type="application/x-msgpack"),
        "a type that there is not": message(b"x", content_type="application/x-nothing"),
        "a task that there is not": message(task="os.system", args=[f"touch {mark}"]),
        "another task of Celery's": message(task="celery.backend_cleanup", args=[]),
        "a model that there is not": message(args=["no-such-model"]),
        "no model": message(args=[]),
        "too much": message(args=["light", "light"]),
        "a number": message(args=[7]),
        "something large": message(args=["x" * 1_000_000]),
        "no list": message(b'"light"'),
        "nothing": message(b"null"),
        "an end far ahead": message(eta="9999-12-31T23:59:59+00:00"),
        "a time that is none": message(eta="soon", expires="never"),
        "retries": message(retries="many", timelimit=["a", "b"]),
        "a chain": message(json.dumps([["light"], {}, {"chain": [{"task": "os.system", "args": ["true"]}]}])),
        "no headers": json.dumps({**whole, "headers": {}}).encode(),
        "no properties": json.dumps({**whole, "properties": {}}).encode(),
        "no body": json.dumps({name: whole[name] for name in whole if name != "body"}).encode(),
        "a list": b"[]",
        "a word": b'"light"',
        "no JSON": b"{'light'",
        "no text": b"\xff\xfe\x00",
        "nothing at all": b"",
        "depth": b"[" * 100_000,
    }


async def test_forged_rings_run_nothing_and_end_nobody(
    cluster: Cluster, caller: Caller, look: Look, tmp_path: Path
) -> None:
    mark = tmp_path / "it-ran"
    pids = {name: cluster.nodes[name].pid for name in ("w1", "w2")}

    for forgery in forgeries(mark).values():
        # Twice, so that both workers get one of most kinds.
        cluster.broker.lpush(BELL, forgery, forgery)
    wait_until(lambda: cluster.broker.llen(BELL) == 0, 20, "every forgery to be taken")
    ends = [await look.ended(await caller.submit(f"after forgery {i} slow:1")) for i in range(2)]

    assert {end["status"] for end in ends} == {"succeeded"}
    assert {name: cluster.nodes[name].pid for name in pids} == pids
    assert all(cluster.nodes[name].running for name in pids)
    assert not mark.exists()
