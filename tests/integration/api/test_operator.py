"""The operator's view: what the whole service does now, and nothing of what was asked for."""

import httpx2

from shared.params import PARAMS_VERSION
from shared.settings import JobSettings
from tests.integration.conftest import Service
from tests.jobs import Caller
from worker.store import WorkerStore


def seen(service: Service) -> dict[str, list[dict[str, object]]]:
    answer = service.caller.http.get("/v1/operator")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_queues_workers_and_running_jobs(service: Service) -> None:
    for prompt in ("one", "two", "three"):
        service.caller.submit(prompt=f"secret {prompt}", model="tiny")
    service.worker.take()

    view = seen(service)

    queues = {queue["model"]: queue for queue in view["models"]}
    assert (queues["tiny"]["queued"], queues["tiny"]["running"], queues["tiny"]["workers"]) == (2, 1, 1)
    assert queues["tiny"]["oldest_s"] >= 0
    assert (queues["plain"]["queued"], queues["plain"]["oldest_s"]) == (0, 0)
    (worker,) = view["workers"]
    assert (worker["name"], worker["jobs"]) == ("played", 1)
    assert worker["seen_s"] < 5
    assert "secret" not in str(view)


def test_low_jobs_are_told_apart_from_those_that_wait(service: Service) -> None:
    store = Caller(service.worker.client, service.key())
    for low in (True, True, False):
        store.submit(model="tiny", low=low)

    (queue,) = (queue for queue in seen(service)["models"] if queue["model"] == "tiny")

    assert (queue["queued"], queue["low"]) == (1, 2)
    shown = service.caller.http.get("/metrics").text
    assert 'darkroom_jobs_queued{model="tiny"} 1.0' in shown
    assert 'darkroom_low_jobs_queued{model="tiny"} 2.0' in shown


def test_how_far_off_predicted_ends_are(service: Service) -> None:
    assert seen(service)["models"][0]["eta_error"] is None
    service.caller.submit(model="tiny")
    service.worker.do()  # from which the pace is learned
    service.caller.submit(model="tiny")
    service.worker.do()

    queues = {queue["model"]: queue for queue in seen(service)["models"]}

    assert queues["plain"]["eta_error"] is None
    assert queues["tiny"]["eta_error"] == float(service.worker.client.hget(service.key("eta_error"), "tiny"))


def test_jobs_that_no_living_worker_can_read_and_what_each_worker_reads(service: Service) -> None:
    store = service.worker.store
    for _ in range(2):
        service.caller.submit(model="tiny")
    store.fail(service.worker.take(), code="none", message="too old", again="newer")
    store.renew("played", ["tiny", "plain"], [], {"reads": PARAMS_VERSION})

    view = seen(service)
    queues = {queue["model"]: queue for queue in view["models"]}
    assert (queues["tiny"]["queued"], queues["tiny"]["unreadable"], queues["plain"]["unreadable"]) == (
        2,
        1,
        0,
    )
    assert [worker["reads"] for worker in view["workers"]] == [PARAMS_VERSION]
    shown = service.caller.http.get("/metrics").text
    assert 'darkroom_jobs_unreadable{model="tiny"} 1.0' in shown
    assert f'darkroom_worker_reads{{worker="played"}} {PARAMS_VERSION}.0' in shown

    newer = WorkerStore(service.worker.client, JobSettings(), store.keys.prefix, reads=PARAMS_VERSION + 1)
    newer.renew("newer", ["tiny"], [], {"reads": PARAMS_VERSION + 1})
    queues = {queue["model"]: queue for queue in seen(service)["models"]}
    assert (queues["tiny"]["queued"], queues["tiny"]["unreadable"]) == (2, 0)


def test_how_each_worker_runs_its_models_as_far_as_it_says_so(service: Service) -> None:
    way = {stage: {"modes": ["graph"], "images": 4} for stage in ("text", "denoise", "decode")}
    later = {"text": ["in a later version's words"]}
    service.worker.beat(runs_as={"tiny": way, "plain": later})
    another = WorkerStore(service.worker.client, JobSettings(), service.worker.store.keys.prefix)
    another.renew("old", ["tiny"], [], {"device": "cpu"})
    another.renew("odd", ["tiny"], [], {"runs_as": ["tiny"]})

    workers = {worker["name"]: worker["runs_as"] for worker in seen(service)["workers"]}

    assert workers == {"played": {"tiny": way}, "old": {}, "odd": {}}


def test_recent_failures_newest_first(service: Service) -> None:
    ids = [service.caller.submit() for _ in range(2)]
    for _ in ids:
        service.worker.fail(service.worker.take())
    service.caller.submit()
    service.worker.do()

    errors = seen(service)["errors"]

    assert [error["job_id"] for error in errors] == ids[::-1]
    assert {error["code"] for error in errors} == {"generation_failed"}
    assert {error["worker"] for error in errors} == {"played"}
    assert {error["attempts"] for error in errors} == {1}


def test_the_page_and_its_files_come_from_this_process_with_a_strict_policy(service: Service) -> None:
    page = service.caller.http.get("/")
    module = service.caller.http.get("/playground/js/app.js")

    assert (page.status_code, module.status_code) == (200, 200)
    assert module.headers["content-type"].startswith("text/javascript")
    for answer in (page, module):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    again = service.caller.http.get(
        "/playground/js/app.js", headers={"If-None-Match": module.headers["etag"]}
    )
    assert again.status_code == 304


def test_nothing_outside_the_pages_folder_is_served(service: Service) -> None:
    for path in ("/playground/../app.py", "/playground/%2e%2e/app.py", "/playground/js/../../app.py"):
        url = httpx2.URL(service.api.url).copy_with(raw_path=path.encode())
        assert service.caller.http.get(url).status_code == 404


def test_nothing_of_the_page_names_another_host(service: Service) -> None:
    page = service.caller.http.get("/").text
    for name in (
        "app",
        "api",
        "card",
        "events",
        "form",
        "gallery",
        "memory",
        "operator",
        "snippets",
        "words",
    ):
        page += service.caller.http.get(f"/playground/js/{name}.js").text
    page += service.caller.http.get("/playground/style.css").text

    assert "https://" not in page
    assert "http://" not in page
    assert service.caller.http.get("/docs").text.count("https://") == 0
