"""How long faults last, and which tests are for the long run only."""

import asyncio
import os

import pytest

LONG = os.environ.get("DARKROOM_LONG_FAULTS") == "1"

long_run = pytest.mark.skipif(not LONG, reason="takes long: make faults runs it")


async def lasting(seconds: float) -> None:
    """Let a fault last; the length of a fault is part of the fault, and nothing is awaited by it."""
    await asyncio.sleep(seconds)
