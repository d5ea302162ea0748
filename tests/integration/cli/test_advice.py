"""What an error is followed by: the remedy for it, and none where nothing is known."""

import pytest

from cli.advice import remedy


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("cannot write swan.png: No space left on device", "make room"),
        ("worker-1 was ended by SIGKILL while the service was starting; log ends:\n", "2 GiB"),
        ("torch: DefaultCPUAllocator: not enough memory: you tried to allocate", "2 GiB"),
        ("api ended with exit code 1; log ends:\n[Errno 98] Address already in use", "PORT=8001"),
        ("port 8000 of 127.0.0.1 is taken by nginx", "PORT=8001"),
        ("no Redis or Valkey 7.0 or newer was found: set", "make distclean"),
        ("redis://127.0.0.1:1/0 does not answer: refused", "DARKROOM_REDIS__URL"),
        ("log ends:\nModuleNotFoundError: No module named 'torch'", "make distclean"),
        ("cannot write to .darkroom: Permission denied", "a checkout of your own"),
        ("accept: Too many open files", "ulimit -n"),
        ("model 'glyph': the weights folder models/glyph is missing", "catalog.toml"),
        ("log ends:\ndarkroom worker: device 'cuda' is not there: 0 CUDA devices found", "--gpus none"),
        ("log ends:\ncatalogue x.toml: cannot be read", "catalog.toml"),
    ],
)
def test_a_known_failure_has_a_remedy(message: str, words: str) -> None:
    assert words in (remedy(message) or "")


def test_a_full_disk_is_told_before_what_followed_from_it() -> None:
    message = "redis://127.0.0.1:1 does not answer\nlog ends:\nWrite error: No space left on device"

    assert "make room" in (remedy(message) or "")


def test_what_is_not_known_gets_no_advice() -> None:
    assert remedy("the model drew a grey swan") is None
