"""In which modes models run, as live workers say of themselves; of old ones nothing is known."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from api.schemas import RunsAs
from api.store.client import StoreClient


async def tunings(client: StoreClient, models: Iterable[str], live_s: float) -> dict[str, tuple[RunsAs, ...]]:
    """Return the ways in which live workers run each of these models, each way once, the most usual first.

    Args:
        client: the server.
        models: their names.
        live_s: a worker whose last heartbeat is older is not live.

    Raises:
        StoreUnavailable: Redis is away.
    """
    names = sorted(models)
    (seconds, _), *serving = await client.ask(
        lambda pipe: [
            pipe.time(),
            *(pipe.zrange(client.keys.serving(n), 0, -1, withscores=True) for n in names),
        ]
    )
    live = {worker.decode() for pairs in serving for worker, at in pairs if at / 1000 >= seconds - live_s}
    if not live:
        return dict.fromkeys(names, ())
    said = await client.ask(lambda pipe: [pipe.hget(client.keys.worker(name), "about") for name in live])
    ways = [said_tunings(json.loads(words)) for words in said if words]
    return {name: _merged(each[name] for each in ways if name in each) for name in names}


def said_tunings(about: Mapping[str, Any]) -> dict[str, RunsAs]:
    """Return how a worker runs its models, by what it says of itself; nothing of what cannot be read."""
    said = about.get("runs_as")
    found = {}
    for name, way in said.items() if isinstance(said, dict) else ():
        try:
            found[name] = RunsAs.model_validate(way)
        except ValidationError:
            # A later version says it otherwise.
            continue
    return found


def _merged(ways: Iterable[RunsAs]) -> tuple[RunsAs, ...]:
    counts = Counter(way.model_dump_json() for way in ways)
    usual_first = sorted(counts, key=lambda way: (-counts[way], way))
    return tuple(map(RunsAs.model_validate_json, usual_first))
