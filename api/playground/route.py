"""The playground and the API's reference: two pages and their files, all from this process."""

from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope
from typing_extensions import override

FOLDER: Final = Path(__file__).parent / "page"

# Asked for again each time, and answered with 304 while unchanged.
_HEADERS: Final = {"cache-control": "no-cache"}

router = APIRouter()


class Files(StaticFiles):
    """The files of the page, asked for again each time."""

    @override
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response


@router.get("/", include_in_schema=False)
async def playground() -> FileResponse:
    """The playground."""
    return FileResponse(FOLDER / "index.html", headers=_HEADERS)


@router.get("/docs", include_in_schema=False)
async def reference() -> FileResponse:
    """The API's reference: Swagger UI, without the script inside of the page that others begin it with."""
    return FileResponse(FOLDER / "reference.html", headers=_HEADERS)
