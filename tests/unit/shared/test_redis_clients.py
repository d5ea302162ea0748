"""Nothing is left to redis-py's defaults, which differ between its constructors and its versions."""

from typing import Any

import pytest
import redis
import redis.asyncio as aioredis
from pydantic import SecretStr

from shared.redis_clients import async_client, sync_client
from shared.settings import RedisSettings

SETTINGS = RedisSettings(url=SecretStr("redis://:pw@host:6380/3"), timeout_s=1.25, connect_timeout_s=0.5)


def options(client: redis.Redis | aioredis.Redis) -> dict[str, Any]:
    found: dict[str, Any] = client.connection_pool.connection_kwargs
    return found


@pytest.mark.parametrize("make", [sync_client, async_client])
def test_time_outs_protocol_and_place_are_the_settings(make: Any) -> None:
    chosen = options(make(SETTINGS))

    assert (chosen["host"], chosen["port"], chosen["db"], chosen["password"]) == ("host", 6380, 3, "pw")
    assert (chosen["socket_timeout"], chosen["socket_connect_timeout"]) == (1.25, 0.5)
    assert (chosen["protocol"], chosen["decode_responses"], chosen["socket_keepalive"]) == (2, False, True)


@pytest.mark.parametrize("make", [sync_client, async_client])
def test_an_address_cannot_change_what_replies_look_like(make: Any) -> None:
    address = SecretStr("redis://host/0?protocol=3&decode_responses=true&client_name=mine")

    chosen = options(make(RedisSettings(url=address)))

    assert (chosen["protocol"], chosen["decode_responses"], chosen["client_name"]) == (2, False, "mine")


@pytest.mark.parametrize("make", [sync_client, async_client])
def test_what_blocks_has_a_time_out_of_its_own(make: Any) -> None:
    assert options(make(SETTINGS, timeout_s=8))["socket_timeout"] == 8


@pytest.mark.parametrize(("make", "retries"), [(sync_client, 2), (async_client, 1)])
def test_a_command_is_tried_again_a_fixed_number_of_times(make: Any, retries: int) -> None:
    assert options(make(SETTINGS))["retry"].get_retries() == retries
    assert options(make(SETTINGS, retries=0))["retry"].get_retries() == 0


@pytest.mark.parametrize("make", [sync_client, async_client])
def test_a_pool_is_bounded(make: Any) -> None:
    assert make(SETTINGS, connections=3).connection_pool.max_connections == 3
