"""The documents' tables say what the code does."""

import json
import re

import pytest
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api import errors, misses
from api.generations.request import GenerationRequest
from api.resources import build
from docs import tables
from shared.settings import REPO_ROOT, Settings
from tests.unit.docs.documents import table_rows

README = (REPO_ROOT / "README.md").read_text(encoding="utf-8")


def code(response: Response) -> tuple[int, str, str]:
    error = json.loads(bytes(response.body))["error"]
    return response.status_code, error["code"], error["type"]


def request() -> Request:
    app = FastAPI()
    app.state.resources = build(Settings())
    return Request({"type": "http", "method": "GET", "path": "/", "headers": [], "app": app})


@pytest.mark.parametrize("table", tables.TABLES)
def test_a_table_is_as_the_generator_writes_it(table: str) -> None:
    text = tables.TABLES[table].document.read_text(encoding="utf-8")

    assert tables.marked(table).search(text), "its marks are missing"
    assert tables.written(table, text) == text, "run: python docs/tables.py"


def test_a_table_that_has_fallen_behind_is_written_anew() -> None:
    text = tables.TABLES["settings"].document.read_text(encoding="utf-8")
    behind = text.replace("| `DARKROOM_JOBS__LEASE_S` | `5` |", "| `DARKROOM_JOBS__LEASE_S` | `7` |")

    assert behind != text
    assert tables.written("settings", behind) == text


def test_the_openapi_file_is_the_one_of_the_code() -> None:
    assert tables.OPENAPI.read_text(encoding="utf-8") == tables.openapi(), "run: python docs/tables.py"


def test_the_proxys_errors_are_those_of_the_code() -> None:
    found = {path: path.read_text(encoding="utf-8") for path in tables.PROXY_ERRORS.iterdir()}

    assert found == tables.proxy_errors(), "run: python docs/tables.py"


def test_the_table_of_routes_has_every_route_and_no_other() -> None:
    rows = table_rows((REPO_ROOT / "docs" / "api.md").read_text(encoding="utf-8"), "route")
    said = {route.partition("?")[0] for row in rows for route in re.findall(r"`([A-Z]+ /[^`]*)`", row[0])}

    paths = json.loads(tables.OPENAPI.read_text(encoding="utf-8"))["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}

    assert {_unnamed(route) for route in said} == {
        _unnamed(route) for route in routes - {"POST /v1/images/generations", "POST /v1/images/edits"}
    }


def _unnamed(route: str) -> str:
    """A route without the names of its parameters."""
    return re.sub(r"\{[^}]*\}", "{}", route)


def test_every_setting_has_a_row_with_a_meaning() -> None:
    rows = list(tables.settings_rows())

    settings = sum(len(type(section).model_fields) for _, section in Settings())
    assert len(rows) == settings
    assert all(meaning for _, _, meaning in rows)


def test_every_error_of_the_api_that_a_client_can_get_has_a_row() -> None:
    shown = {(int(status), code.strip("`")) for status, code, *_ in tables.error_rows()}

    reachable = {(errors.wire(cls).status, cls.code) for cls in errors.WIRE if cls not in tables.NEVER_RAISED}
    ways_jobs_end = {(errors.wire(cls).status, cls.code) for cls in errors.JOB_ERRORS.values()}
    assert reachable | ways_jobs_end <= shown


def test_the_playground_has_words_for_every_error_that_a_client_can_get() -> None:
    text = (REPO_ROOT / "api" / "playground" / "page" / "js" / "words.js").read_text(encoding="utf-8")
    worded = set(
        re.findall(r'^  (\w+): "', text.partition("const WORDS")[2].partition("};")[0], re.MULTILINE)
    )

    shown = {code.strip("`") for _, code, *_ in tables.error_rows()}
    assert shown - worded <= {"invalid_value"}  # which each says for itself
    assert worded - shown == {"unreachable"}


async def test_the_errors_without_a_class_are_as_the_table_says() -> None:
    unreadable = RequestValidationError(
        [{"type": "json_invalid", "loc": ("body", 1), "msg": "JSON decode error"}]
    )

    answers = [
        code(await misses.on_missing_path(request(), HTTPException(404))),
        code(await misses.on_missing_method(request(), HTTPException(405))),
        code(await errors.on_validation_error(request(), unreadable)),
        code(errors.bug_response(RuntimeError("a bug"))),
    ]

    assert answers == [row[:3] for row in tables.FROM_THE_FRAMEWORK]


def test_the_table_of_fields_has_every_field_and_no_other() -> None:
    rows = table_rows(README, "field")

    assert {row[0].strip("`") for row in rows} == set(GenerationRequest.model_fields)


def test_the_table_of_an_edits_fields_has_what_is_beyond_those_and_no_other() -> None:
    of_a_form = json.loads(tables.OPENAPI.read_text(encoding="utf-8"))["paths"]["/v1/images/edits"]["post"]
    schema = of_a_form["requestBody"]["content"]["multipart/form-data"]["schema"]
    rows = table_rows(README, "field of an edit")

    assert {row[0].strip("`") for row in rows} == schema["properties"].keys() - GenerationRequest.model_fields


@pytest.mark.parametrize("row", table_rows(README, "field"), ids=lambda row: row[0].strip("`"))
def test_a_field_has_the_default_that_the_table_says(row: list[str]) -> None:
    field, said = GenerationRequest.model_fields[row[0].strip("`")], row[2].strip("`")

    if field.is_required():
        assert said == ""
    elif field.default is None:
        assert said in {"random", "none"}
    else:
        value = field.default
        assert said == ('""' if value == "" else str(value).lower())


def test_the_choices_of_a_field_are_the_ones_the_table_says() -> None:
    schema = GenerationRequest.model_json_schema()
    chosen = {name: _choices(schema, name) for name in GenerationRequest.model_fields}
    said = {
        row[0].strip("`"): {value.strip(" `") for value in row[1].split(",")}
        for row in table_rows(README, "field")
    }

    assert {name: said[name] for name, values in chosen.items() if values} == {
        n: v for n, v in chosen.items() if v
    }


def _choices(schema: dict[str, object], name: str) -> set[str]:
    """The values of an enumeration; nothing for a field that is none."""
    field = json.loads(json.dumps(schema))["properties"][name]
    shapes = [field, *field.get("anyOf", [])]
    references = [shape["$ref"].rpartition("/")[2] for shape in shapes if "$ref" in shape]
    definitions = json.loads(json.dumps(schema)).get("$defs", {})
    return {value for reference in references for value in definitions[reference].get("enum", [])}
