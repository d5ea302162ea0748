"""The Helm chart: valid, clear about what it refuses, free of secrets, and in agreement with the service."""

import re
import tomllib
from typing import Any

import helm_python
import pytest
import yaml

from api.http.hosts import Hosts
from deploy.helm.validate import CHART, problems, render, values_of
from docs.tables import settings_rows
from shared.settings import REPO_ROOT, ApiSettings, BatchSettings, WorkerSettings
from tests.unit.deploy.charts import SETS, of_kind, pods, release, variables

PROMETHEUS = REPO_ROOT / "deploy" / "prometheus"

every_set = pytest.mark.parametrize("name", SETS)


@every_set
def test_what_is_rendered_is_valid(name: str) -> None:
    assert list(problems(values_of(SETS[name]))) == []


def test_an_object_that_kubernetes_does_not_know_would_be_found() -> None:
    found = list(problems({"networkPolicy": {"apiEgress": [{"nonsense": 1}]}}))

    assert found
    assert all("nonsense" in each for each in found)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"nonsense": 1}, "nonsense"),
        ({"settings": {"DARKROOM_REDIS__URL": "redis://:secret@somewhere"}}, "DARKROOM_REDIS__URL"),
        ({"settings": {"DARKROOM_API__OWNER_SALT": "salt"}}, "DARKROOM_API__OWNER_SALT"),
        ({"settings": {"DARKROOM_WORKER__NAME": "a"}}, "DARKROOM_WORKER__NAME"),
        ({"valkey": {"enabled": False}}, "networkPolicy.redisTo"),
        ({"keda": {"enabled": True}}, "keda.prometheusAddress"),
        ({"ingress": {"enabled": True}}, "ingress.host"),
        ({"monitoring": {"enabled": True}}, "secret.keys.metricsKey"),
        ({"workerGroups": [{"name": "a", "models": ["x"]}] * 2}, "two of the name"),
        ({"workerGroups": [{"name": "a", "models": []}]}, "workerGroups"),
        ({"workerGroups": [{"name": "a", "models": ["x"], "gpus": 2}]}, "gpus"),
        (
            {"workerGroups": [{"name": "a", "models": ["x"], "settings": {"DARKROOM_WORKER__NAME": "a"}}]},
            "DARKROOM_WORKER__NAME",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_values_that_cannot_be_meant_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(helm_python.HelmError, match=re.escape(said)):
        render(values)


@every_set
def test_nothing_secret_is_written_into_an_object(name: str) -> None:
    manifests = release(name)

    assert of_kind(manifests, "Secret") == []
    for _, template in pods(manifests):
        for variable, entry in variables(template).items():
            if re.search(r"PASSWORD|SALT|AUTH|REDIS__\w*URL", variable):
                secret = entry.get("valueFrom", {}).get("secretKeyRef", {}).get("name")
                assert secret or "$(VALKEY_PASSWORD)" in entry["value"], variable


@every_set
def test_every_variable_is_a_setting_and_no_setting_is_missing(name: str) -> None:
    settings = {row[0].strip("`") for row in settings_rows()} | {"DARKROOM_BASE_URL"}
    manifests = release(name)
    given = {variable for _, template in pods(manifests) for variable in variables(template)}
    for each in of_kind(manifests, "ConfigMap", "settings"):
        given |= set(each["data"] or {})

    assert {variable for variable in given if variable.startswith("DARKROOM_")} <= settings
    assert {"DARKROOM_REDIS__URL", "DARKROOM_API__OWNER_SALT", "DARKROOM_MODELS__ENABLED"} <= given


def test_each_part_has_the_store_s_user_that_is_meant_for_it() -> None:
    def key_of(template: dict[str, Any]) -> str:
        key: str = variables(template)["DARKROOM_REDIS__URL"]["valueFrom"]["secretKeyRef"]["key"]
        return key

    found = {
        template["metadata"]["labels"]["app.kubernetes.io/component"]: key_of(template)
        for _, template in pods(release("external"))
    }
    assert found == {
        "api": "redis-url-api",
        "worker": "redis-url-worker",
        "courier": "redis-url-courier",
        "toolbox": "redis-url-operator",
    }


def test_the_store_s_authority_is_a_file_from_the_secret() -> None:
    for _, template in pods(release("external")):
        file = variables(template)["DARKROOM_REDIS__CA_FILE"]["value"]
        (volume,) = [each for each in template["spec"]["volumes"] if each["name"] == "redis-ca"]
        assert volume["secret"] == {
            "secretName": "from-the-vault",
            "items": [{"key": "redis-ca", "path": "ca.crt"}],
        }
        mounts = template["spec"]["containers"][0]["volumeMounts"]
        assert {"name": "redis-ca", "mountPath": file.removesuffix("/ca.crt"), "readOnly": True} in mounts


def test_a_large_number_stays_a_number() -> None:
    manifests = tuple(render({"settings": {"DARKROOM_JOBS__MAX_RESULT_BYTES": 8 * 1024**3}}))

    (settings,) = of_kind(manifests, "ConfigMap", "settings")
    assert settings["data"]["DARKROOM_JOBS__MAX_RESULT_BYTES"] == "8589934592"


@pytest.mark.parametrize("name", ["{0}", "{0}.{1}", "{0}.{1}.svc", "{0}.{1}.svc.cluster.local"])
def test_the_api_knows_its_service_s_names_without_a_key(name: str) -> None:
    manifests = tuple(render({}))
    (settings,) = of_kind(manifests, "ConfigMap", "settings")
    (service,) = of_kind(manifests, "Service", "api")
    allowed = ApiSettings.model_validate({"allowed_hosts": settings["data"]["DARKROOM_API__ALLOWED_HOSTS"]})
    namespace = allowed.allowed_hosts[1].partition(".")[2]

    assert Hosts(allowed).knows(name.format(service["metadata"]["name"], namespace), None)
    assert not Hosts(allowed).knows("evil.example", None)


def test_the_api_knows_the_ingress_s_host_without_a_key() -> None:
    (settings,) = of_kind(release("everything"), "ConfigMap", "settings")

    assert "pictures.example.com" in settings["data"]["DARKROOM_API__ALLOWED_HOSTS"].split(",")


@every_set
def test_the_api_offers_what_the_groups_serve(name: str) -> None:
    manifests = release(name)
    offered: set[str] = set()
    served: set[str] = set()
    for each in of_kind(manifests, "Deployment"):
        enabled = variables(each["spec"]["template"]).get("DARKROOM_MODELS__ENABLED")
        if enabled:
            worker = each["metadata"]["labels"]["app.kubernetes.io/component"] == "worker"
            (served if worker else offered).update(yaml.safe_load(enabled["value"]))

    assert offered == served != set()


@every_set
def test_selectors_select_pods_that_there_are(name: str) -> None:
    manifests = release(name)
    labels = [template["metadata"]["labels"] for _, template in pods(manifests)]

    def selects(selector: dict[str, str]) -> bool:
        return any(selector.items() <= each.items() for each in labels)

    for each in of_kind(manifests, "Service"):
        assert selects(each["spec"]["selector"])
    for kind in ("PodDisruptionBudget", "PodMonitor", "Deployment", "StatefulSet"):
        for each in of_kind(manifests, kind):
            assert selects(each["spec"]["selector"]["matchLabels"])
    for each in of_kind(manifests, "NetworkPolicy"):
        assert selects(each["spec"]["podSelector"]["matchLabels"])


def test_what_is_monitored_has_the_names_that_the_alerts_use() -> None:
    manifests = release("everything")
    jobs = {each["metadata"]["labels"].get("darkroom.dev/job") for each in of_kind(manifests, "Service")}
    jobs |= {template["metadata"]["labels"].get("darkroom.dev/job") for _, template in pods(manifests)}
    configured = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]

    assert jobs - {None} == {each["job_name"] for each in configured}
    for kind in ("ServiceMonitor", "PodMonitor"):
        (monitor,) = of_kind(manifests, kind)
        assert monitor["spec"]["jobLabel"] == "darkroom.dev/job"
        assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_prometheus_reads_with_a_key_from_the_secret_and_without_one_where_all_is_open() -> None:
    (monitor,) = of_kind(release("everything"), "ServiceMonitor")
    open_to_all = {"monitoring": {"enabled": True}, "settings": {"DARKROOM_API__OPEN": True}}
    (without,) = of_kind(tuple(render(open_to_all)), "ServiceMonitor")

    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["authorization"] == {"credentials": {"name": "darkroom", "key": "metrics-key"}}
    assert "authorization" not in without["spec"]["endpoints"][0]


def test_the_alert_rules_are_those_of_the_service() -> None:
    (rules,) = of_kind(release("everything"), "PrometheusRule")
    ours = (PROMETHEUS / "alerts.yml").read_text()

    assert (CHART / "files" / "alerts.yml").read_text() == ours, (
        "copy deploy/prometheus/alerts.yml to the chart's files/"
    )
    assert rules["spec"] == yaml.safe_load(ours)


@pytest.mark.parametrize(("root_path", "path"), [(None, "/"), ("", "/"), ("/darkroom", "/darkroom")])
def test_an_ingress_serves_what_is_below_the_prefix(root_path: str | None, path: str) -> None:
    settings = {} if root_path is None else {"DARKROOM_API__ROOT_PATH": root_path}
    ingress = {"enabled": True, "host": "pictures.example"}
    (found,) = of_kind(tuple(render({"settings": settings, "ingress": ingress})), "Ingress")

    (rule,) = found["spec"]["rules"]
    assert [each["path"] for each in rule["http"]["paths"]] == [path]


def test_an_ingress_waits_as_long_as_a_call_is_held_and_collects_nothing() -> None:
    (ingress,) = of_kind(release("everything"), "Ingress")
    annotations = ingress["metadata"]["annotations"]
    nginx = "nginx.ingress.kubernetes.io"

    assert int(annotations[f"{nginx}/proxy-read-timeout"]) > ApiSettings().sync_timeout_s
    assert annotations[f"{nginx}/proxy-buffering"] == "off"
    largest = int(annotations[f"{nginx}/proxy-body-size"].removesuffix("m")) * 1024**2
    assert largest == BatchSettings().max_file_bytes + 1024**2 > ApiSettings().max_upload_bytes
    assert ingress["spec"]["tls"] == [{"hosts": ["pictures.example.com"], "secretName": "pictures-tls"}]


def test_the_chart_is_of_this_version_and_its_defaults_are_the_service_s() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((REPO_ROOT / "pyproject.toml").read_text())["project"]
    (worker,) = of_kind(release("default"), "Deployment", "worker")

    assert chart["appVersion"] == project["version"]
    drain_s = variables(worker["spec"]["template"])["DARKROOM_WORKER__DRAIN_S"]["value"]
    assert float(drain_s) == WorkerSettings().drain_s


def test_a_folder_of_results_is_one_volume_of_the_api_the_courier_and_every_worker() -> None:
    for name, template in pods(release("everything")):
        (container,) = template["spec"]["containers"]
        mounts = {each["name"]: each["mountPath"] for each in container.get("volumeMounts", ())}
        claims = [each for each in template["spec"].get("volumes", ()) if each["name"] == "results"]
        if name.endswith(("-api", "-courier")) or "worker" in name:
            assert mounts["results"] == "/var/lib/darkroom/results"
            assert claims == [{"name": "results", "persistentVolumeClaim": {"claimName": "results"}}]
        else:
            assert "results" not in mounts
            assert claims == []


def test_the_key_of_a_bucket_is_from_the_secret_for_those_who_need_it() -> None:
    for name, template in pods(release("external")):
        found = variables(template)
        needs_it = name.endswith(("-api", "-courier")) or "worker" in name
        for variable, key in (("ACCESS_KEY_ID", "s3-key-id"), ("SECRET_ACCESS_KEY", "s3-secret")):
            given = found.get(f"DARKROOM_RESULTS__S3_{variable}")
            wanted = {"secretKeyRef": {"name": "from-the-vault", "key": key}}
            assert (given or {}).get("valueFrom") == (wanted if needs_it else None)


def test_a_folder_without_a_volume_is_refused() -> None:
    with pytest.raises(helm_python.HelmError, match=r"results\.volume"):
        render({"results": {"urls": "/var/lib/darkroom/results"}})
