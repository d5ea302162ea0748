"""What a worker says of how its models run is what the API reads."""

import json

from api.store.workers import said_tunings
from worker.engine import Tuning
from worker.engine.stages.tuner import Trial, Tuned
from worker.runtime import runs_as

TRIAL = Trial("denoise", "graph", 1.0, 2.0, float("inf"), kept=True)
TUNING = Tuning(
    text=Tuned(("fewer layers", "graph"), 8, (TRIAL,)),
    denoise=Tuned((), 4, ()),
    decode=Tuned(("compile",), 2, (TRIAL,)),
    level="full",
    found_at=1_700_000_000,
)


def test_the_api_reads_what_a_heartbeat_says() -> None:
    said = json.loads(json.dumps({"rows": 1, "runs_as": runs_as({"tiny": TUNING})}))

    read = said_tunings(said)

    assert {name: way.model_dump() for name, way in read.items()} == {
        "tiny": {
            "text": {"modes": ["fewer layers", "graph"], "images": 8},
            "denoise": {"modes": [], "images": 4},
            "decode": {"modes": ["compile"], "images": 2},
        }
    }


def test_a_worker_without_tuned_models_says_of_none() -> None:
    assert runs_as({}) == {}
    assert said_tunings({"runs_as": {}}) == said_tunings({}) == said_tunings({"runs_as": None}) == {}
