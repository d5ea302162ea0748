"""What a driver raised, in the service's own words.

The words never quote what was raised: a pipeline's message may contain the prompt.
"""

import torch

from shared.errors import DarkroomError, DeviceBroken, GenerationFailed, OutOfDeviceMemory

OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")
BROKEN = ("CUDA error", "cuDNN error", "CUBLAS_STATUS", "device-side assert")


def translate(error: BaseException, model: str) -> DarkroomError:
    """Return the service's error for what was raised while a request ran; its own errors stay as they are."""
    if isinstance(error, DarkroomError):
        return error
    text = str(error)
    if is_out_of_memory(error):
        return OutOfDeviceMemory()
    if isinstance(error, torch.AcceleratorError) or _is_any_in(BROKEN, error, text):
        msg = f"the device failed under model {model!r}: {type(error).__name__}"
        return DeviceBroken(msg)
    msg = f"model {model!r} could not draw this picture: {type(error).__name__}"
    return GenerationFailed(msg)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device, or the host, had no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError | OutOfDeviceMemory):
        return True
    return _is_any_in(OUT_OF_MEMORY, error, str(error))


def _is_any_in(marks: tuple[str, ...], error: BaseException, text: str) -> bool:
    return isinstance(error, RuntimeError) and any(mark in text for mark in marks)
