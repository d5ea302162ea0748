"""How routes get what the process holds: each names what it needs, and the application has it."""

from typing import Annotated, Any

from fastapi import Depends, Request

from shared.settings import Settings


def provided(name: str) -> Any:  # noqa: ANN401 - FastAPI's own type for it
    """Return the dependency on what :class:`api.resources.Resources` has under a name."""

    async def dependency(request: Request) -> Any:  # noqa: ANN401 - a plain function would be called in a thread
        return getattr(request.app.state.resources, name)

    return Depends(dependency)


SettingsDep = Annotated[Settings, provided("settings")]
