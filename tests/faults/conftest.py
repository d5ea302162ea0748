"""One service for the whole session, broken by every test and mended before the next."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import Cluster
from tests.faults.harness.look import Look

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.fault)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the ends of all logs where a test failed."""
    outcome: Any = yield
    report = outcome.get_result()
    found = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and found is not None:
        report.sections.append(("logs of the service", found.logs()))


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("faults")) as cluster:
        cluster.add_api("api-1", WEBHOOKS__ALLOW_PRIVATE_ADDRESSES="true")
        cluster.add_worker("w1", proxied=True)
        cluster.add_worker("w2")
        yield cluster


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Iterator[Cluster]:
    """The service, whole: one API process, workers w1 (behind a proxy) and w2 with one slot each."""
    shared_cluster.mend()
    shared_cluster.forget()
    lasting = set(shared_cluster.nodes)
    yield shared_cluster
    shared_cluster.remove(*(node for name, node in shared_cluster.nodes.items() if name not in lasting))


@pytest.fixture
async def caller(cluster: Cluster) -> AsyncIterator[Caller]:
    async with Caller(cluster.nodes["api-1"].url) as caller:
        yield caller


@pytest.fixture
async def look(cluster: Cluster, caller: Caller) -> AsyncIterator[Look]:
    """Reads the truth; after the test every promise is checked, whatever the test was about."""
    look = Look(cluster, caller.accepted)
    yield look
    cluster.mend()
    await look.settled()
