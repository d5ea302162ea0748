"""`darkroom jobs dead`: the jobs that outlived every worker, and another chance for one of them."""

from typing import Annotated

import typer
from rich.table import Table

from cli.dead_letters import DeadLetter, DeadLetters
from cli.service import chosen_redis
from cli.terminal import cells, out, say
from shared.settings import read_settings


def dead(
    requeue: Annotated[
        str | None, typer.Option(metavar="ID", help="submit this dead job's work again", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(help="how many jobs")] = 20,
    redis_url: Annotated[
        str | None, typer.Option(help="the service's Redis; default: DARKROOM_REDIS__URL", show_default=False)
    ] = None,
) -> None:
    """List jobs that failed because every worker that ran them was lost."""
    settings = read_settings()
    letters = DeadLetters(chosen_redis(settings, redis_url) or settings.redis, settings.jobs)
    if requeue:
        say(f"submitted again as {letters.requeue(requeue)}")
        return
    found = letters.newest(limit)
    if not found:
        say("no dead jobs")
        return
    out.print(_table(found))


def _table(letters: list[DeadLetter]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("ID", no_wrap=True, min_width=max(len(letter.job_id) for letter in letters))
    for heading in ("MODEL", "DIED", "WORKERS LOST"):
        table.add_column(heading, overflow="fold")
    for letter in letters:
        died_at = letter.died_at.astimezone().strftime("%a %H:%M:%S")
        table.add_row(*cells(letter.job_id, letter.model, died_at, ", ".join(letter.workers)))
    return table
