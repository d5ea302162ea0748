"""The catalogue and the weights."""

from collections.abc import Iterator

from cli.checks.finding import Finding, Verdict
from shared.catalogue import Catalogue
from shared.errors import ConfigurationError
from shared.settings import ModelSettings


def check_models(settings: ModelSettings) -> Iterator[Finding]:
    """Look at the weights of every model that would be offered."""
    try:
        catalogue = Catalogue.load(settings.catalogue)
        specs = catalogue.local(settings.enabled)
    except ConfigurationError as error:
        mend = "mend the catalogue, or DARKROOM_MODELS__ENABLED"
        yield Finding("models", Verdict.MISSING, error.message, mend)
        return
    for spec in specs:
        subject = f"model {spec.name}"
        try:
            yield Finding(subject, Verdict.OK, str(catalogue.check_weights(spec)))
        except ConfigurationError as error:
            mend = f"darkroom models pull {spec.name}" if spec.hub_ids else "git checkout models/"
            yield Finding(subject, Verdict.MISSING, error.message, mend)
    if not specs:
        yield Finding("models", Verdict.MISSING, "no model has its weights here", "git checkout models/")
    if off := len(catalogue.specs) - len(specs):
        yield Finding("models", Verdict.OK, f"{off} more in the catalogue are off; why: darkroom models")
