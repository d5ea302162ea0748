"""The device: which one, in what precision it computes, how much memory it has."""

import os
from pathlib import Path
from typing import Final

import torch

from shared.catalogue import ModelSpec
from shared.errors import ConfigurationError

_STATM: Final = Path("/proc/self/statm")  # Source: proc(5); not there on macOS


def pick_device(name: str) -> torch.device:
    """Return the device for a setting: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        ConfigurationError: there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        msg = f"device {name!r} is not one of auto, cpu, cuda, cuda:N"
        raise ConfigurationError(msg) from error
    if device.type not in {"cpu", "cuda"}:
        msg = f"device {name!r} is not one of auto, cpu, cuda, cuda:N"
        raise ConfigurationError(msg)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        msg = f"device {name!r} is not there: {torch.cuda.device_count()} CUDA devices found"
        raise ConfigurationError(msg)
    return device


def describe(device: torch.device) -> str:
    """Return the device in words, for logs."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)


def hardware(device: torch.device) -> str:
    """Return what the device is, not which of several: what is measured on one holds for its like."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def dtype_for(spec: ModelSpec, device: torch.device) -> torch.dtype:
    """Return the precision to compute in: the entry's, except that a CPU is slow at anything but float32."""
    dtype: torch.dtype = getattr(torch, spec.dtype)
    return torch.float32 if device.type == "cpu" else dtype


def dtype_of(network: torch.nn.Module) -> torch.dtype:
    """Return what a network computes in; its own property looks through all of its parts for that."""
    return next(network.parameters()).dtype


def memory_bytes(device: torch.device) -> int:
    """Return all the memory of the device."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def used_bytes(device: torch.device) -> int:
    """Return what is taken of the device's memory, by whomever; on a CPU, what this process has."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return total - free
    resident_pages = int(_STATM.read_text().split()[1]) if _STATM.exists() else 0
    return resident_pages * os.sysconf("SC_PAGE_SIZE")


def release_memory(device: torch.device) -> None:
    """Give the memory of freed tensors back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
