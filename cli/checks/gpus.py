"""The GPUs one by one, and which of them would get a worker from `darkroom up`."""

from collections.abc import Callable, Iterator

from cli.checks.finding import Finding, Verdict
from cli.gpus import VISIBLE, listed, torch_is_for_cuda, visible_here
from cli.placing import chosen
from shared.errors import ConfigurationError
from shared.settings import WorkerSettings


def check_gpus(
    settings: WorkerSettings, can_use: Callable[[], bool] = torch_is_for_cuda
) -> Iterator[Finding]:
    """Look at each GPU; nothing is said of a machine that has none.

    Args:
        settings: of every worker.
        can_use: whether torch could draw on them.
    """
    found = listed()
    try:
        seen, used = visible_here(found), chosen(None, settings, lambda: found, can_use)
    except ConfigurationError as error:
        yield Finding("GPUs", Verdict.MISSING, error.message, f"mend {VISIBLE}, or unset it")
        return
    for card in found.cards:
        if card not in seen:
            yield Finding(card.label, Verdict.OK, f"{card.details}: left out by {VISIBLE}")
    for card in seen:
        if card in used:
            yield Finding(card.label, Verdict.OK, f"{card.details}: gets a worker")
        else:
            detail = f"{card.details}: gets no worker of its own, as {_reason(settings)}"
            yield Finding(card.label, Verdict.NOTE, detail)


def _reason(settings: WorkerSettings) -> str:
    if "device" in settings.model_fields_set and settings.device != "auto":
        return f"DARKROOM_WORKER__DEVICE is {settings.device}"
    return "torch is not one for CUDA"
