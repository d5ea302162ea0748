"""Reading ``catalog.toml`` and finding weights on this machine."""

import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from shared.catalogue import hub, places, weights
from shared.catalogue.spec import ModelSpec
from shared.errors import CatalogueError


@dataclass(frozen=True)
class Catalogue:
    """The models that could be offered."""

    default: str
    specs: tuple[ModelSpec, ...]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a catalogue file.

        Raises:
            CatalogueError: the file or one of its entries cannot be used; the message names entry and field.
        """
        document = _read(path)
        folder = path.resolve().parent
        specs = tuple(
            _anchored(_spec(path, position, raw), folder) for position, raw in enumerate(document["model"])
        )
        _check_names(specs)
        default = document["default"]
        if default not in {spec.name for spec in specs}:
            msg = f"catalogue {path}: the default model {default!r} has no entry"
            raise CatalogueError(msg)
        return cls(default, specs)

    def names(self) -> tuple[str, ...]:
        """Return the names of all entries, in the order of the file."""
        return tuple(spec.name for spec in self.specs)

    def find(self, name: str) -> ModelSpec | None:
        """Return the entry with this name or alias, in whatever case."""
        return next((spec for spec in self.specs if spec.is_called(name)), None)

    def weights_folder(self, spec: ModelSpec) -> Path | None:
        """Return where the model's weights lie on this machine, or None."""
        return places.locate(spec.weights, spec.revision)

    def check_weights(self, spec: ModelSpec) -> Path:
        """Check the model's weights as far as that goes without loading them, and return their folder.

        Raises:
            CatalogueError: what is missing or broken and where, naming the entry.
        """
        try:
            folder = places.require(spec.weights, spec.revision)
            _check_pipeline(spec, folder)
            for replacement in spec.components.values():
                weights.check_safetensors(places.component_file(replacement))
        except weights.BrokenWeights as error:
            raise _broken(spec, error) from error
        return folder

    def local(self, enabled: tuple[str, ...] | None = None) -> tuple[ModelSpec, ...]:
        """Return the models to offer.

        Args:
            enabled: names or aliases of exactly those to offer, wherever their weights are (an API process
                may be on another machine than its workers). By default every entry whose weights are on
                this machine: what comes from the hub is off until all of it is here.

        Raises:
            CatalogueError: an unknown name; by default also an entry whose own folder is not there.
        """
        if enabled is None:
            return tuple(spec for spec in self.specs if _is_switched_on(spec))
        return tuple({spec.name: spec for spec in map(self._known, enabled)}.values())

    def _known(self, name: str) -> ModelSpec:
        spec = self.find(name)
        if spec is None:
            msg = f"model {name!r}: enabled, but the catalogue has only {', '.join(self.names())}"
            raise CatalogueError(msg)
        return spec


def _is_switched_on(spec: ModelSpec) -> bool:
    """Whether the model is here; only what comes from the hub may be absent, a folder must be there."""
    try:
        folder = places.require(spec.weights, spec.revision)
        if hub.is_hub_id(spec.weights):
            with _cut_downloads_told():
                _check_pipeline(spec, folder)
        for replacement in spec.components.values():
            file = places.component_file(replacement)
            if hub.is_hub_id(replacement.weights):
                with _cut_downloads_told():
                    weights.check_safetensors(file)
    except places.NotDownloaded:
        return False
    except weights.BrokenWeights as error:
        raise _broken(spec, error) from error
    return True


@contextmanager
def _cut_downloads_told() -> Iterator[None]:
    """Take a part of a repository, which is what a download that was cut leaves, for none."""
    try:
        yield
    except weights.BrokenWeights as error:
        raise places.NotDownloaded(str(error)) from error


def _check_pipeline(spec: ModelSpec, folder: Path) -> None:
    weights.check_pipeline(folder, spec.family, spec.variant, frozenset(spec.components), spec.without)


def _read(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"catalogue {path}: cannot be read: {error}"
        raise CatalogueError(msg) from error
    if unknown := set(document) - {"default", "model"}:
        msg = f"catalogue {path}: unknown name {min(unknown)!r}"
        raise CatalogueError(msg)
    if not isinstance(document.get("default"), str) or not _is_list_of_tables(document.get("model")):
        msg = f'catalogue {path}: needs default = "name" and one [[model]] table for each model'
        raise CatalogueError(msg)
    return document


def _is_list_of_tables(value: object) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(isinstance(item, dict) for item in value)


def _spec(path: Path, position: int, raw: dict[str, Any]) -> ModelSpec:
    try:
        return ModelSpec.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "entry"
        name = raw.get("name", f"number {position + 1} of {path}")
        msg = f"model {name!r}: {field}: {first['msg']}"
        raise CatalogueError(msg) from error


def _check_names(specs: Iterable[ModelSpec]) -> None:
    taken: dict[str, str] = {}
    for spec in specs:
        for name in (spec.name, *spec.aliases):
            if (folded := name.lower()) in taken:
                msg = f"model {spec.name!r}: the name {name!r} is already taken by {taken[folded]!r}"
                raise CatalogueError(msg)
            taken[folded] = spec.name


def _anchored(spec: ModelSpec, folder: Path) -> ModelSpec:
    """Return the entry with its folders, which are relative to the catalogue's, made absolute."""
    components = {
        name: replacement.model_copy(update={"weights": places.anchor(replacement.weights, folder)})
        for name, replacement in spec.components.items()
    }
    return spec.model_copy(update={"weights": places.anchor(spec.weights, folder), "components": components})


def _broken(spec: ModelSpec, what: Exception) -> CatalogueError:
    mend = f"; fetch it with: darkroom models pull {spec.name}" if spec.hub_ids else ""
    msg = f"model {spec.name!r}: {what}{mend}"
    return CatalogueError(msg)
