"""`darkroom doctor`: what is missing, and how to mend it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from cli.checks import (
    Finding,
    Verdict,
    check_disk,
    check_gpu,
    check_models,
    check_port,
    check_python,
    check_redis,
    check_torch,
    gpu_driver,
)
from cli.terminal import err, out, read_settings, say
from shared.settings import Settings

_STYLES: Final = {Verdict.OK: "green", Verdict.NOTE: "yellow", Verdict.MISSING: "bold red"}


def doctor(
    port: Annotated[int | None, typer.Option(help="port that the API shall listen on")] = None,
) -> None:
    """Say what this machine lacks to run the service, and how to mend it; exit code 0 if it can run."""
    settings = read_settings()
    findings = list(_findings(settings, settings.api.port if port is None else port))
    out.print(_table(findings))
    if any(finding.verdict is Verdict.MISSING for finding in findings):
        say("cannot run: mend what is missing", style="bold red", console=err)
        raise typer.Exit(1)
    say("can run: darkroom up", style="bold green")


def _findings(settings: Settings, port: int) -> Iterator[Finding]:
    driver = gpu_driver()
    yield check_python()
    yield check_torch(driver)
    yield check_gpu(driver)
    yield check_redis(settings.redis)
    yield from check_models(settings.models)
    yield check_port(settings.api.host, port)
    yield check_disk(Path.cwd())


def _table(findings: list[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        detail = Text(finding.detail)
        if finding.mend:
            detail.append(f"\n→ {finding.mend}", style="bold")
        table.add_row(Text(finding.verdict, style=_STYLES[finding.verdict]), Text(finding.subject), detail)
    return table
