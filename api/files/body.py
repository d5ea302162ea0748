"""How files look from outside, and what the OpenAPI file says of uploading one."""

from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from api.files.form import LEAST_TTL_S, MOST_TTL_S
from api.store.files import FileRecord, Purpose


class FileObject(BaseModel):
    """One file."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int = Field(description="Unix seconds.")
    expires_at: int = Field(description="When it is deleted.")
    filename: str
    purpose: Purpose
    status: Literal["processed"] = "processed"


class FileList(BaseModel):
    """A page of files."""

    object: Literal["list"] = "list"
    data: list[FileObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class FileDeleted(BaseModel):
    """A file that is gone."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


UPLOAD: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file", "purpose"],
                "properties": {
                    "file": {
                        "type": "string",
                        "format": "binary",
                        "description": "One request a line, as JSON.",
                    },
                    "purpose": {"type": "string", "enum": ["batch"]},
                    "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
                    "expires_after[seconds]": {
                        "type": "integer",
                        "minimum": LEAST_TTL_S,
                        "maximum": MOST_TTL_S,
                        "description": "How long it is kept.",
                    },
                },
            }
        }
    },
}


def file_object(record: FileRecord) -> dict[str, Any]:
    """Return the public form of a file."""
    return {
        "id": record.id,
        "object": "file",
        "bytes": record.bytes,
        "created_at": record.created_at // 1000,
        "expires_at": record.expires_at // 1000,
        "filename": record.filename,
        "purpose": record.purpose.value,
        "status": "processed",
    }


def page(objects: list[dict[str, Any]], *, more: bool) -> dict[str, Any]:
    """Return a page of objects that have ids."""
    first, last = (objects[0]["id"], objects[-1]["id"]) if objects else (None, None)
    return {"object": "list", "data": objects, "first_id": first, "last_id": last, "has_more": more}
