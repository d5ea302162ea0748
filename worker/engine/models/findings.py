"""What the engine finds out about a request, beside its images."""

from collections.abc import Iterator
from dataclasses import dataclass

from shared.job_warnings import (
    NEGATIVE_PROMPT_TRUNCATED,
    PREVIEWS_UNAVAILABLE,
    PROMPT_TRUNCATED,
    JobWarning,
)
from worker.engine.models.loading import LoadedModel
from worker.engine.models.tokens import Fitted, count_tokens
from worker.engine.request import ImageRequest


@dataclass(frozen=True)
class Findings:
    """How many tokens the caller's words are, and what the caller should know."""

    prompt_tokens: int
    warnings: tuple[JobWarning, ...] = ()


def find(model: LoadedModel, request: ImageRequest, prompt: Fitted, *, whole: bool = False) -> Findings:
    """Return what there is to tell of a request.

    Args:
        model: draws it.
        request: what is drawn.
        prompt: what is read of its prompt.
        whole: whether the pipeline runs whole.
    """
    return Findings(prompt.tokens, tuple(_warnings(model, request, prompt, whole=whole)))


def _warnings(
    model: LoadedModel, request: ImageRequest, prompt: Fitted, *, whole: bool
) -> Iterator[JobWarning]:
    limit = model.spec.token_limit
    if prompt.read < prompt.tokens or not prompt.reads_ending:
        yield JobWarning(PROMPT_TRUNCATED, _truncated(prompt, limit))
    if request.negative_prompt is not None:
        tokens = count_tokens(model.tokenizer, request.negative_prompt)
        if tokens > limit:
            message = f"The negative prompt has {tokens} tokens, of which the model reads the first {limit}."
            yield JobWarning(NEGATIVE_PROMPT_TRUNCATED, message)
    if whole and request.partial_images:
        yield JobWarning(PREVIEWS_UNAVAILABLE, "The model's pipeline runs whole, so there are no previews.")


def _truncated(prompt: Fitted, limit: int) -> str:
    told = f"The prompt has {prompt.tokens} tokens, of which the model reads the first {prompt.read}"
    if not prompt.reads_ending:
        return f"{told}: it reads {limit} in all, and cuts off what style and background say behind them."
    if prompt.read < limit:
        return f"{told}: it reads {limit} in all, and the words for style and background are among them."
    return f"{told}."
