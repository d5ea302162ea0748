"""`darkroom demo`: the documented example, through every real part of the service, into a file."""

import time
from pathlib import Path
from typing import Annotated, Final

import typer
from PIL import Image
from rich.table import Table

from cli.client import Client, Connection
from cli.drawing import Target, follow
from cli.ports import LOOPBACK, free_port
from cli.progress import JobProgress
from cli.run_folder import passing_folder
from cli.service import Layout, LocalService, answering, chosen_redis, ready
from cli.signals import StopRequested, StopSignals
from cli.terminal import announce, complain, err, out, read_settings, say, shown
from shared.errors import DarkroomError, JobFailed

BODY: Final = {
    "model": "random",
    "prompt": "Black Swan",
    "size": "1024x1024",
    "n": 1,
    "quality": "auto",
    "background": "auto",
    "moderation": "auto",
    "output_format": "png",
    "output_compression": 95,
    "response_format": "b64_json",
    "style": "vivid",
    "user": "demo",
}
_SIZE: Final = (1024, 1024)
_POLL_S: Final = 0.05
_PATIENCE_S: Final = 900.0


class Stages:
    """How long each part of the demonstration took; together they are all of its time."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._since = time.monotonic()

    def passed(self, name: str) -> None:
        """Add the time since the last call to a stage."""
        now = time.monotonic()
        self._seconds[name] = self._seconds.get(name, 0.0) + now - self._since
        self._since = now

    @property
    def total_s(self) -> float:
        """The time of all stages so far."""
        return sum(self._seconds.values())

    def table(self) -> Table:
        """The stages and their sum."""
        table = Table(box=None, pad_edge=False)
        table.add_column("STAGE")
        table.add_column("SECONDS", justify="right")
        for name, seconds in self._seconds.items():
            table.add_row(name, f"{seconds:.2f}")
        table.add_row("in all", f"{self.total_s:.2f}", style="bold")
        return table


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="file to write")] = Path("black-swan.png"),
) -> None:
    """Start the service, draw the documented example, stop the service."""
    target, stages = Target(output), Stages()
    target.check()
    with passing_folder(Path(".darkroom"), "demo-") as folder:
        layout = Layout(folder, host=LOOPBACK, port=free_port(), redis=chosen_redis(read_settings()))
        _perform(LocalService(layout, announce), target, stages)
    out.print(stages.table())
    say(f"\nwrote {shown(output)}", style="bold green")


def _perform(service: LocalService, target: Target, stages: Stages) -> None:
    """Start, draw and stop, whatever happens in between."""
    with StopSignals() as signals:
        try:
            _start(service, stages)
            _draw(service, target, stages)
        except StopRequested as stop:
            say(f"stopping ({stop})", console=err)
            raise typer.Exit(stop.exit_code) from None
        except DarkroomError as error:
            complain(error.message)
            say(f"logs: {shown(service.layout.folder.path)}", console=err)
            say("what this machine may lack: darkroom doctor", console=err)
            raise typer.Exit(1) from error
        finally:
            signals.defer()
            service.stop(signals.hurry)
            stages.passed("stop")


def _start(service: LocalService, stages: Stages) -> None:
    say(f"starting the store: {service.start_store()}")
    stages.passed("start Valkey")
    say("starting the API and a worker")
    service.start_processes()
    with Client(Connection(service.layout.address)) as client:
        service.wait_for(answering(client), "the API does not answer")
        stages.passed("start API")
        service.wait_for(ready(client), "no worker is ready")
        stages.passed("start worker (since the API)")


def _draw(service: LocalService, target: Target, stages: Stages) -> None:
    say(f"asking for {BODY['prompt']!r}, {BODY['size']}")
    with Client(Connection(service.layout.address, "local", "org-demo", "proj-demo")) as client:
        job, status = client.submit(BODY), "queued"
        with JobProgress(err) as progress:
            for job in follow(client, job, _POLL_S):  # noqa: B020 -- the same job, as it is now
                progress.show(job)
                stages.passed("queue" if status == "queued" else "generate")
                status = job["status"]
                service.watch()
                _check_patience(stages)
        for path in target.write(client.result(job["id"])):
            check_picture(path)
        stages.passed("download")


def _check_patience(stages: Stages) -> None:
    if stages.total_s > _PATIENCE_S:
        msg = f"there is no picture after {_PATIENCE_S:g} s"
        raise JobFailed(msg)


def check_picture(path: Path) -> None:
    """Check that the file really is the picture that was asked for.

    Raises:
        JobFailed: It cannot be decoded, or has another format or size.
    """
    try:
        with Image.open(path) as image:
            image.load()
            found = (image.format, image.size)
    except (OSError, SyntaxError) as error:  # what Pillow raises for a broken PNG
        msg = f"{path} is not a picture: {error}"
        raise JobFailed(msg) from error
    if found != ("PNG", _SIZE):
        msg = f"{path} is not what was asked for: {found[0]} of {found[1]}"
        raise JobFailed(msg)
