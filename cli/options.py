"""Options that several commands have: where the service is, who asks, and what is drawn."""

from pathlib import Path
from typing import Annotated

import typer

from cli.client import DEFAULT_URL

BaseUrl = Annotated[
    str, typer.Option(envvar="DARKROOM_BASE_URL", help=f"address of the service, such as {DEFAULT_URL}")
]
ApiKey = Annotated[
    str | None,
    typer.Option(envvar="DARKROOM_API_KEY", help="sent as Authorization: Bearer", show_default=False),
]
Organization = Annotated[
    str | None,
    typer.Option(envvar="DARKROOM_ORGANIZATION", help="sent as OpenAI-Organization", show_default=False),
]
Project = Annotated[
    str | None, typer.Option(envvar="DARKROOM_PROJECT", help="sent as OpenAI-Project", show_default=False)
]

# What is left out of these is for the service to choose.
Output = Annotated[
    Path, typer.Option("--output", "-o", help="file to write; several pictures become FILE-1, FILE-2 …")
]
Show = Annotated[bool, typer.Option(help="show it on the terminal, where that can")]
Model = Annotated[str | None, typer.Option(help="name or alias of a model, or random")]
Quality = Annotated[str | None, typer.Option(help="low, medium, high or auto")]
Style = Annotated[str | None, typer.Option(help="vivid or natural")]
Background = Annotated[str | None, typer.Option(help="transparent, opaque or auto")]
Count = Annotated[int | None, typer.Option("--n", "-n", help="how many pictures")]
OutputFormat = Annotated[
    str | None, typer.Option(help="png, webp or jpeg; default: what the name of the file says")
]
OutputCompression = Annotated[int | None, typer.Option(help="quality of webp and jpeg, 0 to 100")]
Moderation = Annotated[str | None, typer.Option(help="low or auto")]
User = Annotated[str | None, typer.Option(help="your own name for whoever asks")]
Seed = Annotated[int | None, typer.Option(help="the same seed draws the same picture")]
NegativePrompt = Annotated[str | None, typer.Option(help="what not to draw")]
