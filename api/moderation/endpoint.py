"""A moderator elsewhere, asked over HTTP in the form of OpenAI's ``POST /v1/moderations``.

It is trusted to judge and with nothing else: what it sends is bounded in time and bytes, and only names of
categories that are known here go any further.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

import httpx2
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError
from typing_extensions import override

from api.metrics import ENDPOINT_FAILURES
from api.moderation.moderator import Moderator, Words
from shared.errors import ModerationUnavailable
from shared.logs import get_logger
from shared.moderation import Category, Verdict
from shared.settings import ModerationSettings

log = get_logger(__name__)

MAX_ANSWER_BYTES: Final = 256 * 1024
RETRY_AFTER_S: Final = 5
# OpenAI's names that are no category here.
_SYNONYMS: Final = {
    "self_harm_intent": Category.SELF_HARM,
    "harassment_threatening": Category.HARASSMENT,
}


class Unusable(Exception):
    """The endpoint answered with something that is no verdict."""


class Result(BaseModel):
    """One result, as far as it is read."""

    model_config = ConfigDict(hide_input_in_errors=True)

    flagged: StrictBool
    categories: dict[str, StrictBool | None] = Field(default_factory=dict)


class Answer(BaseModel):
    """The answer, as far as it is read."""

    model_config = ConfigDict(hide_input_in_errors=True)

    results: list[Result] = Field(min_length=1)


class Endpoint(Moderator):
    """Asks an endpoint."""

    name = "endpoint"

    def __init__(self, url: str, settings: ModerationSettings) -> None:
        self._url = url
        self._settings = settings
        key = settings.endpoint_key
        self._http = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {key.get_secret_value()}"} if key else None,
            timeout=settings.endpoint_timeout_s,
            limits=httpx2.Limits(max_connections=settings.endpoint_connections),
            follow_redirects=False,
            trust_env=False,
        )

    @override
    async def judge(self, words: Words) -> Verdict:
        try:
            # The client's own limits are for each read: an answer that trickles in would outlast them.
            async with asyncio.timeout(self._settings.endpoint_timeout_s):
                return _verdict(await self._ask(words.prompt))
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, Unusable) as error:
            ENDPOINT_FAILURES.inc()
            log.warning("moderation.endpoint_failed", reason=type(error).__name__)
            if self._settings.endpoint_fail_open:
                return Verdict()
            raise ModerationUnavailable(retry_after_s=RETRY_AFTER_S) from error

    async def _ask(self, prompt: str) -> bytes:
        question = {"input": prompt}
        if self._settings.endpoint_model:
            question["model"] = self._settings.endpoint_model
        async with self._http.stream("POST", self._url, json=question) as response:
            if response.status_code != httpx2.codes.OK:
                raise Unusable
            answer = bytearray()
            async for piece in response.aiter_bytes():
                answer += piece
                if len(answer) > MAX_ANSWER_BYTES:
                    raise Unusable
            return bytes(answer)

    @override
    async def close(self) -> None:
        await self._http.aclose()


def _verdict(answer: bytes) -> Verdict:
    try:
        results = Answer.model_validate_json(answer).results
    except ValidationError:
        # Its words may repeat the prompt.
        raise Unusable from None
    return Verdict(frozenset(each for result in results for each in _found(result)))


def _found(result: Result) -> Iterable[Category]:
    """Return what a result flags; where it names nothing that is known, it is still flagged."""
    named = {_category(name) for name, flagged in result.categories.items() if flagged}
    return named or ({Category.OTHER} if result.flagged else set())


def _category(name: str) -> Category:
    plain = name.replace("/", "_").replace("-", "_")
    try:
        return _SYNONYMS.get(plain) or Category(plain)
    except ValueError:
        return Category.OTHER
