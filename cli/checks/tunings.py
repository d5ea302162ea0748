"""How the models here run on this machine's GPU, as it was found and kept."""

from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from cli.checks.device import Gpu
from cli.checks.finding import Finding, Verdict
from cli.tuning import day_of, in_modes
from shared.catalogue import Catalogue, ModelSpec
from shared.catalogue.families import batched_families
from shared.errors import ConfigurationError
from shared.settings import ModelSettings, WorkerSettings
from shared.tuning_file import Kept, TuningFile, default_tuning_file

_THOROUGH: Final = ("full", "quick")


def check_tunings(models: ModelSettings, worker: WorkerSettings, gpu: Gpu) -> Iterator[Finding]:
    """Look what was kept for the models that would be offered; without a GPU there may be nothing to say."""
    if worker.tuning == "off":
        if gpu.driver:
            mend = "unset DARKROOM_WORKER__TUNING"
            yield Finding("tuning", Verdict.NOTE, "is off: models run as they are", mend)
        return
    try:
        specs = Catalogue.load(models.catalogue).local(models.enabled)
    except ConfigurationError:  # `check_models` says so
        return
    file = worker.tuning_file or default_tuning_file()
    known = tuple(TuningFile(file).read().values()) if file is not None else ()
    for spec in specs:
        if spec.family in batched_families():
            yield from _of_model(spec, known, worker.tuning, gpu)


def _of_model(spec: ModelSpec, known: Iterable[Kept], level: str, gpu: Gpu) -> Iterator[Finding]:
    subject, mend = f"tuning {spec.name}", f"darkroom tune {spec.name}"
    levels = _THOROUGH if level == "quick" else (level,)
    found = [kept for kept in known if kept.model == spec.name and kept.level in levels]
    usable = [kept for kept in found if _fits(kept, spec)]
    # Of one device the most thorough comes last.
    usable.sort(key=lambda kept: levels.index(kept.level), reverse=True)
    best = {kept.device: kept for kept in usable}
    for device, kept in sorted(best.items()):
        yield Finding(subject, Verdict.OK, f"{device}: {_in_words(kept)}")
    if best:
        return
    if found:
        detail = "was found with other libraries or weights than are here"
        yield Finding(subject, Verdict.NOTE, f"{detail}; a worker finds it anew", mend)
    elif gpu.driver:
        yield Finding(
            subject, Verdict.NOTE, f"nothing is kept yet; a worker finds it at its start, {level}", mend
        )


def _fits(kept: Kept, spec: ModelSpec) -> bool:
    """Whether it was found for what is here."""
    return kept.weights == spec.weights_version and all(
        _version(name) == number for name, number in kept.libraries.items()
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _in_words(kept: Kept) -> str:
    stages = {"text": kept.text, "denoise": kept.denoise, "decode": kept.decode}
    ways = "; ".join(f"{name} {in_modes(how.modes)} ({how.images})" for name, how in stages.items())
    return f"{ways}; {kept.level}, {day_of(kept.found_at)}"
