"""Configuration, read once at the entry points and handed on by section.

Every value can be set as ``DARKROOM_SECTION__NAME`` in the environment. Units are in the names:
``_s`` seconds, ``_bytes`` bytes, ``_px`` pixels.
"""

import json
import re
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from shared import web_addresses
from shared.addresses import holds_login, wrong_with_redis
from shared.errors import ConfigurationError
from shared.moderation import Category, Severity
from shared.printable import is_printable

# A name that may begin with what stands for others.
_HOST = re.compile(r"(\*?\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")

REPO_ROOT = Path(__file__).resolve().parent.parent


class Section(BaseModel):
    """A frozen group of settings; an unknown name in it is an error."""

    # An error must not repeat what may be a password, in a URL or under a name that there is not.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class RedisSettings(Section):
    """Where jobs live."""

    url: SecretStr = Field(SecretStr("redis://127.0.0.1:6379/0"), description="Redis or Valkey, 7.0 or newer")
    broker_url: SecretStr | None = Field(
        None, description="Celery's broker; default: the same server, the next database number"
    )
    prefix: str = Field(
        "darkroom:", description="prefix of every key and Celery queue", pattern=r"^[\w.:-]*$"
    )
    ca_file: Path | None = Field(
        None,
        description="certificates that a rediss:// server's must be signed by; default: those of the system",
    )
    cert_file: Path | None = Field(None, description="own certificate, where that server wants to see one")
    key_file: Path | None = Field(None, description="the key of that certificate")
    timeout_s: float = Field(1.5, gt=0, description="longest wait for one Redis command")
    connect_timeout_s: float = Field(1.0, gt=0, description="longest wait for a Redis connection")

    def broker(self) -> str:
        """Return the broker's URL; by default the next database of the same server."""
        if self.broker_url is not None:
            return self.broker_url.get_secret_value()
        parts = urlsplit(self.url.get_secret_value())
        database = int(parts.path.strip("/") or 0) + 1
        # Celery's driver knows no options behind a ? but those of TLS; it would stumble over the others.
        options = [pair for pair in parse_qsl(parts.query) if pair[0].startswith("ssl_")]
        return urlunsplit(parts._replace(path=f"/{database}", query=urlencode(options)))

    def of_the_broker(self) -> Self:
        """Return the settings of a client of the broker."""
        return self.model_copy(update={"url": SecretStr(self.broker())})

    def tls(self, url: str) -> dict[str, Any]:
        """Return how redis-py checks a server's certificate and shows its own; empty without TLS."""
        if not url.startswith("rediss://"):
            return {}
        files = {
            "ssl_ca_certs": self.ca_file,
            "ssl_certfile": self.cert_file,
            "ssl_keyfile": self.key_file,
        }
        named = {name: str(path) for name, path in files.items() if path is not None}
        # The drivers' defaults differ: Celery's checks nothing.
        return {"ssl_cert_reqs": "required", "ssl_check_hostname": True, **named}

    @field_validator("url", "broker_url")
    @classmethod
    def _can_be_read(cls, value: SecretStr | None) -> SecretStr | None:
        """Refuse what drivers would stumble over later, with a part of the password in their words."""
        wrong = None if value is None else wrong_with_redis(value.get_secret_value())
        if wrong:
            raise ValueError(wrong)
        return value

    @model_validator(mode="after")
    def _certificate_and_key_go_together(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            msg = "redis.cert_file and redis.key_file are set together or not at all"
            raise ValueError(msg)
        return self


class JobSettings(Section):
    """The life of a job."""

    lease_s: float = Field(5.0, gt=0, description="a worker that does not renew for this long loses its jobs")
    heartbeat_s: float = Field(1.0, gt=0, description="how often a worker renews")
    reap_s: float = Field(0.5, gt=0, description="how often lapsed leases and deadlines are looked for")
    progress_s: float = Field(
        0.25, gt=0, description="how often workers tell the steps of running jobs; many workers: less often"
    )
    max_attempts: int = Field(3, ge=1, description="workers a job may lose before it fails")
    deadline_s: float = Field(3600.0, gt=0, description="a job not finished by then fails")
    result_ttl_s: int = Field(3600, ge=1, description="how long a result can be fetched")
    record_ttl_s: int = Field(86400, ge=1, description="how long a finished job's record is kept")
    max_queued: int = Field(2000, ge=1, description="queued jobs in all; above: 503 queue_full")
    max_unfinished_per_owner: int = Field(500, ge=1, description="unfinished jobs of a caller; above: 429")
    max_wait_s: float = Field(
        600.0, gt=0, description="a held call whose picture would take longer is refused: 503 queue_full"
    )
    max_owed_s_per_owner: float = Field(
        3600.0, gt=0, description="predicted work of a caller's unfinished jobs; above: 429"
    )
    max_result_bytes: int = Field(
        1024**3, ge=1024, description="results that can still be fetched; above: 503 queue_full"
    )
    max_input_bytes: int = Field(
        512 * 1024**2,
        ge=1024,
        description="pictures that unfinished jobs begin with; above: 503 queue_full",
    )
    max_input_bytes_per_owner: int = Field(
        256 * 1024**2, ge=1024, description="the same of one caller's jobs; above: 429 too_many_jobs"
    )
    max_memory_share: float = Field(
        0.8, gt=0, le=1, description="share of Redis's maxmemory in use above which jobs are refused"
    )
    abandon_grace_s: float = Field(
        10.0, ge=0, description="a job whose last waiting caller has gone is cancelled after this"
    )
    hold_renew_s: float = Field(3.0, gt=0, description="how often the API says that callers still wait")
    weights: dict[str, float] = Field(
        default_factory=dict, description="share of the service by OpenAI-Organization; others have 1"
    )
    worker_grace_s: float = Field(
        30.0, ge=0, description="how long after its last worker's heartbeat a model still takes jobs"
    )
    queue_without_worker: bool = Field(
        default=False, description="accept jobs for models no worker serves (scaling from 0)"
    )

    @property
    def hold_ms(self) -> int:
        """How long the API's word that a caller waits counts: the grace after the last one is whole."""
        return int((self.abandon_grace_s + self.hold_renew_s) * 1000)

    @model_validator(mode="after")
    def _lease_outlives_heartbeats(self) -> Self:
        if self.lease_s <= 2 * self.heartbeat_s:
            msg = (
                f"jobs.lease_s ({self.lease_s}) must be more than twice jobs.heartbeat_s ({self.heartbeat_s})"
            )
            raise ValueError(msg)
        return self


def _is_host(text: str) -> bool:
    """Whether this is a host's name, with or without a wildcard in front, or an address."""
    try:
        ip_address(text.strip("[]"))
    except ValueError:
        return _HOST.fullmatch(text) is not None
    return True


class ApiSettings(Section):
    """The HTTP process."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on")
    processes: int = Field(1, ge=1, le=64, description="processes that serve the port together")
    open: bool = Field(
        default=False,
        description="serve everybody where no API key was made, even where other machines reach the port",
    )
    published_on: str = Field(
        "",
        description="address that reaches this service where a proxy or container passes it on; else host",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="names of this service that are answered while there is no API key, beside `localhost` "
        "and the addresses above; commas between; `.example`: that and all below, `*.example`: those below",
    )
    root_path: str = Field(
        "",
        description="path below which a proxy serves this, as `/darkroom`; the proxy may pass it on or not",
    )
    public_url: str = Field(
        "",
        description="address below which callers reach this, as `https://pictures.example/darkroom`, for "
        "addresses in answers; default: that of each request",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="proxies whose `X-Forwarded-For` and `-Proto` are believed: addresses and networks, "
        "commas between; default: none",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="other sites whose pages may ask this, as `https://studio.example`; commas between; "
        "`*` alone: all; default: none",
    )
    requests_per_minute: int | None = Field(
        None,
        ge=1,
        description="submissions a minute of a caller whose key says nothing else; default: any number",
    )
    sync_timeout_s: float = Field(
        570.0, gt=0, description="longest a call is held (the clients give up at 600)"
    )
    heartbeat_s: float = Field(15.0, gt=0, description="a stream on which nothing happens says so this often")
    max_n: int = Field(4, ge=1, le=10, description="most pictures in one request")
    detailed_responses: bool = Field(
        default=False,
        description="say in the body of a result also its background, output_format, quality and size",
    )
    max_body_bytes: int = Field(1024 * 1024, ge=1024, description="largest request body")
    max_upload_bytes: int = Field(
        50 * 1024**2, ge=1024, description="largest body of a request that brings pictures"
    )
    max_input_images: int = Field(16, ge=1, le=16, description="most pictures in it")
    max_input_file_bytes: int = Field(20 * 1024**2, ge=1024, description="the largest of them")
    max_input_px: int = Field(24_000_000, ge=4096, description="most pixels of one of them")
    max_uploads: int = Field(
        16, ge=1, description="bodies with pictures that one process reads at a time; above: 503 queue_full"
    )
    upload_timeout_s: float = Field(
        120.0, gt=0, description="longest from the headers of such a request to the end of its body"
    )
    max_readers: int = Field(2, ge=1, description="processes that read pictures beside one that serves")
    reading_timeout_s: float = Field(30.0, gt=0, description="longest that its pictures are read")
    max_connections: int = Field(
        12_000,
        ge=1,
        description="connections of one process; above: 503",
    )
    body_timeout_s: float = Field(
        60.0, gt=0, description="longest from a request's headers to the end of its body"
    )
    owner_salt: SecretStr = Field(
        SecretStr("darkroom"),
        description="key of the hashes that stand for owners, users and API keys; `darkroom up` makes one",
    )

    @field_validator("allowed_hosts", "trusted_proxies", "cors_origins", mode="before")
    @classmethod
    def _with_commas_between(cls, value: object) -> object:
        """Take a list of JSON as well, as every other setting that is a list."""
        if not isinstance(value, str):
            return value
        with suppress(ValueError):
            found = json.loads(value)
            if isinstance(found, list):
                return found
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what no request could name as its host, and what every one could."""
        if not all(_is_host(each) for each in value):
            msg = "each is the name or address of a host, as pictures.example: no scheme, no port, no lone *"
            raise ValueError(msg)
        return value

    @field_validator("root_path")
    @classmethod
    def _is_a_prefix(cls, value: str) -> str:
        return web_addresses.prefix(value)

    @field_validator("public_url")
    @classmethod
    def _is_a_base(cls, value: str) -> str:
        return web_addresses.base(value)

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(web_addresses.network, value))

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse a ``*`` beside others, who would think that the others say something."""
        found = tuple(map(web_addresses.origin, value))
        if web_addresses.ANY in found and len(found) > 1:
            msg = "* allows every site, so nothing stands beside it"
            raise ValueError(msg)
        return found

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches the service."""
        host = (self.published_on or self.host).strip("[]")
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


class ModelSettings(Section):
    """Which models are offered and where they are."""

    catalogue: Path = Field(REPO_ROOT / "models" / "catalog.toml", description="the model catalogue")
    enabled: tuple[str, ...] | None = Field(
        None,
        description="names of the entries to offer; default: every entry whose weights are on this machine",
    )
    aliases_for_openai: bool = Field(
        default=True,
        description="the names of OpenAI's own models, which many clients send, are the default model",
    )


class ModerationSettings(Section):
    """What is refused for its content."""

    prompts: bool = Field(default=True, description="check prompts against the list of terms")
    terms: Path = Field(
        REPO_ROOT / "api" / "moderation" / "terms.toml", description="the list of terms; another replaces it"
    )
    categories: dict[Category, Severity] = Field(
        default_factory=dict,
        description="`severe`, `general` or `off` for categories that are to be other than built in",
    )
    pictures: Literal["auto", "on", "off"] = Field(
        "auto", description="check drawn pictures; `auto`: where the extra `moderation` is installed"
    )
    picture_threshold: float = Field(
        0.8,
        gt=0,
        le=1,
        description="a picture that is so certainly sexual is blocked; a preview at half of it",
    )
    withhold_previews: bool = Field(
        default=False, description="where pictures are checked, make no previews at all"
    )
    endpoint_url: str | None = Field(
        None,
        pattern=r"^https?://",
        description="an endpoint that is asked too, in the form of OpenAI's `/v1/moderations`",
    )
    endpoint_key: SecretStr | None = Field(None, description="its API key")
    endpoint_model: str | None = Field(None, description="the model to ask it for; default: its own default")
    endpoint_timeout_s: float = Field(3.0, gt=0, description="longest wait for its answer")
    endpoint_connections: int = Field(20, ge=1, description="most connections to it from one process")
    endpoint_fail_open: bool = Field(
        default=False, description="draw where it does not answer; else 503 moderation_unavailable"
    )

    @field_validator("endpoint_url")
    @classmethod
    def _holds_no_secret(cls, value: str | None) -> str | None:
        """Refuse a login: what is no secret setting is shown, and clients log the addresses they call."""
        if value is not None and holds_login(value):
            msg = "no user or password stands in it; what is secret is moderation.endpoint_key"
            raise ValueError(msg)
        return value


class WorkerSettings(Section):
    """The Celery process on one device."""

    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    slots: int | None = Field(
        None,
        ge=1,
        description="jobs held at once by this worker; default: as many images as its engine draws together",
    )
    low_slots: int | None = Field(
        None,
        ge=0,
        description="jobs of low priority that it holds besides; 0: it takes none; default: as many",
    )
    name: str | None = Field(None, description="name in logs and job records; default: host and process id")
    device_label: str | None = Field(
        None,
        min_length=1,
        max_length=40,
        description="which of a machine's devices, as `gpu2`, for the default name and the operator's view; "
        "`darkroom up` sets it",
    )
    stall_s: float = Field(60.0, gt=0, description="a device that takes no step for this long is given up")
    load_stall_s: float = Field(900.0, gt=0, description="the same while a model is being loaded")
    drain_s: float = Field(30.0, ge=0, description="after SIGTERM, running jobs may finish for this long")
    keep_result_s: float = Field(
        120.0, ge=0, description="how long a finished picture is kept while Redis is away"
    )
    model_memory_bytes: int | None = Field(
        None,
        ge=1,
        description="device memory that models may fill; above, the one unused for longest leaves; "
        "default: nine tenths",
    )
    tuning: Literal["off", "quick", "full"] = Field(
        "quick",
        description="how far a model is tuned when first loaded on a GPU: not at all, in the modes that take "
        "seconds, or in all, which takes minutes; what was found, also by `darkroom tune`, is kept",
    )
    tuning_file: Path | None = Field(
        None, description="where it is kept; default: ~/.cache/darkroom/tuning.json"
    )
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="port at which this worker shows its own metrics; default: none"
    )
    metrics_host: str = Field("127.0.0.1", description="address of that port")
    celery_monitoring: bool = Field(
        default=False,
        description="send Celery's events and answer its inspections, for Flower; never its other commands",
    )
    torch_threads: int | None = Field(
        None, ge=1, description="CPU threads of torch; default: torch's own choice"
    )

    @field_validator("name", "device_label")
    @classmethod
    def _can_be_shown(cls, value: str | None) -> str | None:
        if value is not None and not is_printable(value):
            msg = "it has characters that cannot be shown on one line"
            raise ValueError(msg)
        return value


class ResultSettings(Section):
    """Where pictures lie that are asked for as URLs, and the files of batches."""

    urls: str = Field(
        "",
        description="a folder that the API and every worker share, or `s3://bucket/prefix`; empty: nowhere, "
        "and there are neither URLs nor batches",
    )
    s3_endpoint: str = Field(
        "", pattern=r"^(https?://.*)?$", description="address of the S3 server; empty: that of AWS"
    )
    s3_public_endpoint: str = Field(
        "",
        pattern=r"^(https?://.*)?$",
        description="the same as callers reach it, where that is another; URLs name this one",
    )
    s3_region: str = Field("us-east-1", description="its region")
    s3_access_key_id: SecretStr = Field(
        SecretStr(""), description="whose bucket it is; empty: as AWS's tools find it, by role or variables"
    )
    s3_secret_access_key: SecretStr = Field(SecretStr(""), description="the secret of that key")
    s3_path_style: bool = Field(
        default=True, description="the bucket stands in the path of an address, not in its host"
    )
    timeout_s: float = Field(30.0, gt=0, description="longest that one object is on its way")
    upload_retry_s: float = Field(
        60.0, ge=0, description="a picture that cannot be written for so long fails its job: upload_failed"
    )
    by_default: bool = Field(
        default=False,
        description="who says no response_format gets addresses too: for clients that read nothing else, "
        "as LangChain's",
    )
    delete_expired: bool = Field(
        default=True, description="delete what has expired; off where a rule of the bucket does it"
    )

    @field_validator("urls")
    @classmethod
    def _is_a_place(cls, value: str) -> str:
        """Refuse what is neither; a path that is not whole would be another one in each process."""
        if value and not value.startswith(("/", "s3://")):
            msg = "it is the whole path of a folder, as /var/lib/darkroom/results, or s3://bucket/prefix"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _default_needs_a_place(self) -> Self:
        if self.by_default and not self.urls:
            msg = "results.by_default wants a store to be named with results.urls"
            raise ValueError(msg)
        return self

    @field_validator("s3_endpoint", "s3_public_endpoint")
    @classmethod
    def _holds_no_secret(cls, value: str) -> str:
        if holds_login(value):
            msg = "no user or password stands in it; what is secret is results.s3_secret_access_key"
            raise ValueError(msg)
        return value


class WebhookSettings(Section):
    """Telling others how jobs ended."""

    enabled: bool = Field(default=True, description="take requests that name a webhook")
    allow_private_addresses: bool = Field(
        default=False,
        description="send also to this machine and to private networks: while developing, never where "
        "callers are strangers",
    )
    timeout_s: float = Field(
        10.0, gt=0, le=60, description="longest that a try may take, from the host's name to the answer"
    )
    max_response_bytes: int = Field(
        64 * 1024, ge=1024, description="what is read of an answer, of which only the status counts"
    )
    first_pause_s: float = Field(
        5.0, gt=0, description="pause after the first try that failed; each one is twice as long"
    )
    longest_pause_s: float = Field(4 * 3600.0, gt=0, description="but never longer than this")
    give_up_s: float = Field(
        24 * 3600.0, gt=0, description="no further try later than this after a job's end"
    )
    concurrency: int = Field(16, ge=1, le=256, description="tries at a time of one courier")
    max_concurrency_per_owner: int = Field(
        4,
        ge=1,
        description="of those of all couriers, one caller's: so that hanging receivers delay nobody else",
    )
    look_s: float = Field(0.5, gt=0, description="how often a courier looks for deliveries that are due")

    @property
    def lease_s(self) -> float:
        """How long a try is a courier's: what it takes, and as long as it may take to say how it went."""
        return self.timeout_s + 5

    @property
    def record_s(self) -> int:
        """How long a record is kept of a job that has a webhook: until after the last try."""
        return int(self.give_up_s) + 3600


class BatchSettings(Section):
    """Files and batches, which there are where `results.urls` names a store."""

    max_file_bytes: int = Field(100 * 1024**2, ge=1024, description="largest file that is uploaded")
    max_files_per_owner: int = Field(
        500, ge=1, description="uploaded files of a caller that are kept at a time; above: 400 too_many_files"
    )
    max_file_bytes_per_owner: int = Field(
        2 * 1024**3, ge=1024, description="what those may take in all; above: 400 too_many_files"
    )
    file_ttl_s: int = Field(
        30 * 24 * 3600,
        ge=60,
        description="how long a file is kept whose caller says nothing else, and a batch that has ended",
    )
    max_lines: int = Field(10_000, ge=1, description="most lines of a batch")
    max_unfinished_per_owner: int = Field(
        10, ge=1, description="unfinished batches of a caller; above: 429 too_many_batches"
    )
    window: int = Field(256, ge=1, le=10_000, description="jobs of a batch that wait or run at a time")
    completion_s: float = Field(
        24 * 3600.0, gt=0, description="a batch that has not ended by then expires; clients call it 24h"
    )
    concurrency: int = Field(4, ge=1, le=64, description="batches that one courier works on at a time")
    look_s: float = Field(0.5, gt=0, description="how often it is looked for work on a batch")
    lease_s: float = Field(15.0, gt=0, description="a courier that says nothing for this long loses a batch")


class LogSettings(Section):
    """Logs."""

    level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="least severe level written"
    )
    format: str = Field("json", pattern="^(json|console)$", description="json lines, or coloured text")


class TracingSettings(Section):
    """Traces, for a collector."""

    endpoint: str = Field(
        "", description="where traces go by OTLP over HTTP, as `http://collector:4318`; empty: nowhere"
    )
    headers: SecretStr = Field(
        SecretStr(""), description="headers that the collector wants, as `name=value,name=value`"
    )
    sample_ratio: float = Field(
        1.0, ge=0, le=1, description="share of requests that are traced, where the caller does not say"
    )


class Settings(BaseSettings):
    """All of it. Read at the entry points only; modules receive their section."""

    model_config = SettingsConfigDict(
        env_prefix="DARKROOM_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    redis: RedisSettings = RedisSettings()
    jobs: JobSettings = JobSettings()
    api: ApiSettings = ApiSettings()
    models: ModelSettings = ModelSettings()
    moderation: ModerationSettings = ModerationSettings()
    worker: WorkerSettings = WorkerSettings()
    results: ResultSettings = ResultSettings()
    webhooks: WebhookSettings = WebhookSettings()
    batches: BatchSettings = BatchSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()


def _told(name: list[str], message: str) -> str:
    """Return what is wrong with a setting, by its name in the environment and by that of the documents."""
    return f"DARKROOM_{'__'.join(name).upper()}: {message} ({'.'.join(name)})"


def read_settings() -> Settings:
    """Read the configuration.

    Raises:
        ConfigurationError: A value is wrong; the message names the variables and no value.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = (_told([str(part) for part in each["loc"]], each["msg"]) for each in error.errors())
        msg = f"the configuration is wrong: {'; '.join(wrong)}"
    except SettingsError as error:
        msg = f"the configuration is wrong: {error}"  # which names the variable, and not what is in it
    raise ConfigurationError(msg)
