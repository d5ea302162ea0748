"""``/metrics``: what happened to jobs, counted once, and what this process did."""

import re
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.operator.metrics import BOUNDS_MS
from cli.keyholder import Keyholder
from shared.api_keys import Scope
from shared.jobs.scripts import LUA_DIR
from tests.http_caller import assert_error
from tests.integration.conftest import Serve, Service
from tests.unit.docs.documents import documented_labels
from tests.waiting import wait_until

Value = Callable[..., float]


def values(service: Service) -> Value:
    """What is counted now, by name and labels; 0 where nothing is."""
    answer = service.caller.http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    return lambda name, **labels: samples.get((name, *sorted(labels.items())), 0.0)


def test_a_job_s_life_is_counted_once(service: Service) -> None:
    service.caller.submit()
    queued = values(service)
    assert queued("darkroom_jobs_queued", model="tiny") == 1
    assert queued("darkroom_oldest_queued_age_seconds", model="tiny") >= 0
    assert queued("darkroom_workers", model="tiny") == 1

    lost = service.worker.take()
    service.worker.store.fail(lost, code="generation_failed", message="again", again="retry")
    attempt = service.worker.take()
    assert values(service)("darkroom_jobs_running", model="tiny") == 1
    service.worker.finish(attempt)
    service.worker.store.finish(attempt, images=1, usage={})  # the same words twice, after a lost reply
    service.caller.cancel(service.caller.submit())

    ended = values(service)
    assert ended("darkroom_jobs_queued", model="tiny") == ended("darkroom_jobs_running", model="tiny") == 0
    assert ended("darkroom_jobs_ended_total", model="tiny", status="succeeded") == 1
    assert ended("darkroom_jobs_ended_total", model="tiny", status="cancelled") == 1
    assert ended("darkroom_attempts_requeued_total", model="tiny") == 1
    for what in ("wait", "run"):
        assert ended(f"darkroom_job_{what}_seconds_count", model="tiny") == 1
    assert ended("darkroom_job_duration_seconds_bucket", model="tiny", le="+Inf") == 1
    assert ended("darkroom_job_duration_seconds_bucket", model="tiny", le="600.0") == 1
    assert ended("darkroom_results") == 1
    assert ended("darkroom_store_up") == 1


def test_failures_are_told_apart_by_their_code(service: Service) -> None:
    for code in ("generation_failed", "moderation_blocked", "moderation_blocked"):
        service.caller.submit()
        attempt = service.worker.take()
        service.worker.store.fail(attempt, code=code, message="no picture")
        service.worker.store.fail(attempt, code=code, message="no picture")  # after a lost reply

    seen = values(service)
    assert seen("darkroom_jobs_ended_total", model="tiny", status="failed") == 3
    assert seen("darkroom_jobs_failed_total", model="tiny", code="generation_failed") == 1
    assert seen("darkroom_jobs_failed_total", model="tiny", code="moderation_blocked") == 2


def test_the_queue_of_a_model_that_no_worker_ever_served_is_seen(serve: Serve) -> None:
    service = serve(models=(), jobs={"queue_without_worker": True})

    service.caller.submit()

    queued = values(service)
    assert queued("darkroom_jobs_queued", model="tiny") == 1
    assert queued("darkroom_workers", model="tiny") == 0


def test_requests_errors_and_held_calls_are_counted(service: Service) -> None:
    before = values(service)
    held = service.caller.later()
    wait_until(lambda: values(service)("darkroom_held_calls") == before("darkroom_held_calls") + 1)
    service.worker.do()
    assert held.result().status_code == 200
    service.caller.generate(model="none")

    after = values(service)
    route = {"method": "POST", "route": "/v1/images/generations"}
    assert after("darkroom_http_requests_total", status="200", **route) >= 1
    assert after("darkroom_http_requests_total", status="404", **route) >= 1
    code = {"code": "model_not_found"}
    assert after("darkroom_http_errors_total", **code) == before("darkroom_http_errors_total", **code) + 1
    wait_until(lambda: values(service)("darkroom_held_calls") == before("darkroom_held_calls"))


def test_no_caller_can_make_a_label(service: Service) -> None:
    service.caller.http.get("/no/such/path/of/mine")
    service.caller.http.request("WEIRD", "/nor/this")

    text = service.caller.http.get("/metrics").text
    assert 'route="none"' in text
    assert "of/mine" not in text
    assert "WEIRD" not in text


def test_where_there_are_keys_it_wants_one(serve: Serve) -> None:
    service = serve()
    settings = service.api.settings
    keyholder = Keyholder(settings.redis, settings.api.owner_salt.get_secret_value().encode())
    admin = keyholder.create("prometheus", scopes=frozenset({Scope.ADMIN}))

    assert_error(service.another_caller("").http.get("/metrics"), 401, "invalid_api_key")
    assert service.another_caller(admin.text).http.get("/metrics").status_code == 200


def test_the_bounds_are_those_of_the_script() -> None:
    found = re.search(r"ipairs\(\{([\d, ]+)\}\)", (LUA_DIR / "finish.lua").read_text())

    assert found
    assert tuple(map(int, found[1].split(","))) == BOUNDS_MS


@pytest.mark.parametrize("what", ["a tiny picture", "key"])
def test_nothing_of_what_was_asked_for_is_in_it(service: Service, what: str) -> None:
    service.caller.submit(prompt="a tiny picture")

    assert f'"{what}"' not in service.caller.http.get("/metrics").text


def test_what_is_shown_has_the_labels_of_the_document(service: Service) -> None:
    service.caller.submit()
    service.worker.fail(service.worker.take())
    service.caller.submit()
    service.worker.do()
    service.caller.http.get("/nowhere")

    text = service.caller.http.get("/metrics").text

    shown = {
        sample.name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count"): set(sample.labels)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("darkroom_") and not sample.name.endswith("_created")
    }
    documented = documented_labels()
    assert len(shown) > 15
    assert {name: labels - {"le"} for name, labels in shown.items()} == {n: documented[n] for n in shown}
