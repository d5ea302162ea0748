"""What runs around the engine needs no torch: tests of faults put a light engine in its place."""

import subprocess
import sys

from shared.settings import REPO_ROOT

PROGRAM = """
import sys, types
engine = types.ModuleType("worker.engine")
engine.__path__ = [sys.argv[1]]
engine.__getattr__ = lambda name: type(name, (), {})
sys.modules["worker.engine"] = engine
import worker.inspection, worker.planning, worker.runner, worker.upkeep
print(sorted({"torch", "diffusers", "transformers"} & sys.modules.keys()))
"""


def test_all_that_plans_and_runs_is_imported_without_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(REPO_ROOT / "worker" / "engine")],
        cwd=REPO_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "[]"
