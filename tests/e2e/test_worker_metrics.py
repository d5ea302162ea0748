"""What a worker shows of itself to Prometheus, of a job that it really drew."""

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from tests.service import RunningService


def scraped(service: RunningService) -> dict[tuple[str, ...], float]:
    """Return every sample by its name and the values of its labels."""
    port = service.environment["DARKROOM_WORKER__METRICS_PORT"]
    text = httpx2.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_worker_shows_what_it_drew_and_what_its_device_holds(tiny_service: RunningService) -> None:
    before = scraped(tiny_service).get(("darkroom_worker_attempts_total", "tiny", "succeeded"), 0)

    body = {"prompt": "a tiny picture", "model": "tiny", "size": "64x64"}
    answer = httpx2.post(f"{tiny_service.url}/v1/images/generations", json=body, trust_env=False, timeout=30)

    assert answer.status_code == 200, answer.text
    shown = scraped(tiny_service)
    assert shown["darkroom_worker_attempts_total", "tiny", "succeeded"] == before + 1
    assert shown["darkroom_worker_stage_seconds_count", "tiny", "denoise"] >= 1
    assert shown["darkroom_worker_step_seconds_sum", "tiny"] > 0
    # A process with torch in it has at least so much.
    taken = shown[("darkroom_worker_device_memory_bytes",)]
    assert 2**26 < taken < shown[("darkroom_worker_device_memory_limit_bytes",)]
