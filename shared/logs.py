"""Structured logs: fixed dotted past-tense events, ids bound once at the edge, prompts never.

Uvicorn, Celery and warnings go through the same renderer, one line each.
"""

import logging
import sys
from typing import Final

import structlog

from shared.addresses import without_arguments
from shared.printable import printable, printable_lines
from shared.settings import LogSettings

_OF_SEVERAL_LINES: Final = frozenset(("exception", "stack"))


def configure(settings: LogSettings) -> None:
    """Set up logging for this process."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    # Before a renderer sees them: that of a console would print every local variable, prompts among them.
    shared.append(structlog.processors.format_exc_info)
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if settings.format == "console":
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    structlog.configure(
        # What nobody will see is dropped before anything is made of it.
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _fit_to_be_shown,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level.upper())
    for noisy in ("celery.worker.strategy", "celery.app.trace", "kombu", "filelock", "httpcore2"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for owned in ("uvicorn", "uvicorn.error"):
        logging.getLogger(owned).handlers = []
        logging.getLogger(owned).propagate = True


def _fit_to_be_shown(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Take out of every text what a terminal would take for an order, and what may be secret.

    JSON escapes such characters, and whoever prints what is in it would have them again. Libraries log what
    servers say themselves.
    """
    return {printable(name): _shown(name, value) for name, value in event.items()}


def _shown(name: str, value: object) -> object:
    if isinstance(value, str):
        said = without_arguments(value)
        return printable_lines(said) if name in _OF_SEVERAL_LINES else printable(said)
    if isinstance(value, dict):
        return {printable(str(key)): _shown("", each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown("", each) for each in value]
    return value if isinstance(value, int | float | None) else printable(repr(value))


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
