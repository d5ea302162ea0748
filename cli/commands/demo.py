"""`darkroom demo`: the documented example, through every real part of the service, into a file."""

from pathlib import Path
from typing import Annotated, Final

import typer
from PIL import Image

from cli.amounts import in_bytes
from cli.client import Client, Connection
from cli.drawing import Target, follow
from cli.picture import show_file
from cli.ports import LOOPBACK, free_port
from cli.progress import JobProgress
from cli.run_folder import passing_folder
from cli.service import Layout, LocalService, answering, chosen_redis, ready
from cli.signals import StopRequested, StopSignals
from cli.stages import Stages
from cli.terminal import announce, err, explain, out, say, shown
from shared.errors import DarkroomError, JobFailed
from shared.settings import read_settings

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


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="file to write")] = Path("black-swan.png"),
    *,
    show: Annotated[bool, typer.Option(help="show the picture on the terminal")] = True,
) -> None:
    """Start the service, draw the documented example, stop the service."""
    target, stages = Target(output), Stages(out)
    target.check()
    with passing_folder(Path(".darkroom"), "demo-") as folder:
        layout = Layout(folder, host=LOOPBACK, port=free_port(), redis=chosen_redis(read_settings()))
        _perform(LocalService(layout, announce), target, stages)
    stages.sum_up("in all")
    if show:
        show_file(output, out)
    say(f"\nwrote {shown(output)}", style="bold green")
    say("next: make up, then http://127.0.0.1:8000 in a browser")


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
            explain(error)
            say(f"logs: {shown(service.layout.folder.path)}", console=err)
            raise typer.Exit(1) from error
        finally:
            signals.defer()
            with stages.stage("stopping everything") as stage:
                service.stop(signals.hurry)
                stage.result = "stopped"


def _start(service: LocalService, stages: Stages) -> None:
    with stages.stage("starting the store") as stage:
        stage.result = f"store: {service.start_store()}"
    with Client(Connection(service.layout.address)) as client:
        with stages.stage("starting the API") as stage:
            service.start_processes()
            service.wait_for(answering(client), "the API does not answer")
            stage.result = f"API: {service.layout.address}"
        with stages.stage("starting a worker: it imports torch and loads the model") as stage:
            service.wait_for(ready(client), "no worker is ready")
            stage.result = "worker: ready"


def _draw(service: LocalService, target: Target, stages: Stages) -> None:
    with Client(Connection(service.layout.address, "local", "org-demo", "proj-demo")) as client:
        with (
            stages.stage(f"asking for {BODY['prompt']!r}, {BODY['size']}", turning=False) as stage,
            JobProgress(err, transient=True) as progress,
        ):
            for job in follow(client, client.submit(BODY), _POLL_S):
                progress.show(job)
                service.watch()
                _check_patience(stages)
            stage.result = f"drawn: {BODY['prompt']!r}, {BODY['size']}, with {job['model']}"
        with stages.stage("fetching the picture") as stage:
            for path in target.write(client.result(job["id"])):
                check_picture(path)
                stage.result = f"fetched: {in_bytes(path.stat().st_size)}"


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
