"""What a running API process holds, built once and handed to routes by type."""

from dataclasses import dataclass
from typing import Annotated

import redis.asyncio as aioredis
from fastapi import Depends, Request

from api.follow import Followers
from api.holds import Holds
from api.keyring import Keyring
from api.link import Link
from api.moderation import Gate, build_gate
from api.offer import Offer
from api.reach import PATIENCE_S
from api.ringing import Ringer
from api.store import ApiStore
from api.watch import READ_TIMEOUT_S, JobWatch
from shared.catalogue import Catalogue
from shared.redis_clients import async_client
from shared.settings import Settings


@dataclass(frozen=True)
class Resources:
    """The clients and the catalogue of one process."""

    settings: Settings
    clients: tuple[aioredis.Redis, ...]
    store: ApiStore
    watch: JobWatch
    followers: Followers
    holds: Holds
    ringer: Ringer
    offer: Offer
    keyring: Keyring
    gate: Gate

    def start(self) -> None:
        """Start what runs beside the requests."""
        self.watch.start()
        self.followers.start()
        self.holds.start()

    async def close(self) -> None:
        """Close everything."""
        await self.holds.close()
        await self.followers.close()
        await self.watch.close()
        await self.gate.close()
        await self.ringer.close()
        self.store.close()
        for client in self.clients:
            await client.aclose()


def build(settings: Settings) -> Resources:
    """Build the resources; nothing is connected yet.

    Raises:
        ConfigurationError: the catalogue or the list of terms cannot be read.
    """
    commands = async_client(settings.redis)
    blocking = async_client(settings.redis, timeout_s=READ_TIMEOUT_S, retries=0, connections=3)
    broker = async_client(settings.redis.of_the_broker())
    store = ApiStore(commands, settings.jobs, settings.redis.prefix)
    catalogue = Catalogue.load(settings.models.catalogue)
    return Resources(
        settings=settings,
        clients=(commands, blocking, broker),
        store=store,
        watch=JobWatch(blocking, store),
        followers=Followers(blocking, store),
        holds=Holds(store, settings.jobs),
        ringer=Ringer(Link(broker.connection_pool, PATIENCE_S), settings.redis),
        offer=Offer(catalogue, settings.models, store, settings.jobs),
        keyring=Keyring(
            store,
            settings.api.owner_salt.get_secret_value().encode(),
            closed=not (settings.api.open or settings.api.is_loopback),
        ),
        gate=build_gate(settings.moderation),
    )


async def resources(request: Request) -> Resources:  # a plain function would be called in a thread
    """Return the process's resources."""
    found: Resources = request.app.state.resources
    return found


ResourcesDep = Annotated[Resources, Depends(resources)]
