"""What a machine needs to run the service, looked at one by one.

Each check returns what it found; nothing is changed, and nothing of the service is started.
"""

from cli.checks.device import check_gpu, check_torch
from cli.checks.finding import Finding, Verdict
from cli.checks.gpus import check_gpus
from cli.checks.machine import check_disk, check_memory, check_open_files, check_port, check_python
from cli.checks.models import check_models
from cli.checks.results import check_results
from cli.checks.store import check_keys, check_redis
from cli.checks.tunings import check_tunings

__all__ = [
    "Finding",
    "Verdict",
    "check_disk",
    "check_gpu",
    "check_gpus",
    "check_keys",
    "check_memory",
    "check_models",
    "check_open_files",
    "check_port",
    "check_python",
    "check_redis",
    "check_results",
    "check_torch",
    "check_tunings",
]
