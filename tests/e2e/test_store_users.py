"""Each kind of process as its own user of the store, with no more rights than it needs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import redis
from typer.testing import CliRunner

from cli.dead_letters import DeadLetters
from cli.keyholder import Keyholder
from cli.main import app
from cli.processes import stop_together
from cli.signers import Signers, Wanted
from cli.store_users import ROLES
from shared.api_keys import Scope
from shared.errors import ConfigurationError, StoreUnavailable
from shared.settings import JobSettings
from tests.e2e.guarded import ask_for_everything, guarded_service
from tests.http_caller import ASYNC, HttpCaller
from tests.jobs import Caller
from tests.receiver import Receiver, status
from tests.service import API, COURIER, STOP_S, RunningService, process
from tests.store_server import ADMIN, StoreServer
from tests.waiting import wait_until
from worker.store import WorkerStore

SALT: Final = b"a salt of the tests"
WRONG: Final = "marker-of-a-wrong-password"
FORBIDDEN_TO_ALL: Final = (
    "KEYS *",
    "SCAN 0",
    "FLUSHALL",
    "FLUSHDB",
    "CONFIG GET *",
    "CONFIG SET maxmemory 1",
    "SHUTDOWN NOSAVE",
    "SAVE",
    "REPLICAOF NO ONE",
    "MONITOR",
    "ACL LIST",
    "ACL SETUSER api allcommands",
    "CLIENT LIST",
    "CLIENT KILL TYPE normal",
    "MODULE LIST",
    "SCRIPT FLUSH",
    "SCRIPT KILL",
    "EVAL return 0",
    "SWAPDB 0 1",
    "GET another-program:key",
)
FORBIDDEN: Final = {
    "api": (
        "HSET guarded:result:1 0 forged",
        "HSET guarded:draft:1:t 0 forged",
        "RENAME guarded:job:1 guarded:result:1",
        "HSET guarded:api_keys 0123456789abcdef {}",
        "HDEL guarded:api_keys 0123456789abcdef",
        "HGET guarded:webhook_secrets open",
        "HSET guarded:webhook_secrets open {}",
        "SET guarded:open_webhook 1",
        "ZADD guarded:couriers 1 c",
        "HINCRBY guarded:usage:o:1 m:images 1",
        "SET guarded:vtime:m 1",
        "SET guarded:claimed:1 1",
        "XADD guarded:moved * id 1",
        "XADD guarded:dead * id 1",
        "ZADD guarded:serving:m 1 w",
        "PUBLISH guarded:events:1 {}",
        "SUBSCRIBE another-program",
        "BRPOP guarded:ring:m 0",
    ),
    "worker": (
        "HGET guarded:api_keys 0123456789abcdef",
        "HSET guarded:api_keys 0123456789abcdef {}",
        "GET guarded:replay:o:d",
        "GET guarded:rate:k",
        "ZRANGE guarded:history:o 0 -1",
        "SUBSCRIBE guarded:events:1",
        "HGET guarded:webhook_secrets open",
    ),
    "courier": (
        "HSET guarded:api_keys 0123456789abcdef {}",
        "HSET guarded:webhook_secrets open {}",
        "HSET guarded:result:1 0 forged",
        "HSET guarded:stored:1 0 forged",
        "HSET guarded:draft:1:t 0 forged",
        "RENAME guarded:draft:1:t guarded:result:1",
        "GET guarded:rate:k",
        "HINCRBY guarded:usage:o:1 m:images 1",
        "SET guarded:vtime:m 1",
        "SET guarded:claimed:1 1",
        "ZADD guarded:serving:m 1 w",
        "XADD guarded:moved * id 1",
        "XADD guarded:dead * id 1",
        "PUBLISH guarded:events:1 {}",
    ),
    "operator": ("HGET guarded:result:1 0", "SET guarded:rate:k 1", "LPUSH guarded:ring:m {}"),
    "metrics": (
        "HGETALL guarded:job:1",
        "HGETALL guarded:result:1",
        "HGETALL guarded:input:1",
        "HGETALL guarded:api_keys",
        "DEL guarded:counts",
        "LPUSH guarded:ring:m {}",
    ),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    with StoreServer(tmp_path_factory.mktemp("guarded"), "guarded:") as server:
        yield server


@pytest.fixture(scope="module")
def service(store: StoreServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The API, a worker and a courier, each as its own user."""
    folder = tmp_path_factory.mktemp("service")
    inside = {"DARKROOM_WEBHOOKS__ALLOW_PRIVATE_ADDRESSES": "true"}
    with guarded_service(folder, store, DARKROOM_API__OWNER_SALT=SALT.decode(), **inside) as running:
        of_the_courier = {**running.environment, "DARKROOM_REDIS__URL": store.url("courier")}
        courier = process("courier", COURIER, folder, **of_the_courier)
        courier.start()
        try:
            yield running
        finally:
            stop_together([courier], STOP_S)


def test_the_whole_service_runs_and_nobody_wants_more_than_it_may(
    store: StoreServer, service: RunningService
) -> None:
    keyholder = Keyholder(store.settings("operator"), SALT)
    made = keyholder.create("a test's", scopes=frozenset(Scope))

    ask_for_everything(service.url, made.text)

    Signers(store.settings("operator"), keyholder).change(made.key.id, Wanted())
    with Receiver() as receiver, HttpCaller(service.url, made.text) as caller:
        receiver.replies = [status(500)]
        job_id = wait_until(lambda: _told(caller, receiver.url), 10, "the key's secret to be known")
        wait_until(lambda: caller.job(job_id)["webhook"]["state"] == "delivered", 40, "its webhook")
    other = keyholder.create("another")
    keyholder.revoke(other.key.id)
    assert [key.id for key in keyholder.all()] == [made.key.id, other.key.id]
    with store.client("metrics") as client:
        assert client.zcard("guarded:queue:light") == 0
        assert client.hgetall("guarded:counts")[b"light:ended:succeeded"]
    with store.client(ADMIN) as admin:
        assert list(admin.scan_iter(match="guarded:input*")) == []
    assert store.refusals() == []


def _told(caller: HttpCaller, url: str) -> str | None:
    answer = caller.generate(ASYNC, webhook={"url": url})
    return str(answer.json()["id"]) if answer.status_code == 202 else None


def test_the_operator_gives_a_dead_job_another_chance(store: StoreServer, service: RunningService) -> None:
    with store.client(ADMIN) as admin:
        job_id = Caller(admin, store.prefix).submit(model="nobody-draws-this", job_id="1" * 32)
        admin.xadd("guarded:dead", {"id": job_id, "model": "nobody-draws-this", "owner": "owner"})
    letters = DeadLetters(store.settings("operator"), JobSettings())

    assert [letter.job_id for letter in letters.newest(5)] == [job_id]
    assert letters.requeue(job_id) != job_id
    assert letters.newest(5) == []
    assert service.api.running


@pytest.mark.parametrize("role", [role.name for role in ROLES])
def test_what_a_user_does_not_need_is_refused(store: StoreServer, role: str) -> None:
    with store.client(role) as client:
        for command in (*FORBIDDEN_TO_ALL, *FORBIDDEN[role]):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command.split(" "), *(["0"] if "EVAL" in command else []))


def test_an_api_process_can_neither_claim_nor_finish(store: StoreServer) -> None:
    with store.client(ADMIN) as admin:
        caller = Caller(admin, store.prefix)
        job_id = caller.submit(model="contested", job_id="2" * 32)
        intruder = WorkerStore(store.client("api"), JobSettings(), store.prefix)

        with pytest.raises(redis.exceptions.ResponseError, match="ACL failure in script"):
            intruder.claim("contested", "intruder", want=1, alone=True)

        assert caller.status(job_id) == "queued"
        (attempt,) = (
            WorkerStore(store.client("worker"), JobSettings(), store.prefix)
            .claim("contested", "worker", want=1, alone=True)
            .attempts
        )
        with pytest.raises(redis.exceptions.NoPermissionError):
            intruder.save_draft(attempt, [b"forged"])
        assert caller.status(job_id) == "running"


@pytest.mark.parametrize("user", ["api", "default", "nobody"])
def test_a_wrong_password_is_a_clear_error_without_it(store: StoreServer, user: str) -> None:
    settings = store.settings(user, WRONG)

    with pytest.raises(
        StoreUnavailable, match="invalid username-password pair or user is disabled"
    ) as caught:
        Keyholder(settings, SALT).all()

    assert WRONG not in str(caught.value)


def test_without_any_password_nobody_gets_in(store: StoreServer) -> None:
    with pytest.raises(redis.exceptions.AuthenticationError), redis.Redis(port=store.port) as client:
        client.ping()


def test_the_api_s_own_user_is_no_operator_and_the_command_says_so(
    store: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_REDIS__PREFIX", store.prefix)

    said = CliRunner().invoke(app, ["keys", "create", "--name", "x", "--redis-url", store.url("api")])

    assert said.exit_code == 1
    assert "name the operator's" in said.output
    assert store.passwords["api"] not in said.output
    with pytest.raises(ConfigurationError):
        Keyholder(store.settings("api"), SALT).create("x")


def test_processes_with_a_wrong_password_say_why_and_never_the_password(
    store: StoreServer, tmp_path: Path
) -> None:
    wrong = {"DARKROOM_REDIS__URL": store.url("api", WRONG)}
    service = guarded_service(tmp_path, store)
    service.api = process("api", API, tmp_path, **{**service.environment, **wrong})
    service.worker.program.environment.update({"DARKROOM_REDIS__URL": store.url("worker", WRONG)})
    try:
        service.api.start()
        service.worker.start()
        logs = [child.program.log for child in (service.api, service.worker)]
        for log in logs:
            wait_until(
                lambda log=log: "invalid username-password" in log.read_text(), 20, f"{log.name} says why"
            )
        with HttpCaller(service.url) as caller:
            answer = caller.generate(ASYNC)
            ready = caller.http.get("/readyz")
    finally:
        service.close()

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")
    assert ready.json()["redis"] is False
    for text in [answer.text, *(log.read_text() for log in logs)]:
        assert WRONG not in text
