"""The chart's ScaledObjects: what they ask Prometheus, and what it answers."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.helm.validate import Manifest
from tests.unit.deploy.charts import of_kind, release

OURS = 'namespace="pictures"'


def scaled(name: str, group: str) -> Manifest:
    (found,) = [
        each
        for each in of_kind(release(name), "ScaledObject")
        if each["metadata"]["name"].endswith(f"-{group}")
    ]
    return found


def trigger(name: str, group: str) -> dict[str, Any]:
    (found,) = scaled(name, group)["spec"]["triggers"]
    assert found["type"] == "prometheus"
    return found


def test_each_group_is_scaled_and_its_deployment_says_no_number() -> None:
    manifests = release("external")

    targets = {each["spec"]["scaleTargetRef"]["name"] for each in of_kind(manifests, "ScaledObject")}
    groups = of_kind(manifests, "Deployment", "worker")
    assert targets == {each["metadata"]["name"] for each in groups}
    assert all("replicas" not in each["spec"] for each in groups)


def test_without_keda_a_group_has_its_number() -> None:
    (group,) = of_kind(release("default"), "Deployment", "worker")

    assert group["spec"]["replicas"] == 1
    assert of_kind(release("default"), "ScaledObject") == []


def test_scaling_from_zero_lets_jobs_wait_for_the_first_worker() -> None:
    (from_zero,) = of_kind(release("external"), "ConfigMap", "settings")
    (from_one,) = of_kind(release("everything"), "ConfigMap", "settings")

    assert scaled("external", "klein")["spec"]["minReplicaCount"] == 0
    assert from_zero["data"]["DARKROOM_JOBS__QUEUE_WITHOUT_WORKER"] == "true"
    assert "DARKROOM_JOBS__QUEUE_WITHOUT_WORKER" not in from_one["data"]


def test_a_group_s_numbers_are_the_ones_asked_for() -> None:
    metadata = trigger("external", "klein")["metadata"]

    assert scaled("external", "klein")["spec"]["maxReplicaCount"] == 32
    assert metadata["threshold"] == "16"
    assert metadata["activationThreshold"] == "0"


def test_prometheus_is_asked_with_the_authentication_that_was_named() -> None:
    asked = trigger("everything", "cpu")

    assert asked["metadata"]["authModes"] == "bearer"
    assert asked["authenticationRef"] == {"name": "prometheus"}
    assert 'cluster="a", namespace="pictures"' in asked["metadata"]["query"]


def test_no_answer_is_an_error_and_not_a_reason_to_stop_workers() -> None:
    assert trigger("external", "klein")["metadata"]["ignoreNullValues"] == "false"


def series(name: str, value: int, model: str = "", pod: str = "a", labels: str = OURS) -> dict[str, str]:
    of_model = f'model="{model}",' if model else ""
    return {"series": f'{name}{{{of_model}pod="{pod}",{labels}}}', "values": f"{value}x10"}


def jobs(model: str, queued: int, running: int, pod: str = "a", labels: str = OURS) -> list[dict[str, str]]:
    return [
        series("darkroom_jobs_queued", queued, model, pod, labels),
        series("darkroom_jobs_running", running, model, pod, labels),
    ]


UP = series("darkroom_store_up", 1)
CASES = {
    "two API pods tell the same, and it counts once": (
        "small",
        [*jobs("glyph", 3, 1), *jobs("glyph", 3, 1, pod="b"), UP],
        4,
    ),
    "the models of a group add up": ("small", [*jobs("glyph", 3, 1), *jobs("sd-turbo", 2, 0), UP], 6),
    "jobs that run count": ("klein", [*jobs("flux.2-klein-4b", 0, 7), UP], 7),
    "a name is no pattern": ("klein", [*jobs("fluxx2-klein-4b", 5, 0), UP], 0),
    "another namespace is another's": (
        "klein",
        [*jobs("flux.2-klein-4b", 5, 0, labels='namespace="other"'), UP],
        0,
    ),
    "a model that nobody ever asked for has nothing to do": ("klein", [*jobs("glyph", 3, 1), UP], 0),
    "while the store is away nothing is known": ("klein", [series("darkroom_store_up", 0)], None),
    "while no API answers nothing is known": ("klein", [series("up", 0)], None),
}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_answers_with_the_work_of_the_group(tmp_path: Path) -> None:
    tests = [
        {
            "interval": "15s",
            "input_series": given,
            "promql_expr_test": [
                {
                    "expr": trigger("external", group)["metadata"]["query"],
                    "eval_time": "1m",
                    "exp_samples": [] if work is None else [{"labels": "{}", "value": work}],
                }
            ],
        }
        for group, given, work in CASES.values()
    ]
    (tmp_path / "tests.yml").write_text(yaml.safe_dump({"rule_files": [], "tests": tests}))

    done = subprocess.run(
        ["promtool", "test", "rules", "tests.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
