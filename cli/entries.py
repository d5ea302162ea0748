"""Finds a model in the catalogue by what somebody typed."""

from difflib import get_close_matches

from shared.catalogue import Catalogue, ModelSpec
from shared.errors import ModelNotFound


def find_entry(catalogue: Catalogue, name: str) -> ModelSpec:
    """Find an entry by its name or an alias.

    Raises:
        ModelNotFound: There is none of this name; the message names those that there are.
    """
    spec = catalogue.find(name)
    if spec is None:
        near = get_close_matches(name.lower(), catalogue.names(), n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        msg = f"the catalogue has no model {name!r}; {guess}it has {', '.join(catalogue.names())}"
        raise ModelNotFound(msg)
    return spec
