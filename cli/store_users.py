"""Who may do what in Redis or Valkey: one user for each kind of process, and no more than it needs.

A script runs with the rights of whoever calls it, so a user needs the commands and keys of the scripts it
calls. Which commands those are is read from the scripts themselves; which keys, a test compares with their
headers. Keys of Celery's broker are among them, since by default it is another database of the same server,
and users know no databases.
"""

import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from shared.jobs import scripts

# What clients say of themselves when they connect, by category: the words depend on the server's version.
_TO_CONNECT: Final = ("-@all", "+@connection", "-@admin", "-@dangerous")
# Celery's transport: rings are pushed, taken, and where they go is written down once.
_TO_RING: Final = ("lpush", "llen", "sadd", "smembers", "multi", "exec")
_TO_HEAR_RINGS: Final = ("brpop", "rpop")
# Its names carry no prefix of ours.
_OF_CELERY: Final = ("_kombu.binding.celery", "_kombu.binding_permanent.celery")
# What a job's end changes, whoever ends it.
_OF_JOBS: Final = (
    "job:*",
    "queue:*",
    "newer:*",
    "lanes:*",
    "lane:*",
    "idle:*",
    "backlog:*",
    "leases",
    "low_running",
    "deadlines",
    "unfinished:*",
    "held",
    "holders:*",
    "owed:*",
    "unanswered:*",
    "input:*",
    "inputs",
    "input_bytes",
    "input_bytes:*",
    "done",
    "counts",
    "hooked",
    "deliveries",
)
# What submission makes beside that, and what it reads to promise an end.
_OF_SUBMISSION: Final = ("history:*", "replay:*", "refused:*", "order", "models")
_OF_PREDICTION: Final = ("serving:*", "vtime:*", "pace", "latency", "results", "result_bytes")
# Files, and the batches made of them.
_OF_BATCHES: Final = (
    *("file:*", "files:*", "objects"),
    *("batch:*", "batches", "batches:*", "unfinished_batches:*"),
)


@dataclass(frozen=True)
class Role:
    """What one kind of process may do. Names of keys are without the prefix; ``|`` marks subcommands."""

    name: str
    scripts: tuple[str, ...]
    writes: tuple[str, ...]
    reads: tuple[str, ...]
    commands: tuple[str, ...]
    channels: tuple[str, ...] = ()
    rings: bool = False

    def all_commands(self) -> set[str]:
        """Every command, those inside of its scripts too."""
        inside = {command for name in self.scripts for command in commands_of(name)}
        to_run = ("evalsha", "script|load") if self.scripts else ()
        return {*inside, *to_run, "time", *self.commands, *(_TO_RING if self.rings else ())}

    def rules(self, prefix: str) -> Iterator[str]:
        """Yield the rules of this role as an ACL file writes them."""
        yield from (f"~{prefix}{name}" for name in self.writes)
        yield from (f"%R~{prefix}{name}" for name in self.reads)
        if self.rings:
            yield from (f"~{name}" for name in (f"{prefix}ring:*", *_OF_CELERY))
        yield from (f"&{prefix}{name}" for name in self.channels)
        yield from _TO_CONNECT
        yield from (f"+{command}" for command in sorted(self.all_commands()))


API: Final = Role(
    "api",
    scripts=(
        *("submit", "place", "hold", "release", "answer", "refuse", "cancel", "rate"),
        *("expect_file", "keep_file", "drop_file", "begin_batch", "cancel_batch"),
    ),
    writes=(*_OF_JOBS, *_OF_SUBMISSION, *_OF_BATCHES, "batch_replay:*", "rate:*", "signing_key"),
    reads=(
        *_OF_PREDICTION,
        "result:*",
        "stored:*",
        "previews:*",
        "usage:*",
        "worker:*",
        "moved",
        "dead",
        "eta_error",
        "api_keys",
        "open_webhook",
        "couriers",
    ),
    commands=(
        "del",
        "exists",
        "zcount",
        "hset",
        "pexpire",
        "hmget",
        "hget",
        "hgetall",
        "hkeys",
        "hlen",
        "smembers",
        "zcard",
        "zrange",
        "zrangebyscore",
        "zrevrange",
        "zrevrank",
        "xlen",
        "xread",
        "xrevrange",
        "get",
        "set",
        "info",
        "subscribe",
        "unsubscribe",
    ),
    channels=("events:*",),
    rings=True,
)
WORKER: Final = Role(
    "worker",
    scripts=("claim", "renew", "progress", "preview", "finish", "fail", "reap", "upload", "sweep"),
    writes=(
        *_OF_JOBS,
        *_OF_PREDICTION,
        "draft:*",
        "result:*",
        "stored:*",
        "objects",
        "deleting",
        "previews:*",
        "usage:*",
        "eta_error",
        "claimed:*",
        "worker:*",
        "models",
        "moved",
        "dead",
        "reaped_at",
    ),
    reads=(),
    commands=("del", "hset", "hgetall", "expire", "smembers", "zrangebyscore", "zrem", *_TO_HEAR_RINGS),
    channels=("events:*",),
    rings=True,
)
COURIER: Final = Role(
    "courier",
    scripts=(
        *("dispatch", "collect", "settle"),
        # Lines of batches are asked for as calls are.
        *("submit", "cancel", "expect_file", "keep_file", "take_batch", "write_batch", "time_objects"),
    ),
    writes=(
        *_OF_JOBS,
        *_OF_SUBMISSION,
        *_OF_BATCHES,
        "batch_pending:*",
        "batch_refused:*",
        "delivering:*",
        "couriers",
        "signing_key",
    ),
    reads=(
        *_OF_PREDICTION,
        "result:*",
        "stored:*",
        "worker:*",
        "api_keys",
        "open_webhook",
        "webhook_secrets",
    ),
    commands=(
        "del",
        "exists",
        "get",
        "set",
        "hget",
        "hgetall",
        "hlen",
        "hmget",
        "hset",
        "info",
        "pexpire",
        "smembers",
        "zrange",
        "zrevrange",
        *_TO_HEAR_RINGS,
    ),
    rings=True,
)
OPERATOR: Final = Role(
    "operator",
    scripts=("submit",),
    writes=(*_OF_JOBS, *_OF_SUBMISSION, "api_keys", "dead", "webhook_secrets", "open_webhook"),
    reads=_OF_PREDICTION,
    commands=(
        "del",
        "exists",
        "hdel",
        "hget",
        "hexists",
        "hmget",
        "hset",
        "hvals",
        "hlen",
        "set",
        "xrange",
        "xrevrange",
        "xdel",
        "info",
    ),
)
METRICS: Final = Role(
    "metrics",
    scripts=(),
    writes=(),
    reads=("queue:*", "ring:*", "leases", "deadlines", "results", "counts", "done", "dead", "models"),
    commands=("info", "zcard", "llen", "xlen", "hgetall", "smembers", "slowlog|len", "latency|latest"),
)
ROLES: Final = (API, WORKER, COURIER, OPERATOR, METRICS)


def commands_of(script: str) -> set[str]:
    """Return the commands that a script calls, with those of the prelude in front of it."""
    return {name.lower() for name in re.findall(r"redis\.call\('([A-Z]+)'", scripts.load(script).source)}


def new_password() -> str:
    """Return a password that needs no quoting in a URL."""
    return secrets.token_urlsafe(32)


def acl_file(passwords: Iterable[tuple[Role, str]], prefix: str) -> str:
    """Return an ACL file in which nobody but these users gets in; it holds hashes of their passwords."""
    lines = ["user default reset off"]
    for role, password in passwords:
        digest = hashlib.sha256(password.encode()).hexdigest()
        lines.append(f"user {role.name} reset on #{digest} {' '.join(role.rules(prefix))}")
    return "\n".join([*lines, ""])
