"""The `darkroom` command."""

import typer

from cli.commands import batch, jobs, keys, models, webhooks
from cli.commands.acl import acl
from cli.commands.demo import demo
from cli.commands.doctor import doctor
from cli.commands.edit import edit
from cli.commands.generate import generate
from cli.commands.tune import tune
from cli.commands.up import up
from cli.terminal import OneLineErrors

app = typer.Typer(
    cls=OneLineErrors,
    help="Darkroom: an OpenAI-compatible image service. `up` runs it, the other commands use it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (up, demo, generate, edit, doctor, tune, acl):
    app.command()(command)
app.add_typer(keys.app, name="keys", help="Make, list and revoke API keys.")
app.add_typer(models.app, name="models", help="List the models; fetch the weights of one.")
app.add_typer(webhooks.app, name="webhooks", help="Show webhooks while developing what receives them.")
app.add_typer(jobs.app, name="jobs", help="List, show and cancel your jobs.")
app.add_typer(batch.app, name="batch", help="Draw the lines of a file when nobody waits.")
