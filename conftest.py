"""Read before every test, and before anything of ours: what the environment says is not for the tests."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.surroundings import hear_ctrl_c, leave_out

_MODELS = TemporaryDirectory(prefix="darkroom-tests-")
# At once: a module that is read later may look at the environment as it is read.
leave_out(os.environ, Path(_MODELS.name))
hear_ctrl_c()


def pytest_unconfigure() -> None:
    """Remove the folder that stands for the user's own models."""
    _MODELS.cleanup()
