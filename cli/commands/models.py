"""`darkroom models`: what the service offers, and what it could offer."""

from rich.table import Table
from rich.text import Text

from cli.client import DEFAULT_URL, Client, Connection, Json
from cli.options import ApiKey, BaseUrl, Organization, Project
from cli.terminal import out, read_settings, say
from shared.catalogue import Catalogue, ModelSpec
from shared.errors import CatalogueError, ConfigurationError


def models(
    *,
    base_url: BaseUrl = DEFAULT_URL,
    api_key: ApiKey = None,
    organization: Organization = None,
    project: Project = None,
) -> None:
    """List the models of the service, and the entries of the catalogue here that are off."""
    with Client(Connection(base_url, api_key, organization, project)) as client:
        offered = client.models()
    table = Table(box=None, pad_edge=False)
    for heading in ("MODEL", "STATE", "WHAT", "LICENCE"):
        table.add_column(heading, overflow="fold")
    for model in offered:
        table.add_row(*map(Text, (_name(model), _state(model), _what(model), str(model.get("licence", "")))))
    notes = _add_entries_that_are_off(table, {str(model["id"]) for model in offered})
    out.print(table)
    for note in notes:
        say(note, style="dim")


def _name(model: Json) -> str:
    aliases = model.get("aliases") or []
    return f"{model['id']} ({', '.join(aliases)})" if aliases else str(model["id"])


def _state(model: Json) -> str:
    state = "ready" if model.get("ready", True) else "no worker"
    return f"{state}, default" if model.get("default") else state


def _what(model: Json) -> str:
    transparent = ", transparent" if model.get("transparent") else ""
    return f"{model.get('title', '')}{transparent}"


def _add_entries_that_are_off(table: Table, offered: set[str]) -> list[str]:
    """Add the entries of this machine's catalogue that the service does not offer; say why each is off."""
    try:
        catalogue = Catalogue.load(read_settings().models.catalogue)
    except ConfigurationError as error:
        return [error.message]
    off = [spec for spec in catalogue.specs if spec.name not in offered]
    for spec in off:
        table.add_row(*map(Text, (spec.name, "off", spec.title, spec.licence)), style="dim")
    return [_why_off(catalogue, spec) for spec in off]


def _why_off(catalogue: Catalogue, spec: ModelSpec) -> str:
    try:
        catalogue.check_weights(spec)
    except CatalogueError as error:
        return error.message
    return f"model {spec.name!r}: its weights are here, but DARKROOM_MODELS__ENABLED leaves it out"
