"""The way out: what is connected to is what was looked at, and only that."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from httpcore2 import ConnectTimeout

from courier.guard import AddressNotAllowed, Deadline, GuardedBackend, HostNotFound, addresses
from shared.networks import leads_inside


class Names:
    """A server of names that says something else each time; of an address it says that address."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
        if host.replace(".", "").isdigit():
            found = [host]
        else:
            self.asked.append(host)
            found = self._answers.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Listens on all of this machine's addresses."""
    with socket.create_server(("0.0.0.0", 0)) as listener:
        listener.settimeout(0.2)
        yield listener


def port_of(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


def not_the_first(address: str) -> bool:
    """Stands for the guard, where the only addresses that can be listened on lead inside."""
    return address != "127.0.0.1"


def outside(address: str) -> bool:
    return not leads_inside(address)


def test_a_name_that_changes_its_mind_is_asked_once_and_connected_to_as_it_was_looked_at(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket
) -> None:
    """The attack: an allowed address for whoever checks, another one for whoever connects."""
    names = Names(["127.0.0.2"], ["127.0.0.1"], ["127.0.0.1"])
    monkeypatch.setattr(socket, "getaddrinfo", names)

    stream = GuardedBackend(Deadline(2), not_the_first).connect_tcp("rebinding.example", port_of(listener))

    connection, _ = listener.accept()
    assert connection.getsockname()[0] == "127.0.0.2"
    assert names.asked == ["rebinding.example"]
    connection.close()
    stream.close()


def test_of_several_addresses_only_those_that_are_allowed_are_tried(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names(["127.0.0.1", "127.0.0.3"]))

    stream = GuardedBackend(Deadline(2), not_the_first).connect_tcp("mixed.example", port_of(listener))

    assert stream.get_extra_info("server_addr")[0] == "127.0.0.3"
    stream.close()


def test_where_nothing_listens_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.9", 0)) as only:
        monkeypatch.setattr(socket, "getaddrinfo", Names(["127.0.0.8", "127.0.0.9"]))
        stream = GuardedBackend(Deadline(2), not_the_first).connect_tcp("two.example", port_of(only))

        assert stream.get_extra_info("server_addr")[0] == "127.0.0.9"
        stream.close()


def test_a_host_whose_addresses_all_lead_inside_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names(["127.0.0.1", "10.0.0.1", "169.254.169.254"]))

    with pytest.raises(AddressNotAllowed):
        GuardedBackend(Deadline(1), outside).connect_tcp("inside.example", port_of(listener))

    with pytest.raises(TimeoutError):
        listener.accept()


def test_no_socket_in_the_file_system_is_connected_to() -> None:
    with pytest.raises(AddressNotAllowed):
        GuardedBackend(Deadline(1), lambda _: True).connect_unix_socket("/run/some.sock")


def test_a_server_of_names_that_hangs_costs_no_more_than_the_try(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(10) and [])

    began = time.monotonic()
    with pytest.raises(ConnectTimeout):
        addresses("slow.example", 443, Deadline(0.2))

    assert time.monotonic() - began < 1
    released.set()


@pytest.mark.parametrize("name", ["nowhere.invalid", "a" * 64 + ".example"])
def test_a_name_that_is_none_is_not_found(name: str) -> None:
    with pytest.raises(HostNotFound):
        addresses(name, 443, Deadline(10))
