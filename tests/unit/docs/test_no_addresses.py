"""No file in the tree names a package registry's host or a place on somebody's machine."""

import re
import subprocess
from pathlib import Path

import pytest

from shared.settings import REPO_ROOT

# Put together here, so that this file does not name them either.
HOSTS = [
    ".".join(parts)
    for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("crates", "io"))
]
HOSTS += [
    ".".join(parts) for parts in (("deb", "debian", "org"), ("docker", "io"), ("ghcr", "io"), ("quay", "io"))
]
HOMES = re.compile(
    r"(?<![\w.])/(?:" + "|".join(("ro" + "ot", "ho" + "me", "Us" + "ers", "wo" + "rk")) + r")/[\w.-]+"
)


def text_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPO_ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this is no git checkout")
    paths = [REPO_ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8192]]


def test_no_text_file_names_a_registry_or_a_machines_path() -> None:
    found = []
    for path in text_files():
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [(path.name, host) for host in HOSTS if host in text]
        found += [(path.name, match) for match in HOMES.findall(text)]

    assert found == []
