"""`darkroom jobs`: list, show and cancel jobs."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from cli.client import DEFAULT_URL, Client, Connection, Json
from cli.commands.dead import dead
from cli.drawing import FINAL
from cli.options import ApiKey, BaseUrl, Organization, Project
from cli.progress import describe
from cli.terminal import cells, out, say, words

app = typer.Typer(invoke_without_command=True)
app.command("dead")(dead)

JobId = Annotated[str, typer.Argument(metavar="ID", help="id of the job", show_default=False)]


@app.callback()
def list_jobs(  # noqa: PLR0913 -- one parameter an option
    context: typer.Context,
    limit: Annotated[int, typer.Option(help="how many jobs")] = 20,
    after: Annotated[str | None, typer.Option(help="begin after this job")] = None,
    *,
    base_url: BaseUrl = DEFAULT_URL,
    api_key: ApiKey = None,
    organization: Organization = None,
    project: Project = None,
) -> None:
    """List your jobs, the newest first."""
    if context.invoked_subcommand is not None:
        return
    with Client(Connection(base_url, api_key, organization, project)) as client:
        page = client.jobs(limit, after)
    if not page["data"]:
        say("no jobs")
        return
    out.print(_table(page["data"]))
    if page.get("has_more"):
        say(f"there are more: darkroom jobs --after {page['data'][-1]['id']}", style="dim")


@app.command("show")
def show_job(
    job_id: JobId,
    *,
    base_url: BaseUrl = DEFAULT_URL,
    api_key: ApiKey = None,
    organization: Organization = None,
    project: Project = None,
) -> None:
    """Show everything about one job."""
    with Client(Connection(base_url, api_key, organization, project)) as client:
        _print_job(client.job(job_id))


@app.command("cancel")
def cancel_job(
    job_id: JobId,
    *,
    base_url: BaseUrl = DEFAULT_URL,
    api_key: ApiKey = None,
    organization: Organization = None,
    project: Project = None,
) -> None:
    """Cancel a job that has not ended."""
    with Client(Connection(base_url, api_key, organization, project)) as client:
        job = client.cancel(job_id)
    if job["status"] == "cancelled":
        say(f"job {job_id} is cancelled")
    elif job["status"] in FINAL:
        say(f"job {job_id} had already {job['status']}; nothing to cancel")
    else:
        say(f"job {job_id} is being cancelled; now: {describe(job)}")


def _table(jobs: list[Json]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("ID", no_wrap=True, min_width=max(len(job["id"]) for job in jobs))
    for heading in ("STATUS", "MODEL", "CREATED", "TOOK"):
        table.add_column(heading, overflow="fold")
    for job in jobs:
        created = _local(job["created_at"], "%a %H:%M:%S")
        table.add_row(*cells(job["id"], _status(job), job["model"], created, _took(job)))
    return table


def _print_job(job: Json) -> None:
    instants = {
        name: _local(job[name], "%Y-%m-%d %H:%M:%S") for name in job if name.endswith("_at") and job[name]
    }
    error = {"error": job["error"]["message"]} if job.get("error") else {}
    warnings = {"warnings": [each["message"] for each in job.get("warnings", ())]}
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in {**job, **instants, **error, **warnings}.items():
        if value not in (None, []) and name != "object":
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            table.add_row(words(name, style="dim"), words(text, overflow="fold"))
    out.print(table)


def _status(job: Json) -> str:
    return f"running {job['progress']} %" if job["status"] == "running" else str(job["status"])


def _local(at: int, style: str) -> str:
    """A unix second in this machine's time zone."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime(style)


def _took(job: Json) -> str:
    """Seconds from the start of a job to its end."""
    if job.get("started_at") is None or job.get("finished_at") is None:
        return ""
    return f"{job['finished_at'] - job['started_at']:.0f} s"
