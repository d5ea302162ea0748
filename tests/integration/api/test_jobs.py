"""The job routes: one's own jobs, followed from queue to end."""

import time

import pytest

from tests.http_caller import JOBS, Json, assert_error
from tests.integration.conftest import Serve, Service
from tests.waiting import wait_until

MEMBERS = {
    "id",
    "object",
    "status",
    "model",
    "created_at",
    "started_at",
    "finished_at",
    "expires_at",
    "progress",
    "queue_position",
    "eta_seconds",
    "attempt",
    "seeds",
    "error",
    "warnings",
}


def members(job: Json, *names: str) -> tuple[object, ...]:
    assert set(job) == MEMBERS
    return tuple(job[name] for name in names)


def test_an_id_is_128_random_bits(service: Service) -> None:
    ids = [service.caller.submit() for _ in range(4)]

    assert {len(bytes.fromhex(job_id)) for job_id in ids} == {16}
    assert len({job_id[:8] for job_id in ids}) == 4  # no clock in front


def test_a_server_that_has_forgotten_the_scripts_still_says_where_a_job_stands(service: Service) -> None:
    service.caller.submit()
    job_id = service.caller.submit()
    assert service.caller.job(job_id)["queue_position"] == 1

    service.worker.client.script_flush()

    assert service.caller.job(job_id)["queue_position"] == 1


def test_a_job_tells_its_whole_life(service: Service) -> None:
    before = int(time.time())
    job_id = service.caller.submit(seed=7, n=2, model="small")

    queued = service.caller.job(job_id)
    assert members(queued, "id", "object", "status", "model") == (job_id, "image.job", "queued", "tiny")
    assert members(queued, "started_at", "finished_at", "expires_at", "error") == (None, None, None, None)
    assert members(queued, "progress", "queue_position", "attempt", "seeds") == (0, 0, 0, [7, 8])
    assert before - 1 <= queued["created_at"] <= time.time() + 1

    attempt = service.worker.take()
    service.worker.store.progress([(job_id, attempt.token, 3, 4)])
    running = service.caller.job(job_id)
    assert members(running, "status", "progress", "queue_position", "attempt") == ("running", 75, None, 1)
    assert running["started_at"] >= queued["created_at"]
    assert running["finished_at"] is None

    service.worker.finish(attempt)
    ended = service.caller.job(job_id)
    assert members(ended, "status", "progress", "error", "seeds") == ("succeeded", 100, None, [7, 8])
    assert members(ended, "queue_position", "eta_seconds", "warnings") == (None, None, [])
    assert ended["created_at"] <= ended["started_at"] <= ended["finished_at"]
    assert ended["expires_at"] - ended["finished_at"] == 3600


def test_a_failed_job_says_why(service: Service) -> None:
    job_id = service.caller.submit()
    service.worker.fail(service.worker.take(), "the paint ran out")

    job = service.caller.job(job_id)
    assert members(job, "status", "expires_at") == ("failed", None)
    assert job["error"] == {"code": "generation_failed", "message": "the paint ran out"}
    assert job["finished_at"] >= job["started_at"]
    answer = service.caller.result(job_id)
    assert assert_error(answer, 500, "generation_failed", kind="server_error") == "the paint ran out"
    assert answer.headers["x-should-retry"] == "false"


def test_a_job_that_was_requeued_counts_its_attempts(service: Service) -> None:
    job_id = service.caller.submit()
    service.worker.store.fail(service.worker.take(), code="generation_failed", message="", again="retry")
    assert members(service.caller.job(job_id), "status", "attempt", "progress") == ("queued", 1, 0)

    service.worker.do()
    assert members(service.caller.job(job_id), "status", "attempt") == ("succeeded", 2)


def test_positions_and_predictions_come_from_the_queue(service: Service) -> None:
    service.caller.submit()
    service.worker.do()  # from which the pace is learned
    ids = [service.caller.submit() for _ in range(3)]

    jobs = [service.caller.job(job_id) for job_id in ids]
    assert [job["queue_position"] for job in jobs] == [0, 1, 2]
    predictions = [job["eta_seconds"] for job in jobs]
    assert all(isinstance(eta, int) for eta in predictions)
    assert predictions == sorted(predictions)


def test_a_result_is_a_409_before_the_job_has_ended(service: Service) -> None:
    job_id = service.caller.submit()
    early = service.caller.result(job_id)
    service.worker.take()
    running = service.caller.result(job_id)

    for answer in (early, running):
        assert_error(answer, 409, "job_not_finished")
        assert answer.headers["x-should-retry"] == "false"


def test_a_result_is_a_410_after_its_time_to_live(serve: Serve) -> None:
    service = serve(jobs={"result_ttl_s": 1})
    job_id = service.caller.submit()
    service.worker.do()
    assert service.caller.result(job_id).status_code == 200

    wait_until(lambda: service.caller.result(job_id).status_code != 200, timeout_s=10, what="the expiry")

    assert_error(service.caller.result(job_id), 410, "result_expired")
    assert service.caller.job(job_id)["status"] == "succeeded"
    assert service.caller.job(job_id)["expires_at"] <= time.time()


def test_a_record_lives_its_time_and_then_is_a_404(serve: Serve) -> None:
    service = serve(jobs={"record_ttl_s": 1, "result_ttl_s": 1})
    job_id = service.caller.submit()
    service.worker.do()
    assert service.caller.job(job_id)["status"] == "succeeded"

    path = f"{JOBS}/{job_id}"
    wait_until(lambda: service.caller.http.get(path).status_code == 404, timeout_s=10, what="the expiry")

    assert_error(service.caller.http.get(path), 404, "job_not_found")
    assert service.caller.http.get(JOBS).json()["data"] == []


def test_a_queued_job_can_be_cancelled(service: Service) -> None:
    job_id = service.caller.submit()

    answer = service.caller.cancel(job_id)

    assert answer.status_code == 200
    assert members(answer.json(), "id", "status", "queue_position") == (job_id, "cancelled", None)
    assert answer.json()["error"]["code"] == "job_cancelled"
    assert service.worker.claim() is None
    assert_error(service.caller.result(job_id), 409, "job_cancelled")


def test_a_running_job_can_be_cancelled_and_its_worker_learns_it(service: Service) -> None:
    job_id = service.caller.submit()
    attempt = service.worker.take()

    assert service.caller.cancel(job_id).json()["status"] == "cancelled"

    lost = service.worker.store.renew("played", ["tiny"], [(job_id, attempt.token)], {})
    assert lost == {job_id: "cancelled"}


@pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled"])
def test_a_finished_job_is_left_as_it_is(service: Service, end: str) -> None:
    job_id = service.caller.submit()
    if end == "cancelled":
        service.caller.cancel(job_id)
    else:
        attempt = service.worker.take()
        (service.worker.finish if end == "succeeded" else service.worker.fail)(attempt)
    before = service.caller.job(job_id)

    answer = service.caller.cancel(job_id)

    assert (answer.status_code, answer.json()) == (200, before)
    assert before["status"] == end


def test_waiting_for_a_job_returns_at_each_change_of_its_status(service: Service) -> None:
    job_id = service.caller.submit()
    path = f"{JOBS}/{job_id}"

    first = service.caller.get_later(path, {"Prefer": "wait=15"})
    wait_until(lambda: service.waiting == 1)
    attempt = service.worker.take()
    assert first.result(timeout=30).json()["status"] == "running"
    assert first.result().headers["preference-applied"] == "wait=15"

    second = service.caller.get_later(path, {"Prefer": "wait=15"})
    wait_until(lambda: service.waiting == 1)
    service.worker.finish(attempt)
    assert second.result(timeout=30).json()["status"] == "succeeded"

    third = service.caller.http.get(path, headers={"Prefer": "wait=15"})
    assert third.json()["status"] == "succeeded"  # at once: it cannot change any more


def test_waiting_for_a_job_that_does_not_change_ends_in_time(service: Service) -> None:
    job_id = service.caller.submit()
    started = time.monotonic()

    answer = service.caller.http.get(f"{JOBS}/{job_id}", headers={"Prefer": "wait=1"})

    assert 1.0 <= time.monotonic() - started < 10
    assert answer.json()["status"] == "queued"


def test_jobs_are_listed_newest_first(service: Service) -> None:
    ids = [service.caller.submit() for _ in range(4)]
    service.worker.do()
    service.caller.cancel(ids[3])

    body = service.caller.http.get(JOBS).json()

    assert set(body) == {"object", "data", "has_more"}
    assert (body["object"], body["has_more"]) == ("list", False)
    assert [job["id"] for job in body["data"]] == ids[::-1]
    assert body["data"] == [service.caller.job(job_id) for job_id in ids[::-1]]
    assert [job["status"] for job in body["data"]] == ["cancelled", "queued", "queued", "succeeded"]


def test_a_list_is_read_page_by_page(service: Service) -> None:
    ids = [service.caller.submit() for _ in range(5)]
    read: list[str] = []
    more = True
    while more:
        params = {"limit": 2, **({"after": read[-1]} if read else {})}
        page = service.caller.http.get(JOBS, params=params).json()
        assert len(page["data"]) <= 2
        read += [job["id"] for job in page["data"]]
        more = page["has_more"]

    assert read == ids[::-1]


def test_a_full_last_page_has_no_more(service: Service) -> None:
    ids = [service.caller.submit() for _ in range(2)]

    assert service.caller.http.get(JOBS, params={"limit": 2}).json()["has_more"] is False
    after = service.caller.http.get(JOBS, params={"after": ids[0]}).json()
    assert after == {"object": "list", "data": [], "has_more": False}


def test_a_list_has_20_jobs_unless_more_are_asked_for(automatic: Service) -> None:
    caller = automatic.another_caller("one of many")
    for _ in range(21):
        caller.submit()

    default = caller.http.get(JOBS).json()
    assert (len(default["data"]), default["has_more"]) == (20, True)
    assert len(caller.http.get(JOBS, params={"limit": 100}).json()["data"]) == 21


@pytest.mark.parametrize("limit", ["0", "-1", "101", "many", "1.5", ""])
def test_a_limit_is_from_1_to_100(automatic: Service, limit: str) -> None:
    answer = automatic.caller.http.get(JOBS, params={"limit": limit})

    assert_error(answer, 422, "invalid_value", param="limit")
    assert answer.json()["detail"][0]["loc"] == ["query", "limit"]


def test_a_page_after_no_job_of_ones_own_is_a_404(automatic: Service) -> None:
    answer = automatic.caller.http.get(JOBS, params={"after": "0" * 32})

    assert_error(answer, 404, "job_not_found", param="after")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_job_that_never_was_is_a_404(automatic: Service, method: str) -> None:
    assert_error(automatic.caller.http.request(method, f"{JOBS}/{'0' * 32}"), 404, "job_not_found")
    assert_error(automatic.caller.result("0" * 32), 404, "job_not_found")


@pytest.mark.parametrize("job_id", ["nope", "0" * 31, "0" * 33, "Z" * 32, "%F0%9F%A6%A2", "a:b"])
def test_what_cannot_be_an_id_is_refused(automatic: Service, job_id: str) -> None:
    assert_error(automatic.caller.http.get(f"{JOBS}/{job_id}"), 422, "invalid_value", param="job_id")


def test_a_job_that_no_living_worker_can_read_says_so(service: Service) -> None:
    job_id = service.caller.submit()
    service.worker.beat()
    attempt = service.worker.take()
    service.worker.store.fail(attempt, code="none", message="too old", again="newer")

    job = service.caller.job(job_id)

    assert (job["status"], job["queue_position"], job["eta_seconds"], job["attempt"]) == (
        "queued",
        0,
        None,
        0,
    )
    assert job["warnings"] == [
        {
            "code": "waiting_for_newer_worker",
            "message": "No worker that is alive is new enough to draw this; it waits until one comes.",
        }
    ]


def test_a_job_of_a_later_version_can_be_told_of_listed_and_cancelled(service: Service) -> None:
    job_id = service.caller.submit()
    key = service.worker.store.keys.job(job_id)
    words = service.worker.client.hget(key, "params").decode()
    service.worker.client.hset(key, "params", words.replace("{", '{"from":"the future",', 1))

    assert service.caller.job(job_id)["status"] == "queued"
    assert [job["id"] for job in service.caller.http.get(JOBS).json()["data"]] == [job_id]
    assert service.caller.cancel(job_id).json()["status"] == "cancelled"
