"""``python -m training STAGE``: one command a stage, in the order in which they are listed."""

from pathlib import Path
from typing import Annotated

import typer

from training.config import PRESETS, Config

app = typer.Typer(help="Make the shipped model again.", no_args_is_help=True, add_completion=False)

Folder = Annotated[Path, typer.Option(help="Where everything that is made is kept.")]
Preset = Annotated[str, typer.Option(help="shipped, or tiny to try the commands.")]
Steps = Annotated[int | None, typer.Option(help="Steps in all; by default the preset's.")]
Minutes = Annotated[float | None, typer.Option(help="Time in all, over every run, instead of steps.")]

DATA = Path("training-data")


def _config(preset: str) -> Config:
    if preset not in PRESETS:
        message = f"{preset!r} is none of {', '.join(PRESETS)}"
        raise typer.BadParameter(message)
    return PRESETS[preset]


@app.command()
def prepare(
    packages: Annotated[Path, typer.Argument(help="node_modules with the three packages.")],
    folder: Folder = DATA,
) -> None:
    """1. Glyphs and their names from the packages."""
    from training.glyphs import prepare as run

    typer.echo(f"{run(packages, folder)} glyphs")


@app.command()
def tokenizer(folder: Folder = DATA, preset: Preset = "shipped") -> None:
    """2. The tokenizer."""
    from training.tokens import train

    typer.echo(f"{train(folder, _config(preset))} tokens")


@app.command()
def autoencoder(
    folder: Folder = DATA, preset: Preset = "shipped", steps: Steps = None, minutes: Minutes = None
) -> None:
    """3. The autoencoder; goes on where a run was cut."""
    from training.autoencoder import train
    from training.loop import Budget

    config = _config(preset)
    budget = Budget(steps or config.autoencoder_steps, minutes)
    typer.echo(f"PSNR over white: {train(folder, config, budget, typer.echo):.1f} dB")


@app.command()
def denoiser(
    folder: Folder = DATA, preset: Preset = "shipped", steps: Steps = None, minutes: Minutes = None
) -> None:
    """4. The denoiser and the text encoder; goes on where a run was cut."""
    from training.denoiser import train
    from training.loop import Budget

    config = _config(preset)
    budget = Budget(steps or config.denoiser_steps, minutes)
    typer.echo(f"scale of the latents: {train(folder, config, budget, typer.echo):.6f}")


@app.command()
def export(
    output: Annotated[Path, typer.Argument(help="The folder of the pipeline.")],
    folder: Folder = DATA,
    preset: Preset = "shipped",
) -> None:
    """5. The pipeline, as diffusers loads it."""
    from training.export import export as run

    run(folder, output, _config(preset))


@app.command()
def samples(
    model: Annotated[Path, typer.Argument(help="The folder of a pipeline.")],
    output: Annotated[Path, typer.Argument(help="The picture to write.")],
) -> None:
    """6. A sheet of sample pictures."""
    from training.samples import draw

    draw(model, output)


if __name__ == "__main__":
    app()
