"""``/v1/images/jobs/{id}/events``: what happens to a job, for whoever follows it."""

import base64
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.http_caller import JOBS, assert_error
from tests.integration.conftest import Serve, Service
from tests.sse import Event, Stream, streaming
from tests.waiting import wait_until
from worker.attempt import Attempt


def follow(service: Service, job_id: str, last_id: str = "") -> AbstractContextManager[Stream]:
    headers = {"Last-Event-ID": last_id} if last_id else None
    return streaming(service.caller.http, "GET", f"{JOBS}/{job_id}/events", headers=headers)


def preview(service: Service, attempt: Attempt, partial: int, image: int = 0) -> bytes:
    drawn = f"preview {image}.{partial}".encode()
    service.worker.store.preview(attempt, image=image, partial=partial, file=base64.b64encode(drawn))
    return drawn


def told(events: list[Event]) -> list[tuple[str, Any]]:
    """Names, with the status of a status and the number of a preview."""
    of = {"status": "status", "preview": "partial_image_index", "progress": "step"}
    return [(event.name, event.data.get(of.get(event.name, ""))) for event in events]


def test_a_job_from_queue_to_end(service: Service) -> None:
    job_id = service.caller.submit(partial_images=2, size="64x64")
    with follow(service, job_id) as events:
        queued = events.next("status")
        assert queued.data == {**service.caller.job(job_id), "eta_seconds": queued.data["eta_seconds"]}
        attempt = service.worker.take()
        running = events.next()
        service.worker.store.progress([(job_id, attempt.token, 3, 12)])
        progress = events.next()
        drawn = preview(service, attempt, 0)
        first = events.next()
        preview(service, attempt, 1)
        second = events.next()
        service.worker.finish(attempt)
        last, end = events.rest()

    assert (running.name, running.data["status"], running.data["attempt"]) == ("status", "running", 1)
    assert progress.data == {"attempt": 1, "step": 3, "steps": 12, "progress": 25}
    assert base64.b64decode(first.data.pop("b64_json")) == drawn
    assert first.data == {"index": 0, "partial_image_index": 0, "output_format": "png", "size": "64x64"}
    assert second.data["partial_image_index"] == 1
    assert (last.data["status"], last.data["progress"]) == ("succeeded", 100)
    assert end.name == "end"


def test_one_who_waits_is_told_of_a_new_place(service: Service) -> None:
    before = [service.caller.submit() for _ in range(2)]
    job_id = service.caller.submit()
    with follow(service, job_id) as events:
        assert events.next("status").data["queue_position"] == 2
        service.worker.do()
        assert events.next("status").data["queue_position"] == 1
        assert before[0] in service.worker.drawn


def test_a_cut_stream_goes_on_where_it_was_cut(service: Service) -> None:
    job_id = service.caller.submit(partial_images=3)
    attempt = service.worker.take()
    with follow(service, job_id) as events:
        preview(service, attempt, 0)
        seen = events.next("preview")
    preview(service, attempt, 1)

    with follow(service, job_id, seen.id) as events:
        assert events.next("status").data["status"] == "running"
        assert events.next("preview").data["partial_image_index"] == 1
        preview(service, attempt, 2)
        service.worker.finish(attempt)
        rest = events.rest()

    assert told(rest) == [("preview", 2), ("status", "succeeded"), ("end", None)]


def test_the_events_of_a_job_that_has_ended(service: Service) -> None:
    job_id = service.caller.submit(partial_images=1)
    attempt = service.worker.take()
    preview(service, attempt, 0)
    service.worker.finish(attempt)

    with follow(service, job_id) as events:
        whole = events.rest()
    with follow(service, job_id, whole[-1].id) as events:
        again = events.rest()

    assert told(whole) == [("preview", 0), ("status", "succeeded"), ("end", None)]
    assert told(again) == [("status", "succeeded"), ("end", None)]


@pytest.mark.parametrize("last_id", ["nonsense", "1", "0.0;DROP", "99999.1", "-"])
def test_an_id_that_was_never_sent_begins_anew(service: Service, last_id: str) -> None:
    job_id = service.caller.submit(partial_images=1)
    attempt = service.worker.take()
    preview(service, attempt, 0)
    service.worker.finish(attempt)

    with follow(service, job_id, last_id) as events:
        assert told(events.rest())[0] == ("preview", 0)


def test_a_cancelled_job_ends_its_events(service: Service) -> None:
    job_id = service.caller.submit()
    with follow(service, job_id) as events:
        events.next("status")
        service.caller.cancel(job_id)
        assert told(events.rest()) == [("status", "cancelled"), ("end", None)]


def test_a_requeued_job_says_so(service: Service) -> None:
    job_id = service.caller.submit()
    first = service.worker.take()
    with follow(service, job_id) as events:
        assert events.next().data["status"] == "running"
        service.worker.store.fail(first, code="worker_lost", message="m", again="retry")
        assert events.next("status").data["status"] == "queued"
        service.worker.take()
        assert events.next("status").data["attempt"] == 2


def test_a_spectators_going_means_nothing(serve: Serve) -> None:
    service = serve(jobs={"abandon_grace_s": 0.0})
    job_id = service.caller.submit()
    with follow(service, job_id) as events:
        events.next("status")

    wait_until(lambda: service.api.resources.waiting.followers.jobs == 0, what="the subscription's end")
    service.worker.store.reap()
    assert service.caller.job(job_id)["status"] == "queued"


def test_nobody_follows_anothers_job(service: Service) -> None:
    job_id = service.caller.submit()
    stranger = service.another_caller()

    assert_error(stranger.http.get(f"{JOBS}/{job_id}/events"), 404, "job_not_found")


def test_a_quiet_job_still_shows_that_the_stream_lives(serve: Serve) -> None:
    service = serve(api={"heartbeat_s": 0.05})
    job_id = service.caller.submit()
    service.worker.take()
    with follow(service, job_id) as events:
        assert [events.comment() for _ in range(3)] == ["still here"] * 3


def test_a_reader_that_sleeps_gets_every_preview_and_not_every_step(service: Service) -> None:
    job_id = service.caller.submit(partial_images=3, n=4)
    attempt = service.worker.take()
    with follow(service, job_id) as events:
        events.next("status")
        for step in range(1, 400):
            service.worker.store.progress([(job_id, attempt.token, step, 400)])
        for image in range(4):
            for partial in range(3):
                preview(service, attempt, partial, image)
        service.worker.finish(attempt)
        rest = events.rest()

    previews = [(e.data["index"], e.data["partial_image_index"]) for e in rest if e.name == "preview"]
    assert previews == sorted(previews)
    assert len(previews) == 12
    steps = [event.data["step"] for event in rest if event.name == "progress"]
    assert steps == sorted(steps)
    assert told(rest)[-2:] == [("status", "succeeded"), ("end", None)]
