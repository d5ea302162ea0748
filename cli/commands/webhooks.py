"""`darkroom webhooks`: what helps while developing a receiver."""

from typing import Annotated

import typer
import uvicorn
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from cli.listening import Listener
from cli.ports import LOOPBACK, is_free
from cli.terminal import say
from shared.errors import ConfigurationError

app = typer.Typer(no_args_is_help=True)


@app.callback()
def webhooks() -> None:
    """Group the commands, of which there is one."""


@app.command()
def listen(
    port: Annotated[int, typer.Option(min=1, max=65535, help="port to listen on")] = 9000,
    host: Annotated[str, typer.Option(help="address to listen on")] = LOOPBACK,
    secret: Annotated[
        str | None,
        typer.Option(
            envvar="DARKROOM_WEBHOOK_SECRET",
            help="what signs them, as `darkroom keys webhook` showed it",
            show_default=False,
        ),
    ] = None,
    forward: Annotated[
        str | None, typer.Option(help="post them on to this address, and answer as it does")
    ] = None,
) -> None:
    """Show webhooks as they arrive, until Ctrl-C."""
    _check_secret(secret)
    if not is_free(host, port):
        message = f"port {port} of {host} is taken; choose another one with --port"
        raise ConfigurationError(message)
    say(f'name it in a request:  "webhook": {{"url": "http://{host}:{port}/"}}')
    say(
        "Addresses of this machine and of private networks are sent to only where the service was started "
        "with DARKROOM_WEBHOOKS__ALLOW_PRIVATE_ADDRESSES=true."
    )
    listener = Listener(say, secret, forward)
    uvicorn.run(listener.app(), host=host, port=port, log_level="warning", access_log=False)


def _check_secret(secret: str | None) -> None:
    """Look at the secret before the first event.

    Raises:
        ConfigurationError: it is none.
    """
    if secret is None:
        return
    try:
        Webhook(secret)
    except (EmptyWebhookSecretError, ValueError) as error:  # what is no base64 is a ValueError
        message = "--secret: that is no secret of webhooks; it begins with whsec_"
        raise ConfigurationError(message) from error
