"""The hub as this command sees it: a repository's files, and their bytes.

Requests go through huggingface_hub's session, so that its variables (`HF_ENDPOINT`, `HF_TOKEN`,
`HF_HUB_OFFLINE`) and its stored token mean here what they mean everywhere. Its errors are translated here.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from cli.pulling.errors import HubUnreachable, NotAllowed, PullFailed
from cli.pulling.files import RemoteFile
from shared.errors import ConfigurationError

try:
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import (  # type: ignore[attr-defined] # a lazy module gives them
        build_hf_headers,
        get_session,
        hf_raise_for_status,
    )
except ImportError as error:
    _MSG = "fetching models needs the package huggingface_hub: pip install -c constraints.txt -e '.[torch]'"
    raise ConfigurationError(_MSG) from error

DEFAULT_REVISION: Final = "main"
_TIMEOUT: Final = httpx2.Timeout(10.0)  # of silence; then the connection is taken for dead
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404

# It warns with whole addresses, and the address that a large file is at may be signed.
logging.getLogger("huggingface_hub").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Repository:
    """A repository at one commit.

    Attributes:
        repository: Its id, ``organization/name``.
        revision: What was asked for: a branch, a tag or a commit.
        commit: What that is now.
        gated: Whether its publisher gives it only to accounts that accepted the licence.
        files: By path.
    """

    repository: str
    revision: str
    commit: str
    gated: bool
    files: Mapping[str, RemoteFile]


class Hub:
    """A hub.

    Args:
        endpoint: Its address; default: what `HF_ENDPOINT` says.
        token: Who asks; default: `HF_TOKEN`, or the token that is stored on this machine.

    Raises:
        HubUnreachable: `HF_HUB_OFFLINE` forbids to ask any.
    """

    def __init__(self, endpoint: str | None = None, token: str | None = None) -> None:
        if constants.is_offline_mode():
            msg = (
                "HF_HUB_OFFLINE is set, so nothing is fetched; unset it on a machine that may use the network"
            )
            raise HubUnreachable(msg)
        self.endpoint: str = endpoint or constants.ENDPOINT
        self._api = huggingface_hub.HfApi(endpoint=self.endpoint, token=token, library_name="darkroom")
        self._headers = build_hf_headers(token=token, library_name="darkroom")

    @property
    def has_token(self) -> bool:
        """Whether requests carry a token; never what it is."""
        return "authorization" in self._headers

    def repository(self, repository: str, revision: str | None) -> Repository:
        """Look a repository up.

        Raises:
            PullFailed: There is none, it is not for this caller, or the hub cannot be reached.
        """
        revision = revision or DEFAULT_REVISION
        with self.explaining(repository, revision):
            info = self._api.model_info(repository, revision=revision, files_metadata=True, timeout=30.0)
        if not info.sha:
            msg = f"{self.endpoint} does not say which commit {revision} of {repository} is"
            raise PullFailed(msg)
        files = [_file(sibling) for sibling in info.siblings or []]
        return Repository(
            repository, revision, info.sha, bool(info.gated), {file.path: file for file in files}
        )

    @contextmanager
    def stream(self, repository: Repository, file: RemoteFile, first_byte: int) -> Iterator[httpx2.Response]:
        """Ask for the bytes of a file from one on.

        Raises:
            httpx2.TransportError: The connection could not be made, or was cut.
            HfHubHTTPError: The hub answered with an error.
        """
        url = huggingface_hub.hf_hub_url(
            repository.repository, file.path, revision=repository.commit, endpoint=self.endpoint
        )
        # A compressed answer could not be resumed: its bytes are not those of the file.
        headers = {**self._headers, "accept-encoding": "identity"}
        if first_byte:
            headers["range"] = f"bytes={first_byte}-"
        with get_session().stream("GET", url, headers=headers, timeout=_TIMEOUT) as answer:
            hf_raise_for_status(answer)
            yield answer

    @contextmanager
    def explaining(self, repository: str, revision: str) -> Iterator[None]:
        """Translate what the libraries raise into errors that say what to do."""
        try:
            yield
        except RevisionNotFoundError as error:
            msg = f"{repository} has no revision {revision} on {self.endpoint}"
            raise PullFailed(msg) from error
        except HfHubHTTPError as error:
            raise self._refusal(repository, error) from error
        except httpx2.HTTPError as error:
            msg = f"{self.endpoint} cannot be reached ({type(error).__name__}); is there a network, a proxy?"
            raise HubUnreachable(msg) from error

    def _refusal(self, repository: str, error: HfHubHTTPError) -> PullFailed:
        status = error.response.status_code
        if isinstance(error, GatedRepoError):
            return NotAllowed(self._how_to_be_let_in(repository))
        if isinstance(error, RepositoryNotFoundError) or status in {_UNAUTHORIZED, _NOT_FOUND}:
            msg = f"{self.endpoint} has no repository {repository}, or shows it only to some accounts"
            return NotAllowed(f"{msg}; with such an account: set HF_TOKEN" if not self.has_token else msg)
        if status == _FORBIDDEN:
            msg = f"the token may not read {repository}; give it the permission to read gated repositories"
            return NotAllowed(msg)
        return HubUnreachable(f"{self.endpoint} answered {status} for {repository}; try again later")

    def _how_to_be_let_in(self, repository: str) -> str:
        page = f"{self.endpoint}/{repository}"
        msg = f"{repository} is given only to accounts that accepted its licence: do so at {page}"
        if self.has_token:
            return f"{msg} with the account of your token, then try again"
        return f"{msg}, make a token at {self.endpoint}/settings/tokens, set HF_TOKEN to it, then try again"


def _file(sibling: Any) -> RemoteFile:  # noqa: ANN401 - the library's class is not exported
    large = sibling.lfs
    size_bytes = large.size if large else sibling.size
    return RemoteFile(
        sibling.rfilename, int(size_bytes or 0), str(large.sha256 if large else sibling.blob_id)
    )
