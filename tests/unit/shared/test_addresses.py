"""An address is shown without its password, whatever the password is made of."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kombu import Connection
from pydantic import SecretStr, ValidationError

from cli.checks import check_redis
from cli.client import Connection as ServiceAddress
from cli.client import ServiceUnreachable
from shared.addresses import public_address, wrong_with_redis
from shared.errors import ConfigurationError, DarkroomError
from shared.redis_clients import UNREACHABLE, async_client, sync_client
from shared.redis_reasons import reason_of
from shared.settings import ModerationSettings, RedisSettings, read_settings

ISSUE = "p@ss/w#rd%1"
# Letters that no message of ours has four of in a row.
SECRET = st.text(alphabet="QZWJqzwj73:/?#[]@!$&'()*+,;=%-._~\\\"<>^`{|} é\t\x1b", min_size=4, max_size=24)
FORMS = ("redis://:{}@127.0.0.1:1/0", "rediss://user:{}@127.0.0.1:1/0", "redis://{}@127.0.0.1:1")


# What every address has around its password, and what stands in a password's place.
OF_ADDRESSES = set(":/@*")


def parts_of(secret: str) -> set[str]:
    parts = {secret[at : at + 4] for at in range(len(secret) - 3)}
    return {part for part in parts if not set(part) <= OF_ADDRESSES}


def password_of(secret: str, form: str) -> str:
    """What of it is a password where it is put: before a colon stands a user, who may be shown."""
    return secret.partition(":")[2] if form == FORMS[2] and ":" in secret else secret


def assert_nothing_of(secret: str, said: str) -> None:
    assert [part for part in parts_of(secret) if part in said] == []


def what_is_said_of(url: str) -> str:
    """Everything that any part says of such an address: of the settings, of a client, of the doctor."""
    said = [public_address(url), str(wrong_with_redis(url))]
    try:
        redis = RedisSettings(url=SecretStr(url), timeout_s=0.5, connect_timeout_s=0.5)
    except ValidationError as error:
        return " ".join([*said, str(error), repr(error)])
    finding = check_redis(redis)
    said += [finding.detail, finding.mend, repr(redis), Connection(redis.broker()).as_uri()]
    try:
        with sync_client(redis, retries=0) as client:
            client.ping()
    except UNREACHABLE as error:
        said += [reason_of(error), str(error)]
    return " ".join(said)


@settings(max_examples=300, deadline=None)
@given(secret=SECRET, form=st.sampled_from(FORMS))
@example(ISSUE, FORMS[0])
@example("6379/0?QZWJ", FORMS[0])
@example("1/0?a=QZWJ", FORMS[1])
@example("1234/0#QZWJ", FORMS[1])
@example("a@b@QZWJ", FORMS[0])
@example("QZWJ:7337", FORMS[1])
@example("QZWJ;QZWJ", FORMS[1])
@example("333:", FORMS[2])
@example("zwjz:QZWJ", FORMS[2])
def test_no_part_of_a_password_is_in_anything_that_is_said(secret: str, form: str) -> None:
    assert_nothing_of(password_of(secret, form), what_is_said_of(form.format(secret)))


@given(secret=SECRET)
def test_no_part_of_a_password_for_the_service_is_in_what_is_said(secret: str) -> None:
    url = f"http://user:{secret}@127.0.0.1:x/v1"
    said = public_address(url)
    try:
        ServiceAddress(url).root()
    except ServiceUnreachable as error:
        said += error.message
    assert_nothing_of(secret, said)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://:pw@127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("rediss://user:p%40ss%2Fw@store.example/3?ssl_cert_reqs=none", "rediss://store.example/3"),
        ("redis://user:a:b!$&'()*+,=~^@[::1]:6379", "redis://[::1]:6379"),
        ("unix:///run/valkey.sock?db=1", "unix:///run/valkey.sock"),
        ("https://user:pw@service.example/base", "https://service.example/base"),
        (f"redis://:{ISSUE}@127.0.0.1:6379/0", "redis://…"),
        ("redis://:secret", "redis://…"),
        ("redis://host:6379/secret", "redis://…"),
        ("unix://:se/cret@/run/valkey.sock", "unix://…"),
        ("unix:///run/valkey@home.sock", "unix://…"),
        ("http://a/b@c", "http://…"),
        ("secret@host", "…"),
        ("", "…"),
    ],
)
def test_an_address_is_shown_as_far_as_it_can_be_read_in_one_way(url: str, shown: str) -> None:
    assert public_address(url) == shown


PORT = "its port is no number from 1 to 65535"
AS_XX = "is written as %XX: % as %25, @ as %40, / as %2F"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"redis://:{ISSUE}@127.0.0.1:6379/0", AS_XX),
        ("redis://:a@b@h/0", AS_XX),
        ("redis://:a/b@h/0", AS_XX),
        ("redis://:a%1@h/0", AS_XX),
        ("redis://:aé@h/0", AS_XX),
        ("redis://:a b@h/0", AS_XX),
        ("redis://:a]b@h/0", AS_XX),
        ("redis://:a;b@h/0", AS_XX),
        ("redis://:secret", AS_XX),
        ("redis://[::::1]/0", AS_XX),
        ("redis://u:p@h:port/0", PORT),
        ("redis://u:p@h:70000/0", PORT),
        ("redis://u:p@h:0/0", PORT),
        ("redis://u:p@h:/0", PORT),
        ("redis://u:p@h:1/one", "the number of a database"),
        ("redis://h/0?password=secret", "user and password stand in front of the host"),
        ("redis://secret@h/0", "a password stands behind a colon"),
        ("http://h/0", "no redis:// or rediss:// URL"),
    ],
)
def test_an_address_that_is_wrong_is_told_in_what(url: str, why: str) -> None:
    said = wrong_with_redis(url)

    assert said is not None
    assert why in said


@pytest.mark.parametrize("make", [sync_client, async_client])
@pytest.mark.parametrize("password", ["p%40ss%2Fw%23rd%251", "a:b!\"$&'()*+,<=>~^_`{|}-.", "plain"])
def test_what_is_accepted_is_what_the_drivers_read(make: Any, password: str) -> None:
    redis = RedisSettings(url=SecretStr(f"redis://user:{password}@127.0.0.1:1/0"))

    kwargs = make(redis).connection_pool.connection_kwargs
    broker = Connection(redis.broker())

    expected = {"p%40ss%2Fw%23rd%251": ISSUE}.get(password, password)
    assert (kwargs["username"], kwargs["password"], kwargs["host"]) == ("user", expected, "127.0.0.1")
    assert (broker.userid, broker.password, broker.hostname) == ("user", expected, "127.0.0.1")


def test_every_entry_tells_a_wrong_address_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_REDIS__URL", f"redis://:{ISSUE}@127.0.0.1:6379/0")

    with pytest.raises(ConfigurationError) as caught:
        read_settings()

    assert caught.value.message.startswith("the configuration is wrong: DARKROOM_REDIS__URL: ")
    assert AS_XX in caught.value.message
    assert_nothing_of(ISSUE, caught.value.message)
    assert caught.value.__context__ is None or ISSUE not in repr(caught.value.__context__)


def test_settings_that_are_no_json_are_told_by_their_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_REDIS", "redis://:QZWJ@h/0")

    with pytest.raises(ConfigurationError) as caught:
        read_settings()

    assert '"redis"' in caught.value.message
    assert "QZWJ" not in caught.value.message


def test_an_endpoint_with_a_password_in_its_address_is_refused() -> None:
    with pytest.raises(ValidationError, match="endpoint_key") as caught:
        ModerationSettings(endpoint_url="https://user:QZWJ@moderation.example/v1/moderations")

    assert "QZWJ" not in str(caught.value)


def test_a_server_that_repeats_what_it_was_sent_is_not_quoted() -> None:
    said = "unknown command 'AUTH', with args beginning with: 'user' 'QZWJ' "

    assert "QZWJ" not in reason_of(DarkroomError(said))
    assert "unknown command 'AUTH'" in reason_of(DarkroomError(said))
