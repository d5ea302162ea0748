"""What the compose test finds out about the machine: wheels for the builds, rules of the firewall."""

import time
from pathlib import Path

import httpx2
import pytest

from tests.containers.daemon import rules_to_remove
from tests.containers.report import Broken, until
from tests.containers.stack import FILE, FLOWER_FILE, built_services, with_index
from tests.containers.wheels import folders_of, project, served

FILTER = """*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A INPUT -p tcp --dport 22 -j ACCEPT
-A FORWARD -j DOCKER-USER
-A DOCKER-USER -j RETURN
COMMIT
"""


def test_only_dockers_rules_are_taken_out_of_the_firewall() -> None:
    assert rules_to_remove(FILTER) == [
        ["--delete", "FORWARD", "-j", "DOCKER-USER"],
        ["--flush", "DOCKER"],
        ["--flush", "DOCKER-USER"],
        ["--delete-chain", "DOCKER"],
        ["--delete-chain", "DOCKER-USER"],
        ["--policy", "FORWARD", "ACCEPT"],
    ]


def test_a_firewall_without_docker_is_left_alone() -> None:
    assert rules_to_remove(":FORWARD DROP [0:0]\n-A FORWARD -j REJECT\nCOMMIT\n") == []


def test_the_folders_of_pip_are_found_wherever_they_are_set(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    config = (
        f":env:.find-links='{one}'\nglobal.find-links='file://{two} {one} {tmp_path}/gone'\nglobal.x='9'\n"
    )

    assert folders_of(config) == [one, two]


@pytest.mark.parametrize(
    ("wheel", "name"),
    [("torch-2.13.0+cpu-cp311.whl", "torch"), ("My_Package.x-1-py3-none-any.whl", "my-package-x")],
)
def test_a_wheel_stands_under_its_projects_normal_name(wheel: str, name: str) -> None:
    assert project(wheel) == name


def test_wheels_are_served_as_an_index_while_it_is_needed(tmp_path: Path) -> None:
    (tmp_path / "thing-1.0-py3-none-any.whl").write_bytes(b"a wheel")

    with served([tmp_path]) as index:
        assert index is not None
        answer = httpx2.get(f"{index}thing/thing-1.0-py3-none-any.whl", trust_env=False)
        assert answer.content == b"a wheel"

    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{index}thing/", trust_env=False)


def test_without_wheels_there_is_no_index(tmp_path: Path) -> None:
    with served([tmp_path]) as index:
        assert index is None


def test_every_image_that_is_built_finds_the_index() -> None:
    names = built_services((FILE, FLOWER_FILE))

    added = with_index(names, "http://127.0.0.1:1/")
    assert set(added) == {"api", "courier", "worker", "flower"}
    assert added["flower"]["build"]["args"] == {"PIP_EXTRA_INDEX_URL": "http://127.0.0.1:1/"}


def test_what_does_not_come_true_in_time_breaks_a_promise() -> None:
    started = time.monotonic()

    with pytest.raises(Broken, match="the sun did not come true within 0 s"):
        until(lambda: None, 0, "the sun")
    assert time.monotonic() - started < 5
