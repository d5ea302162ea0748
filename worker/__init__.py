"""The Celery process on one device: claims jobs, draws them with its engine, finishes them."""

import os

# Read by torch's OpenMP when it is loaded, so it is said before anything here imports torch. Threads that
# spin while they wait take the cores from every other process: on a busy machine a picture took several times
# as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
