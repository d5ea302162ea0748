"""Renders the chart with every set of values in its folder ci/, and holds what comes out against Kubernetes.

    python deploy/helm/validate.py

Helm's own library renders and lints, without a cluster; the schemas of the oldest and the newest Kubernetes
that the chart is for say whether each object is one, with no field that it does not have.
"""
# ruff: noqa: INP001 - a script beside the chart, no package

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import helm_python
import kubernetes_validate
import yaml

CHART: Final = Path(__file__).parent / "darkroom"
VALUES: Final = tuple(sorted((CHART / "ci").glob("*-values.yaml")))
VERSIONS: Final = ("1.29", "1.37")
# Kinds of operators that Kubernetes itself has no schema of; the tests look at what matters in them.
FOREIGN: Final = frozenset({"ScaledObject", "ServiceMonitor", "PodMonitor", "PrometheusRule"})
LINT_ERROR: Final = 3

Manifest = dict[str, Any]


def values_of(file: Path) -> dict[str, Any]:
    """Return a set of values; an empty file is none."""
    return yaml.safe_load(file.read_text()) or {}


def render(values: dict[str, Any], *, name: str = "shop", namespace: str = "pictures") -> list[Manifest]:
    """Return every object of a release with these values.

    Raises:
        helm_python.HelmError: the values are not the chart's, or it cannot be rendered with them.
    """
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(chart.merge_values(values))
        files = chart.render(values, name=name, namespace=namespace)
    texts = [text for path, text in sorted(files.items()) if path.endswith(".yaml")]
    return [each for text in texts for each in yaml.safe_load_all(text) if each]


def problems(values: dict[str, Any]) -> Iterator[str]:
    """Yield what Helm and Kubernetes have against a release with these values."""
    for message in helm_python.lint(CHART, values, strict=True)["messages"]:
        if message["severity"] >= LINT_ERROR:
            yield f"lint: {message['path']}: {message['error']}"
    for manifest in render(values):
        what = f"{manifest['kind']} {manifest['metadata']['name']}"
        if manifest["kind"] in FOREIGN:
            continue
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(manifest, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                yield f"{what}, Kubernetes {version}: {'.'.join(map(str, error.path))}: {error.message}"


def main() -> int:
    """Return the exit status: 1 where something is wrong."""
    status = 0
    for file in VALUES:
        values = values_of(file)
        found = list(problems(values))
        sys.stdout.write(f"{file.name}: {len(render(values))} objects, {len(found)} problems\n")
        sys.stdout.write("".join(f"  {each}\n" for each in found))
        status |= bool(found)
    return status


if __name__ == "__main__":
    sys.exit(main())
