"""What a worker is called: by its host, the device where there are several, and its process."""

import os
import re
import socket

import pytest
from pydantic import ValidationError

from shared.settings import WorkerSettings
from worker.runtime import device_in_words, worker_name


def test_a_name_says_host_and_process_and_is_never_used_again() -> None:
    names = {worker_name(WorkerSettings()) for _ in range(50)}

    assert len(names) > 40
    for name in names:
        assert re.fullmatch(rf"{re.escape(socket.gethostname())}:{os.getpid()}:[0-9a-f]{{4}}", name)


def test_one_of_several_devices_is_in_the_name_and_before_the_device() -> None:
    settings = WorkerSettings(device_label="gpu2")

    name = worker_name(settings)

    assert re.fullmatch(rf"{re.escape(socket.gethostname())}:gpu2:{os.getpid()}:[0-9a-f]{{4}}", name)
    assert device_in_words(settings, "cuda (NVIDIA L40S)") == "gpu2: cuda (NVIDIA L40S)"
    assert device_in_words(WorkerSettings(), "cpu") == "cpu"


def test_a_name_that_is_set_is_the_name() -> None:
    assert worker_name(WorkerSettings(name="anna", device_label="gpu2")) == "anna"


@pytest.mark.parametrize("label", ["", "x" * 41, "gpu\x1b[31m"])
def test_a_label_that_cannot_be_shown_is_refused(label: str) -> None:
    with pytest.raises(ValidationError):
        WorkerSettings(device_label=label)
