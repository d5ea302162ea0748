"""Everything that a call waits with."""

from dataclasses import dataclass
from typing import Annotated

from api.provided import provided
from api.store.jobs import JobStore
from api.waiting.follow import Followers
from api.waiting.presence import Presence
from api.waiting.watch import JobWatch


@dataclass(frozen=True)
class Waiting:
    """What this process waits for jobs with. ``longest_s`` is the longest that a call is held."""

    store: JobStore
    watch: JobWatch
    presence: Presence
    followers: Followers
    longest_s: float

    def start(self) -> None:
        """Start what runs beside the requests."""
        self.watch.start()
        self.followers.start()
        self.presence.start()

    async def close(self) -> None:
        """Stop it."""
        await self.presence.close()
        await self.followers.close()
        await self.watch.close()


WaitingDep = Annotated[Waiting, provided("waiting")]
