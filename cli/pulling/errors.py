"""What can go wrong while weights are fetched; each message says what to do."""

from shared.errors import DarkroomError


class PullFailed(DarkroomError):
    """The model could not be fetched."""

    code = "pull_failed"


class NotAllowed(PullFailed):
    """The hub does not give this repository to this caller."""


class HubUnreachable(PullFailed):
    """The hub cannot be reached."""


class Corrupt(PullFailed):
    """What came from the hub is not what it says it has."""


class NoRoom(PullFailed):
    """There is not enough room for the files."""


class Stopped(PullFailed):
    """Another file failed, or somebody asked to stop."""
