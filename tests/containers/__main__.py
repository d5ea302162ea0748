"""``python -m tests.containers``: the stack of docker-compose.yml, brought up for real and put to the test.

Uses the Docker daemon that answers. Where none does, it starts one of its own, for its own time, with base
images made of Debian's packages. Ends with status 1 at the first promise that does not hold, with 2 where it
cannot be tried, and takes away all it made.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from cli.signals import StopRequested, StopSignals
from shared.settings import REPO_ROOT
from tests.containers.base_images import stand_ins
from tests.containers.caller import Caller
from tests.containers.daemon import private_daemon
from tests.containers.engine import Engine, answering
from tests.containers.promises import confinement, drawing, losing, starting, travelling, upgrading, watching
from tests.containers.report import Broken, CannotTry, Report, require
from tests.containers.stack import FILE, Stack, composed
from tests.containers.wheels import pips_own_folders, served


def keep_promises(stack: Stack, index: str | None, report: Report) -> None:
    """Try one promise after another; those that break most come last."""
    starting.the_files_are_valid(stack, report)
    starting.the_images_are_built(stack, index, report)
    starting.everything_becomes_healthy_in_order(stack, report)
    confinement.containers_are_confined(stack, report)
    with Caller(stack.url) as caller:
        job_id, finished = drawing.the_documented_request_brings_a_picture(caller, report)
        drawing.an_edit_keeps_what_its_mask_keeps(stack, caller, report)
        travelling.a_picture_has_an_address(caller, report)
        travelling.a_batch_is_drawn(caller, report)
        drawing.workers_share_the_load(stack, caller, report)
        upgrading.workers_are_replaced_under_held_calls(stack, caller, report)
        upgrading.the_api_is_replaced_under_held_calls(stack, report)
        losing.a_killed_worker_loses_nothing(stack, caller, report)
        losing.the_store_comes_back_with_everything(stack, caller, finished, job_id, report)
        losing.stopping_loses_nothing(stack, caller, report)
    watching.flower_wants_its_password(stack, report)


@contextmanager
def chosen_engine(report: Report) -> Iterator[tuple[Engine, list[Path]]]:
    """Give the daemon that answers, or one of our own; and the folders whose wheels its builds may use.

    Raises:
        CannotTry: there is none, and none can be started.
    """
    found = answering({}, "running already")
    if found is not None:
        report.note(found.name)
        yield found, []
        return
    with private_daemon() as engine:
        report.note(engine.name)
        report.note(f"stand-ins: {stand_ins(engine, image_of('valkey'), image_of('proxy'))}")
        yield engine, pips_own_folders()


def image_of(service: str) -> str:
    """The image of a service that the compose file names."""
    image: str = yaml.safe_load((REPO_ROOT / FILE).read_text())["services"][service]["image"]
    return image


def tried(report: Report, folders: list[Path]) -> None:
    """Try everything, and see that nothing is left.

    Raises:
        Broken: a promise does not hold.
    """
    with chosen_engine(report) as (engine, own_folders):
        with composed(engine) as stack, served([*folders, *own_folders]) as index:
            keep_promises(stack, index, report)
        report.begins("compose down")
        left = stack.left()
        require(not left, f"left behind: {left}")
        report.ok("no container, volume or network is left")


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.containers", description=__doc__)
    parser.add_argument(
        "--wheels",
        type=Path,
        action="append",
        default=[],
        help="folder of wheel files for the builds, such as the CPU build of torch (may be repeated)",
    )
    folders: list[Path] = parser.parse_args().wheels
    report = Report()
    with StopSignals():
        try:
            tried(report, folders)
        except Broken as why:
            report.broken(why)
            return 1
        except CannotTry as why:
            report.cannot(why)
            return 2
        except StopRequested as stop:
            return stop.exit_code
    report.begins(f"all {report.kept} promises hold, after {report.elapsed_s:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
