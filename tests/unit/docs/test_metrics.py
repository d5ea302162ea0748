"""Metrics: what the code has, the document explains, and rules and dashboard use nothing else."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from api import metrics as of_the_api
from shared.settings import REPO_ROOT
from tests.unit.docs.documents import documented_labels
from worker import metrics as of_the_worker

DEPLOY = REPO_ROOT / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "darkroom.json"
NAME = re.compile(r"\bdarkroom_[a-z_]+")


def base(name: str) -> str:
    return re.sub(r"_(total|bucket|sum|count)$", "", name)


def in_the_code() -> set[str]:
    """What processes count has names in objects; what is read from Redis, in the text of its module."""
    objects = [*vars(of_the_api).values(), *vars(of_the_worker).values()]
    counted = {each.describe()[0].name for each in objects if isinstance(each, MetricWrapperBase)}
    text = (REPO_ROOT / "api" / "operator" / "metrics.py").read_text()
    return counted | set(re.findall(r'"(darkroom_[a-z_]+)"', text))


def names(text: str) -> set[str]:
    return {base(name) for name in NAME.findall(text)}


def test_the_document_has_every_metric_and_no_other() -> None:
    rows = re.findall(r"^\| `(darkroom_\w+)`", (REPO_ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE)

    assert {base(name) for name in rows} == in_the_code()
    assert len(rows) == len(set(rows))


def test_the_document_has_the_labels_of_what_processes_count() -> None:
    documented = {base(name): labels for name, labels in documented_labels().items()}

    for metric in [*vars(of_the_api).values(), *vars(of_the_worker).values()]:
        if isinstance(metric, MetricWrapperBase):
            assert documented[metric.describe()[0].name] == set(metric._labelnames)


@pytest.mark.parametrize("file", [ALERTS, DASHBOARD], ids=lambda file: file.name)
def test_rules_and_dashboard_use_metrics_that_there_are(file: Path) -> None:
    found = names(file.read_text())

    assert found
    assert found <= in_the_code()


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]

    for rule in group["rules"]:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["action"]


def test_the_night_shift_finds_every_alert_and_what_to_do() -> None:
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    operations = (REPO_ROOT / "docs" / "operations.md").read_text()
    rows = re.findall(r"^\| `(Darkroom\w+)` \| .+ \| .+ \|$", operations, re.MULTILINE)

    assert rows == [rule["alert"] for rule in group["rules"]]


def test_every_panel_asks_for_something() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(target["expr"] for panel in panels for target in panel["targets"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_the_rules_fire_when_they_should() -> None:
    for command in (
        "check rules alerts.yml",
        "test rules alerts_test.yml",
        "check config --syntax-only prometheus.yml",
    ):
        done = subprocess.run(
            ["promtool", *command.split()], cwd=ALERTS.parent, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
