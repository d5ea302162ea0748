"""The store of results, where one is named."""

import secrets
from typing import Final

from cli.checks.finding import Finding, Verdict
from shared.errors import ConfigurationError, ObjectUnavailable
from shared.objects import ObjectStore, open_store
from shared.settings import ResultSettings

_SUBJECT: Final = "results"
_MEND_FOLDER: Final = "give this user a folder that it may write, or unset DARKROOM_RESULTS__URLS"
_RIGHTS: Final = "and the key, which must write, read and delete below the prefix"
_MEND_S3: Final = f"correct DARKROOM_RESULTS__URLS, DARKROOM_RESULTS__S3_ENDPOINT {_RIGHTS}"


def check_results(settings: ResultSettings) -> Finding | None:
    """Write, read and delete an object; None where no store is named."""
    try:
        store = open_store(settings)
        if store is None:
            return None
        _probe(store)
    except (ConfigurationError, ObjectUnavailable, FileNotFoundError) as error:
        mend = _MEND_S3 if settings.urls.startswith("s3://") else _MEND_FOLDER
        return Finding(_SUBJECT, Verdict.MISSING, f"{settings.urls}: {_words(error)}", mend)
    return Finding(_SUBJECT, Verdict.OK, f"{settings.urls}: written, read and deleted")


def _probe(store: ObjectStore) -> None:
    """Write an object, read it, and delete it.

    Raises:
        ObjectUnavailable: one of them cannot be done.
        FileNotFoundError: it was written and is not there.
    """
    name, content = f"probes/{secrets.token_hex(8)}.txt", b"darkroom doctor"
    store.put(name, content, "text/plain")
    try:
        if store.read(name) != content:
            raise ObjectUnavailable
    finally:
        store.delete([name])


def _words(error: Exception) -> str:
    """Return what happened; the words of a driver name addresses of requests, its class does not."""
    cause = type(error.__cause__).__name__ if error.__cause__ else ""
    said = error.message if isinstance(error, ConfigurationError | ObjectUnavailable) else "it was not kept"
    return f"{said.rstrip('.')} ({cause})" if cause else said
