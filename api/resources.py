"""What a running API process holds, built once; routes are given of it what they name."""

from dataclasses import dataclass

import redis.asyncio as aioredis

from api.batches.desk import Desk
from api.callers.keyring import Keyring
from api.callers.rate import RateLimit
from api.edits.intake import Intake
from api.files.shelf import Shelf
from api.generations.answer import Answering
from api.generations.hooks import Hooks
from api.generations.ringing import Ringer
from api.generations.submit import Submitter
from api.models.offer import Offer
from api.moderation import Gate, build_gate
from api.objects.links import Links
from api.objects.signing import Signer
from api.store.accounts import AccountStore
from api.store.batches import BatchStore
from api.store.client import StoreClient
from api.store.files import FileStore
from api.store.inputs import InputStore
from api.store.jobs import JobStore
from api.store.observation import ObservationStore
from api.store.signing import SigningKeys
from api.uploads.reception import Reception
from api.waiting.follow import Followers
from api.waiting.presence import Presence
from api.waiting.waiting import Waiting
from api.waiting.watch import READ_TIMEOUT_S, JobWatch
from shared.catalogue import Catalogue
from shared.objects import open_store
from shared.redis_clients import async_client
from shared.settings import Settings


@dataclass(frozen=True)
class Resources:
    """What this process holds, by the names that :func:`api.provided.provided` is called with."""

    settings: Settings
    clients: tuple[aioredis.Redis, ...]
    jobs: JobStore
    accounts: AccountStore
    observation: ObservationStore
    keyring: Keyring
    rate_limit: RateLimit
    offer: Offer
    gate: Gate
    ringer: Ringer
    waiting: Waiting
    links: Links
    answering: Answering
    reception: Reception
    intake: Intake
    shelf: Shelf | None
    """Files; None where the operator has named no place for them."""
    desk: Desk

    def start(self) -> None:
        """Start what runs beside the requests."""
        self.reception.start()
        self.waiting.start()

    async def close(self) -> None:
        """Close everything."""
        await self.waiting.close()
        await self.gate.close()
        await self.ringer.close()
        await self.intake.close()
        self.reception.close()
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
    client = StoreClient(commands, settings.redis.prefix)
    jobs = JobStore(client, settings.jobs)
    accounts, observation = AccountStore(client), ObservationStore(client)
    offer = Offer(Catalogue.load(settings.models.catalogue), settings.models, observation, settings.jobs)
    gate, ringer = build_gate(settings.moderation), Ringer(broker, settings.redis)
    waiting = Waiting(
        store=jobs,
        watch=JobWatch(blocking, jobs),
        presence=Presence(jobs, settings.jobs),
        followers=Followers(blocking, jobs),
        longest_s=settings.api.sync_timeout_s,
    )
    inputs = InputStore(client, settings.jobs)
    reception = Reception(settings.api)
    objects = open_store(settings.results)
    files = FileStore(client, settings.batches)
    links = Links(objects, Signer(SigningKeys(client)))
    hooks = Hooks(accounts, settings.webhooks)
    submitter = Submitter(jobs, inputs, offer, gate, ringer, settings.jobs, waiting.presence.holder, hooks)
    return Resources(
        settings=settings,
        clients=(commands, blocking, broker),
        jobs=jobs,
        accounts=accounts,
        observation=observation,
        keyring=Keyring(
            accounts,
            settings.api.owner_salt.get_secret_value().encode(),
            closed=not (settings.api.open or settings.api.is_loopback),
        ),
        rate_limit=RateLimit(accounts, settings.api.requests_per_minute),
        offer=offer,
        gate=gate,
        ringer=ringer,
        waiting=waiting,
        links=links,
        answering=Answering(submitter, waiting, settings.api, links),
        reception=reception,
        intake=Intake(settings.api, reception),
        shelf=None if objects is None else Shelf(files, objects, reception, settings.batches),
        desk=Desk(BatchStore(client, settings.batches), files),
    )
