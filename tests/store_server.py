"""A real store with users and, where the program can, TLS; and what makes its certificates."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import redis
from pydantic import SecretStr

from cli.logs import tail
from cli.ports import LOOPBACK, free_port
from cli.processes import Child, Program
from cli.servers import find_server
from cli.store_users import ROLES, acl_file, new_password
from shared.settings import RedisSettings
from tests.waiting import wait_until

ADMIN: Final = "the-tests-own"
_CURVE: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Certificate:
    """A certificate, its key, and the authority that signed it."""

    cert: Path
    key: Path
    authority: Path


class Authority:
    """Signs certificates for a test."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self.cert, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        _openssl("req", "-x509", *_CURVE, "-keyout", self._key, "-out", self.cert, "-subj", f"/CN={name}")

    def certificate(self, name: str, alternative: str) -> Certificate:
        """Return a new one; ``alternative`` is what it is for, such as ``IP:127.0.0.1``."""
        cert, key, request = (self._folder / f"{name}.{end}" for end in ("pem", "key", "csr"))
        extension = f"subjectAltName={alternative}"
        _openssl(
            "req", *_CURVE, "-keyout", key, "-out", request, "-subj", f"/CN={name}", "-addext", extension
        )
        signed_by = ("-CA", self.cert, "-CAkey", self._key, "-CAcreateserial", "-copy_extensions", "copyall")
        _openssl("x509", "-req", "-in", request, "-out", cert, *signed_by)
        return Certificate(cert, key, self.cert)


def tls_program(folder: Path) -> Path | None:
    """Return a server program that can do TLS; None where there is none on this machine."""
    found = [Path(path) for name in ("valkey-server", "redis-server") if (path := shutil.which(name))]
    # Debian's redis-tools has the server too, under another name: it is what it is called as.
    checker = shutil.which("redis-check-rdb")
    if checker is not None:
        link = folder / "redis-server"
        link.symlink_to(checker)
        found.append(link)
    for program in found:
        said = subprocess.run(
            [program, "--port", "0", "--tls-port", "1"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        if "No tls-cert-file configured" in said.stdout:
            return program
    return None


class StoreServer:
    """A server with the users of `darkroom acl` and one of the tests, who may do everything.

    Args:
        folder: for its files.
        prefix: of the keys that its users may touch.
        program: the server; default: the one that everything else uses.
        certificate: with it, the server speaks TLS and nothing else.
    """

    def __init__(
        self,
        folder: Path,
        prefix: str,
        *,
        program: Path | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        self.prefix = prefix
        self.port = free_port()
        self.passwords = {role.name: new_password() for role in ROLES}
        self._certificate = certificate
        users = folder / "users.acl"
        passwords = [(role, self.passwords[role.name]) for role in ROLES]
        users.write_text(acl_file(passwords, prefix) + f"user {ADMIN} reset on >{ADMIN} ~* &* +@all\n")
        command = [str(program or find_server().path), "--bind", LOOPBACK, "--aclfile", str(users)]
        command += ["--save", "", "--maxmemory-policy", "noeviction", *self._listening()]
        self._child = Child(Program("store", tuple(command), folder / "store.log", folder, {}))

    def _listening(self) -> list[str]:
        if self._certificate is None:
            return ["--port", str(self.port)]
        files = {
            "--tls-cert-file": self._certificate.cert,
            "--tls-key-file": self._certificate.key,
            "--tls-ca-cert-file": self._certificate.authority,
        }
        options = [word for option, path in files.items() for word in (option, str(path))]
        return ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no", *options]

    def url(self, user: str, password: str | None = None, *, scheme: str = "", database: int = 0) -> str:
        """Where a user connects; with the right password unless another one is given."""
        word = password or (ADMIN if user == ADMIN else self.passwords[user])
        scheme = scheme or ("rediss" if self._certificate else "redis")
        return f"{scheme}://{user}:{word}@{LOOPBACK}:{self.port}/{database}"

    def settings(self, user: str, password: str | None = None, **more: Any) -> RedisSettings:
        """The settings of a process that is this user."""
        if self._certificate is not None:
            more = {"ca_file": self._certificate.authority, **more}
        return RedisSettings(url=SecretStr(self.url(user, password)), prefix=self.prefix, **more)

    def client(self, user: str) -> Any:
        """A plain client of this user."""
        # Whose certificate it is, is what the tests are about; this client is theirs.
        tls = {"ssl_cert_reqs": "none"} if self._certificate else {}
        return redis.Redis.from_url(self.url(user), socket_timeout=5, **tls)

    def refusals(self) -> list[str]:
        """What a user tried and was not allowed, as the server noted it."""
        with self.client(ADMIN) as admin:
            return [f"{each['username']}: {each['reason']} {each['object']}" for each in admin.acl_log()]

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._child.start()
        wait_until(self._answers, what="the store's start")

    def stop(self) -> None:
        """End it; what it held is gone."""
        self._child.stop(5)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _answers(self) -> bool:
        assert self._child.running, tail(self._child.program.log)
        try:
            with self.client(ADMIN) as admin:
                return bool(admin.ping())
        except redis.exceptions.ConnectionError:
            return False


def _openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=30)
