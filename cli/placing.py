"""Which workers `darkroom up` starts, and on which device each: one a GPU, or some on the CPU."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cli.gpus import VISIBLE, Card, Listed, listed, told, torch_is_for_cuda, visible_here
from shared.errors import ConfigurationError
from shared.settings import WorkerSettings

ALL: Final = "all"
NONE: Final = "none"
_DEVICE: Final = "DARKROOM_WORKER__DEVICE"


@dataclass(frozen=True)
class Placed:
    """A worker process to start.

    Attributes:
        name: What `darkroom up` calls it, and its log.
        environment: What it is told beside the settings of all.
        card: The GPU that it is pinned to; None where torch takes its device, or draws on the CPU.
    """

    name: str = "worker-1"
    environment: Mapping[str, str] = field(default_factory=dict)
    card: Card | None = None


def placed(gpus: str | None, workers: int | None, settings: WorkerSettings) -> tuple[Placed, ...]:
    """Return the workers to start.

    Args:
        gpus: ``all``, ``none``, or numbers of `nvidia-smi` with commas between; None: all that there are.
        workers: how many, where they are not pinned to GPUs; default: 1.
        settings: of every worker; a device that is set there is kept.

    Raises:
        ConfigurationError: What is asked for is not there, or contradicts itself.
    """
    cards = chosen(gpus, settings)
    if not cards:
        return _unpinned(workers or 1, {_DEVICE: "cpu"} if gpus == NONE else {}, settings)
    if workers is not None:
        msg = (
            f"--workers {workers}: there is one worker for each GPU, and there are {told(cards)}; "
            "--gpus says which to use, --gpus none draws on the CPU"
        )
        raise ConfigurationError(msg)
    return tuple(
        Placed(f"worker-{card.label}", {**_pinned(card, settings), **own}, card)
        for card, own in zip(cards, _apart(settings, [card.label for card in cards]), strict=True)
    )


def chosen(
    gpus: str | None,
    settings: WorkerSettings,
    find: Callable[[], Listed] = listed,
    can_use: Callable[[], bool] = torch_is_for_cuda,
) -> tuple[Card, ...]:
    """Return the GPUs that get a worker each; none where workers are not to be pinned.

    Args:
        gpus: see `placed`.
        settings: of every worker.
        find: lists the GPUs.
        can_use: whether torch could draw on them; not asked where the operator wants them in so many words.

    Raises:
        ConfigurationError: See `placed`.
    """
    device = settings.device if "device" in settings.model_fields_set else "auto"
    if gpus is None:
        if device not in {"auto", "cuda"} or (device == "auto" and not can_use()):
            return ()
        return visible_here(find())
    contradicted = device.startswith("cuda") if gpus == NONE else device not in {"auto", "cuda"}
    if contradicted:
        msg = f"--gpus {gpus} contradicts {_DEVICE}={device}: leave out one of them"
        raise ConfigurationError(msg)
    return () if gpus == NONE else _picked(gpus, find())


def _picked(gpus: str, found: Listed) -> tuple[Card, ...]:
    cards = visible_here(found)
    if not cards:
        why = found.why or f"{VISIBLE} leaves none of {told(found.cards)}"
        msg = f"--gpus {gpus}: no GPU was found: {why}"
        raise ConfigurationError(msg)
    return cards if gpus == ALL else _of_numbers(gpus, cards)


def _of_numbers(gpus: str, cards: Sequence[Card]) -> tuple[Card, ...]:
    by_label = {card.label: card for card in cards}
    labels = [f"gpu{number.strip()}" for number in gpus.split(",")]
    wrong = ""
    if not all(label.removeprefix("gpu").isdecimal() for label in labels):
        wrong = f"it is none of {ALL}, {NONE}, and numbers with commas between"
    elif len(set(labels)) < len(labels):
        wrong = "it names a GPU twice"
    elif not set(labels) <= set(by_label):
        wrong = "there is no such GPU"
    if wrong:
        msg = f"--gpus {gpus}: {wrong}; there are {told(cards)}"
        raise ConfigurationError(msg)
    return tuple(by_label[label] for label in labels)


def _unpinned(workers: int, shared: Mapping[str, str], settings: WorkerSettings) -> tuple[Placed, ...]:
    names = [str(number) for number in range(1, workers + 1)]
    return tuple(
        Placed(f"worker-{name}", {**shared, **own})
        for name, own in zip(names, _apart(settings, names), strict=True)
    )


def _pinned(card: Card, settings: WorkerSettings) -> dict[str, str]:
    """What lets a worker see one GPU alone, and say which.

    ``cuda``, unless a device is set: a worker that is named for a GPU and cannot use it is to end with that
    error, not to draw on the CPU.
    """
    device = {} if "device" in settings.model_fields_set else {_DEVICE: "cuda"}
    return {VISIBLE: card.uuid, "DARKROOM_WORKER__DEVICE_LABEL": card.label, **device}


def _apart(settings: WorkerSettings, names: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yield each worker's own of what several cannot share: the name that is set, the port of metrics."""
    for at, name in enumerate(names):
        own = {}
        if len(names) > 1 and settings.name is not None:
            own["DARKROOM_WORKER__NAME"] = f"{settings.name}-{name}"
        if len(names) > 1 and settings.metrics_port:
            own["DARKROOM_WORKER__METRICS_PORT"] = str(settings.metrics_port + at)
        yield own
