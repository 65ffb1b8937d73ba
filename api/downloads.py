"""`GET /downloads/TOKEN`: what a signed link leads to, as a file, streamed from the database.

Owns the answers. A link that leads nowhere any more is a 404, whatever was wrong with it. What is sent is sent as it is read, so
memory does not grow with it; where the database fails in the middle, the connection is broken off, and no client takes a half
for the whole. Held by `tests/api/test_imports.py` and `tests/api/test_exports.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from api.graphql_view import refusal
from domain.accounts import Accounts
from domain.errors import NotFound, ShoalError
from domain.links import Thing
from domain.tables import Cell, FileKind, written

PATH = "/downloads"


class DownloadView:
    """Of one process."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def route(self) -> Route:
        return Route(PATH + "/{token}", self.give)

    async def give(self, request: Request) -> Response:
        try:
            opened = await self._accounts.links.open(request.path_params["token"])
            account = self._accounts.get(opened.account)
            match opened.thing:
                case Thing.REJECTS:
                    job = await account.imports.require(opened.id)
                    name = f"{job['name'].rpartition('.')[0] or job['name'] or 'import'}.rejects.csv"
                    return _file(account.imports.rejected_rows(opened.id), name, FileKind.CSV)
                case Thing.EXPORT:
                    export = await account.exports.open(opened.id)
                    return _file(export.rows, export.name, export.kind)
        except NotFound as error:
            return refusal(404, error)
        except ShoalError as error:
            return refusal(409, error)


def _file(rows: AsyncIterator[Sequence[Cell]], name: str, kind: FileKind) -> Response:
    plain = "".join(
        letter if letter.isascii() and letter.isprintable() and letter not in '"\\/' else "_"
        for letter in name
    )
    return StreamingResponse(
        written(kind, rows),
        media_type=kind.media_type,
        headers={
            "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
            "Cache-Control": "private, no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )
