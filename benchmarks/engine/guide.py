"""B3: the stock pipeline made fast as diffusers' own guide to performance says.

https://huggingface.co/docs/diffusers/optimization/fp16 and …/attention_backends: the blocks that a denoiser
repeats are compiled (all of it where it has none, or where that is asked for), and so is the decoding;
convolutions are laid out and attention is computed as is fastest. The guide names channels last,
FlashAttention and what torch chooses; which is fastest depends on the device, so each is timed.

Not done: quantised weights, which change the picture, and settings of torch's compiler for the whole process,
which would change the engine's own compiled blocks too.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch

from benchmarks.engine.timing import seconds_of
from worker.engine.models.arguments import Call
from worker.engine.models.loading import LoadedModel
from worker.engine.rows.families.registry import adapt
from worker.engine.rows.staging import stages_of
from worker.engine.stages.modes import ATTENTION_BACKENDS, AttentionBackend, Layout, Mode
from worker.engine.stages.stage import Stage

HOW: Final = ("regional", "whole", "none")
"""Ways to compile: the repeated blocks, as is quick; the whole denoiser tuned for longest; nothing."""
WHOLE_MODE: Final = "max-autotune-no-cudagraphs"


@torch.inference_mode()
def follow(model: LoadedModel, call: Callable[[str], Call], how: str) -> list[str]:
    """Change a pipeline in place as the guide says; return what was done.

    Args:
        model: B3's own.
        call: returns what to draw for a prompt.
        how: to compile, of ``HOW``.
    """
    family = adapt(model)
    done: list[str] = []
    if family is not None:
        stages = {stage.name: stage for stage in stages_of(family, call)}
        layouts = [Layout(torch.contiguous_format), Layout(torch.channels_last)]
        for stage in (stages["denoise"], stages["decode"]):
            attention = [AttentionBackend(name) for name in ATTENTION_BACKENDS if stage.name == "denoise"]
            done += _fastest(stage, layouts, family.device)
            done += _fastest(stage, attention, family.device)
    return done + _compile(model.pipeline, how)


def _fastest(stage: Stage, modes: Sequence[Mode], device: torch.device) -> list[str]:
    """Leave a stage in the fastest of some modes that exclude each other, or as it is."""
    times_s: dict[Mode | None, float] = {None: seconds_of(lambda: stage.run(1), device)}
    for mode in [mode for mode in modes if mode.applies(stage)]:
        try:
            mode.apply(stage)
            times_s[mode] = seconds_of(lambda: stage.run(1), device)
        except Exception:  # noqa: BLE001, S112 - it is not for this device
            continue
        finally:
            mode.undo(stage)
    best = min(times_s, key=lambda mode: times_s[mode])
    if best is None:
        return []
    best.apply(stage)
    return [f"{stage.name} {best.name}"]


def _compile(pipeline: Any, how: str) -> list[str]:  # noqa: ANN401 - diffusers is untyped
    if how == "none":
        return []
    network = getattr(pipeline, "transformer", None) or pipeline.unet
    if how == "whole":
        network.compile(mode=WHOLE_MODE, fullgraph=True)
        pipeline.vae.decode = torch.compile(pipeline.vae.decode, mode=WHOLE_MODE, fullgraph=True)
        return [f"denoiser and decoding compiled ({WHOLE_MODE})"]
    try:
        network.compile_repeated_blocks(fullgraph=True)
    except ValueError:  # there are none
        network.compile(fullgraph=True)
    pipeline.vae.decode = torch.compile(pipeline.vae.decode, fullgraph=True)
    return ["repeated blocks and decoding compiled"]
