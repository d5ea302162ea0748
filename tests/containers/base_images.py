"""Stand-ins for the base images, made of Debian's packages where no registry of images can be reached.

``python:3.11-slim`` is Debian 12 with its Python 3.11, ``valkey/valkey`` the same with Debian's Redis under
Valkey's names, ``nginx`` the same with Debian's nginx. Everything built on them comes from this tree as it
would on the real ones.
"""

import tempfile
from pathlib import Path
from typing import Final

from tests.containers.engine import Engine, run
from tests.containers.report import Broken

_SUITE: Final = "bookworm"
_TREE_S: Final = 900.0
_CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")
_VALKEY: Final = ("999", "1000")

# What the real images have and Debian does not, or elsewhere.
_PYTHON: Final = """
FROM darkroom-debian
COPY certificates.crt /etc/ssl/certs/ca-certificates.crt
RUN ln -s python3 /usr/bin/python \\
    && printf '[global]\\ncert = /etc/ssl/certs/ca-certificates.crt\\n' > /etc/pip.conf
"""
_STORE: Final = f"""
FROM darkroom-debian
RUN ln -s redis-server /usr/bin/valkey-server && ln -s redis-cli /usr/bin/valkey-cli \\
    && install -d -o {_VALKEY[0]} -g {_VALKEY[1]} /data
VOLUME /data
WORKDIR /data
"""
_PROXY: Final = """
FROM darkroom-debian
RUN rm -rf /var/log/nginx
"""


def stand_ins(engine: Engine, store_image: str, proxy_image: str) -> str:
    """Make the images; return in words what they are.

    Raises:
        Broken: a tree or an image could not be made.
    """
    with tempfile.TemporaryDirectory(prefix="darkroom-base-") as place:
        folder = Path(place)
        _import_tree(engine, folder / "tree")
        (folder / "certificates.crt").write_bytes(_CERTIFICATES.read_bytes())
        for tag, recipe in (("python:3.11-slim", _PYTHON), (store_image, _STORE), (proxy_image, _PROXY)):
            (folder / "Dockerfile").write_text(recipe)
            engine.docker("build", "--quiet", "--network=none", "--tag", tag, str(folder), timeout_s=300)
    python = engine.docker("run", "--rm", "--network=none", "python:3.11-slim", "python", "--version").strip()
    server = engine.docker("run", "--rm", "--network=none", store_image, "valkey-server", "--version").split()
    return (
        f"python:3.11-slim is Debian 12 with {python}, "
        f"{store_image} is {server[0]} {server[2].removeprefix('v=')} of Debian, {proxy_image} its nginx"
    )


def _import_tree(engine: Engine, tree: Path) -> None:
    packages = "python3,python3-venv,ca-certificates,redis-server,nginx-light,wget"
    made = run(("debootstrap", "--variant=minbase", f"--include={packages}", _SUITE, str(tree)), {}, _TREE_S)
    if made.returncode:
        message = f"debootstrap: {made.stdout[-800:]}{made.stderr[-400:]}"
        raise Broken(message)
    archive = tree.with_suffix(".tar")
    packed = run(("tar", "--create", "--file", str(archive), "--directory", str(tree), "."), {}, _TREE_S)
    if packed.returncode:
        message = f"tar: {packed.stderr[-400:]}"
        raise Broken(message)
    engine.docker("import", str(archive), "darkroom-debian", timeout_s=300)
