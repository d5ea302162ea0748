"""Writes what the code knows best into the documents: settings, errors, models, and the OpenAPI file.

Run it from the top of the tree after changing any of them; a test compares::

    python docs/tables.py
"""
# ruff: noqa: INP001 - a script beside the documents, no package

import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import SecretStr
from pydantic.fields import FieldInfo

# Of this tree, whichever one is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from api.app import create_app
from api.errors import INVALID_REQUEST, SERVER_ERROR, error_content, wire
from benchmarks.moderation.judged import SCORE_HEADS, WRONG_HEADS, score_rows, wrong_rows
from shared import errors
from shared.catalogue import Catalogue, Edits, EditsBy
from shared.settings import REPO_ROOT, Section, Settings

DOCS: Final = REPO_ROOT / "docs"
OPENAPI: Final = DOCS / "openapi.json"
PROXY_ERRORS: Final = REPO_ROOT / "deploy" / "proxy" / "errors"
CATALOGUE: Final = REPO_ROOT / "models" / "catalog.toml"

_ON_THE_WIRE: Final = (errors.RequestError, errors.Refused, errors.JobFailed, errors.HeldTooLong)
NEVER_RAISED: Final = (errors.RequestError, errors.Refused, errors.JobFailed)
# Answers for which there is no class of ours: what the framework refuses, and bugs.
FROM_THE_FRAMEWORK: Final = (
    (404, "not_found", INVALID_REQUEST, "There is no such path."),
    (405, "method_not_allowed", INVALID_REQUEST, "The path does not answer this method."),
    (422, "invalid_json", INVALID_REQUEST, "The body cannot be read as JSON."),
    (500, "internal_error", SERVER_ERROR, "A bug; the log has it, under the `x-request-id` of the response."),
)

# What the proxy answers in front of the API, as the API would.
FROM_THE_PROXY: Final = (
    errors.InvalidHttp,
    errors.UnsupportedTransferEncoding,
    errors.RequestTimeout,
    errors.BodyTooLarge,
    errors.UrlTooLong,
    errors.HeadTooLarge,
    errors.TooManyConnections,
    errors.ApiUnavailable,
)

Row = tuple[str, ...]


def settings_rows() -> Iterator[Row]:
    """Yield variable, default and meaning of each setting, in the order of the code."""
    for section, holder in Settings.model_fields.items():
        group = holder.annotation
        if not (isinstance(group, type) and issubclass(group, Section)):
            message = f"setting {section} is no section"
            raise TypeError(message)
        for name, field in group.model_fields.items():
            yield f"`DARKROOM_{section}__{name}`".upper(), _default(field), field.description or ""


def error_rows() -> list[Row]:
    """Return status, code, type, headers and meaning of each error that a client can get."""
    meanings: dict[tuple[int, str, str, str], list[str]] = defaultdict(list)
    for cls in _raised(errors.DarkroomError):
        if issubclass(cls, _ON_THE_WIRE) and cls not in NEVER_RAISED:
            shape = wire(cls)
            header = "`Retry-After`" if issubclass(cls, errors.Refused) else _no_retry(shape.headers)
            meanings[shape.status, cls.code, shape.type, header].append((cls.__doc__ or "").splitlines()[0])
    for status, code, kind, meaning in FROM_THE_FRAMEWORK:
        meanings[status, code, kind, ""].append(meaning)
    return [
        (str(status), f"`{code}`", f"`{kind}`", header, " ".join(texts))
        for (status, code, kind, header), texts in sorted(meanings.items())
    ]


def model_rows() -> Iterator[Row]:
    """Yield what the catalogue says of each model."""
    catalogue = Catalogue.load(CATALOGUE)
    for spec in catalogue.specs:
        steps = " / ".join(str(getattr(spec.steps, quality)) for quality in ("low", "medium", "high"))
        native = f"{spec.sizes.native_width}x{spec.sizes.native_height}"
        name = f"`{spec.name}`" + (" (the default)" if spec.name == catalogue.default else "")
        yield (
            name,
            spec.description,
            native,
            steps,
            _edits(spec.edits),
            f"{spec.memory_gib:g} GiB",
            f"[{spec.licence}]({spec.licence_url})",
        )


def _edits(edits: Edits | None) -> str:
    if edits is None:
        return ""
    how = "image to image" if edits.by is EditsBy.IMAGE_TO_IMAGE else f"reference, up to {edits.most_images}"
    return f"{how}; masks" if edits.masks else how


def _raised(cls: type[errors.DarkroomError]) -> Iterator[type[errors.DarkroomError]]:
    for child in cls.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from _raised(child)


def _no_retry(headers: Any) -> str:  # noqa: ANN401 - any mapping of strings
    return ", ".join(f"`{name}: {value}`" for name, value in headers.items())


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, float):
        value = f"{value:g}"
    if isinstance(value, Path):
        value = value.relative_to(REPO_ROOT)
    return f"`{value}`"


class Table(NamedTuple):
    """A table that is generated: the document it stands in, its heads and its rows."""

    document: Path
    heads: Row
    rows: Callable[[], Iterator[Row] | list[Row]]


TABLES: Final = {
    "settings": Table(DOCS / "settings.md", ("variable", "default", "what it is"), settings_rows),
    "errors": Table(DOCS / "api.md", ("status", "code", "type", "header", "when"), error_rows),
    "models": Table(
        DOCS / "models.md",
        ("model", "what it is", "native size", "steps low / medium / high", "edits", "memory", "licence"),
        model_rows,
    ),
    "moderation": Table(DOCS / "moderation.md", SCORE_HEADS, score_rows),
    "moderation-wrong": Table(DOCS / "moderation.md", WRONG_HEADS, wrong_rows),
}


def table(name: str) -> str:
    """Return a table as Markdown."""
    _, heads, rows = TABLES[name]
    return "\n".join([_line(heads), _line(["---"] * len(heads)), *map(_line, rows())])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def marked(name: str) -> re.Pattern[str]:
    """Return the pattern of a table between its marks."""
    begin, end = f"<!-- {name}: written by docs/tables.py -->\n", f"<!-- end of {name} -->"
    return re.compile(f"({begin}).*?({end})", re.DOTALL)


def written(name: str, text: str) -> str:
    """Return a document with a table as it should be.

    Raises:
        ValueError: the table's marks are missing.
    """
    found = marked(name).search(text)
    if not found:
        message = f"the marks of the table {name!r} are missing"
        raise ValueError(message)
    return f"{text[: found.start()]}{found[1]}{table(name)}\n{found[2]}{text[found.end() :]}"


def openapi() -> str:
    """Return the OpenAPI file of a service with the default settings."""
    return json.dumps(create_app(Settings()).openapi(), indent=1, ensure_ascii=False) + "\n"


def proxy_errors() -> dict[Path, str]:
    """Return the bodies of the proxy's errors, by the files that they stand in."""
    return {
        PROXY_ERRORS / f"{cls.code}.json": json.dumps(error_content(cls())) + "\n" for cls in FROM_THE_PROXY
    }


def _rewrite(path: Path, after: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != after:
        path.write_text(after, encoding="utf-8")
        sys.stdout.write(f"{path.relative_to(REPO_ROOT)}: rewritten\n")


def main() -> int:
    """Rewrite what differs; return the exit status."""
    for name, (document, _, _) in TABLES.items():
        _rewrite(document, written(name, document.read_text(encoding="utf-8")))
    _rewrite(OPENAPI, openapi())
    for path, body in proxy_errors().items():
        _rewrite(path, body)
    return 0


if __name__ == "__main__":
    sys.exit(main())
