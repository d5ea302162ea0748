"""`darkroom acl`: users of Redis or Valkey, one for each kind of process."""

from pathlib import Path
from typing import Annotated, Final

import typer

from cli.store_users import ROLES, acl_file, new_password
from cli.terminal import say, shown
from shared.errors import ConfigurationError
from shared.settings import read_settings

_FOLDER: Final = Path("deploy/valkey")


def acl(
    folder: Annotated[Path, typer.Option(help="where both files go")] = _FOLDER,
    server: Annotated[str, typer.Option(help="host, port and database of the store")] = "valkey:6379/0",
    *,
    tls: Annotated[bool, typer.Option("--tls", help="the store speaks TLS")] = False,
) -> None:
    """Make a user of the store for each kind of process, with new passwords: an ACL file, and their URLs."""
    prefix = read_settings().redis.prefix
    users, urls = folder / "users.acl", folder / "users.env"
    if users.exists() or urls.exists():
        message = f"{shown(users)} or {shown(urls)} is there already: remove both to make new passwords"
        raise ConfigurationError(message)
    passwords = [(role, new_password()) for role in ROLES]
    folder.mkdir(parents=True, exist_ok=True)
    # Hashes of passwords that nobody guesses: the server may run as any user that can read them.
    users.write_text(acl_file(passwords, prefix), encoding="utf-8")
    urls.touch(mode=0o600)
    scheme = "rediss" if tls else "redis"
    urls.write_text(
        "".join(
            f"DARKROOM_{role.name.upper()}_REDIS_URL={scheme}://{role.name}:{password}@{server}\n"
            for role, password in passwords
        ),
        encoding="utf-8",
    )
    say(f"{shown(users)}: for the server, as --aclfile")
    say(f"{shown(urls)}: for its clients; keep it secret (docs/store.md)")
