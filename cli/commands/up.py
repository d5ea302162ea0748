"""`darkroom up`: the whole service on this machine, in the foreground."""

import time
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import SecretStr

from cli.client import Client, Connection
from cli.gpus import told
from cli.logs import Follower
from cli.owner_salt import OwnerSalt
from cli.placing import placed
from cli.ports import holder, is_free
from cli.run_folder import RunFolder
from cli.service import Layout, LocalService, answering, chosen_redis, ready, workers_ready_s
from cli.signals import StopRequested, StopSignals
from cli.terminal import announce, err, explain, say, shown
from shared.errors import ConfigurationError, DarkroomError
from shared.settings import Settings, read_settings

_WATCH_S: Final = 0.2
_CURL: Final = """\
  curl -s {url}/images/generations -H 'Content-Type: application/json' \\
    -d '{{"prompt": "Black Swan", "size": "1024x1024"}}' \\
    | python3 -c 'import base64, json, sys; \
sys.stdout.buffer.write(base64.b64decode(json.load(sys.stdin)["data"][0]["b64_json"]))' > black-swan.png"""


def up(
    port: Annotated[
        int | None, typer.Option(help="port of the API; default: DARKROOM_API__PORT or 8000")
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option(
            help="GPUs with a worker each: all (the default), numbers of nvidia-smi as 0,2, or none: the CPU"
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="worker processes where no GPU is used; default: 1")
    ] = None,
    api_workers: Annotated[
        int | None, typer.Option(min=1, help="API processes; default: DARKROOM_API__PROCESSES or 1")
    ] = None,
    redis_url: Annotated[
        str | None,
        typer.Option(help="Redis or Valkey to use; default: DARKROOM_REDIS__URL, or an embedded one"),
    ] = None,
    run_folder: Annotated[Path, typer.Option(help="where data and logs are kept")] = Path(".darkroom"),
) -> None:
    """Run the service until Ctrl-C."""
    settings = read_settings()
    placed_workers = placed(gpus, workers, settings.worker)
    with RunFolder(run_folder) as folder:
        layout = Layout(
            folder,
            host=settings.api.host,
            port=settings.api.port if port is None else port,
            workers=placed_workers,
            api_processes=api_workers or settings.api.processes,
            redis=chosen_redis(settings, redis_url),
            drain_s=settings.worker.drain_s,
        )
        check_port_is_free(layout)
        _serve(LocalService(layout, announce), settings)


def check_port_is_free(layout: Layout) -> None:
    """Look before anything is started.

    Raises:
        ConfigurationError: Another program has the port.
    """
    if is_free(layout.host, layout.port):
        return
    by = holder(layout.port)
    taken = f"port {layout.port} of {layout.host} is taken{f' by {by}' if by else ''}"
    with Client(Connection(layout.address)) as client:
        if client.alive():
            msg = f"{taken}: a Darkroom that answers at {layout.address}"
            raise ConfigurationError(msg)
    other = layout.port + 1
    msg = f"{taken}; choose another one: make up PORT={other}, or darkroom up --port {other}"
    raise ConfigurationError(msg)


def _serve(service: LocalService, settings: Settings) -> None:
    with StopSignals() as signals:
        try:
            _start(service, settings)
            _print_addresses(service)
            _keep_running(service)
        except StopRequested:
            say("stopping; once more to stop at once")
        except DarkroomError as error:
            explain(error)
            raise typer.Exit(1) from error
        finally:
            signals.defer()
            service.stop(signals.hurry)
    say("stopped")


def _start(service: LocalService, settings: Settings) -> None:
    started_at = time.monotonic()
    if cards := [worker.card for worker in service.layout.workers if worker.card is not None]:
        say(f"one worker on each of: {told(cards)}")
    say(f"store: {service.start_store()}")
    service.start_processes(_salt(service, settings))
    with Client(Connection(service.layout.address)) as client:
        say("waiting for the API")
        service.wait_for(answering(client), "the API does not answer")
        say("waiting for a worker to load the model")
        service.wait_for(ready(client), "no worker is ready", workers_ready_s(settings.worker))
    say(f"ready after {time.monotonic() - started_at:.1f} s", style="bold green")


def _salt(service: LocalService, settings: Settings) -> SecretStr | None:
    """Return the folder's salt; None where the store is given, and other APIs may share it."""
    if service.layout.redis is not None:
        return None
    redis = settings.redis.model_copy(update={"url": service.store_url})
    return OwnerSalt(service.layout.folder, settings.api).at_start(redis)


def _print_addresses(service: LocalService) -> None:
    address = service.layout.address
    say(f"\n  playground    {address}/\n  API base URL  {address}/v1")
    say(f"  logs          {shown(service.layout.folder.path / 'logs')}\n\na picture, to paste:\n")
    say(_CURL.format(url=f"{address}/v1"))
    say("\nCtrl-C stops everything.")


def _keep_running(service: LocalService) -> None:
    followers = {child.program.name: Follower(child.program.log) for child in service.children}
    while True:
        service.watch()
        for name, follower in followers.items():
            for line in follower.warnings():
                say(f"{name} | {line}", style="yellow", console=err)
        time.sleep(_WATCH_S)
