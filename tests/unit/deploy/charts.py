"""The chart as the tests of it look at it: every set of values, rendered once."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from deploy.helm.validate import VALUES, Manifest, render, values_of

SETS = {file.name.removesuffix("-values.yaml"): file for file in VALUES}


@cache
def release(name: str) -> tuple[Manifest, ...]:
    """Every object of a release with a set of values."""
    return tuple(render(values_of(SETS[name])))


def of_kind(manifests: tuple[Manifest, ...], kind: str, part: str = "") -> list[Manifest]:
    """The objects of a kind, of one part of the service."""
    return [
        each
        for each in manifests
        if each["kind"] == kind
        and part in {"", each["metadata"]["labels"].get("app.kubernetes.io/component")}
    ]


def pods(manifests: tuple[Manifest, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name and the pod template of whatever runs pods."""
    for each in manifests:
        if each["kind"] in {"Deployment", "StatefulSet"}:
            yield each["metadata"]["name"], each["spec"]["template"]


def variables(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The variables of a pod's one container, by name."""
    (container,) = template["spec"]["containers"]
    return {each["name"]: each for each in container["env"]}
