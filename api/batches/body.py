"""What a batch is asked for with, and how it looks from outside."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.files.form import LEAST_TTL_S, MOST_TTL_S
from api.store.batches import BatchRecord

GENERATIONS: Final = "/v1/images/generations"
EDITS: Final = "/v1/images/edits"
ENDPOINTS: Final = (GENERATIONS, EDITS)
WINDOW: Final = "24h"
MAX_METADATA: Final = 16

_Name = Annotated[str, StringConstraints(max_length=64)]
_Value = Annotated[str, StringConstraints(max_length=512)]


class OutputExpiresAfter(BaseModel):
    """How long the files of a batch are kept."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(strict=True, ge=LEAST_TTL_S, le=MOST_TTL_S)]


class BatchRequest(BaseModel):
    """A batch to be made."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    input_file_id: Annotated[str, Field(max_length=64, description="A file with the purpose `batch`.")]
    endpoint: Annotated[
        str,
        Field(
            max_length=256,
            description="The path that every line is for.",
            json_schema_extra={"enum": list(ENDPOINTS)},
        ),
    ]
    completion_window: Annotated[
        str, Field(max_length=16, description="Only `24h`.", json_schema_extra={"enum": [WINDOW]})
    ]
    metadata: Annotated[dict[_Name, _Value], Field(max_length=MAX_METADATA)] | None = Field(
        None, description="Up to 16 names of 64 characters with values of 512, which are given back."
    )
    output_expires_after: OutputExpiresAfter | None = Field(
        None, description="How long the files with what was drawn are kept."
    )


class BatchProblem(BaseModel):
    """One thing that is wrong with a batch's file."""

    code: str
    message: str
    param: str | None
    line: int | None


class BatchProblems(BaseModel):
    """What is wrong with a batch's file."""

    object: Literal["list"] = "list"
    data: list[BatchProblem]


class RequestCounts(BaseModel):
    """How many lines there are, and how they ended."""

    total: int
    completed: int
    failed: int


class BatchTokens(BaseModel):
    """What tokens were used."""

    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int


class BatchObject(BaseModel):
    """One batch. Instants are unix seconds, null where it has not come to that."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    model: str | None = Field(description="The model that every line names, where it is one.")
    errors: BatchProblems | None = Field(description="What is wrong with the file; nothing was drawn then.")
    input_file_id: str
    completion_window: str
    status: Literal[
        "validating",
        "failed",
        "in_progress",
        "finalizing",
        "completed",
        "expired",
        "cancelling",
        "cancelled",
    ]
    output_file_id: str | None = Field(description="What was drawn, a line each.")
    error_file_id: str | None = Field(description="What was not, a line each.")
    created_at: int
    in_progress_at: int | None
    expires_at: int | None
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    usage: BatchTokens | None
    metadata: dict[str, str] | None


class BatchList(BaseModel):
    """A page of batches."""

    object: Literal["list"] = "list"
    data: list[BatchObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


_INSTANTS: Final = (
    "created_at",
    "in_progress_at",
    "expires_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
)


def batch_object(record: BatchRecord) -> dict[str, Any]:
    """Return the public form of a batch."""
    problems = record.document("errors")
    return {
        "id": record.id,
        "object": "batch",
        "endpoint": record.endpoint,
        "model": record.words("model"),
        "errors": {"object": "list", "data": problems} if problems else None,
        "input_file_id": record.input_file_id,
        "completion_window": WINDOW,
        "status": record.status.value,
        "output_file_id": record.words("output_file_id"),
        "error_file_id": record.words("error_file_id"),
        **{name: record.number(name) // 1000 or None for name in _INSTANTS},
        "request_counts": {name: record.number(name) for name in ("total", "completed", "failed")},
        "usage": _usage(record) if record.status.ended else None,
        "metadata": record.document("metadata"),
    }


def _usage(record: BatchRecord) -> dict[str, Any]:
    given, drawn = record.number("input_tokens"), record.number("output_tokens")
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": drawn,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": given + drawn,
    }
