"""Processors through which pipelines show pictures to a language model, made without what is for videos."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from transformers import AutoTokenizer, Qwen2VLImageProcessorPil, Qwen2VLProcessor

QWEN_2_VL: Final = "Qwen2VLProcessor"


class PictureProcessor(Qwen2VLProcessor):
    """Qwen2-VL's own for words and pictures.

    That one insists on a part for videos, which cannot be made without torchvision; and the torchvision of
    PyPI is built for CUDA's torch, and cannot even be imported beside the one for CPUs.
    """

    def __init__(self, image_processor: Any, tokenizer: Any, chat_template: str | None = None) -> None:  # noqa: ANN401
        super().__init__(image_processor, tokenizer, chat_template=chat_template)  # type: ignore[no-untyped-call]


def picture_processors(folder: Path, components: Iterable[tuple[str, str]]) -> dict[str, PictureProcessor]:
    """Return the components of a pipeline that are such processors.

    Args:
        folder: of the pipeline.
        components: those that it is loaded with, each with its class's name.
    """
    return {name: _read(folder / name) for name, class_name in components if class_name == QWEN_2_VL}


def _read(folder: Path) -> PictureProcessor:
    return PictureProcessor(
        Qwen2VLImageProcessorPil.from_pretrained(folder, local_files_only=True),
        AutoTokenizer.from_pretrained(folder, local_files_only=True),
    )
