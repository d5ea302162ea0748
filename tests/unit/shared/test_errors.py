"""Every error explains itself."""

import re
from collections.abc import Iterator

import pytest

from shared.errors import DarkroomError, RequestError


def tree(root: type[DarkroomError]) -> Iterator[type[DarkroomError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


@pytest.mark.parametrize("error", [e for e in tree(DarkroomError) if e.__module__ == "shared.errors"])
def test_an_errors_docstring_is_its_message(error: type[DarkroomError]) -> None:
    message = error().message

    assert message == str(error()) == (error.__doc__ or "").splitlines()[0]
    assert message.endswith(".")
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code)


def test_an_error_says_what_it_is_given() -> None:
    error = RequestError("another message", param="n", retry_after_s=3, job_id="abc")

    assert (error.message, str(error)) == ("another message", "another message")
    assert (error.param, error.retry_after_s, error.job_id) == ("n", 3, "abc")
