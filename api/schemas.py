"""Bodies of responses, as the contract and the OpenAPI file give them."""

from typing import Any, Final, Literal

from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema

from shared.catalogue import EditsBy, Sizes, Steps, Strength
from shared.params import Background, OutputFormat, Quality


class ErrorDetail(BaseModel):
    """What went wrong, for people and programs. All four members are always there."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """The body of every error."""

    error: ErrorDetail


class ValidationProblem(BaseModel):
    """One thing that is wrong with a request, as FastAPI says it."""

    loc: list[str | int]
    msg: str
    type: str


class ValidationErrorBody(BaseModel):
    """FastAPI's validation error and ours in one body."""

    detail: list[ValidationProblem]
    error: ErrorDetail


class Image(BaseModel):
    """One image: itself, or where it is."""

    b64_json: str | SkipJsonSchema[None] = Field(None, description="Its file, by default.")
    url: str | SkipJsonSchema[None] = Field(
        None, description="An address that expires with the result; with `response_format` `url`."
    )


class InputTokensDetails(BaseModel):
    """Tokens of the input by kind."""

    image_tokens: int
    text_tokens: int


class Usage(BaseModel):
    """Token counts."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    total_tokens: int


_WHERE_DETAILED: Final = "Of what was drawn; only where DARKROOM_API__DETAILED_RESPONSES is on."


class ImagesResponse(BaseModel):
    """The documented response: `created`, `data` and `usage`."""

    created: int = Field(description="Unix seconds.")
    data: list[Image]
    background: Background | SkipJsonSchema[None] = Field(None, description=_WHERE_DETAILED)
    output_format: OutputFormat | SkipJsonSchema[None] = Field(None, description=_WHERE_DETAILED)
    quality: Quality | SkipJsonSchema[None] = Field(None, description=_WHERE_DETAILED)
    size: str | SkipJsonSchema[None] = Field(None, description=_WHERE_DETAILED)
    usage: Usage


class JobError(BaseModel):
    """Why a job has no picture."""

    code: str
    message: str


class JobWarning(BaseModel):
    """What the caller should know of a job and its images, and that is no error."""

    code: str
    message: str


class JobWebhook(BaseModel):
    """Who is told of a job's end, and how far that has come."""

    url: str
    events: list[Literal["job.succeeded", "job.failed", "job.cancelled"]]
    state: Literal["waiting", "pending", "delivered", "given_up", "not_wanted"] = Field(
        description="`waiting` until the job has ended, `pending` until it is told; `not_wanted`: it ended "
        "in a way that is none of the events."
    )
    attempts: int
    last_attempt_at: int | None = Field(description="Unix seconds.")
    response_status: int | None = Field(description="What the receiver answered last; null: nothing.")
    error: str | None = Field(description="Why the last attempt did not deliver it.")
    next_attempt_at: int | None
    delivered_at: int | None


class JobObject(BaseModel):
    """One job."""

    id: str
    object: Literal["image.job"] = "image.job"
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    model: str
    created_at: int = Field(description="Unix seconds.")
    started_at: int | None
    finished_at: int | None
    expires_at: int | None = Field(description="When the result can no longer be fetched.")
    progress: int = Field(ge=0, le=100, description="Percent.")
    queue_position: int | None = Field(
        description="Jobs that will start before this one; null where it does not wait."
    )
    eta_seconds: int | None = Field(
        description="Predicted seconds until it ends; null where nothing is known yet."
    )
    attempt: int
    seeds: list[int]
    error: JobError | None
    warnings: list[JobWarning] = Field(
        description="What was drawn otherwise than asked, known when it has ended; and "
        "`waiting_for_newer_worker`: an upgrade is under way, and no worker can draw this yet."
    )
    webhook: JobWebhook | SkipJsonSchema[None] = Field(None, description="Only of a job that has one.")


JOB_HEADERS: Final[dict[str, Any]] = {
    "x-job-id": {"description": "The job.", "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"}},
    "x-seeds": {
        "description": "The seed of each image, separated by commas.",
        "schema": {"type": "string", "pattern": "^[0-9]+(, [0-9]+)*$"},
    },
    "x-model": {"description": "The model that draws it.", "schema": {"type": "string"}},
    "x-warnings": {
        "description": "The job's warnings, if it has any: a dictionary of strings of RFC 9651, "
        '`code="sentence", code="sentence"`.',
        "schema": {"type": "string"},
    },
}


class JobList(BaseModel):
    """A page of jobs, newest first."""

    object: Literal["list"] = "list"
    data: list[JobObject]
    has_more: bool


class StageModes(BaseModel):
    """How a stage of a model runs."""

    modes: list[str] = Field(description="In the order of their application; none is the plain form.")
    images: int = Field(description="Images, or texts, that go together at most.")


class RunsAs(BaseModel):
    """How a worker runs a model, as it was tuned on its device."""

    text: StageModes
    denoise: StageModes
    decode: StageModes


class EditsView(BaseModel):
    """How a model edits pictures."""

    by: EditsBy = Field(
        description="`image-to-image` begins with the picture and knows `strength`, `reference` looks at it."
    )
    max_images: int
    masks: bool = Field(description="Whether a part can be drawn anew and the rest kept.")
    strength: Strength | None = Field(
        description="How much of a picture is drawn anew, 0 to 1, by `input_fidelity`, where a request does "
        "not say; null by `reference`."
    )
    required: bool = Field(description="Whether it draws nothing without a picture.")


class ModelObject(BaseModel):
    """A model, in OpenAI's shape, and what it can do."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    title: str
    description: str
    aliases: list[str]
    licence: str
    default: bool
    ready: bool = Field(description="Whether a live worker serves it.")
    sizes: Sizes
    steps: Steps
    transparent: bool
    negative_prompt: bool
    edits: EditsView | None = Field(description="How it edits pictures; null where it cannot.")
    token_limit: int
    family: str
    batched: bool = Field(
        description="Whether many requests share its forward passes; else one at a time, without previews."
    )
    max_n: int = Field(description="Most images of one request.")
    runs_as: list[RunsAs] = Field(
        description="How live workers run it, as it was tuned on their devices: each way once, the usual "
        "one first. Empty where none has said: none has drawn with it yet, or they run on a CPU."
    )


class ModelList(BaseModel):
    """The models that can be asked for."""

    object: Literal["list"] = "list"
    data: list[ModelObject]


class Health(BaseModel):
    """The process is alive."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Whether the service can serve the default model now."""

    status: Literal["ready", "not_ready"]
    redis: bool
    model: str
    worker: bool


class QueueView(BaseModel):
    """A model's queue."""

    model: str
    queued: int
    running: int
    unreadable: int = Field(description="Queued jobs that wait for a worker of a later version.")
    oldest_s: float = Field(description="How long its oldest job has waited; 0 where none waits.")
    workers: int
    eta_error: float | None = Field(
        description="By how much predicted ends are missed, as a share of the time; null before the first."
    )
    low: int = Field(description="Queued jobs of low priority, which are not among the others.")


class WorkerView(BaseModel):
    """A live worker."""

    name: str
    device: str
    models: list[str]
    jobs: int
    rows: int = Field(description="Images in its last forward pass; 0 where it draws nothing.")
    capacity: int = Field(description="Images that it draws together.")
    seen_s: float = Field(description="Seconds since its last heartbeat.")
    reads: int = Field(description="The version of jobs' params that it reads.")
    runs_as: dict[str, RunsAs] = Field(
        description="How it runs its models, by name; of those that it has tuned, on a GPU."
    )


class FailureView(BaseModel):
    """A job that failed lately."""

    job_id: str
    at: int = Field(description="Unix seconds.")
    code: str
    model: str
    worker: str
    attempts: int


class WebhooksView(BaseModel):
    """Telling others how jobs ended."""

    couriers: int = Field(description="Live processes that do it.")
    pending: int = Field(description="Ends that are still to be told.")
    late_s: float = Field(description="How long the first of them could have been tried; 0: none is late.")
    delivered: int = Field(description="Since the store is there; so are the next two.")
    failed: int = Field(description="Tries that failed and are repeated.")
    given_up: int


class BatchesView(BaseModel):
    """Batches."""

    unfinished: int = Field(description="Batches that have not ended.")
    late_s: float = Field(
        description="How long a courier could have worked on the first of them; 0: none is late."
    )
    completed: int = Field(description="Since the store is there; so are the next three.")
    failed: int
    expired: int
    cancelled: int


class OperatorView(BaseModel):
    """What the whole service does now."""

    at: int = Field(description="Unix seconds.")
    models: list[QueueView]
    workers: list[WorkerView]
    errors: list[FailureView]
    webhooks: WebhooksView
    batches: BatchesView


class UsageAmounts(BaseModel):
    """What was used."""

    jobs: int
    images: int
    input_tokens: int
    output_tokens: int
    device_seconds: float = Field(description="The jobs' share of a device's time.")


class UsageLine(UsageAmounts):
    """What was used of a model on a day."""

    date: str = Field(description="UTC.")
    model: str


class UsageReport(BaseModel):
    """What finished jobs used. A job counts on the day it ended, once."""

    object: Literal["usage"]
    start: str
    end: str
    total: UsageAmounts
    data: list[UsageLine]
