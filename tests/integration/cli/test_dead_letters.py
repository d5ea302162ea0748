"""Dead jobs are listed and get another chance, on a real server."""

import pytest
from typer.testing import CliRunner

from cli.dead_letters import DeadLetters
from cli.main import app
from shared.errors import JobNotFound
from shared.redis_clients import sync_client
from shared.settings import JobSettings, RedisSettings
from tests.jobs import Caller
from tests.waiting import wait_until
from worker.store import WorkerStore


@pytest.fixture
def caller(redis_settings: RedisSettings) -> Caller:
    return Caller(sync_client(redis_settings), redis_settings.prefix)


def die(caller: Caller) -> str:
    """Submit a job and lose every worker that runs it."""
    impatient = JobSettings(lease_s=0.02, heartbeat_s=0.005, reap_s=0.001)
    store = WorkerStore(caller.client, impatient, caller.keys.prefix)
    job_id = caller.submit(job_id="dead", max_attempts=2)
    for worker in ("w1", "w2"):
        assert store.claim("m", worker, want=1, alone=True).attempts
        wait_until(lambda: (reaped := store.reap()) is not None and reaped.requeued + reaped.lost == 1)
    assert caller.status(job_id) == "failed"
    return job_id


def test_a_dead_job_is_listed_with_the_workers_it_outlived(
    caller: Caller, redis_settings: RedisSettings
) -> None:
    job_id = die(caller)

    (letter,) = DeadLetters(redis_settings, JobSettings()).newest(10)

    assert (letter.job_id, letter.model, letter.workers) == (job_id, "m", ("w1", "w2"))


def test_another_chance_is_a_new_job_with_the_same_params(
    caller: Caller, redis_settings: RedisSettings
) -> None:
    job_id = die(caller)
    letters = DeadLetters(redis_settings, JobSettings())

    new_id = letters.requeue(job_id)

    new, old = caller.record(new_id), caller.record(job_id)
    assert (new["status"], new["attempt"], new["losses"]) == ("queued", "0", "0")
    assert (new["params"], new["owner"]) == (old["params"], old["owner"])
    assert caller.status(job_id) == "failed"
    assert letters.newest(10) == []
    with pytest.raises(JobNotFound):
        letters.requeue(job_id)


def test_the_command_lists_and_requeues(
    caller: Caller, redis_settings: RedisSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_REDIS__PREFIX", redis_settings.prefix)
    url = redis_settings.url.get_secret_value()
    job_id = die(caller)

    listed = CliRunner().invoke(app, ["jobs", "dead", "--redis-url", url])
    requeued = CliRunner().invoke(app, ["jobs", "dead", "--redis-url", url, "--requeue", job_id])
    empty = CliRunner().invoke(app, ["jobs", "dead", "--redis-url", url])

    assert job_id in listed.output
    assert "submitted again as" in requeued.output
    assert "no dead jobs" in empty.output
