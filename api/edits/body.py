"""What the OpenAPI file says of a request for an edit, in both of its spellings."""

from typing import Any, Final

from api.edits.request import EditRequest

_FILE: Final = {"type": "string", "format": "binary"}
_FILES: Final = {"type": "array", "items": _FILE, "minItems": 1}
_URL: Final = {
    "type": "object",
    "required": ["image_url"],
    "properties": {"image_url": {"type": "string", "pattern": "^data:", "description": "A data: URL."}},
}
_IMAGES: Final = "The pictures to begin with, the one that is edited first: png, webp or jpeg."
_MASK: Final = (
    "A png with alpha of the first picture's size: what is transparent is drawn anew, and the rest stays as "
    "it was."
)


def request_body(body_type: type[EditRequest]) -> dict[str, Any]:
    """Return the description of the body, with these fields."""
    fields = _inlined(body_type.model_json_schema())
    return {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": _with(
                    _of_texts(fields),
                    ("image",),
                    image={"anyOf": [_FILE, _FILES], "description": _IMAGES},
                    mask={**_FILE, "description": _MASK},
                )
            },
            "application/json": {
                "schema": _with(
                    fields,
                    ("images",),
                    images={"type": "array", "items": _URL, "minItems": 1, "description": _IMAGES},
                    mask={**_URL, "description": _MASK},
                )
            },
        },
    }


def _with(fields: dict[str, Any], required: tuple[str, ...], **files: dict[str, Any]) -> dict[str, Any]:
    return {
        **fields,
        "properties": {**files, **fields["properties"]},
        "required": [*required, *fields["required"]],
    }


def _of_texts(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a form's fields, of which none is null.

    What no two of them may say together is left out: tools that read such schemas expect it of JSON only.
    """
    properties = {
        name: {**field, "anyOf": [way for way in field["anyOf"] if way != {"type": "null"}]}
        if "anyOf" in field
        else field
        for name, field in fields["properties"].items()
    }
    return {**{name: part for name, part in fields.items() if name != "not"}, "properties": properties}


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that stands by itself: what it refers to stands where it does."""
    definitions = schema.pop("$defs", {})

    def inlined(part: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
        if isinstance(part, list):
            return [inlined(each) for each in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return inlined(definitions[part["$ref"].rpartition("/")[2]])
        return {name: inlined(each) for name, each in part.items()}

    return {name: inlined(each) for name, each in schema.items()}
