"""Which models can be asked for, which can serve a given request, and which one serves this one."""

import re
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Final

from api.models.needs import NEEDS
from api.provided import provided
from api.schemas import RunsAs
from api.store.observation import Liveness, ObservationStore
from shared.catalogue import Catalogue, ModelSpec
from shared.errors import ModelNotFound, PermissionDenied, QueueFull, UnsupportedValue
from shared.params import Params
from shared.settings import JobSettings, ModelSettings

RANDOM: Final = "random"
ParamsFor = Callable[[ModelSpec], Params]
"""What a request is to a model: the size of an edit depends on it."""
# What clients for OpenAI's service hard-code.
OPENAI_NAMES: Final = re.compile(
    r"dall-e-[23]|gpt-image-[a-z0-9][a-z0-9.-]*|chatgpt-image-latest", re.ASCII | re.IGNORECASE
)
# How long the answer to "who is alive" is used again; submit checks the model's workers itself in any case.
FRESH_S: Final = 1.0


class Offer:
    """The models that this service offers now: those whose weights are here, and those that workers serve."""

    def __init__(
        self, catalogue: Catalogue, models: ModelSettings, store: ObservationStore, settings: JobSettings
    ) -> None:
        self.catalogue = catalogue
        self._configured = tuple(spec.name for spec in catalogue.local(models.enabled))
        self._fixed = models.enabled is not None
        self._knows_openais = models.aliases_for_openai
        self._store = store
        self._settings = settings
        self._liveness: Liveness | None = None
        self._asked_at = 0.0
        self._tunings: dict[str, tuple[RunsAs, ...]] = {}
        self._tunings_asked_at = float("-inf")

    async def specs(self) -> list[ModelSpec]:
        """Return the offered models, the default first, then by name."""
        served = set() if self._fixed else set((await self._alive()).last_seen_at)
        names = served | set(self._configured)
        offered = [spec for spec in self.catalogue.specs if spec.name in names]
        return sorted(offered, key=lambda spec: (spec.name != self.catalogue.default, spec.name))

    async def live(self, model: str) -> bool:
        """Whether a worker that serves ``model`` is alive, or need not be."""
        if self._settings.queue_without_worker:
            return True
        return (await self._alive()).age_s(model) <= self._settings.worker_grace_s

    async def runs_as(self, model: str) -> tuple[RunsAs, ...]:
        """Return the ways in which live workers run a model of the catalogue, as far as they say."""
        if time.monotonic() - self._tunings_asked_at > FRESH_S:
            names = [spec.name for spec in self.catalogue.specs]
            self._tunings = await self._store.tunings(names, self._settings.lease_s)
            self._tunings_asked_at = time.monotonic()
        return self._tunings[model]

    async def require_memory(self) -> None:
        """Check that Redis has room for another job and its result.

        Raises:
            QueueFull: it is nearly full; what is there is safe, and room comes as results expire.
        """
        if (await self._alive()).memory_share > self._settings.max_memory_share:
            message = "The job store is nearly full."
            raise QueueFull(message, retry_after_s=10)

    async def find(self, name: str) -> ModelSpec:
        """Return the offered model of this name or alias, in whatever case.

        Raises:
            ModelNotFound: there is none; the message lists the names.
        """
        offered = await self.specs()
        spec = self._known(name)
        if spec is None or spec not in offered:
            names = ", ".join(each.name for each in offered) or "none"
            message = f"The model '{name}' does not exist. Available: {names}."
            raise ModelNotFound(message, param="model")
        return spec

    def _known(self, name: str) -> ModelSpec | None:
        """Return the entry of a name; one of the catalogue wins over one of OpenAI's."""
        spec = self.catalogue.find(name)
        if spec is None and self._knows_openais and OPENAI_NAMES.fullmatch(name):
            return self.catalogue.find(self.catalogue.default)
        return spec

    async def choose(self, name: str, params_for: ParamsFor, allowed: Sequence[str] = ()) -> ModelSpec:
        """Return the model that serves a request.

        Args:
            name: what the caller asked for; empty for the default, ``random`` for any that can.
            params_for: the request, as each model would get it.
            allowed: names or aliases of the models that the caller may use; empty for all.

        Raises:
            ModelNotFound: there is no such model.
            PermissionDenied: the caller must not use it.
            UnsupportedValue: the model, or every model, cannot do this.
        """
        if name.lower() != RANDOM:
            spec = await self.find(name or self.catalogue.default)
            if not is_allowed(spec, allowed):
                message = (
                    f"This API key must not use the model '{spec.name}'. It may use: {', '.join(allowed)}."
                )
                raise PermissionDenied(message, param="model")
            self._require([spec], params_for, await self.specs())
            return spec
        offered = [spec for spec in await self.specs() if is_allowed(spec, allowed)]
        able = self._require(offered, params_for, offered)
        # Where nobody lives, submit says so, unless the call repeats an earlier one.
        return secrets.choice([spec for spec in able if await self.live(spec.name)] or able)

    def _require(
        self, candidates: Sequence[ModelSpec], params_for: ParamsFor, offered: Sequence[ModelSpec]
    ) -> list[ModelSpec]:
        """Return the candidates that can serve the request; say what to change where none can."""
        if not candidates:
            message = "No model is offered here that you may use."
            raise UnsupportedValue(message, param="model")
        able, others = list(candidates), list(offered)
        wanted = {spec.name: params_for(spec) for spec in offered}
        for need in NEEDS:
            unable, able = able, [spec for spec in able if need.met(spec, wanted[spec.name])]
            others = [spec for spec in others if need.met(spec, wanted[spec.name])]
            if not able:
                names = ", ".join(spec.name for spec in others) or "none"
                message = need.message.format(params=wanted[unable[0].name], names=names)
                raise UnsupportedValue(message, param=need.param)
        return able

    async def _alive(self) -> Liveness:
        if self._liveness is None or time.monotonic() - self._asked_at > FRESH_S:
            self._liveness = await self._store.liveness()
            self._asked_at = time.monotonic()
        return self._liveness


def is_allowed(spec: ModelSpec, allowed: Sequence[str]) -> bool:
    """Whether a caller that may use these models, or all where none is named, may use this one."""
    return not allowed or any(map(spec.is_called, allowed))


OfferDep = Annotated[Offer, provided("offer")]
