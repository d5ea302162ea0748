"""The service with a played worker: the API over real HTTP, a real Valkey, and a worker the test moves."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from cli.valkey import EmbeddedServer
from shared.settings import (
    ApiSettings,
    BatchSettings,
    JobSettings,
    ModelSettings,
    ModerationSettings,
    RedisSettings,
    ResultSettings,
    Settings,
    WebhookSettings,
)
from tests.api_server import ApiServer
from tests.http_caller import HttpCaller
from tests.played_worker import PlayedWorker
from tests.tiny_models import TINY_ENTRY, write_catalogue

HERE = Path(__file__).parent
BEGINS = {"by": "image-to-image", "masks": True, "strength": {"low": 0.8, "high": 0.5}}
"""How a model edits that begins with the picture."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.integration)


@dataclass
class Service:
    """A service to ask, its worker, and one caller of it."""

    api: ApiServer
    worker: PlayedWorker
    stack: ExitStack = field(repr=False)

    def __post_init__(self) -> None:
        self.caller = self.another_caller("key")

    @property
    def waiting(self) -> int:
        """How many calls the API holds."""
        return self.api.resources.waiting.watch.waiting

    def another_caller(self, key: str = "another key", **headers: str) -> HttpCaller:
        return self.stack.enter_context(HttpCaller(self.api.url, key, **headers))

    def key(self, *parts: str) -> str:
        """The name of a key in the store."""
        return self.worker.store.keys.key(*parts)


Serve = Callable[..., Service]


@pytest.fixture(scope="session", autouse=True)
def _plain_logs() -> None:
    """One line an event on stdout: structlog's own default draws every local variable of a traceback."""
    structlog.configure(
        [
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ]
    )


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models: `tiny` can do everything but large sizes, `plain` only large sizes."""
    large = {**TINY_ENTRY["sizes"], "max_side_px": 4096}
    return write_catalogue(
        tmp_path_factory.mktemp("models"),
        tiny={"aliases": ["small", "studio/Tiny-1"], "edits": BEGINS},
        plain={"transparent": False, "negative_prompt": False, "sizes": large},
    )


def _settings(valkey: EmbeddedServer, catalogue: Path, prefix: str, **sections: dict[str, Any]) -> Settings:
    return Settings(
        redis=RedisSettings(url=SecretStr(valkey.url), prefix=prefix, **sections.get("redis", {})),
        models=ModelSettings(**{"catalogue": catalogue, **sections.get("model_settings", {})}),
        jobs=JobSettings(**sections.get("jobs", {})),
        api=ApiSettings(**sections.get("api", {})),
        moderation=ModerationSettings(**sections.get("moderation", {})),
        results=ResultSettings(**sections.get("results", {})),
        webhooks=WebhookSettings(**sections.get("webhooks", {})),
        batches=BatchSettings(**sections.get("batches", {})),
    )


@pytest.fixture
def serve(valkey: EmbeddedServer, catalogue: Path, prefix: str) -> Iterator[Serve]:
    """A function that starts a service; its worker has said once that it lives.

    It takes the settings of a section by name (``jobs={"max_queued": 1}``; those of the models are
    ``model_settings``), ``models``: what the worker serves, and ``server``: another store than the session's.
    """
    with _serving(valkey, catalogue, prefix) as start:
        yield start


@pytest.fixture(scope="module")
def serve_module(valkey: EmbeddedServer, catalogue: Path) -> Iterator[Serve]:
    """The same, for a service that a module's tests share."""
    with _serving(valkey, catalogue, f"m{secrets.token_hex(4)}:") as start:
        yield start


@contextmanager
def _serving(valkey: EmbeddedServer, catalogue: Path, prefix: str) -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(
            *,
            models: tuple[str, ...] = ("tiny", "plain"),
            server: EmbeddedServer = valkey,
            **sections: dict[str, Any],
        ) -> Service:
            settings = _settings(server, catalogue, prefix, **sections)
            worker = PlayedWorker(settings, models)
            stack.callback(worker.close)
            if models:
                worker.beat()
            api = stack.enter_context(ApiServer(settings))
            return Service(api, worker, stack)

        yield start


@pytest.fixture
def service(serve: Serve) -> Service:
    """A service with the settings of a fresh installation."""
    return serve()


@pytest.fixture(scope="module")
def automatic(valkey: EmbeddedServer, catalogue: Path) -> Iterator[Service]:
    """A service of the module whose worker answers everything at once."""
    settings = _settings(valkey, catalogue, f"m{secrets.token_hex(4)}:")
    with ExitStack() as stack:
        worker = PlayedWorker(settings)
        stack.callback(worker.close)
        worker.beat()
        stack.enter_context(worker.serving())
        api = stack.enter_context(ApiServer(settings))
        yield Service(api, worker, stack)
