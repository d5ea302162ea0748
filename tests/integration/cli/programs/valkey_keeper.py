"""Starts an embedded server, says its process id, and waits to be killed."""

import signal
import sys
from pathlib import Path

from cli.valkey import EmbeddedServer

if __name__ == "__main__":
    with EmbeddedServer(Path(sys.argv[1])) as server:
        sys.stdout.write(f"{server.process.pid}\n")
        sys.stdout.flush()
        signal.pause()
