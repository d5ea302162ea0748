"""Stage 6: a sheet of pictures, always of the same prompts and seeds, so that two models can be compared."""

from pathlib import Path
from typing import Any, Final

import torch
from diffusers import DiffusionPipeline
from PIL import Image

PROMPTS: Final = (
    "black swan",
    "a red apple",
    "a cat and a dog",
    "a blue fox, transparent background",
    "three pineapples",
    "a gold trophy on a navy background, 3d render",
    "a slice of pizza, flat illustration",
    "an octopus",
    "a pink robot on a mint background",
    "a penguin to the left of a snowman",
    "sunflower on a yellow and orange gradient background",
    "a house with a tree",
)
CHECK_PX: Final = 16
SQUARES: Final = ((214, 214, 214), (246, 246, 246))


def draw(model: Path, output: Path, *, steps: int = 16, guidance: float = 4.0, side_px: int = 256) -> None:
    """Draw every prompt and write one picture of them all, transparency over a checkerboard."""
    where = "cuda" if torch.cuda.is_available() else "cpu"
    loaded: Any = DiffusionPipeline.from_pretrained(  # type: ignore[no-untyped-call]
        model, local_files_only=True, dtype=torch.float32
    )
    pipeline = loaded.to(where)
    pipeline.set_progress_bar_config(disable=True)
    columns = 4
    rows = -(-len(PROMPTS) // columns)
    sheet = Image.new("RGB", (columns * side_px, rows * side_px))
    for number, prompt in enumerate(PROMPTS):
        generator = torch.Generator("cpu").manual_seed(number)
        (image,) = pipeline(
            prompt, num_inference_steps=steps, guidance_scale=guidance, generator=generator
        ).images
        small = image.convert("RGBA").resize((side_px, side_px), Image.Resampling.LANCZOS)
        place = (number % columns * side_px, number // columns * side_px)
        sheet.paste(_checkerboard(side_px), place)
        sheet.paste(small, place, small)
    unfinished = output.with_name(output.name + ".part")
    sheet.save(unfinished, "PNG")
    unfinished.replace(output)


def _checkerboard(side_px: int) -> Image.Image:
    squares = side_px // CHECK_PX
    board = Image.new("RGB", (squares, squares))
    board.putdata([SQUARES[(x + y) % 2] for y in range(squares) for x in range(squares)])
    return board.resize((side_px, side_px), Image.Resampling.NEAREST)
