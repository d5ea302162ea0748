"""Celery's own tools may watch a worker, where a setting says so: they see it, and cannot change it.

Celery's remote control would let whoever reaches the broker shut a worker down. Here only the commands that
look are answered. It knows nothing of jobs: what Celery can show are rings.
"""

from typing import Any, Final

from celery import Celery
from celery.worker.control import Panel

from shared.logs import get_logger

ANSWERED: Final = frozenset(
    ("ping", "stats", "registered", "active", "active_queues", "reserved", "scheduled", "revoked", "conf")
)

log = get_logger(__name__)


def let_watch(app: Celery) -> None:
    """Answer inspections, send events and heartbeats, and refuse every other remote command."""
    app.conf.update(worker_enable_remote_control=True, worker_send_task_events=True)
    for command in set(Panel.data) - ANSWERED:
        Panel.data[command] = _refusal(command)


def _refusal(command: str) -> Any:  # noqa: ANN401 - a handler of Celery's, which has no type
    def refuse(_state: object, **_: object) -> dict[str, str]:
        log.warning("command.refused", command=command)
        return {"error": "refused: this worker can be watched, and not controlled"}

    return refuse
