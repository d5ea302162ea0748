"""The compose files: what they start, in which order, how hardened, and that the GPU file merges."""

import re
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from api.http.hosts import Hosts
from courier.store import CourierStore
from deploy.courier_alive import is_alive as courier_is_alive
from deploy.worker_alive import is_alive
from shared.catalogue import Catalogue
from shared.errors import StoreUnavailable
from shared.redis_clients import sync_client
from shared.settings import REPO_ROOT, ApiSettings, RedisSettings, Settings, WebhookSettings, WorkerSettings
from worker.store import WorkerStore

pytestmark = pytest.mark.integration

Services = dict[str, dict[str, Any]]


def load(name: str) -> Services:
    services: Services = yaml.safe_load((REPO_ROOT / name).read_text())["services"]
    return services


def seconds(duration: str) -> float:
    assert duration.endswith("s")
    return float(duration.removesuffix("s"))


@pytest.fixture(scope="module")
def services() -> Services:
    return load("docker-compose.yml")


def test_there_are_a_store_an_api_behind_a_proxy_a_worker_and_a_courier(services: Services) -> None:
    started = {name for name, service in services.items() if not service.get("profiles")}

    assert started == {"valkey", "api", "courier", "proxy", "worker"}


@pytest.mark.parametrize(
    "name", ["valkey", "api", "courier", "proxy", "worker", "prometheus", "grafana", "flower"]
)
def test_a_service_has_no_privileges_is_started_again_and_its_log_is_bounded(
    services: Services, name: str
) -> None:
    service = {**load("docker-compose.flower.yml"), **services}[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}


def test_the_store_keeps_jobs_and_forgets_none(services: Services) -> None:
    command = services["valkey"]["command"]

    assert "--appendonly yes" in command
    assert "--appendfsync everysec" in command
    assert "--maxmemory-policy noeviction" in command
    assert "--maxmemory ${DARKROOM_STORE_MEMORY" in command
    assert services["valkey"]["volumes"] == ["store:/data"]
    assert "ports" not in services["valkey"]


@pytest.mark.parametrize("name", ["api", "courier", "worker"])
def test_nothing_starts_before_the_store_is_healthy(services: Services, name: str) -> None:
    assert services[name]["depends_on"] == {"valkey": {"condition": "service_healthy"}}
    url = "redis://:${DARKROOM_STORE_PASSWORD:-}@valkey:6379/0"
    assert services[name]["environment"]["DARKROOM_REDIS__URL"] == url


def test_a_password_of_the_store_is_one_variable_away(services: Services) -> None:
    assert '--requirepass "${DARKROOM_STORE_PASSWORD:-}"' in services["valkey"]["command"]
    # Where none is set, there is none: for the server, for redis-py and for Celery's transport.
    assert sync_client(
        RedisSettings(url=SecretStr("redis://:@valkey:6379/0"))
    ).connection_pool.connection_kwargs.get("password") in {None, ""}


def test_with_users_each_process_is_its_own_and_the_store_is_otherwise_the_same(services: Services) -> None:
    guarded = load("docker-compose.acl.yml")

    for name in ("api", "courier", "worker"):
        url = guarded[name]["environment"]["DARKROOM_REDIS__URL"]
        assert url.startswith("${DARKROOM_" + name.upper() + "_REDIS_URL:?")
    plain = services["valkey"]["command"].replace(' --requirepass "${DARKROOM_STORE_PASSWORD:-}"', "")
    assert guarded["valkey"]["command"] == f"{plain} --aclfile /etc/darkroom/users.acl"
    assert guarded["valkey"]["volumes"] == ["./deploy/valkey/users.acl:/etc/darkroom/users.acl:ro"]


def test_the_worker_can_be_scaled_and_is_started_plainly(services: Services) -> None:
    worker = services["worker"]

    assert worker["command"] == ["celery", "-A", "worker.main", "worker"]
    assert not {"container_name", "ports", "hostname"} & set(worker)


def test_the_courier_is_the_api_s_image_and_alone_reaches_out_beside_the_proxy(services: Services) -> None:
    courier, api = services["courier"], services["api"]

    assert (courier["image"], courier["build"]) == (api["image"], api["build"])
    assert courier["command"] == ["celery", "-A", "courier.main", "worker"]
    assert courier["networks"] == ["store", "front"]
    assert "ports" not in courier
    assert seconds(courier["stop_grace_period"]) >= WebhookSettings().timeout_s + 10


def test_a_worker_that_stops_has_the_time_to_drain(services: Services) -> None:
    assert seconds(services["worker"]["stop_grace_period"]) >= WorkerSettings().drain_s + 10


def test_the_proxy_is_published_to_this_machine_only_and_nothing_passes_it_by(services: Services) -> None:
    (port,) = services["proxy"]["ports"]
    conf = (REPO_ROOT / "deploy" / "proxy" / "nginx.conf").read_text()

    assert port == "${DARKROOM_BIND:-127.0.0.1}:${DARKROOM_PORT:-8000}:8080"
    assert "listen 8080 " in conf
    assert "ports" not in services["api"]


def test_the_proxy_asks_where_the_api_listens(services: Services) -> None:
    conf = (REPO_ROOT / "deploy" / "proxy" / "nginx.conf").read_text()
    image = (REPO_ROOT / "deploy" / "api.Dockerfile").read_text()
    check = (REPO_ROOT / "deploy" / "api_alive.py").read_text()

    assert f"set $api api:{ApiSettings().port};" in conf
    assert ApiSettings().port == 8000
    assert services["proxy"]["depends_on"] == {"api": {"condition": "service_healthy"}}
    assert "DARKROOM_API__HOST=0.0.0.0" in image
    assert "http://127.0.0.1:8000/healthz" in check


def test_what_asks_the_api_by_its_name_in_there_is_answered_without_a_key(services: Services) -> None:
    scraped = yaml.safe_load((REPO_ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    (target,) = scraped["scrape_configs"][0]["static_configs"][0]["targets"]
    given = services["api"]["environment"]["DARKROOM_API__ALLOWED_HOSTS"]
    unset = re.sub(r"\$\{\w+:-\}", "", given)

    hosts = Hosts(ApiSettings.model_validate({"host": "0.0.0.0", "allowed_hosts": unset}))
    assert hosts.knows(target.partition(":")[0], None)
    assert not hosts.knows("evil.example", None)


@pytest.mark.parametrize("name", ["api", "worker", "flower"])
def test_an_image_is_built_from_files_that_are_there(services: Services, name: str) -> None:
    service = {**load("docker-compose.flower.yml"), **services}[name]
    dockerfile = REPO_ROOT / service["build"]["dockerfile"]
    assert service["image"] == f"darkroom-{name}:${{DARKROOM_TAG:-local}}"
    lines = dockerfile.read_text().splitlines()

    sources = [
        word
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    ]
    assert {source for source in sources if not (REPO_ROOT / source).exists()} == set()
    assert "USER 10001:10001" in lines
    assert [line for line in lines if line.startswith("FROM ")] == [
        "FROM python:3.11-slim AS build",
        "FROM python:3.11-slim",
    ]


def test_what_the_images_need_is_not_ignored() -> None:
    rules = (REPO_ROOT / ".dockerignore").read_text().splitlines()
    # The recipe of the shipped model is no part of the service.
    folders = {path.parent.name for path in REPO_ROOT.glob("*/__init__.py")} - {"training"}

    assert "*" in rules
    assert {f"!{folder}/" for folder in folders} | {"!models/", "!pyproject.toml", "!constraints.txt"} <= set(
        rules
    )
    assert "!training/" not in rules


def test_the_gpu_file_adds_a_device_to_the_worker_and_nothing_else(services: Services) -> None:
    override = load("docker-compose.gpu.yml")

    assert set(override) == {"worker"} <= set(services)
    assert override["worker"]["environment"] == {"DARKROOM_WORKER__DEVICE": "cuda"}
    (device,) = override["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "device_ids": ["0"], "capabilities": ["gpu"]}
    assert isinstance(services["worker"]["environment"], dict), "only mappings merge key by key"


def test_each_further_gpu_has_a_service_of_its_own_behind_a_profile(services: Services) -> None:
    further = load("docker-compose.gpus.yml")

    assert list(further) == [f"worker-gpu{number}" for number in range(1, 8)]
    for number, service in enumerate(further.values(), 1):
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert device == {"driver": "nvidia", "device_ids": [str(number)], "capabilities": ["gpu"]}
        assert service["profiles"] == [f"gpu{number}"]
        assert service["environment"]["DARKROOM_WORKER__DEVICE_LABEL"] == f"gpu{number}"
        assert service["environment"]["DARKROOM_WORKER__DEVICE"] == "cuda"
        # Whatever else it has it has from the worker, so a mapping that is merged must be one there too.
        assert service["extends"] == {"file": "docker-compose.yml", "service": "worker"}
        assert set(service) == {"extends", "profiles", "environment", "deploy", "networks"}
    assert not {"deploy", "profiles"} & set(services["worker"])


def test_the_workers_of_further_gpus_are_found_by_prometheus_and_are_users_of_a_guarded_store(
    services: Services,
) -> None:
    scraped = yaml.safe_load((REPO_ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    (names,) = [
        each["dns_sd_configs"][0]["names"] for each in scraped["scrape_configs"] if "dns_sd_configs" in each
    ]
    plain = services["worker"]["environment"]["DARKROOM_REDIS__URL"]
    guarded = load("docker-compose.acl.yml")["worker"]["environment"]["DARKROOM_REDIS__URL"]
    variable = guarded.removeprefix("${").partition(":")[0]

    for service in load("docker-compose.gpus.yml").values():
        assert service["networks"] == {"store": {"aliases": names}}
        assert service["environment"]["DARKROOM_REDIS__URL"] == f"${{{variable}:-{plain}}}"


def test_the_flower_file_wants_a_password_and_lets_the_workers_be_watched(services: Services) -> None:
    override = load("docker-compose.flower.yml")
    flower = override["flower"]

    assert set(override) == {"worker", "flower"}
    assert override["worker"] == {"environment": {"DARKROOM_WORKER__CELERY_MONITORING": "true"}}
    assert "DARKROOM_WORKER__CELERY_MONITORING" not in services["worker"]["environment"]
    assert flower["environment"]["FLOWER_BASIC_AUTH"].startswith("darkroom:${DARKROOM_FLOWER_PASSWORD:?")
    assert flower["ports"] == ["127.0.0.1:${DARKROOM_FLOWER_PORT:-5555}:5555"]


def test_the_broker_that_flower_looks_at_is_that_of_the_workers(services: Services) -> None:
    url = services["worker"]["environment"]["DARKROOM_REDIS__URL"]

    flower = load("docker-compose.flower.yml")["flower"]
    assert flower["environment"]["CELERY_BROKER_URL"] == RedisSettings(url=SecretStr(url)).broker()


def test_the_example_of_an_env_file_has_every_variable_with_its_default() -> None:
    files = [(REPO_ROOT / name).read_text() for name in ("docker-compose.yml", "docker-compose.flower.yml")]
    variables = dict(re.findall(r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}", "\n".join(files)))
    # Handed on as it is, so its default is the setting's.
    variables["DARKROOM_API__OWNER_SALT"] = ApiSettings().owner_salt.get_secret_value()

    lines = (REPO_ROOT / ".env.example").read_text().splitlines()
    shown = dict(re.findall(r"^# (DARKROOM_\w+)=(.*)$", "\n".join(lines), re.MULTILINE))
    assert shown == variables
    assert all(line.startswith("#") for line in lines if line)


@pytest.fixture
def settings(redis_settings: RedisSettings) -> Settings:
    return Settings(redis=redis_settings)


@pytest.fixture
def beating(settings: Settings) -> Iterator[str]:
    """The host of a worker that has just sent its heartbeat."""
    host = f"host{secrets.token_hex(3)}"
    model = Catalogue.load(settings.models.catalogue).default
    with sync_client(settings.redis) as client:
        WorkerStore(client, settings.jobs, settings.redis.prefix).renew(f"{host}:7:ab", [model], [], {})
        yield host


def test_a_courier_is_alive_while_it_is_heard_of(settings: Settings) -> None:
    with sync_client(settings.redis) as client:
        store = CourierStore(client, settings.webhooks, settings.redis.prefix)
        assert not courier_is_alive(settings, "courier-host")
        store.dispatch("courier-host:7:ab")
        assert courier_is_alive(settings, "courier-host")
        assert not courier_is_alive(settings, "courier")
        connected: Any = client
        connected.zadd(store.keys.couriers, {"courier-host:7:ab": 1})
        assert not courier_is_alive(settings, "courier-host")


def test_a_worker_that_sends_its_heartbeat_is_alive(settings: Settings, beating: str) -> None:
    assert is_alive(settings, beating)


def test_the_worker_of_one_of_several_gpus_is_alive_too(settings: Settings) -> None:
    model = Catalogue.load(settings.models.catalogue).default
    with sync_client(settings.redis) as client:
        WorkerStore(client, settings.jobs, settings.redis.prefix).renew("other:gpu1:7:ab", [model], [], {})

    assert is_alive(settings, "other")
    assert not is_alive(settings, "gpu1")


def test_a_worker_of_another_container_does_not_count(settings: Settings, beating: str) -> None:
    assert not is_alive(settings, beating[:-1])
    assert not is_alive(settings, "elsewhere")


def test_a_worker_with_a_name_is_looked_for_by_it(settings: Settings, beating: str) -> None:
    named = settings.model_copy(update={"worker": WorkerSettings(name=f"{beating}:7:ab")})
    other = settings.model_copy(update={"worker": WorkerSettings(name="another")})

    assert is_alive(named, "elsewhere")
    assert not is_alive(other, beating)


def test_without_a_heartbeat_within_the_lease_a_worker_is_not_alive(settings: Settings, beating: str) -> None:
    model = Catalogue.load(settings.models.catalogue).default
    with sync_client(settings.redis) as client:
        serving = f"{settings.redis.prefix}serving:{model}"
        client.zincrby(serving, -settings.jobs.lease_s * 1000 - 1000, f"{beating}:7:ab")

    assert not is_alive(settings, beating)


def test_a_store_that_is_away_is_said_so() -> None:
    away = Settings(redis=RedisSettings(url="redis://127.0.0.1:1/0", connect_timeout_s=0.2))

    with pytest.raises(StoreUnavailable):
        is_alive(away, "any")


def test_results_lie_in_a_volume_that_the_api_the_courier_and_the_workers_share(services: Services) -> None:
    mount = "results:/var/lib/darkroom/results"
    for name, image in (("api", "api"), ("courier", "api"), ("worker", "worker")):
        assert mount in services[name]["volumes"]
        # Nothing unless it is set where compose runs: then what is set, the secret too.
        of_results = {k: v for k, v in services[name]["environment"].items() if "RESULTS__" in k}
        assert "DARKROOM_RESULTS__S3_SECRET_ACCESS_KEY" in of_results
        assert set(of_results.values()) == {None}
        file = (REPO_ROOT / "deploy" / f"{image}.Dockerfile").read_text()
        assert "install --directory --owner darkroom --group darkroom /var/lib/darkroom/results" in file


def test_the_courier_knows_callers_and_models_as_the_api_does(services: Services) -> None:
    """A line of a batch is whose the API says it is, and drawn by what the API offers."""
    api, courier = services["api"], services["courier"]
    salt = "DARKROOM_API__OWNER_SALT"
    assert courier["environment"][salt] == api["environment"][salt]
    assert set(courier["volumes"]) == set(api["volumes"])


def test_with_s3_outside_workers_reach_a_network_that_is_not_the_store_s() -> None:
    override = yaml.safe_load((REPO_ROOT / "docker-compose.s3.yml").read_text())

    assert override["services"]["worker"]["networks"] == ["store", "outside"]
    assert override["networks"] == {"outside": {}}
