"""A backup of the store as docs/operations.md tells it: the files are copied while the server works."""

import shutil
from pathlib import Path
from typing import Any

import redis

from cli.valkey import EmbeddedServer
from tests.integration.conftest import Serve
from tests.waiting import wait_until


def back_up(server: EmbeddedServer, folder: Path) -> None:
    """Copy the append-only files between two rewrites of them."""
    with redis.Redis(port=server.port, protocol=2) as connected:
        client: Any = connected
        client.config_set("auto-aof-rewrite-percentage", 0)
        wait_until(lambda: not client.info("persistence")["aof_rewrite_in_progress"], what="no rewrite")
        shutil.copytree(server.data_dir / "appendonlydir", folder / "appendonlydir")
        client.config_set("auto-aof-rewrite-percentage", 100)


def test_a_server_on_the_copied_files_has_the_jobs_and_their_results(serve: Serve, tmp_path: Path) -> None:
    with EmbeddedServer() as server:
        service = serve(server=server)
        done = service.caller.submit()
        service.worker.do()
        waiting = service.caller.submit()
        picture = service.caller.result(done).content

        back_up(server, tmp_path)
        service.caller.submit()

    with EmbeddedServer(tmp_path) as restored:
        service = serve(server=restored)
        assert service.caller.result(done).content == picture
        assert service.caller.job(waiting)["status"] == "queued"
        assert service.worker.do() == waiting
