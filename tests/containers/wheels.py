"""The wheel files that pip takes from folders of this machine, offered to a build.

The Dockerfiles take the address of one more index and nothing else, so the folders become an index, served on
loopback while the images are built.
"""

import re
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from typing_extensions import override

from cli.ports import LOOPBACK
from tests.containers.engine import run


class _Quiet(SimpleHTTPRequestHandler):
    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def pips_own_folders() -> list[Path]:
    """Return the folders of wheels that pip is set up to look into on this machine."""
    listed = run((sys.executable, "-m", "pip", "config", "list"), {}, 60).stdout
    return folders_of(listed)


def folders_of(config: str) -> list[Path]:
    """Read what ``pip config list`` prints: the local folders of ``find-links``, once each."""
    found: dict[Path, None] = {}
    for line in config.splitlines():
        name, _, value = line.partition("=")
        if name.endswith(".find-links"):
            for place in value.strip("'\"").split():
                found[Path(place.removeprefix("file://"))] = None
    return [folder for folder in found if folder.is_dir()]


def project(wheel: str) -> str:
    """Return the name under which an index has the project of a wheel file."""
    return re.sub(r"[-_.]+", "-", wheel.split("-", 1)[0]).lower()


@contextmanager
def served(folders: Iterable[Path]) -> Iterator[str | None]:
    """Serve the wheels of these folders as an index; give its address, or None where there are none."""
    wheels = [wheel.resolve() for folder in folders for wheel in sorted(folder.glob("*.whl"))]
    if not wheels:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="darkroom-wheels-") as index:
        for wheel in wheels:
            shelf = Path(index) / project(wheel.name)
            shelf.mkdir(exist_ok=True)
            (shelf / wheel.name).symlink_to(wheel)
        server = ThreadingHTTPServer((LOOPBACK, 0), partial(_Quiet, directory=index))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}/"
        finally:
            server.shutdown()
            server.server_close()
