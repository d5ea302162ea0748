"""Drivers' errors in the service's words."""

import pytest
import torch

from shared.errors import AttemptCancelled, DeviceBroken, GenerationFailed, OutOfDeviceMemory
from worker.engine.failures import translate


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), OutOfDeviceMemory),
        (MemoryError(), OutOfDeviceMemory),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
            OutOfDeviceMemory,
        ),
        (RuntimeError("CUDA error: out of memory"), OutOfDeviceMemory),
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), DeviceBroken),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), DeviceBroken),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), DeviceBroken),
        (RuntimeError("The size of tensor a (4) must match"), GenerationFailed),
        (ValueError("a secret prompt about CUDA error messages"), GenerationFailed),
        (AttemptCancelled(), AttemptCancelled),
    ],
)
def test_what_was_raised_is_translated(error: Exception, expected: type[Exception]) -> None:
    assert type(translate(error, "tiny")) is expected


def test_the_words_never_quote_what_was_raised() -> None:
    assert "secret" not in translate(ValueError("a secret prompt"), "tiny").message
