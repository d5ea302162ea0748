"""The healthcheck of the API's container: exit status 0 while the process answers.

Whether there is a store and a worker behind it is what /readyz says, and no reason to give up the API.
"""
# ruff: noqa: INP001 - a script of the image, no package

import sys
import urllib.request

URL = "http://127.0.0.1:8000/healthz"


def main() -> int:
    """Return the exit status of the check."""
    try:
        with urllib.request.urlopen(URL, timeout=3):
            return 0
    except OSError as error:
        sys.stderr.write(f"{URL}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
