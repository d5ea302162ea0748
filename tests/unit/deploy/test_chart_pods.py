"""The pods of the Helm chart: no privileges, the right probes, the time to stop, and no way out."""

from typing import Any

import pytest

from shared.settings import REPO_ROOT, ApiSettings
from tests.unit.deploy.charts import SETS, of_kind, pods, release, variables

every_set = pytest.mark.parametrize("name", SETS)


def containers(name: str, part: str) -> list[dict[str, Any]]:
    found = [*of_kind(release(name), "Deployment", part), *of_kind(release(name), "StatefulSet", part)]
    return [container for each in found for container in each["spec"]["template"]["spec"]["containers"]]


@every_set
def test_no_pod_has_a_privilege_or_a_file_system_to_write_to(name: str) -> None:
    for _, template in pods(release(name)):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        (container,) = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]  # noqa: S108 - of the container


def test_the_service_s_pods_run_as_the_user_of_the_images() -> None:
    image = (REPO_ROOT / "deploy" / "api.Dockerfile").read_text()
    (spec,) = [template["spec"] for name, template in pods(release("default")) if name.endswith("-api")]

    user = f"{spec['securityContext']['runAsUser']}:{spec['securityContext']['runAsGroup']}"
    assert f"USER {user}" in image.splitlines()


@every_set
def test_a_worker_has_more_time_to_stop_than_it_takes_to_drain(name: str) -> None:
    for each in of_kind(release(name), "Deployment", "worker"):
        template = each["spec"]["template"]
        drain_s = float(variables(template)["DARKROOM_WORKER__DRAIN_S"]["value"])
        assert template["spec"]["terminationGracePeriodSeconds"] >= drain_s + 10


def test_a_drain_of_its_own_is_a_group_s_own_grace() -> None:
    klein = next(
        each
        for each in of_kind(release("external"), "Deployment", "worker")
        if each["metadata"]["labels"]["darkroom.dev/group"] == "klein"
    )

    assert klein["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 135


@every_set
def test_an_api_that_stops_serves_on_while_others_learn_of_it(name: str) -> None:
    (api,) = of_kind(release(name), "Deployment", "api")
    (container,) = containers(name, "api")
    delay_s = float(container["lifecycle"]["preStop"]["exec"]["command"][1])

    # 5 s for what is being sent (api/serving), 15 s before a process of several is killed (api/processes).
    assert api["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= delay_s + 20
    assert api["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert api["spec"]["replicas"] > 1


@every_set
def test_an_api_is_asked_whether_it_lives_and_never_given_up_for_want_of_redis(name: str) -> None:
    (container,) = containers(name, "api")

    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert {"name": "http", "containerPort": ApiSettings().port} in container["ports"]


@every_set
def test_a_worker_is_ready_by_its_heartbeat_and_never_killed_for_want_of_redis(name: str) -> None:
    for container in containers(name, "worker"):
        command = container["readinessProbe"]["exec"]["command"]
        assert command == ["python", "/srv/darkroom/worker_alive.py"]
        assert "livenessProbe" not in container


def test_a_gpu_is_a_limit_of_its_group_and_its_pods_go_where_one_is() -> None:
    (small, klein) = of_kind(release("external"), "Deployment", "worker")

    (of_small,) = small["spec"]["template"]["spec"]["containers"]
    (of_klein,) = klein["spec"]["template"]["spec"]["containers"]
    assert "limits" not in of_small["resources"]
    assert of_klein["resources"]["limits"] == {"memory": "32Gi", "nvidia.com/gpu": 1}
    assert klein["spec"]["template"]["spec"]["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-L40S"}
    assert variables(klein["spec"]["template"])["DARKROOM_WORKER__DEVICE"]["value"] == "cuda"
    assert variables(small["spec"]["template"])["DARKROOM_WORKER__DEVICE"]["value"] == "cpu"


@every_set
def test_a_worker_is_called_by_its_pod_whose_name_nothing_takes_away(name: str) -> None:
    for each in of_kind(release(name), "Deployment", "worker"):
        spec = each["spec"]["template"]["spec"]
        # The default name begins with the host's, which is the pod's; a set one would be that of all.
        assert not {"hostname", "hostNetwork", "setHostnameAsFQDN"} & set(spec)
        assert "DARKROOM_WORKER__NAME" not in variables(each["spec"]["template"])


@every_set
def test_a_courier_has_the_api_s_image_and_is_ready_when_it_is_heard_of(name: str) -> None:
    ((courier,), (api,)) = containers(name, "courier"), containers(name, "api")

    assert courier["image"] == api["image"]
    assert courier["command"] == ["celery", "-A", "courier.main", "worker"]
    assert courier["readinessProbe"]["exec"]["command"] == ["python", "/srv/darkroom/courier_alive.py"]
    assert "livenessProbe" not in courier


def policy(name: str, part: str) -> dict[str, Any]:
    (found,) = of_kind(release(name), "NetworkPolicy", part)
    spec: dict[str, Any] = found["spec"]
    assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
    return spec


def parts_of(peers: list[dict[str, Any]]) -> set[str]:
    return {each["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for each in peers}


def test_a_worker_reaches_names_and_the_store_and_nothing_else() -> None:
    (names, store) = policy("default", "worker")["egress"]

    assert {each["port"] for each in names["ports"]} == {53}
    assert names["to"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    ]
    assert store["ports"] == [{"protocol": "TCP", "port": 6379}]
    assert parts_of(store["to"]) == {"valkey"}


def test_a_courier_reaches_names_the_store_and_the_internet_but_no_network_of_one_s_own() -> None:
    names, store, out = policy("default", "courier")["egress"]

    assert {each["port"] for each in names["ports"]} == {53}
    assert parts_of(store["to"]) == {"valkey"}
    v4, v6 = (each["ipBlock"] for each in out["to"])
    assert {"10.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"} <= set(v4["except"])
    assert v6["cidr"] == "2000::/3"
    assert policy("default", "courier")["ingress"] == []


def test_a_worker_reaches_a_redis_of_one_s_own_at_its_address_only() -> None:
    (_, store) = policy("external", "worker")["egress"]

    assert store == {
        "to": [{"ipBlock": {"cidr": "10.0.0.7/32"}}],
        "ports": [{"protocol": "TCP", "port": 6380}],
    }


def test_the_store_is_reached_by_the_service_and_reaches_nobody() -> None:
    spec = policy("default", "valkey")

    (rule,) = spec["ingress"]
    assert parts_of(rule["from"]) == {"api", "worker", "courier", "toolbox"}
    assert spec["egress"] == []


def test_the_api_can_be_reached_and_may_be_reached_by_some_only() -> None:
    (everybody,) = policy("default", "api")["ingress"]
    (some,) = policy("everything", "api")["ingress"]

    assert everybody == {"ports": [{"protocol": "TCP", "port": 8000}]}
    assert some["from"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}
    ]


@every_set
def test_every_pod_is_under_a_policy(name: str) -> None:
    policies = [
        each["spec"]["podSelector"]["matchLabels"] for each in of_kind(release(name), "NetworkPolicy")
    ]

    for pod, template in pods(release(name)):
        labels = template["metadata"]["labels"]
        assert any(selector.items() <= labels.items() for selector in policies), pod


@every_set
def test_a_disruption_takes_one_pod_at_a_time_of_the_api_and_of_each_group(name: str) -> None:
    budgets = of_kind(release(name), "PodDisruptionBudget")
    groups = of_kind(release(name), "Deployment", "worker")

    assert len(budgets) == 1 + len(groups)
    assert {budget["spec"]["maxUnavailable"] for budget in budgets} == {1}
