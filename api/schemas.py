"""Bodies of requests and responses, as the contract and the OpenAPI file give them."""

import re
import unicodedata
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    create_model,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import ValidationInfo
from typing_extensions import override

from shared.params import MAX_SEED, Background, OutputFormat, Params, Quality, Style

DEFAULT_SIDE_PX: Final = 512
SIZE_PATTERN: Final = r"^(auto|[1-9][0-9]{1,3}x[1-9][0-9]{1,3})$"
# Tab, line feed and carriage return are what a text box sends; the rest of Cc has no place in a prompt.
CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class Moderation(StrEnum):
    """How strictly prompts are moderated."""

    LOW = "low"
    AUTO = "auto"


class ResponseFormat(StrEnum):
    """How images come back."""

    URL = "url"
    B64_JSON = "b64_json"


class BackgroundChoice(StrEnum):
    """What is behind the subject; ``auto`` is opaque."""

    AUTO = "auto"
    TRANSPARENT = "transparent"
    OPAQUE = "opaque"


class QualityChoice(StrEnum):
    """Chooses the number of steps; ``auto`` is medium."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    AUTO = "auto"


def _whole(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    # JSON has one kind of number, so 1.0 is an integer there; true and "1" are not.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _text(value: str) -> str:
    if CONTROL.search(value):
        code, message = "control_character", "must not contain control characters"
        raise PydanticCustomError(code, message)
    return value


def _size(value: str) -> str:
    if value != "auto":
        for side in map(int, value.split("x")):
            if side % 8 or not 64 <= side <= 4096:  # noqa: PLR2004 - the contract's numbers, said in the message
                code, message = "size", "width and height must be multiples of 8 from 64 to 4096"
                raise PydanticCustomError(code, message)
    return value


Whole = Annotated[int, Field(strict=True), BeforeValidator(_whole)]
Text = Annotated[str, AfterValidator(_text)]
Prompt = Annotated[Text, StringConstraints(strip_whitespace=True, min_length=1, max_length=32_000)]


class GenerationRequest(BaseModel):
    """The documented request, and our ``seed`` and ``negative_prompt``.

    Every optional field may be null and then takes its default. Unknown fields are ignored here and named in
    the response header ``x-ignored-fields``.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    max_n: ClassVar[int] = 4

    prompt: Prompt = Field(description="What to draw: 1 to 32,000 characters after trimming.")
    output_format: OutputFormat = Field(OutputFormat.PNG, description="File format of the images.")
    background: BackgroundChoice = Field(
        BackgroundChoice.AUTO, description="`transparent` needs png or webp and a model that can do it."
    )
    model: Annotated[Text, Field(max_length=256)] = Field(
        "",
        description="A name or alias; empty: the default; `random`: any model that can serve this.",
    )
    moderation: Moderation = Field(Moderation.AUTO, description="`low` blocks only the severe categories.")
    n: Whole = Field(1, ge=1, le=4, description="Number of images.")
    output_compression: Whole = Field(
        95, ge=0, le=100, description="Quality of webp and jpeg; png ignores it."
    )
    quality: QualityChoice = Field(QualityChoice.AUTO, description="Chooses the number of denoising steps.")
    response_format: ResponseFormat = Field(
        ResponseFormat.B64_JSON, description="Only `b64_json` is supported."
    )
    size: Annotated[str, Field(pattern=SIZE_PATTERN), AfterValidator(_size)] = Field(
        "auto", description="`auto` (512x512) or WIDTHxHEIGHT, multiples of 8 from 64 to 4096."
    )
    style: Style = Field(Style.VIVID, description="Applied per model.")
    user: Annotated[str, Field(max_length=256)] = Field(
        "", description="Your end user; kept only as a keyed hash."
    )
    stream: Annotated[bool, Field(strict=True)] = Field(False, description="Server-sent events.")  # noqa: FBT003
    partial_images: Whole = Field(0, ge=0, le=3, description="Previews to send while streaming.")
    seed: Annotated[Whole, Field(ge=0, le=MAX_SEED)] | None = Field(
        None, description="Image i uses seed + i. Same seed, same model, same settings: the same picture."
    )
    negative_prompt: Annotated[Text, Field(max_length=32_000)] | None = Field(
        None, description="What not to draw, for models that take it."
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_default(cls, body: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
        if isinstance(body, dict):
            optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
            return {k: v for k, v in body.items() if v is not None or k not in optional}
        return body

    @field_validator("user")
    @classmethod
    def _user_is_text(cls, value: str) -> str:
        return unicodedata.normalize("NFC", value)

    @field_validator("background")
    @classmethod
    def _jpeg_has_no_alpha(cls, value: BackgroundChoice, info: ValidationInfo) -> BackgroundChoice:
        if value is BackgroundChoice.TRANSPARENT and info.data.get("output_format") is OutputFormat.JPEG:
            code, message = (
                "transparent_jpeg",
                "transparent needs output_format png or webp: jpeg has no alpha",
            )
            raise PydanticCustomError(code, message)
        return value

    @classmethod
    @override
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Say in the schema that every optional field may be null."""
        document = handler(schema)
        resolved = handler.resolve_ref_schema(document)
        for name, field in resolved.get("properties", {}).items():
            if name in resolved.get("required", ()) or "anyOf" in field:
                continue
            kept = {k: field.pop(k) for k in ("default", "description", "title") if k in field}
            inner = dict(field)
            field.clear()
            field.update({"anyOf": [inner, {"type": "null"}], **kept})
        return document

    def dimensions(self) -> tuple[int, int]:
        """Return width and height in pixels."""
        if self.size == "auto":
            return DEFAULT_SIDE_PX, DEFAULT_SIDE_PX
        width, height = self.size.split("x")
        return int(width), int(height)

    def params(self, seed: int) -> Params:
        """Return the choices with every ``auto`` decided.

        Args:
            seed: the seed to use where the caller gave none.
        """
        width, height = self.dimensions()
        transparent = self.background is BackgroundChoice.TRANSPARENT
        return Params(
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            background=Background.TRANSPARENT if transparent else Background.OPAQUE,
            n=self.n,
            output_compression=self.output_compression,
            output_format=self.output_format,
            quality=Quality.MEDIUM if self.quality is QualityChoice.AUTO else Quality(self.quality.value),
            width=width,
            height=height,
            style=self.style,
            seed=self.seed if self.seed is not None else seed,
        )

    @classmethod
    def with_max_n(cls, max_n: int) -> type[Self]:
        """Return this body with another limit of ``n``."""
        n = (Whole, Field(1, ge=1, le=max_n, description="Number of images."))
        return create_model("GenerationRequest", __base__=cls, __doc__=cls.__doc__, n=n)


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
    """One image."""

    b64_json: str


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


class ImagesResponse(BaseModel):
    """The documented response."""

    created: int = Field(description="Unix seconds.")
    data: list[Image]
    usage: Usage


class JobError(BaseModel):
    """Why a job has no picture."""

    code: str
    message: str


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


class JobList(BaseModel):
    """A page of jobs, newest first."""

    object: Literal["list"] = "list"
    data: list[JobObject]
    has_more: bool


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
    sizes: dict[str, int | str]
    steps: dict[str, int]
    transparent: bool
    negative_prompt: bool
    token_limit: int
    family: str


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
