"""The `darkroom` command: run the service on one machine, and use it from a terminal."""
