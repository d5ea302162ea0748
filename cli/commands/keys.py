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
from pydantic import SecretStr, ValidationError
from rich.table import Table

from cli.keyholder import Keyholder, store_of
from cli.owner_salt import PUBLIC, OwnerSalt, is_public, warning_of_the_public_salt
from cli.run_folder import RunFolder
from cli.service import chosen_redis
from cli.signers import Signers, Wanted
from cli.terminal import cells, err, out, say
from shared.api_keys import ApiKey, Scope
from shared.errors import ConfigurationError
from shared.settings import ApiSettings, RedisSettings, read_settings
from shared.webhooks import OPEN, Event, Target, Webhook

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


@app.command()
def webhook(  # noqa: PLR0913 -- one parameter an option
    key_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="id of the key", show_default=False)
    ] = None,
    *,
    url: Annotated[
        str | None,
        typer.Option(help="where the key's jobs are told of that name no other address; '' takes it away"),
    ] = None,
    event: Annotated[
        list[Event] | None, typer.Option(help="and which ends of them; several times; default: all")
    ] = None,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="make another secret; the old one signs beside it for a day")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="take secret and address away")] = False,
    for_all: Annotated[
        bool, typer.Option("--open", help="not of a key: of a service that needs none")
    ] = False,
    redis_url: RedisUrl = None,
    run_folder: Folder = _FOLDER,
) -> None:
    """Make what signs a key's webhooks, and print it, this once; or say where they go by default."""
    if (key_id is None) != for_all or (for_all and (url is not None or event)) or (rotate and remove):
        message = "name a key, or --open (without --url and --event), and --rotate or --remove, not both"
        raise ConfigurationError(message)
    signer = key_id or OPEN
    wanted = Wanted(_checked(url), tuple(event) if event else None, rotate)
    with _store(redis_url, run_folder) as store:
        signers = Signers(store.redis, Keyholder(store.redis, b""))
        secret = None if remove else signers.change(signer, wanted)
        if remove:
            signers.remove(signer)
    whose = f"key {signer}" if key_id else "callers without a key"
    if remove:
        say(f"webhooks of {whose} are signed and sent no more")
    elif secret is None:
        say(f"webhooks of {whose} have a secret already, which is not shown again; --rotate makes another")
    else:
        say(f"the secret that signs webhooks of {whose}; it is shown this once:", style="dim")
        say(secret)


def _checked(url: str | None) -> str | None:
    """Return the address of a webhook.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        return url if not url else Webhook(url=url).url
    except ValidationError as error:
        message = f"--url: {error.errors()[0]['msg']}"
        raise ConfigurationError(message) from None


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
    with _store(redis_url, run_folder) as store:
        yield Keyholder(store.redis, salt_of(store).get_secret_value().encode())


@contextmanager
def _store(redis_url: str | None, run_folder: Path) -> Iterator[_Store]:
    settings, folder = read_settings(), RunFolder(run_folder)
    given = chosen_redis(settings, redis_url)
    running = folder.running_store() is not None
    with store_of(folder, given) as found:
        redis = found.model_copy(update={"prefix": settings.redis.prefix})
        yield _Store(redis, folder, settings.api, embedded=given is None, running=running)


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
    if key.webhook:
        # The host alone: the rest of such an address is often a secret.
        yield f"webhooks to {Target(key.webhook.url).host}" if key.webhook.url else "webhooks"
    if key.weight:
        yield f"weight {key.weight:g}"
