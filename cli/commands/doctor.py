"""`darkroom doctor`: what is missing, and how to mend it."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table

from cli.checks import (
    Finding,
    Verdict,
    check_disk,
    check_gpu,
    check_gpus,
    check_keys,
    check_memory,
    check_models,
    check_open_files,
    check_port,
    check_python,
    check_redis,
    check_results,
    check_torch,
    check_tunings,
)
from cli.checks.device import Gpu
from cli.run_folder import RunFolder
from cli.terminal import err, out, say, words
from shared.settings import Settings, read_settings

_STYLES: Final = {Verdict.OK: "green", Verdict.NOTE: "yellow", Verdict.MISSING: "bold red"}


def doctor(
    port: Annotated[int | None, typer.Option(help="port that the API shall listen on")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="for programs: what was found, as JSON")] = False,
    run_folder: Annotated[Path, typer.Option(help="where `darkroom up` keeps its data")] = Path(".darkroom"),
) -> None:
    """Say what this machine lacks to run the service, and how to mend it; exit code 0 if it can run."""
    settings = read_settings()
    found = list(_findings(settings, settings.api.port if port is None else port, RunFolder(run_folder)))
    can_run = all(finding.verdict is not Verdict.MISSING for finding in found)
    if as_json:
        print(json.dumps({"can_run": can_run, "findings": [asdict(finding) for finding in found]}, indent=2))  # noqa: T201 -- rich would break lines
    else:
        out.print(_table(found))
    if not can_run:
        say("cannot run: mend what is missing", style="bold red", console=err)
        raise typer.Exit(1)
    if not as_json:
        say("can run: darkroom up", style="bold green")


def _findings(settings: Settings, port: int, folder: RunFolder) -> Iterator[Finding]:
    gpu = Gpu.of_this_machine()
    yield check_python()
    yield check_torch(gpu)
    yield check_gpu(gpu)
    yield from check_gpus(settings.worker)
    yield check_redis(settings.redis)
    keys = check_keys(settings.api, settings.redis, folder)
    if keys is not None:
        yield keys
    results = check_results(settings.results)
    if results is not None:
        yield results
    yield from check_models(settings.models)
    yield from check_tunings(settings.models, settings.worker, gpu)
    yield check_port(settings.api.host, port)
    yield check_open_files(settings.api.max_connections)
    yield check_memory()
    yield check_disk(Path.cwd())


def _table(findings: list[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        detail = words(finding.detail)
        if finding.mend:
            detail.append_text(words(f"\n→ {finding.mend}", style="bold"))
        table.add_row(words(finding.verdict, style=_STYLES[finding.verdict]), words(finding.subject), detail)
    return table
