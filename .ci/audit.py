"""Asks whether a version of constraints.txt has a known vulnerability; offline it says so and is content.

    python .ci/audit.py [--osv-url URL] [CONSTRAINTS]

pip-audit asks the OSV database, one question a package, and ends with status 1 both when it has found
something and when it could not ask. Those two must not look the same: the first fails `make check`, the
second does not.
"""
# ruff: noqa: INP001 - a script, no package

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

CONSTRAINTS: Final = Path(__file__).parent.parent / "constraints.txt"
# How pip-audit says that a question was not answered: the exceptions of its HTTP client, or its own.
UNREACHABLE: Final = ("requests.exceptions.", "pip_audit._service.interface.")


def ask(constraints: Path, osv_url: str | None) -> subprocess.CompletedProcess[str]:
    """Run pip-audit over the pins as they stand, without resolving or installing anything."""
    where = ["--osv-url", osv_url] if osv_url else []
    command = [
        *(sys.executable, "-m", "pip_audit", "--vulnerability-service", "osv", *where),
        *("--requirement", str(constraints), "--no-deps", "--disable-pip"),
        *("--format", "json", "--progress-spinner", "off", "--timeout", "5"),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words


def findings(report: dict[str, Any]) -> list[str]:
    """Return a line for each vulnerability."""
    return [
        f"{found['name']} {found['version']}: {each['id']}, mended in {mended(each)}"
        for found in report["dependencies"]
        for each in found.get("vulns", ())
    ]


def mended(vulnerability: dict[str, Any]) -> str:
    """Return the versions without it, in words."""
    return ", ".join(vulnerability["fix_versions"]) or "no version yet"


def main() -> int:
    """Return the exit status: 1 where something was found, or where pip-audit itself is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("constraints", type=Path, nargs="?", default=CONSTRAINTS)
    parser.add_argument("--osv-url", help="another database; default: the public one")
    options = parser.parse_args()
    done = ask(options.constraints, options.osv_url)
    if not done.stdout.strip():
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        if last.startswith(UNREACHABLE):
            reason = last.split(":")[0].rpartition(".")[2]
            sys.stdout.write(f"skipped, the database cannot be asked: {reason}\n")
            return 0
        sys.stderr.write(f"pip-audit: {last}\n")
        return 1
    report = json.loads(done.stdout)
    found = findings(report)
    sys.stdout.write("".join(f"{line}\n" for line in found))
    sys.stdout.write(f"{len(report['dependencies'])} pins, {len(found)} known vulnerabilities\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
