"""Options that several commands have: where the service is, and who asks."""

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
