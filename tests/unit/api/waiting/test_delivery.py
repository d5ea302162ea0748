"""The Prefer header, as RFC 7240 writes it."""

import pytest

from api.waiting.delivery import Delivery, OnDisconnect, Prefer


@pytest.mark.parametrize(
    ("header", "respond_async", "wait_s"),
    [
        ("", False, None),
        ("respond-async", True, None),
        ("RESPOND-ASYNC", True, None),
        (" respond-async ; later=1", True, None),
        ("wait=10", False, 10),
        ("Wait=10", False, 10),
        ('wait="10"', False, 10),
        ("wait = 10", False, 10),
        ("wait=0", False, 0),
        ("wait=999999999", False, 999_999_999),
        ("respond-async, wait=10", True, 10),
        ("wait=10,respond-async", True, 10),
        ("return=minimal, wait=3; foo, handling=lenient", False, 3),
        ("wait", False, None),
        ("wait=", False, None),
        ("wait=soon", False, None),
        ("wait=-1", False, None),
        ("wait=1.5", False, None),
        ("wait=²", False, None),
        ("wait=9999999999", False, None),
        ("respond-asynchronously", False, None),
        (",,;;==", False, None),
    ],
)
def test_what_is_understood_is_read_and_the_rest_is_ignored(
    header: str, *, respond_async: bool, wait_s: int | None
) -> None:
    assert Prefer.parse(header) == Prefer(respond_async, wait_s)


@pytest.mark.parametrize(
    ("header", "applied", "hold_s"),
    [
        ("", "", None),
        ("return=minimal", "", None),
        ("respond-async", "respond-async", 0.0),
        ("wait=7", "wait=7", 7.0),
        ("wait=7, respond-async", "respond-async, wait=7", 7.0),
    ],
)
def test_what_was_read_decides_how_long_a_call_is_held(
    header: str, applied: str, hold_s: float | None
) -> None:
    prefer = Prefer.parse(header)

    assert (prefer.applied, prefer.hold_s) == (applied, hold_s)


@pytest.mark.parametrize(
    ("header", "choice", "waits", "keeps"),
    [
        ("", OnDisconnect.GRACE, True, False),
        ("", OnDisconnect.CANCEL, True, False),
        ("", OnDisconnect.CONTINUE, True, True),
        ("respond-async", OnDisconnect.GRACE, False, True),
        ("wait=7", OnDisconnect.CANCEL, True, True),
        ("wait=0", OnDisconnect.CANCEL, False, True),
    ],
)
def test_a_delivery_says_whether_its_call_waits_and_whether_the_job_needs_it(
    header: str, choice: OnDisconnect, *, waits: bool, keeps: bool
) -> None:
    delivery = Delivery(Prefer.parse(header), choice, "")

    assert (delivery.waits, delivery.keeps) == (waits, keeps)
