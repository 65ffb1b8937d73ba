"""`POST /imports`: a file on its way in, as the body of a request.

Owns the way over HTTP. The body is the file itself, whatever its type is said to be; it is taken as it comes, megabyte by megabyte,
and lies in the database when the answer is given, so that any process can import it. Refuses more than `SHOAL_UPLOAD_MEGABYTES`, a
client that sends nothing for half a minute, and more than a few at one time. Held by `tests/api/test_imports.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api.graphql_view import refusal
from api.identity import Callers
from api.ids import Kind, to_id
from domain.accounts import Accounts
from domain.errors import LimitExceeded, ShoalError, Unauthenticated, UnreadableFile

MOST_AT_ONCE = 8
PATIENCE_SECONDS = 30.0


class UploadView:
    """Of one process. `most`: bytes of a file."""

    def __init__(self, accounts: Accounts, callers: Callers, *, most: int) -> None:
        self._accounts = accounts
        self._callers = callers
        self._most = most
        self._under_way = 0

    def route(self) -> Route:
        return Route("/imports", self.take, methods=["POST"])

    async def take(self, request: Request) -> Response:
        try:
            caller = self._callers.identify(request.headers.get("authorization"))
        except Unauthenticated as error:
            response = refusal(401, error)
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
        if self._under_way >= MOST_AT_ONCE:
            response = refusal(
                503, LimitExceeded("As many files as can be are on their way in. Try again in a minute.")
            )
            response.headers["Retry-After"] = "60"
            return response
        self._under_way += 1
        try:
            return await self._take(request, caller.account)
        except ClientDisconnect:
            return Response(status_code=400)
        except LimitExceeded as error:
            return refusal(413, error)
        except ShoalError as error:
            return refusal(400, error)
        except TimeoutError:
            return refusal(408, UnreadableFile("The file did not arrive: nothing came for half a minute."))
        finally:
            self._under_way -= 1

    async def _take(self, request: Request, account: str) -> Response:
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self._most:
            raise LimitExceeded(f"A file has {self._most:,} bytes at most. Split it, or take columns out.")
        name = request.query_params.get("name", "")
        upload = await self._accounts.get(account).uploads.take(_parts(request), name=name, most=self._most)
        return JSONResponse(
            {
                "upload": {
                    "id": to_id(Kind.UPLOAD, upload.id),
                    "name": upload.name,
                    "bytes": upload.size,
                    "expiresAt": upload.expires.isoformat(),
                }
            },
            status_code=201,
        )


async def _parts(request: Request) -> AsyncIterator[bytes]:
    stream = request.stream()
    while True:
        async with asyncio.timeout(PATIENCE_SECONDS):
            part = await anext(stream, None)
        if part is None:
            return
        yield part
