"""Settings: from the environment, checked at the start, and never shown with their secrets."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from shared.moderation import Category, Severity
from shared.settings import ApiSettings, JobSettings, RedisSettings, Settings


def test_the_environment_sets_values_by_section_and_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_API__PORT", "8123")
    monkeypatch.setenv("DARKROOM_JOBS__RESULT_TTL_S", "60")
    monkeypatch.setenv("DARKROOM_MODELS__ENABLED", '["glyph", "sd-turbo"]')
    monkeypatch.setenv("DARKROOM_MODELS__CATALOGUE", "/models/catalog.toml")

    settings = Settings()

    assert (settings.api.port, settings.jobs.result_ttl_s) == (8123, 60)
    assert settings.models.enabled == ("glyph", "sd-turbo")
    assert settings.models.catalogue == Path("/models/catalog.toml")
    assert settings.jobs.lease_s == JobSettings().lease_s


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DARKROOM_API__PROT", "8123"),
        ("DARKROOM_API__PORT", "many"),
        ("DARKROOM_API__PORT", "70000"),
        ("DARKROOM_API__MAX_N", "11"),
        ("DARKROOM_JOBS__LEASE_S", "0"),
        ("DARKROOM_REDIS__PREFIX", "with space"),
        ("DARKROOM_LOG__LEVEL", "loud"),
        ("DARKROOM_WORKER__SLOTS", "0"),
        ("DARKROOM_MODERATION__CATEGORIES", '{"nonsense": "severe"}'),
        ("DARKROOM_MODERATION__CATEGORIES", '{"sexual": "mild"}'),
        ("DARKROOM_MODERATION__PICTURES", "perhaps"),
        ("DARKROOM_MODERATION__PICTURE_THRESHOLD", "1.1"),
        ("DARKROOM_MODERATION__ENDPOINT_URL", "file:///etc/passwd"),
    ],
)
def test_a_value_that_cannot_work_is_an_error_at_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError) as caught:
        Settings()
    assert name.split("__")[1].lower() in str(caught.value)


def test_severities_of_categories_are_set_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_MODERATION__CATEGORIES", '{"sexual": "severe", "illicit": "off"}')
    monkeypatch.setenv("DARKROOM_MODERATION__CATEGORIES__HATE", "severe")

    assert Settings().moderation.categories == {
        Category.SEXUAL: Severity.SEVERE,
        Category.ILLICIT: Severity.OFF,
        Category.HATE: Severity.SEVERE,
    }


@pytest.mark.parametrize("heartbeat_s", [2.5, 3.0, 10.0])
def test_a_lease_outlives_two_heartbeats(heartbeat_s: float) -> None:
    with pytest.raises(ValidationError, match="more than twice"):
        JobSettings(lease_s=5, heartbeat_s=heartbeat_s)


def test_settings_cannot_be_changed() -> None:
    settings = Settings()

    with pytest.raises(ValidationError, match="frozen"):
        settings.api.port = 1


def test_secrets_are_not_shown() -> None:
    settings = RedisSettings.model_validate({"url": "redis://:hunter2@host:6379/0"})

    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.model_dump())


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/1"),
        ("redis://host", "redis://host/1"),
        ("redis://:pw@host:6380/3", "redis://:pw@host:6380/4"),
        ("rediss://user:pw@host/0?ssl_cert_reqs=none", "rediss://user:pw@host/1?ssl_cert_reqs=none"),
        ("redis://host/0?protocol=3&client_name=mine", "redis://host/1"),
    ],
)
def test_the_broker_is_the_next_database_of_the_same_server(url: str, broker: str) -> None:
    assert RedisSettings.model_validate({"url": url}).broker() == broker


def test_a_broker_that_is_named_is_used() -> None:
    settings = RedisSettings.model_validate({"url": "redis://host/0", "broker_url": "redis://other:1/7"})

    assert settings.broker() == "redis://other:1/7"


def test_tls_checks_who_signed_and_for_which_host() -> None:
    settings = RedisSettings(url=SecretStr("rediss://h/0"), ca_file=Path("ca.pem"))

    assert settings.tls("rediss://h/1") == {
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
        "ssl_ca_certs": "ca.pem",
    }
    assert settings.tls("redis://h/1") == {}


def test_a_certificate_without_its_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="together"):
        RedisSettings(cert_file=Path("own.pem"))


MARKER = "marker-of-a-secret"


@pytest.mark.parametrize(
    "variable",
    ["DARKROOM_REDIS__PASSWORD", "DARKROOM_API__KEY", "DARKROOM_API__PORT", "DARKROOM_JOBS__WEIGHTS"],
)
def test_an_error_does_not_repeat_what_was_given(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, '{"a": "' + MARKER + '"}' if "WEIGHTS" in variable else MARKER)

    with pytest.raises(ValidationError) as caught:
        Settings()

    assert MARKER not in str(caught.value)
    assert MARKER not in repr(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{MARKER}/slash@host:6379/0",
        f"redis://:{MARKER}#hash@host:6379/0",
        f"redis://user:{MARKER}@host:port/0",
        f"redis://user:{MARKER}@host:99999/0",
        f"redis://[{MARKER}/0",
        f"{MARKER}@host:6379",
        f"http://{MARKER}@host:6379",
        "",
    ],
)
@pytest.mark.parametrize("field", ["url", "broker_url"])
def test_a_url_that_cannot_be_read_is_refused_without_its_password(field: str, url: str) -> None:
    with pytest.raises(ValidationError, match="redis:// or rediss://") as caught:
        RedisSettings(**{field: SecretStr(url)})

    assert MARKER not in str(caught.value)


def test_settings_are_printed_without_their_secrets() -> None:
    settings = Settings(
        redis=RedisSettings(
            url=SecretStr(f"redis://u:{MARKER}@h/0"), broker_url=SecretStr(f"redis://u:{MARKER}@h/1")
        ),
        api=ApiSettings(owner_salt=SecretStr(MARKER)),
    )

    assert MARKER not in f"{settings!r}{settings}{settings.model_dump()}{settings.model_dump_json()}"


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("", ()),
        ("pictures.example", ("pictures.example",)),
        (
            " pictures.example , *.inside.example,.example ",
            ("pictures.example", "*.inside.example", ".example"),
        ),
        ('["pictures.example", "10.0.0.1"]', ("pictures.example", "10.0.0.1")),
        ("[::1]", ("[::1]",)),
    ],
)
def test_hosts_may_be_listed_with_commas_or_as_json(
    text: str, hosts: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_API__ALLOWED_HOSTS", text)

    assert Settings().api.allowed_hosts == hosts


@pytest.mark.parametrize(
    "host", ["*", "*.", ".", "http://pictures.example", "pictures.example:80", "a b", "a/b"]
)
def test_what_no_request_could_name_as_its_host_is_refused(host: str) -> None:
    with pytest.raises(ValidationError, match="name or address of a host"):
        ApiSettings(allowed_hosts=(host,))
