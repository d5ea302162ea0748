"""The fault table: each fault, what must hold, and the times that are measured of it."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Measured:
    """One time of a fault: the name under which tests record it, and what it is the time of."""

    name: str
    what: str
    unit: str = "s"


@dataclass(frozen=True)
class Row:
    """One fault."""

    fault: str
    holds: str
    measured: tuple[Measured, ...]


def _row(fault: str, holds: str, **measured: str) -> Row:
    names = {name.replace("_", "-"): what for name, what in measured.items()}
    return Row(fault, holds, tuple(Measured(name, what) for name, what in names.items()))


ROWS: Final = (
    _row(
        "SIGKILL of a worker mid-step, another alive",
        "the held call gets its picture, from attempt 2; one result",
        worker_killed="starts again elsewhere",
    ),
    _row(
        "SIGKILL of a worker between the upload of a picture and its result",
        "the call gets the address of another attempt's; what the dead one wrote is deleted",
        worker_killed_after_upload="starts again elsewhere",
    ),
    _row(
        "SIGKILL of every worker",
        "queued and running jobs are kept",
        all_workers_killed="runs again after a worker is ready",
    ),
    _row(
        "a worker killed between ring and claim; rings lost; the broker's database flushed",
        "rung again",
        ring_lost="starts without its ring",
        ring_taken_by_the_dead="starts after another worker is ready",
    ),
    _row(
        "every ring delivered three times, a thousand spurious rings",
        "each job runs once",
        rings_repeated="",
    ),
    _row(
        "SIGSTOP longer than the lease, then SIGCONT",
        "another worker finishes; the late one changes nothing and stops",
        worker_frozen="starts again elsewhere",
        zombie_stops="stops after waking",
    ),
    _row(
        "the device hangs in a tick",
        "the watchdog ends the process; the job moves (here with a `stall_s` of 2)",
        device_hangs="starts again elsewhere",
        watchdog="the same with the real engine, two workers booting",
    ),
    _row(
        "SIGTERM under load, every worker in turn",
        "no client error; no attempt spent; handed-back jobs start elsewhere",
        worker_drains="has ended",
        hands_back="stops at a second SIGTERM",
        handed_back_starts="starts elsewhere once handed back",
    ),
    _row(
        "a poison prompt kills every worker it meets, in a batch of eight",
        "dead after its last allowed loss (three; two in the short run of `make test-slow`); "
        "its seven mates succeed, each drawn alone",
        poison_given_up="given up",
    ),
    _row(
        "a prompt that raises; one that finds no device memory",
        "that job alone fails, at its first attempt",
        prompt_raises="",
    ),
    _row(
        "a batch that finds no device memory; a picture that never fits (the real engine)",
        "the batch finishes smaller, at its first attempt; the picture fails alone",
        out_of_memory="",
    ),
    _row(
        "Valkey SIGKILL and restart from its append-only file, idle and under load",
        "every acknowledged job ends; no job runs twice; no worker exits; submits are refused meanwhile",
        valkey_away_refuses="refuses",
        valkey_killed_takes_work="takes work again",
        valkey_killed_works="draws again",
        valkey_killed_waiters="answers who waited",
    ),
    _row(
        "Valkey frozen",
        "the same",
        valkey_frozen_takes_work="takes work again",
        valkey_frozen_waiters="answers who waited",
    ),
    _row(
        "connections reset; connections that went silent",
        "no caller notices",
        connections_cut="goes on",
        connections_stranded="the worker draws again",
    ),
    _row(
        "black hole between a worker and Valkey",
        "the job moves; the old attempt changes nothing; the worker is usable again",
        black_hole_moves="starts again elsewhere",
        black_hole_usable="draws again after it heals",
    ),
    _row(
        "black hole between the API and Valkey",
        "503, never a hang; nobody who waits is forgotten",
        api_black_hole_refuses="refuses",
        api_black_hole_waiters="answers who waited, after it heals",
    ),
    _row(
        "the reply of submit, claim, renew or finish is lost and the call repeated",
        "one job, one attempt, one announcement",
        replies_lost="",
    ),
    _row(
        "SIGKILL of an API process with 200 held calls, whose clients retry elsewhere",
        "each client gets its picture; one job each; the same bytes",
        api_killed="",
    ),
    _row(
        "clients hang up at random moments",
        "the device is freed; nothing is left over (here with a grace of 1 s)",
        clients_hung_up="every device free",
    ),
    _row(
        "cancel queued, cancel running",
        "never starts; stops at its next step",
        cancel_queued="answered",
        cancel_running="stops",
    ),
    _row(
        "a deadline passes, queued and running",
        "`deadline_exceeded`; the device is freed",
        deadline="fails",
    ),
    _row(
        "the caller's or the service's queue is full",
        "429 or 503 with Retry-After; nothing is stored",
        queue_full="refuses",
    ),
    _row(
        "Valkey at maxmemory",
        "submits are refused; leases are renewed; no job is taken for lost; no worker exits",
        valkey_full_recovers="answers who waited, after there is room",
    ),
    Row(
        "one owner submits thousands of jobs, then another submits one",
        "the other's starts next",
        (Measured("flood-jobs-before-another", "jobs started before it", "jobs"),),
    ),
    _row(
        "SIGKILL of the worker that draws an edit",
        "attempt 2 begins with the same pictures; then they are gone",
        edit_worker_killed="starts again elsewhere",
    ),
    _row(
        "SIGKILL of an API process that takes an edit's pictures in, or has just stored them",
        "no job; what was stored goes within a minute, what lay on the disk when the process is back",
        edit_api_killed="",
    ),
    _row(
        "Valkey SIGKILL while an edit's pictures come",
        "503; nothing is stored, nothing lies on the disk",
        edit_valkey_away_refuses="refuses",
    ),
    _row(
        "an edit's pictures are lost before a worker has them",
        "its job fails in words, at its first attempt",
        edit_pictures_lost="",
    ),
    _row("the `done` stream is lost", "the sweep wakes who waits", done_stream_lost="answers who waited"),
    _row("a worker's clock an hour off", "no effect", wrong_clock=""),
)
