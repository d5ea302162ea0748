"""`darkroom keys`: shown once, listed without the secret, revoked; in a given store or the embedded one."""

from pathlib import Path

from cli.run_folder import RunFolder
from cli.valkey import EmbeddedServer
from shared.api_keys import id_of
from tests.integration.cli.conftest import Darkroom
from tests.keys import found, secret_of


def test_a_key_is_shown_once_listed_and_revoked(
    darkroom: Darkroom, valkey: EmbeddedServer, prefix: str
) -> None:
    here = {"DARKROOM_REDIS__URL": valkey.url, "DARKROOM_REDIS__PREFIX": prefix}
    options = ("--scope", "generate", "--model", "glyph", "--requests-per-minute", "60", "--days", "7")

    made = darkroom("keys", "create", "--name", "the shop", *options, **here)

    assert made.exit_code == 0, made.output
    text = made.stdout.splitlines()[-1].strip()
    key_id = id_of(text)
    assert key_id
    (line,) = [row for row in darkroom("keys", "list", **here).stdout.splitlines() if key_id in row]
    assert "the shop" in line
    assert "until" in line
    assert "model glyph, 60 requests a minute" in line
    assert found([secret_of(text)], {"list": line}) == []
    assert darkroom("keys", "revoke", key_id, **here).exit_code == 0
    (line,) = [row for row in darkroom("keys", "list", **here).stdout.splitlines() if key_id in row]
    assert "revoked" in line


def test_a_key_that_is_not_there_cannot_be_revoked(
    darkroom: Darkroom, valkey: EmbeddedServer, prefix: str
) -> None:
    revoked = darkroom(
        "keys", "revoke", "0" * 16, DARKROOM_REDIS__URL=valkey.url, DARKROOM_REDIS__PREFIX=prefix
    )

    assert revoked.exit_code == 1
    assert f"there is no API key {'0' * 16}" in revoked.output


def test_the_embedded_store_keeps_keys_whether_the_service_runs_or_not(
    darkroom: Darkroom, tmp_path: Path
) -> None:
    """First nothing runs, then a server as `up` starts it."""
    assert "no keys" in darkroom("keys", "list").output
    assert darkroom("keys", "create", "--name", "before").exit_code == 0

    folder = RunFolder(tmp_path / ".darkroom")
    with folder, EmbeddedServer(folder.data) as server:
        folder.note_store(server.url)
        assert darkroom("keys", "create", "--name", "meanwhile").exit_code == 0

    listed = darkroom("keys", "list").stdout
    assert "before" in listed
    assert "meanwhile" in listed
