"""`darkroom keys`: who may use the service, and how much."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import SecretStr
from rich.table import Table

from cli.keyholder import Keyholder, store_of
from cli.owner_salt import PUBLIC, OwnerSalt, is_public, warning_of_the_public_salt
from cli.run_folder import RunFolder
from cli.service import chosen_redis
from cli.terminal import cells, err, out, say
from shared.api_keys import ApiKey, Scope
from shared.settings import ApiSettings, RedisSettings, read_settings

app = typer.Typer(no_args_is_help=True)

_DEFAULT_SCOPES: Final = [Scope.GENERATE, Scope.READ]
RedisUrl = Annotated[
    str | None,
    typer.Option(
        help="the service's Redis; default: DARKROOM_REDIS__URL, or the embedded one", show_default=False
    ),
]
Folder = Annotated[Path, typer.Option("--run-folder", help="where `darkroom up` keeps its data")]
_FOLDER: Final = Path(".darkroom")


@app.command()
def create(  # noqa: PLR0913 -- one parameter an option
    name: Annotated[str, typer.Option(help="what you call it")],
    scope: Annotated[list[Scope], typer.Option(help="what it may do; several times")] = _DEFAULT_SCOPES,
    organization: Annotated[list[str] | None, typer.Option(help="only for this OpenAI-Organization")] = None,
    project: Annotated[list[str] | None, typer.Option(help="only for this OpenAI-Project")] = None,
    model: Annotated[list[str] | None, typer.Option(help="only this model")] = None,
    *,
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help="submissions a minute")] = None,
    max_unfinished: Annotated[int | None, typer.Option(min=1, help="unfinished jobs at a time")] = None,
    weight: Annotated[float | None, typer.Option(help="share of the service; others have 1")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="valid for so many days")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask, whatever the salt is")] = False,
    redis_url: RedisUrl = None,
    run_folder: Folder = _FOLDER,
) -> None:
    """Make a key and print it, this once."""
    expires_at = int((datetime.now(UTC) + timedelta(days=days)).timestamp()) if days else None
    with _keyholder(redis_url, run_folder, partial(_salt_of_a_new_key, yes=yes)) as keyholder:
        new = keyholder.create(
            name,
            scopes=frozenset(scope),
            organizations=tuple(organization or ()),
            projects=tuple(project or ()),
            models=tuple(model or ()),
            requests_per_minute=requests_per_minute,
            max_unfinished=max_unfinished,
            weight=weight,
            expires_at=expires_at,
        )
    say(f"key {new.key.id} for {new.key.name}; it is shown this once:", style="dim")
    say(new.text)


@app.command("list")
def list_keys(redis_url: RedisUrl = None, run_folder: Folder = _FOLDER) -> None:
    """List the keys, revoked ones too."""
    with _keyholder(redis_url, run_folder) as keyholder:
        keys = keyholder.all()
    if not keys:
        say("no keys: on this machine's own address everybody is served, elsewhere nobody")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("ID", "NAME", "STATE", "SCOPES", "MAY"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "ID")
    for key in keys:
        row = (key.id, key.name, _state(key), ", ".join(sorted(key.scopes)), ", ".join(_bounds(key)))
        table.add_row(*cells(*row))
    out.print(table)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="id of the key", show_default=False)],
    redis_url: RedisUrl = None,
    run_folder: Folder = _FOLDER,
) -> None:
    """Revoke a key; within a second nobody is served with it."""
    with _keyholder(redis_url, run_folder) as keyholder:
        key = keyholder.revoke(key_id)
    say(f"{key.id} ({key.name}) is revoked")


@dataclass(frozen=True)
class _Store:
    """A store that keys are in. ``embedded``: of this folder; ``running``: a service has it."""

    redis: RedisSettings
    folder: RunFolder
    api: ApiSettings
    embedded: bool
    running: bool


def _no_salt(_: _Store) -> SecretStr:
    """What is listed or revoked needs none."""
    return PUBLIC


def _salt_of_a_new_key(store: _Store, *, yes: bool) -> SecretStr:
    """Choose it before there is a key that would have to be made anew.

    Raises:
        ConfigurationError: A service that runs has the public salt.
    """
    salt = store.api.owner_salt
    if store.embedded:
        salt = OwnerSalt(store.folder, store.api).for_a_new_key(store.redis, running=store.running)
    if is_public(salt):
        say(f"warning: {warning_of_the_public_salt(store.redis)}", style="yellow", console=err)
        if not yes and sys.stdin.isatty() and not typer.confirm("make it all the same?", err=True):
            raise typer.Exit(1)
    return salt


@contextmanager
def _keyholder(
    redis_url: str | None, run_folder: Path, salt_of: Callable[[_Store], SecretStr] = _no_salt
) -> Iterator[Keyholder]:
    settings, folder = read_settings(), RunFolder(run_folder)
    given = chosen_redis(settings, redis_url)
    running = folder.running_store() is not None
    with store_of(folder, given) as found:
        redis = found.model_copy(update={"prefix": settings.redis.prefix})
        salt = salt_of(_Store(redis, folder, settings.api, embedded=given is None, running=running))
        yield Keyholder(redis, salt.get_secret_value().encode())


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return f"revoked {_day(key.revoked_at)}"
    if key.expires_at is None:
        return "valid"
    return f"until {_day(key.expires_at)}"


def _day(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def _bounds(key: ApiKey) -> Iterator[str]:
    named = (("organization", key.organizations), ("project", key.projects), ("model", key.models))
    for what, names in named:
        if names:
            yield f"{what} {' or '.join(names)}"
    if key.requests_per_minute:
        yield f"{key.requests_per_minute} requests a minute"
    if key.max_unfinished:
        yield f"{key.max_unfinished} unfinished jobs"
    if key.weight:
        yield f"weight {key.weight:g}"
