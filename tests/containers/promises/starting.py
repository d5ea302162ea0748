"""The files are valid, the images are built from the tree, and the stack becomes healthy in order."""

import time

from tests.containers.caller import Caller
from tests.containers.readings import json_lines, order_of_starting
from tests.containers.report import Report, require, until
from tests.containers.stack import ACL_FILE, FILE, FLOWER_FILE, GPU_FILE, Stack

_READY_S = 120.0
_MIB = 2**20
# Each pair in this order: nothing starts before what it needs is healthy.
_ORDER = (
    (("valkey", "healthy"), ("api", "started")),
    (("valkey", "healthy"), ("worker", "started")),
    (("api", "started"), ("api", "healthy")),
    (("worker", "started"), ("worker", "healthy")),
)


def the_files_are_valid(stack: Stack, report: Report) -> None:
    """Let compose read every combination of files and profiles that the documents name."""
    report.begins("compose files")
    for files, profiles in (
        ((FILE,), ()),
        ((FILE,), ("--profile", "monitoring")),
        ((FILE, GPU_FILE), ()),
        ((FILE, ACL_FILE), ()),
        ((FILE, FLOWER_FILE), ()),
        ((FILE, FLOWER_FILE, GPU_FILE), ("--profile", "monitoring")),
    ):
        stack.compose(*profiles, "config", "--quiet", files=files)
        report.ok(f"valid: {' '.join((*files, *profiles))}")
    refusal = stack.refuses(
        "config", "--quiet", files=(FILE, FLOWER_FILE), without="DARKROOM_FLOWER_PASSWORD"
    )
    require(
        refusal and "DARKROOM_FLOWER_PASSWORD" in refusal,
        f"{FLOWER_FILE} wants no password: {refusal}",
    )
    report.ok(f"{FLOWER_FILE} is refused without DARKROOM_FLOWER_PASSWORD")


def the_images_are_built(stack: Stack, index: str | None, report: Report) -> None:
    """Build every image from the Dockerfiles of the tree."""
    report.begins("images (this takes minutes)")
    started = time.monotonic()
    stack.build(index, (FILE, FLOWER_FILE))
    sizes = stack.images()
    require(len(sizes) == 3, f"the images that were built are {sorted(sizes)}")
    told = ", ".join(f"{name.split(':')[0]} {size / _MIB:.0f} MiB" for name, size in sizes.items())
    report.ok(f"built in {time.monotonic() - started:.0f} s: {told}")


def everything_becomes_healthy_in_order(stack: Stack, report: Report) -> None:
    """Bring the stack up, and ask the engine what came after what."""
    report.begins("compose up")
    since = time.time()
    stack.up()
    services = ", ".join(sorted(container.service for container in stack.containers()))
    report.ok(f"healthy after {time.time() - since:.0f} s: {services}")
    order = order_of_starting(json_lines(stack.events(since)))
    for earlier, later in _ORDER:
        require(earlier in order and later in order, f"the engine told only of {order}")
        require(order.index(earlier) < order.index(later), f"{later} came before {earlier}: {order}")
    report.ok(f"in order: {', '.join(' '.join(each) for each in order)}")
    with Caller(stack.url) as caller:
        until(caller.ready, _READY_S, "readiness")
    report.ok(f"/readyz answers 200 on the published port, {stack.url}")
