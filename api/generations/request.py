"""The body of a generation request, as the contract and the OpenAPI file give it.

What a JSON schema can say of a rule, the schema says too: a client can check a body before it sends it.
"""

import re
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    create_model,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError
from pydantic_core.core_schema import ValidationInfo
from typing_extensions import override

from api.generations.choices import Spelled, any_case, spelled
from shared.moderation import Moderation
from shared.params import (
    MAX_IMAGES,
    MAX_PARTIAL_IMAGES,
    MAX_SEED,
    Background,
    OutputFormat,
    Params,
    Quality,
    Style,
)
from shared.webhooks import Webhook

DEFAULT_SIDE_PX: Final = 512
AUTO: Final = "auto"
MAX_PROMPT_CHARS: Final = 32_000
# Tab, line feed and carriage return are what a text box sends; the rest of Cc has no place in a prompt.
_CONTROL_CHARS: Final = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
# JSON can spell half a surrogate pair; no text contains one.
_NOT_TEXT: Final = re.compile(f"[{_CONTROL_CHARS}\\ud800-\\udfff]")
_SIZE: Final = re.compile(r"([1-9][0-9]{1,3})x([1-9][0-9]{1,3})")

# The same rules for the schema: which texts, and, digit by digit, the multiples of 8 from 64 to 4096.
_TEXT_PATTERN: Final = f"^[^{_CONTROL_CHARS}]*$"
_PROMPT_PATTERN: Final = f"^[^{_CONTROL_CHARS}]*[^{_CONTROL_CHARS}\\s][^{_CONTROL_CHARS}]*$"
_AFTER_EVEN: Final = "(0[08]|16|24|32|4[08]|56|64|72|8[08]|96)"
_AFTER_ODD: Final = "(04|12|2[08]|36|44|52|6[08]|76|84|92)"
_SIDE_PATTERN: Final = (
    f"(64|72|8[08]|96|[2468]{_AFTER_EVEN}|[13579]{_AFTER_ODD}"
    f"|[1-3]([02468]{_AFTER_EVEN}|[13579]{_AFTER_ODD})|40{_AFTER_EVEN})"
)
_SIZE_PATTERN: Final = f"{any_case('auto')}|{_SIDE_PATTERN}[xX]{_SIDE_PATTERN}"


def _spelled(word: str) -> dict[str, Any]:
    return {"type": "string", "pattern": spelled(any_case(word), empty=False)}


def _together(**fields: dict[str, Any]) -> dict[str, Any]:
    return {"properties": fields, "required": list(fields)}


# What no two fields may say together: the last image's seed must be one too.
_NEVER_TOGETHER: Final[dict[str, Any]] = {
    "not": {
        "anyOf": [
            _together(background=_spelled("transparent"), output_format=_spelled("jpeg")),
            *(
                _together(
                    n={"type": "integer", "minimum": n},
                    seed={"type": "integer", "minimum": MAX_SEED + 2 - n},
                )
                for n in range(2, MAX_IMAGES + 1)
            ),
        ]
    }
}
_NULL: Final = {"type": "null"}
# What other services call more, or less, than our three.
_QUALITIES: Final = {"standard": "medium", "hd": "high", "xhigh": "high", "max": "high"}


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


def _seed(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Take -1 for no seed, as other services do."""
    whole = _whole(value)
    return None if isinstance(whole, int) and whole == -1 else whole


def _text(value: str) -> str:
    if _NOT_TEXT.search(value):
        code, message = (
            "control_character",
            "must not contain control characters or halves of surrogate pairs",
        )
        raise PydanticCustomError(code, message)
    return value


def _trimmed(value: str) -> str:
    # Not pydantic's own constraints: after a function they trim, but measure the untrimmed text.
    prompt = _text(value).strip()
    kind: Literal["string_too_short", "string_too_long"]
    if not prompt:
        kind = "string_too_short"
        raise PydanticKnownError(kind, {"min_length": 1})
    if len(prompt) > MAX_PROMPT_CHARS:
        kind = "string_too_long"
        raise PydanticKnownError(kind, {"max_length": MAX_PROMPT_CHARS})
    return prompt


def _size(value: str) -> str:
    found = _SIZE.fullmatch(value)
    sides = [int(side) for side in found.groups()] if found else []
    if value != "auto" and (not found or any(side % 8 or not 64 <= side <= 4096 for side in sides)):  # noqa: PLR2004
        code, message = "size", "must be auto, or WIDTHxHEIGHT in multiples of 8 from 64 to 4096"
        raise PydanticCustomError(code, message)
    return value


def _one_problem(value: Any, read: ValidatorFunctionWrapHandler) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Say of the whole field what is wrong inside of it: that is the field which callers know."""
    try:
        return read(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        code, message = "webhook", "{where}{problem}"
        where = "".join(f"{part}: " for part in first["loc"] if part in Webhook.model_fields)
        raise PydanticCustomError(code, message, {"where": where, "problem": first["msg"]}) from error


Whole = Annotated[int, Field(strict=True), BeforeValidator(_whole)]
# The limit stands before the function: after one, pydantic calls a long text a list with too many items.
ModelName = Annotated[
    str, Field(max_length=256, json_schema_extra={"pattern": _TEXT_PATTERN}), AfterValidator(_text)
]
User = Annotated[str, Field(max_length=256), AfterValidator(partial(unicodedata.normalize, "NFC"))]
NegativePrompt = Annotated[
    str,
    Field(max_length=MAX_PROMPT_CHARS, json_schema_extra={"pattern": _TEXT_PATTERN}),
    AfterValidator(_text),
]
Prompt = Annotated[
    str,
    AfterValidator(_trimmed),
    Field(json_schema_extra={"pattern": _PROMPT_PATTERN, "minLength": 1, "maxLength": MAX_PROMPT_CHARS}),
]


# What stands in the text by which a request is told from others, whether it was set or not.
_FIRST: Final = frozenset(
    {
        "prompt",
        "output_format",
        "background",
        "model",
        "moderation",
        "n",
        "output_compression",
        "quality",
        "response_format",
        "size",
        "style",
        "user",
        "stream",
        "partial_images",
        "seed",
        "negative_prompt",
    }
)


class GenerationRequest(BaseModel):
    """The documented request, and our ``seed`` and ``negative_prompt``.

    Every optional field may be null and then takes its default. Unknown fields are ignored here and named in
    the response header ``x-ignored-fields``.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", json_schema_extra=_NEVER_TOGETHER)

    max_n: ClassVar[int] = 4
    cannot_honour: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("image", "images", "mask", "input_fidelity"),
        "this draws from text only, and POST /v1/images/edits from pictures",
    )
    """OpenAI's own fields that would change what is drawn, and why they are refused: ignoring them would
    return the wrong picture."""

    prompt: Prompt = Field(description="What to draw: 1 to 32,000 characters after trimming.")
    output_format: Annotated[OutputFormat, Spelled()] = Field(
        OutputFormat.PNG, description="File format of the images."
    )
    background: Annotated[BackgroundChoice, Spelled()] = Field(
        BackgroundChoice.AUTO, description="`transparent` needs png or webp and a model that can do it."
    )
    model: ModelName = Field(
        "",
        description="A name or alias; empty: the default; `random`: any model that can serve this.",
    )
    moderation: Annotated[Moderation, Spelled()] = Field(
        Moderation.AUTO, description="`low` blocks only the severe categories."
    )
    n: Whole = Field(1, ge=1, le=4, description="Number of images.")
    output_compression: Whole = Field(
        95, ge=0, le=100, description="Quality of webp and jpeg; png ignores it."
    )
    quality: Annotated[QualityChoice, Spelled(_QUALITIES)] = Field(
        QualityChoice.AUTO,
        description="Chooses the number of denoising steps; `standard` is medium; `hd`, `xhigh` and `max` "
        "are high.",
    )
    response_format: Annotated[ResponseFormat, Spelled()] = Field(
        ResponseFormat.B64_JSON,
        description="`url` only where the service has a store of results: addresses that expire.",
    )
    size: Annotated[str, AfterValidator(_size), Spelled(pattern=_SIZE_PATTERN)] = Field(
        AUTO, description="`auto` (512x512) or WIDTHxHEIGHT, multiples of 8 from 64 to 4096."
    )
    style: Annotated[Style, Spelled()] = Field(Style.VIVID, description="Applied per model.")
    user: User = Field("", description="Your end user; kept only as a keyed hash.")
    safety_identifier: User = Field(
        "", description="`user` under its newer name, which wins over the older one."
    )
    stream: Annotated[bool, Field(strict=True)] = Field(
        False,  # noqa: FBT003
        description="Send the pictures, and previews of them, as server-sent events.",
    )
    partial_images: Whole = Field(
        0,
        ge=0,
        le=MAX_PARTIAL_IMAGES,
        description="Previews of each image on its way: in the stream, or in the job's events.",
    )
    seed: Annotated[
        Annotated[int, Field(strict=True, ge=0, le=MAX_SEED)] | None,
        BeforeValidator(_seed),
        WithJsonSchema(
            {"anyOf": [{"type": "integer", "minimum": -1, "maximum": MAX_SEED}, {"type": "null"}]}
        ),
    ] = Field(
        None,
        description="Image i uses seed + i. Same seed, same model, same settings: the same picture. "
        "-1 is no seed; the last image's is at most 4294967295 too.",
    )
    negative_prompt: NegativePrompt | None = Field(
        None, description="What not to draw, for models that take it."
    )
    webhook: (
        Annotated[Webhook, WrapValidator(_one_problem), WithJsonSchema(Webhook.model_json_schema())] | None
    ) = Field(None, description="Who is told when the job has ended. Signed; needs a secret of your key.")

    @model_validator(mode="before")
    @classmethod
    def _null_is_default(cls, body: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
        if isinstance(body, dict):
            optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
            return {k: v for k, v in body.items() if v is not None or k not in optional}
        return body

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

    @field_validator("seed")
    @classmethod
    def _last_seed_is_one(cls, value: int | None, info: ValidationInfo) -> int | None:
        greatest = MAX_SEED + 1 - int(info.data.get("n", 1))
        if value is not None and value > greatest:
            code, message = "seed_too_great", "image i uses seed + i: with this n it is at most {greatest}"
            raise PydanticCustomError(code, message, {"greatest": greatest})
        return value

    @property
    def end_user(self) -> str:
        """Who asks, among the caller's users."""
        return self.safety_identifier or self.user

    def canonical(self) -> str:
        """Return the same text for the same request, however it was spelled.

        It is kept, as a keyed hash, for a day. Two versions side by side must find each other's jobs by it,
        so fields that came later are left out where they are not set.
        """
        later = {name: field for name, field in type(self).model_fields.items() if name not in _FIRST}
        unset = {name for name, field in later.items() if getattr(self, name) == field.default}
        same = self.model_copy(update={"user": self.end_user})
        return same.model_dump_json(exclude={*unset, "safety_identifier"})

    @classmethod
    @override
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Say in the schema that every optional field may be null."""
        document = handler(schema)
        resolved = handler.resolve_ref_schema(document)
        for name, field in resolved.get("properties", {}).items():
            if name in resolved.get("required", ()) or _NULL in field.get("anyOf", ()):
                continue
            kept = {k: field.pop(k) for k in ("default", "description", "title") if k in field}
            ways = field.pop("anyOf", None) or [dict(field)]
            field.clear()
            field.update({"anyOf": [*ways, _NULL], **kept})
        return document

    def dimensions(self) -> tuple[int, int]:
        """Return width and height in pixels."""
        if self.size == AUTO:
            return DEFAULT_SIDE_PX, DEFAULT_SIDE_PX
        width, height = self.size.split("x")
        return int(width), int(height)

    def params(self, seed: int, *, followed: bool = True) -> Params:
        """Return the choices with every ``auto`` decided.

        Args:
            seed: the seed to use where the caller gave none.
            followed: whether anybody could see previews; else none are drawn.
        """
        width, height = self.dimensions()
        transparent = self.background is BackgroundChoice.TRANSPARENT
        return Params(
            prompt=self.prompt,
            # An empty one asks for nothing, of a model that takes none too.
            negative_prompt=self.negative_prompt or None,
            background=Background.TRANSPARENT if transparent else Background.OPAQUE,
            n=self.n,
            output_compression=self.output_compression,
            output_format=self.output_format,
            quality=Quality.MEDIUM if self.quality is QualityChoice.AUTO else Quality(self.quality.value),
            width=width,
            height=height,
            style=self.style,
            seed=self.seed if self.seed is not None else seed,
            partial_images=self.partial_images if followed else 0,
            moderation=self.moderation,
            stored=self.response_format is ResponseFormat.URL,
        )

    @classmethod
    def with_max_n(cls, max_n: int, *, by_url: bool = False) -> type[Self]:
        """Return this body with another limit of ``n``.

        Args:
            max_n: the limit.
            by_url: whether a request that does not say how images come back gets addresses.
        """
        fields: dict[str, Any] = {
            "n": (Whole, Field(1, ge=1, le=max_n, description="Number of images.")),
        }
        if by_url:
            told = cls.model_fields["response_format"].description
            fields["response_format"] = (
                Annotated[ResponseFormat, Spelled()],
                Field(ResponseFormat.URL, description=told),
            )
        return create_model(cls.__name__, __base__=cls, __doc__=cls.__doc__, **fields)
