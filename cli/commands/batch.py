"""`darkroom batch`: submit a file of requests, look how far it is, fetch what was drawn, cancel it."""

import time
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.client import DEFAULT_URL, Client, Connection, Json
from cli.options import ApiKey, BaseUrl, Organization, Project
from cli.terminal import say

app = typer.Typer(no_args_is_help=True)

_ENDED: Final = frozenset({"completed", "failed", "expired", "cancelled"})
_LOOK_S: Final = 1.0

BatchId = Annotated[str, typer.Argument(metavar="ID", help="id of the batch", show_default=False)]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="file for what was drawn; what was not goes to FILE.errors", show_default=False
    ),
]


@app.command("submit")
def submit(  # noqa: PLR0913 -- one parameter an option
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="requests, a line of JSON each")],
    *,
    endpoint: Annotated[str, typer.Option(help="what each line is for")] = "/v1/images/generations",
    wait: Annotated[bool, typer.Option(help="wait until it has ended")] = False,
    output: Output = None,
    base_url: BaseUrl = DEFAULT_URL,
    api_key: ApiKey = None,
    organization: Organization = None,
    project: Project = None,
) -> None:
    """Draw what the lines of a file ask for, when nobody waits."""
    with Client(Connection(base_url, api_key, organization, project)) as client:
        batch = client.begin_batch(client.upload(file)["id"], endpoint)
        say(f"batch {batch['id']} has begun; look at it with: darkroom batch show {batch['id']}")
        if wait or output is not None:
            _fetch(client, _ended(client, batch), output)


@app.command("show")
def show(
    batch_id: BatchId,
    *,
    output: Output = None,
    base_url: BaseUrl = DEFAULT_URL,
    api_key: ApiKey = None,
    organization: Organization = None,
    project: Project = None,
) -> None:
    """Say how far a batch is, and fetch what was drawn."""
    with Client(Connection(base_url, api_key, organization, project)) as client:
        _fetch(client, client.batch(batch_id), output)


@app.command("cancel")
def cancel(
    batch_id: BatchId,
    *,
    base_url: BaseUrl = DEFAULT_URL,
    api_key: ApiKey = None,
    organization: Organization = None,
    project: Project = None,
) -> None:
    """Cancel a batch that has not ended; what was drawn is kept."""
    with Client(Connection(base_url, api_key, organization, project)) as client:
        say(_described(client.cancel_batch(batch_id)))


def _ended(client: Client, batch: Json) -> Json:
    while batch["status"] not in _ENDED:
        time.sleep(_LOOK_S)
        batch = client.batch(batch["id"])
    return batch


def _fetch(client: Client, batch: Json, output: Path | None) -> None:
    say(_described(batch))
    for problem in (batch["errors"] or {"data": ()})["data"]:
        where = f"line {problem['line']}: " if problem["line"] else ""
        say(f"{where}{problem['message']}")
    if output is None:
        return
    for name, file in (
        ("output_file_id", output),
        ("error_file_id", output.with_name(f"{output.name}.errors")),
    ):
        if batch[name]:
            client.download(batch[name], file)
            say(f"wrote {file}")


def _described(batch: Json) -> str:
    counts = batch["request_counts"]
    return (
        f"batch {batch['id']} is {batch['status'].replace('_', ' ')}: "
        f"{counts['completed']} drawn, {counts['failed']} not, of {counts['total']}"
    )
