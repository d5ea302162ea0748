"""Tracing, on and off: off it is not there, and what is wrong with its settings is said at the start."""

import logging
import subprocess
import sys

import pytest
from pydantic import SecretStr

from shared import tracing
from shared.errors import ConfigurationError
from shared.settings import REPO_ROOT, TracingSettings
from shared.tracing import Kind
from shared.tracing.otel import Complaints, address

PASSWORD = "a-word-nobody-may-see"

OFF = """
import sys
from shared import tracing
from shared.settings import TracingSettings
{first}
tracing.configure(TracingSettings(), "test")
with tracing.current().begin("submit") as span:
    assert (span.carrier, span.ids) == ("", {{}})
assert not tracing.enabled()
found = [name for name in sys.modules if name.startswith({unwanted!r})]
assert not found, found
"""

# What an installation without the extra has: the API, which FastAPI needs, and neither SDK nor exporter.
WITHOUT_EXTRA = """
import sys
sys.modules["opentelemetry.sdk"] = sys.modules["opentelemetry.exporter"] = None
from shared import tracing
from shared.errors import ConfigurationError
from shared.settings import TracingSettings
tracing.configure(TracingSettings(), "test")
try:
    tracing.configure(TracingSettings(endpoint="http://127.0.0.1:4318"), "test")
except ConfigurationError as error:
    print(error)
"""


def run(program: str) -> str:
    """What a process of its own prints: what is imported stays imported."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPO_ROOT,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_off_nothing_of_it_is_imported() -> None:
    run(OFF.format(first="", unwanted=("opentelemetry", "requests")))


@pytest.mark.parametrize("program", ["api.app", "tests.faults.programs.faulty_worker"])
def test_a_process_that_does_not_trace_imports_neither_traces_nor_exporter(program: str) -> None:
    # FastAPI imports OpenTelemetry's API whatever is traced, and redis-py its metrics where they are there.
    unwanted = ("opentelemetry.sdk.trace", "opentelemetry.exporter", "requests")
    run(OFF.format(first=f"import {program}", unwanted=unwanted))


def test_without_the_extra_the_start_says_what_to_install() -> None:
    said = run(WITHOUT_EXTRA)

    assert "DARKROOM_TRACING__ENDPOINT is set" in said
    assert "install the extra `tracing`" in said


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("https://collector/", "https://collector/v1/traces"),
        ("http://[::1]:4318", "http://[::1]:4318/v1/traces"),
        ("https://collector/otlp/v1/traces", "https://collector/otlp/v1/traces"),
    ],
)
def test_an_endpoint_without_a_path_gets_the_usual_one(endpoint: str, expected: str) -> None:
    assert address(endpoint) == expected


@pytest.mark.parametrize(
    "endpoint",
    [
        "collector:4318",
        "grpc://collector:4317",
        "http://",
        f"http://user:{PASSWORD}@collector:4318",
        f"https://collector/v1/traces?token={PASSWORD}",
    ],
)
def test_an_endpoint_that_is_none_or_holds_a_secret_is_refused_and_not_repeated(endpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="must be like http://collector:4318") as caught:
        tracing.configure(TracingSettings(endpoint=endpoint, headers=SecretStr(f"x={PASSWORD}")), "test")

    assert PASSWORD not in str(caught.value)
    assert not tracing.enabled()


@pytest.mark.parametrize(
    "command", [("-m", "api"), ("-m", "celery", "-A", "tests.faults.programs.faulty_worker", "worker")]
)
def test_a_process_with_an_impossible_endpoint_ends_with_one_clear_line(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPO_ROOT,
        timeout=60,
        env={"DARKROOM_TRACING__ENDPOINT": "nowhere", "PATH": "/usr/bin:/bin"},
    )

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("darkroom ")
    assert "DARKROOM_TRACING__ENDPOINT must be like" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_span_that_ends_with_an_error_has_failed_and_one_that_was_given_up_has_not() -> None:
    failed: list[str] = []

    class Watched(tracing.Span):
        def fail(self, reason: str) -> None:
            failed.append(reason)

    with pytest.raises(ZeroDivisionError), Watched():
        raise ZeroDivisionError
    with pytest.raises(GeneratorExit), Watched():
        raise GeneratorExit

    assert failed == ["ZeroDivisionError"]


def test_spans_begin_in_each_other_and_are_carried_by_their_traceparent() -> None:
    tracing.configure(TracingSettings(endpoint="http://127.0.0.1:9"), "test")
    try:
        with tracing.current().begin("submit", kind=Kind.PRODUCER) as submit:
            carrier = submit.carrier
        attempt = tracing.resumed(carrier).begin("attempt")
        orphan = tracing.resumed("").begin("attempt")
    finally:
        tracing.close()

    version, trace_id, span_id, _flags = carrier.split("-")
    assert (version, submit.ids) == ("00", {"trace_id": trace_id, "span_id": span_id})
    assert attempt.ids["trace_id"] == trace_id
    assert attempt.ids["span_id"] != span_id
    assert orphan.ids["trace_id"] not in {"", trace_id}


def test_the_librarys_complaints_are_heard_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    handler = Complaints()
    record = logging.LogRecord("opentelemetry", logging.ERROR, "f", 1, "the collector said %s", ("no",), None)

    with caplog.at_level(logging.WARNING, "shared.tracing.otel"):
        for _ in range(5):
            handler.handle(record)

    assert len(caplog.records) <= 1
    assert handler._silent_until > 0
