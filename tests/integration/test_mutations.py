"""The tests of the job store would notice: each of its guards, taken out alone, turns them red."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.settings import REPO_ROOT

pytestmark = pytest.mark.slow

# (what is taken out, the script, the text, what stands there instead)
MUTATIONS = {
    "token compare of finish": (
        "finish.lua",
        "job.status ~= 'running' or job.token ~= ARGV[3]",
        "job.status ~= 'running'",
    ),
    "status compare of finish": (
        "finish.lua",
        "job.status ~= 'running' or job.token ~= ARGV[3]",
        "job.token ~= ARGV[3]",
    ),
    "token compare of fail": (
        "fail.lua",
        "job.status ~= 'running' or job.token ~= ARGV[3]",
        "job.status ~= 'running'",
    ),
    "token compare of renew": (
        "renew.lua",
        "job.status == 'running' and job.token == pair[2]",
        "job.status == 'running'",
    ),
    "status compare of cancel": (
        "cancel.lua",
        "job.status ~= 'queued' and job.status ~= 'running'",
        "false",
    ),
    "lease removal": (
        "prelude.lua",
        "redis.call('ZREM', key('leases'), job.id)\n  redis.call('ZREM', key('deadlines')",
        "redis.call('ZREM', key('deadlines')",
    ),
    "gap rule": ("reap.lua", "if now - last > gap_ms then", "if false then"),
    "solo rule": ("claim.lua", "job.losses > 0 and not (alone and #ids == 0)", "false"),
    "owner check of cancel": ("cancel.lua", "not job or job.owner ~= ARGV[3]", "not job"),
}

# The same of the pictures that jobs begin with.
OF_INPUTS = {
    "end of the pictures with their job": (
        "prelude.lua",
        "if job.input_bytes > 0 then drop_input(input(job.id, job.input_bytes, job.owner)) end",
        "",
    ),
    "deletion of their files": ("prelude.lua", "redis.call('DEL', key('input', id))", ""),
    "guard of what is counted once": (
        "prelude.lua",
        "if redis.call('ZREM', key('inputs'), member) == 0 then return end",
        "redis.call('ZREM', key('inputs'), member)",
    ),
    "look for those that were forgotten": (
        "reap.lua",
        "'LIMIT', 0, most)) do drop_input(member) end",
        "'LIMIT', 0, most)) do end",
    ),
    "look for what is to be there": (
        "submit.lua",
        "if redis.call('EXISTS', key('input', id)) == 0 then return {-10} end",
        "",
    ),
    "bound of an owner": ("submit.lua", "own > 0 and own + input_bytes > max_owner_input_bytes", "false"),
    "bound of all": ("submit.lua", "all > 0 and all + input_bytes > max_input_bytes", "false"),
    "life as long as the job's": (
        "submit.lua",
        "redis.call('PEXPIRE', key('input', id), deadline_ms + 60000)",
        "",
    ),
}

# The same of jobs of low priority.
OF_LOW = {
    "lanes of their own": ("prelude.lua", "return low and model .. '~low' or model", "return model"),
    "way of all others first": ("claim.lua", "or #ids == 0 and next_job(model) then out[2]", "then out[2]"),
    "way back of those that stand among others": (
        "claim.lua",
        "elseif job.queue ~= queue then",
        "elseif false then",
    ),
    "look where one stands that ends": (
        "prelude.lua",
        "if job.low and score(key('queue', job.model), job.id) then queue = job.model end",
        "",
    ),
    "freedom from the bounds": (
        "submit.lua",
        "if not low then\n  if queued()",
        "if true then\n  if queued()",
    ),
    "count of the queue without them": (
        "submit.lua",
        "jobs = jobs - redis.call('ZCARD', key('queue', queue_of(each, true)))",
        "",
    ),
    "count of what runs without them": ("submit.lua", " - redis.call('SCARD', key('low_running'))", ""),
    "silence about how long they take": (
        "submit.lua",
        "local pace = not low and tonumber",
        "local pace = tonumber",
    ),
    "place behind all others": ("place.lua", "if job.low then\n", "if false then\n"),
    "guard of what was not owed": (
        "prelude.lua",
        "if job.low then\n    redis.call('SREM', key('low_running'), job.id)\n  elseif",
        "redis.call('SREM', key('low_running'), job.id)\n  if",
    ),
    "guard of what a pause teaches": (
        "finish.lua",
        "if not job.low then learn('latency'",
        "if true then learn('latency'",
    ),
}

# And of what others are told.
OF_WEBHOOKS = {
    "once of a job's end": (
        "prelude.lua",
        "if redis.call('ZREM', key('hooked'), job.id) == 1 then",
        "if true then",
    ),
    "token compare of settle": ("settle.lua", "if v[1] ~= ARGV[3] then return {-2} end", ""),
    "guard of what is noted once": (
        "settle.lua",
        "if v[4] == ARGV[3] then return {0, delivery.state} end",
        "",
    ),
    "end of a delivery": ("settle.lua", "redis.call('ZREM', key('deliveries'), job.id)\nend", "end"),
    "time to give up": (
        "settle.lua",
        "outcome == 'retry' and now + pause_ms <= tonumber(v[3]) + tonumber(ARGV[8])",
        "outcome == 'retry'",
    ),
    "lease of a try": ("collect.lua", "redis.call('ZADD', key('deliveries'), now + lease_ms, job.id)", ""),
    "choice of events": ("collect.lua", "or not is_wanted(job, cjson.decode(hook))", ""),
    "bound of an owner's tries": (
        "collect.lua",
        "if not busy[job.owner] then return try(job) end",
        "return try(job)",
    ),
    "look for what earlier versions ended": (
        "dispatch.lua",
        "if job then redis.call('ZADD', key('deliveries'), now, id) end",
        "",
    ),
}

SUITE = ("tests/unit/shared/test_job_scripts.py", "-k", "valkey")
SUITE_OF_INPUTS = ("tests/unit/shared/test_job_inputs.py",)
SUITE_OF_LOW = ("tests/unit/shared/test_low_jobs.py", "-k", "valkey")
SUITE_OF_WEBHOOKS = ("tests/integration/courier/test_deliveries.py", "-k", "not misbehaves and not time")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code and its tests, to be spoilt."""
    folder = tmp_path_factory.mktemp("mutated")
    for name in ("shared", "worker", "courier", "cli", "api", "tests"):
        shutil.copytree(REPO_ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPO_ROOT / "pyproject.toml", folder)
    return folder


def red(folder: Path, suite: tuple[str, ...]) -> bool:
    """Whether the suite fails in the copy; one that cannot run is no proof."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *suite]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return done.returncode == 1


@pytest.mark.integration
@pytest.mark.timeout(90)
@pytest.mark.parametrize("name", [*MUTATIONS, *OF_INPUTS, *OF_LOW, *OF_WEBHOOKS])
def test_a_guard_taken_out_is_noticed(copy: Path, name: str) -> None:
    script, text, instead = {**MUTATIONS, **OF_INPUTS, **OF_LOW, **OF_WEBHOOKS}[name]
    suites = {SUITE_OF_INPUTS: OF_INPUTS, SUITE_OF_LOW: OF_LOW, SUITE_OF_WEBHOOKS: OF_WEBHOOKS}
    suite = next((each for each, of in suites.items() if name in of), SUITE)
    path = copy / "shared" / "jobs" / "lua" / script
    whole = path.read_text(encoding="utf-8")
    assert whole.count(text) == 1

    path.write_text(whole.replace(text, instead), encoding="utf-8")
    try:
        assert red(copy, suite), f"nothing noticed that the {name} is gone"
    finally:
        path.write_text(whole, encoding="utf-8")
