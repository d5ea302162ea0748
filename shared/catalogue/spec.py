"""One entry of the catalogue."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from shared.catalogue.beginning import scheduled, taken
from shared.catalogue.families import EditsBy, edits_of
from shared.catalogue.hub import is_hub_id
from shared.catalogue.sizes import Sizes
from shared.catalogue.wording import Wording
from shared.params import MAX_INPUTS, InputFidelity, Params, Quality, Style

PLACEHOLDER = "{prompt}"
RESERVED_NAMES = frozenset({"random"})
"""Names that a request's ``model`` field uses for something else."""

LOOKED_AT_PX = 1024 * 1024
"""Models that look at a picture make a larger one as small as this."""

Alias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$")]


def _one_placeholder(template: str) -> str:
    if template.count(PLACEHOLDER) != 1:
        msg = f"a template contains {PLACEHOLDER} exactly once"
        raise ValueError(msg)
    return template


Template = Annotated[str, AfterValidator(_one_placeholder)]


class Entry(BaseModel):
    """A frozen table of the catalogue; an unknown name in it is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Steps(Entry):
    """Denoising steps per quality."""

    low: int = Field(ge=1, le=200)
    medium: int = Field(ge=1, le=200)
    high: int = Field(ge=1, le=200)


class Guidance(Entry):
    """Strength of classifier-free guidance per style."""

    vivid: float = Field(ge=0, le=30)
    natural: float = Field(ge=0, le=30)


class Templates(Entry):
    """What is said around the caller's words; ``transparent`` is applied first, then the style."""

    vivid: Template = PLACEHOLDER
    natural: Template = PLACEHOLDER
    transparent: Template = PLACEHOLDER


class ComponentFile(Entry):
    """Weights of one component of the pipeline that come from another place than the rest."""

    weights: str = Field(min_length=1)
    file: str = Field(pattern=r"^[^/].*\.safetensors$")
    revision: str | None = None


class SchedulerChoice(Entry):
    """Another scheduler than the one beside the weights."""

    name: str = Field(pattern=r"^[A-Za-z]\w*Scheduler$")
    settings: dict[str, bool | int | float | str] = {}


class Strength(Entry):
    """How much of the picture is drawn anew, by how faithful the caller wants it to be."""

    low: float = Field(gt=0, le=1)
    high: float = Field(gt=0, le=1)


class Edits(Entry):
    """How a model edits pictures.

    Attributes:
        by: whether it begins with the picture or looks at it.
        most_images: how many pictures it looks at; one where it begins with it.
        masks: whether a part can be drawn anew and the rest kept.
        strength: where it begins with the picture.
        required: whether it draws nothing without a picture.
    """

    by: EditsBy
    most_images: int = Field(1, ge=1, le=MAX_INPUTS)
    masks: bool = False
    strength: Strength | None = None
    required: bool = False

    @model_validator(mode="after")
    def _begins_with_one(self) -> Self:
        begins = self.by is EditsBy.IMAGE_TO_IMAGE
        if begins != (self.strength is not None):
            msg = "strength is said where a model edits by image-to-image, and only there"
            raise ValueError(msg)
        if begins and self.required:
            msg = "a model that begins with pictures draws without one, too"
            raise ValueError(msg)
        if begins and self.most_images > 1:
            msg = "image-to-image begins with one picture"
            raise ValueError(msg)
        return self


class ModelSpec(Entry):
    """A model: where its weights are, what it can do and how it is asked."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    title: str = Field(min_length=1)
    description: str = Field(min_length=1)
    aliases: tuple[Alias, ...] = ()

    weights: str = Field(min_length=1)
    revision: str | None = None
    variant: str | None = None
    family: str = Field(pattern=r"^[A-Za-z]\w*Pipeline$")
    components: dict[str, ComponentFile] = {}
    without: tuple[str, ...] = ()
    """Components of the pipeline that are neither fetched nor loaded, as it draws without them."""
    scheduler: SchedulerChoice | None = None
    dtype: Literal["float32", "float16", "bfloat16"] = "bfloat16"
    memory_gib: float = Field(gt=0)

    licence: str = Field(min_length=1)
    licence_url: str = Field(pattern=r"^https://")

    sizes: Sizes
    steps: Steps
    guidance: Guidance
    guidance_argument: Literal["guidance_scale", "true_cfg_scale"] = "guidance_scale"
    prompt_templates: Templates = Templates()
    arguments: dict[str, bool | int | float | str] = {}
    transparent: bool = False
    float32_decoding: bool = True
    """Whether a picture with values that are no numbers is decoded once more in full precision."""
    negative_prompt: bool = False
    edits: Edits | None = None
    tokenizer: str = "tokenizer"
    token_limit: int = Field(ge=1)

    @model_validator(mode="after")
    def _no_reserved_name(self) -> Self:
        taken = RESERVED_NAMES.intersection({self.name, *map(str.lower, self.aliases)})
        if taken:
            msg = f"the name {min(taken)!r} is reserved"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _edits_as_its_family(self) -> Self:
        can = edits_of(self.family)
        if self.edits is not None and self.edits.by is not can:
            msg = (
                f"edits.by: {self.family} edits by {can.value}" if can else f"{self.family} edits no pictures"
            )
            raise ValueError(msg)
        return self

    def is_called(self, name: str) -> bool:
        """Whether this is its name or an alias, in whatever case."""
        folded = name.lower()
        return name.isascii() and (
            folded == self.name or any(folded == each.lower() for each in self.aliases)
        )

    @property
    def memory_bytes(self) -> int:
        """Device memory needed to run the model."""
        return int(self.memory_gib * 2**30)

    @property
    def weights_version(self) -> str:
        """Which weights it is, and how they are loaded."""
        return f"{self.weights} {self.revision} {self.variant} {self.dtype}"

    @property
    def hub_ids(self) -> tuple[str, ...]:
        """The repositories of the hub that it needs; none where all of it lies in folders."""
        places = (self.weights, *(component.weights for component in self.components.values()))
        return tuple(dict.fromkeys(filter(is_hub_id, places)))

    def wording(self, prompt: str, style: Style | None, *, transparent: bool) -> Wording:
        """Return what the model is conditioned on: the caller's words within the templates.

        Args:
            prompt: the caller's words.
            style: whose template goes around them; none where they say what to change, and not what is seen.
            transparent: whether that template goes around them as well.
        """
        template: str = PLACEHOLDER if style is None else getattr(self.prompt_templates, style.value)
        before, _, after = template.partition(PLACEHOLDER)
        if transparent:
            inner_before, _, inner_after = self.prompt_templates.transparent.partition(PLACEHOLDER)
            before, after = before + inner_before, inner_after + after
        return Wording(before, prompt, after)

    def steps_for(self, quality: Quality) -> int:
        """Return the number of denoising steps."""
        steps: int = getattr(self.steps, quality.value)
        return steps

    def guidance_for(self, style: Style) -> float:
        """Return the strength of guidance."""
        guidance: float = getattr(self.guidance, style.value)
        return guidance

    def strength_for(self, strength: float | None, fidelity: InputFidelity | None) -> float | None:
        """Return how much of a picture is drawn anew; nothing where the model only looks at it."""
        if self.edits is None or self.edits.strength is None:
            return None
        by_fidelity: float = getattr(self.edits.strength, (fidelity or InputFidelity.LOW).value)
        return by_fidelity if strength is None else strength

    def strength_of(self, params: Params) -> float | None:
        """Return the same for a job; nothing where it is no edit, either."""
        return self.strength_for(params.strength, params.input_fidelity) if params.edits else None

    def steps_of(self, params: Params) -> int:
        """Return how many steps the schedule of a job has; an edit takes the last of them alone."""
        steps, strength = self.steps_for(params.quality), self.strength_of(params)
        return steps if strength is None else scheduled(steps, strength)

    def steps_taken(self, params: Params) -> int:
        """Return how many steps of its schedule a job takes, give or take one by the family's rounding."""
        steps, strength = self.steps_of(params), self.strength_of(params)
        return steps if strength is None else taken(steps, strength)

    def supports_size(self, width: int, height: int) -> bool:
        """Whether an image of this size, in pixels, may be asked for."""
        return self.sizes.supports(width, height)

    def cost(self, params: Params) -> float:
        """Return the work of a request: megapixels that are drawn or looked at x steps x images."""
        width, height = self.sizes.generated(params.width, params.height)
        area_px = width * height
        if params.edits and self.edits is not None and self.edits.by is EditsBy.REFERENCE:
            area_px += sum(min(w * h, LOOKED_AT_PX) for w, h in params.input_sizes)
        return area_px / 1e6 * self.steps_taken(params) * params.n
