"""nginx in front of the API, with the file that is shipped for it, on this machine's loopback."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.ports import LOOPBACK, free_port
from shared.settings import REPO_ROOT
from tests.waiting import wait_until

FOLDER = REPO_ROOT / "deploy" / "proxy"
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


def shipped() -> str:
    return (FOLDER / "nginx.conf").read_text(encoding="utf-8")


@contextmanager
def running(folder: Path, text: str) -> Iterator[None]:
    """Run nginx with a configuration."""
    file = folder / "nginx.conf"
    file.write_text(text)
    command = [
        str(NGINX),
        "-p",
        str(FOLDER),
        "-c",
        str(file),
        "-e",
        "stderr",
        "-g",
        "daemon off; master_process off;",
    ]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    (port,) = re.findall(r"listen [\d.]+:(\d+)", text)
    listening = f":{int(port):04X} 00000000:0000 0A"
    with (folder / "nginx.log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
        try:
            wait_until(lambda: listening in Path("/proc/net/tcp").read_text(), what="nginx to listen")
            yield
        finally:
            process.terminate()
            process.wait(10)


@contextmanager
def proxy(folder: Path, api: str, changes: Mapping[str, str] | None = None) -> Iterator[int]:
    """Run nginx as it is shipped; give its port.

    Args:
        folder: for its files.
        api: host and port of the API.
        changes: what else of the file is another here, each text once in it.
    """
    port, text = free_port(), shipped().replace("/tmp/", f"{folder}/")  # noqa: S108 - of a container
    here = {
        "listen 8080 default_server reuseport": f"listen {LOOPBACK}:{port} default_server",
        "set $api api:8000;": f"set $api {api};",
        "worker_processes auto;": "worker_processes 1;",
        "worker_rlimit_nofile 65536;": "",
        "worker_connections 32768;": "worker_connections 1024;",
        **(changes or {}),
    }
    for known, ours in here.items():
        assert text.count(known) == 1, known
        text = text.replace(known, ours)
    with running(folder, text):
        yield port
