"""Work that is not taken now: who is told to come back, and when."""

import pytest

from tests.http_caller import JOBS, Response, assert_error
from tests.integration.conftest import Serve, Service
from tests.waiting import wait_until


def assert_refused(answer: Response, status: int, code: str) -> int:
    """Check a refusal; return the seconds after which to come back."""
    assert_error(answer, status, code, kind="rate_limit_error" if status == 429 else "server_error")
    assert "x-should-retry" not in answer.headers
    retry_after_s = int(answer.headers["retry-after"])
    assert 1 <= retry_after_s <= 60
    return retry_after_s


def learn_pace(service: Service, ms_per_cost: float) -> None:
    service.worker.client.hset(service.key("pace"), "tiny", ms_per_cost)


def test_without_a_worker_nothing_is_taken(serve: Serve) -> None:
    service = serve(models=())

    assert_refused(service.caller.generate(), 503, "no_worker")
    assert_refused(service.caller.generate({"Prefer": "respond-async"}), 503, "no_worker")
    assert service.caller.http.get(JOBS).json()["data"] == []


def test_a_model_whose_worker_went_away_is_refused_after_its_grace(serve: Serve) -> None:
    service = serve(jobs={"worker_grace_s": 2})
    service.worker.beat()
    assert service.caller.generate({"Prefer": "respond-async"}).status_code == 202

    answer = wait_until(
        lambda: (a := service.caller.generate({"Prefer": "respond-async"})).status_code != 202 and a
    )

    assert_refused(answer, 503, "no_worker")


def test_a_worker_that_comes_is_noticed(serve: Serve) -> None:
    service = serve(models=())
    assert_refused(service.caller.generate(), 503, "no_worker")

    service.worker.models = ("tiny",)
    service.worker.beat()

    assert service.caller.generate({"Prefer": "respond-async"}).status_code == 202


def test_a_setting_lets_jobs_wait_for_a_worker(serve: Serve) -> None:
    service = serve(models=(), jobs={"queue_without_worker": True})

    call = service.caller.later()
    service.worker.models = ("tiny",)
    service.worker.do()

    assert call.result(timeout=30).status_code == 200


def test_a_caller_with_too_many_unfinished_jobs_is_told_so(serve: Serve) -> None:
    service = serve(jobs={"max_unfinished_per_owner": 2})
    ids = [service.caller.submit() for _ in range(2)]

    assert_refused(service.caller.generate(), 429, "too_many_jobs")
    other = service.another_caller("another key")
    assert other.submit()

    service.caller.cancel(ids[0])
    assert service.caller.submit()


def test_running_jobs_count_as_unfinished(serve: Serve) -> None:
    service = serve(jobs={"max_unfinished_per_owner": 1})
    service.caller.submit()
    attempt = service.worker.take()
    assert_refused(service.caller.generate(), 429, "too_many_jobs")

    service.worker.finish(attempt)

    assert service.caller.submit()


def test_a_full_queue_refuses_everybody(serve: Serve) -> None:
    service = serve(jobs={"max_queued": 2})
    service.caller.submit()
    service.caller.submit()

    assert_refused(service.caller.generate(), 503, "queue_full")
    assert_refused(service.another_caller("another key").generate(), 503, "queue_full")

    service.worker.take()  # what runs is not queued
    assert service.caller.submit()


@pytest.mark.parametrize("ms_per_cost", [1e-6, 1e9])
def test_the_time_to_come_back_is_from_1_to_60_s_whatever_the_pace(serve: Serve, ms_per_cost: float) -> None:
    service = serve(
        jobs={
            "max_queued": 1,
            "max_unfinished_per_owner": 1,
            "max_wait_s": 1e12,
            "max_owed_s_per_owner": 1e12,
        }
    )
    service.caller.submit()
    learn_pace(service, ms_per_cost)

    bound = 1 if ms_per_cost < 1 else 60
    assert assert_refused(service.caller.generate(), 503, "queue_full") == bound


def submit_ten(service: Service) -> str:
    return [service.caller.submit() for _ in range(10)].pop()


def cost_of(service: Service, job_id: str) -> int:
    return int(service.worker.client.hget(service.key("job", job_id), "cost"))


def test_a_queue_that_is_too_long_says_when_it_will_be_short_enough(serve: Serve) -> None:
    service = serve(jobs={"max_wait_s": 100})
    cost = cost_of(service, submit_ten(service))

    learn_pace(service, 11_000 / cost)  # ten jobs of 11 s, and 11 s for this one: 21 s too many
    assert assert_refused(service.caller.generate(), 503, "queue_full") == 21
    learn_pace(service, 120_000 / cost)  # twenty minutes
    assert assert_refused(service.caller.generate(), 503, "queue_full") == 60


def test_a_full_queue_says_when_this_very_call_will_have_room(serve: Serve) -> None:
    service = serve(jobs={"max_wait_s": 100, "max_queued": 10})
    cost = cost_of(service, submit_ten(service))

    learn_pace(service, 4_000 / cost)  # every 4 s a job ends, and 44 s are no long wait
    assert assert_refused(service.caller.generate(), 503, "queue_full") == 4
    learn_pace(service, 12_000 / cost)  # room in 12 s, but then still 120 s to wait
    assert assert_refused(service.caller.generate(), 503, "queue_full") == 32


def test_a_caller_with_too_much_work_is_told_when_enough_of_it_is_done(serve: Serve) -> None:
    service = serve(jobs={"max_owed_s_per_owner": 100})
    cost = cost_of(service, submit_ten(service))
    learn_pace(service, 12_000 / cost)  # eleven jobs of 12 s: 32 s too much

    assert assert_refused(service.caller.generate(), 429, "too_many_jobs") == 32


def test_results_that_take_too_much_room_say_when_the_first_expires(serve: Serve) -> None:
    service = serve(jobs={"max_result_bytes": 1024, "result_ttl_s": 30})
    service.caller.submit()
    attempt = service.worker.take()
    service.worker.store.save_draft(attempt, [b"A" * 2048])
    service.worker.store.finish(attempt, images=1, usage={}, size_bytes=2048)

    assert 28 <= assert_refused(service.caller.generate(), 503, "queue_full") <= 30


def test_the_time_to_come_back_follows_the_measured_pace(serve: Serve) -> None:
    service = serve(jobs={"max_unfinished_per_owner": 1})
    job_id = service.caller.submit()
    cost = int(service.worker.client.hget(service.key("job", job_id), "cost"))
    learn_pace(service, 7000 / cost)  # 7 s a job

    assert assert_refused(service.caller.generate(), 429, "too_many_jobs") == 7
