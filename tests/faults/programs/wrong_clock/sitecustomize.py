"""On a process's path, this makes its clock wrong by ``FAULTS_CLOCK_OFFSET_S`` from the first line on."""

import os
import time

_OFFSET_S = float(os.environ["FAULTS_CLOCK_OFFSET_S"])
_right, _right_ns = time.time, time.time_ns

time.time = lambda: _right() + _OFFSET_S
time.time_ns = lambda: _right_ns() + int(_OFFSET_S * 10**9)
