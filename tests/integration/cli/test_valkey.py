"""The embedded server starts, keeps what it was given and ends when it should."""

import signal
from pathlib import Path

import pytest
import redis

from cli.ports import free_port
from cli.valkey import EmbeddedServer, ServerNotStarted
from tests.integration.cli.processes import is_alive, start_program
from tests.waiting import wait_until


def connect(server: EmbeddedServer) -> redis.Redis:
    return redis.Redis.from_url(server.url, socket_timeout=5, decode_responses=True)


def test_it_answers_as_soon_as_it_has_started() -> None:
    with EmbeddedServer() as server, connect(server) as client:
        assert client.ping()
        assert client.info("server")["process_id"] == server.process.pid


def test_it_appends_to_a_file_and_never_evicts() -> None:
    with EmbeddedServer(maxmemory_bytes=64 * 1024**2) as server, connect(server) as client:
        found = {
            name: client.config_get(name)[name] for name in ("appendonly", "appendfsync", "save", "maxmemory")
        }

        assert found == {"appendonly": "yes", "appendfsync": "everysec", "save": "", "maxmemory": "67108864"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("bind") == {"bind": "127.0.0.1"}


def test_a_killed_server_comes_back_on_the_same_port_with_its_data() -> None:
    with EmbeddedServer() as server:
        port, pid = server.port, server.process.pid
        with connect(server) as client:
            client.set("kept", "yes")

        server.kill()
        assert not is_alive(pid)
        server.start()

        assert (server.port, server.process.pid != pid) == (port, True)
        with connect(server) as client:
            assert client.get("kept") == "yes"


def test_a_stopped_server_leaves_its_data_to_the_next_one(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server, connect(server) as client:
        client.set("kept", "yes")

    with EmbeddedServer(tmp_path) as server, connect(server) as client:
        assert client.get("kept") == "yes"


def test_starting_twice_starts_once() -> None:
    with EmbeddedServer() as server:
        pid = server.process.pid

        server.start()

        assert server.process.pid == pid


def test_a_temporary_folder_is_removed_and_a_given_one_kept(tmp_path: Path) -> None:
    with EmbeddedServer() as server:
        temporary, pid = server.data_dir, server.process.pid
        assert temporary.is_dir()
    assert not temporary.exists()
    assert not is_alive(pid)

    with EmbeddedServer(tmp_path):
        pass
    assert (tmp_path / "valkey.log").is_file()


def test_it_listens_where_it_is_told_to(tmp_path: Path) -> None:
    port = free_port()

    with EmbeddedServer(tmp_path, port=port) as server:
        assert server.url == f"redis://127.0.0.1:{port}/0"


def test_a_port_that_is_taken_is_an_error_with_the_end_of_the_log(tmp_path: Path) -> None:
    with EmbeddedServer() as first, pytest.raises(ServerNotStarted) as caught:
        EmbeddedServer(tmp_path, port=first.port).start()

    assert "ended with exit code 1" in caught.value.message
    assert "Address already in use" in caught.value.message


def test_a_killed_parent_takes_the_server_with_it(tmp_path: Path) -> None:
    with start_program("valkey_keeper.py", tmp_path) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)

        parent.send_signal(signal.SIGKILL)

        wait_until(lambda: not is_alive(pid), what="the end of the server")
