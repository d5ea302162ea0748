"""The service's own address, as whoever asks it reaches it."""

from fastapi import Request

from shared.settings import ApiSettings


def base_of(request: Request) -> str:
    """Return the address below which a caller reaches this service, without a slash at its end.

    ``DARKROOM_API__PUBLIC_URL`` where it is set; else scheme and host of the request, and
    ``DARKROOM_API__ROOT_PATH``.
    """
    settings: ApiSettings = request.app.state.resources.settings.api
    if settings.public_url:
        return settings.public_url
    # The entrance has seen to it that there is one host, and that it is no more than that.
    return f"{request.url.scheme}://{request.headers['host']}{settings.root_path}"
