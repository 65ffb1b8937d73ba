"""The GraphQL endpoint over HTTP: bodies read within bounds, malformed ones answered, content negotiated.

Owns what Strawberry's view leaves open: a body that is no request is a 4xx with a GraphQL error in it, never a 500; errors before
execution carry no `data`, and are a 400 for whoever accepts `application/graphql-response+json`. Refuses batches. Held by
`tests/api/test_http.py`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from cross_web import AsyncHTTPRequestAdapter, FormData, HTTPException, StarletteRequestAdapter
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.http import GraphQLHTTPResponse, GraphQLRequestData, process_result
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types import ExecutionResult
from strawberry.types.unset import UNSET, UnsetType

from api.context import Session
from api.errors import INVALID_REQUEST, to_plain
from api.executing import Schema
from api.identity import Callers
from api.limits import (
    BODY_SECONDS,
    CONNECTION_INIT_SECONDS,
    MAX_BODY_BYTES,
    MAX_OPERATIONS_PER_SOCKET,
    MAX_REQUESTS,
    MAX_SOCKETS,
)
from api.sockets import SocketAdapter, SocketOperations, Sockets
from domain.accounts import Accounts
from domain.errors import LimitExceeded, ShoalError, Unauthenticated

NO_PAYLOAD: UnsetType = UNSET

PLAIN_JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
MOST_FORM_FIELDS = 10
MOST_FORMS = 8
"""With a file, being read at one time."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class BoundedRequest(StarletteRequestAdapter):
    """A request whose body is read no further than it may go. `most_uploaded`: bytes of a file in a form."""

    def __init__(self, request: Request, *, most_uploaded: int) -> None:
        super().__init__(request)
        self._most_uploaded = most_uploaded

    async def get_form_data(self) -> FormData:
        """A form by the convention for multipart requests, with one file at most, which goes to disk as it comes.

        Raises `LimitExceeded`.
        """
        parser = MultiPartParser(
            self._request.headers,
            self._form_parts(),
            max_files=1,
            max_fields=MOST_FORM_FIELDS,
            max_part_size=MAX_BODY_BYTES,
        )
        try:
            form = await parser.parse()
        except (MultiPartException, KeyError) as error:
            raise HTTPException(400, f"This is no form that can be read: {error}.") from None
        except TimeoutError:
            raise HTTPException(408, "The body of the request did not arrive in time.") from None
        # Closed with the request, when it has been answered.
        self._request._form = form  # noqa: SLF001 # no public way
        return FormData(files=form, form=form)

    async def _form_parts(self) -> AsyncGenerator[bytes, None]:
        room = self._most_uploaded + MAX_BODY_BYTES
        stream = self._request.stream()
        while True:
            async with asyncio.timeout(BODY_SECONDS):
                part = await anext(stream, None)
            if part is None:
                return
            room -= len(part)
            if room < 0:
                raise LimitExceeded(f"A file has {self._most_uploaded:,} bytes at most.")
            yield part

    async def get_body(self) -> bytes:
        """Raises `LimitExceeded`."""
        length = self.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > MAX_BODY_BYTES:
            raise _too_large()
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for part in self._request.stream():
                    body += part
                    if len(body) > MAX_BODY_BYTES:
                        raise _too_large()
        except TimeoutError:
            raise HTTPException(408, "The body of the request did not arrive in time.") from None
        return bytes(body)


class GraphQLView(GraphQL[Session, None]):
    """`/graphql`, for requests and for websockets."""

    graphql_transport_ws_handler_class = SocketOperations
    websocket_adapter_class = SocketAdapter

    def __init__(
        self,
        schema: Schema,
        accounts: Accounts,
        callers: Callers,
        sockets: Sockets,
        *,
        allowed_origins: Sequence[str] = (),
        most_uploaded: int,
    ) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,),
            connection_init_wait_timeout=timedelta(seconds=CONNECTION_INIT_SECONDS),
            max_subscriptions_per_connection=MAX_OPERATIONS_PER_SOCKET,
            allowed_origins=allowed_origins,
        )
        self._accounts = accounts
        self.callers = callers
        self.sockets = sockets
        self._in_flight = 0
        self._forms = 0
        self.request_adapter_class = partial(BoundedRequest, most_uploaded=most_uploaded)  # type: ignore[assignment]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._socket(WebSocket(scope, receive=receive, send=send))
            return
        if self._in_flight >= MAX_REQUESTS:
            response = _busy("This server answers as many requests as it can already. Try again in a second.")
            response.headers["Retry-After"] = "1"
        else:
            self._in_flight += 1
            try:
                request = Request(scope, receive=receive)
                try:
                    response = await self._answer(request)
                finally:
                    await request.close()
            finally:
                self._in_flight -= 1
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        try:
            response: Response = await self.run(request)
        except Unauthenticated as error:
            response = refusal(401, error)
            response.headers["WWW-Authenticate"] = "Bearer"
        except LimitExceeded as error:
            response = refusal(413, error)
        except HTTPException as error:
            response = _errors(
                error.status_code, {"message": error.reason, "extensions": {"code": INVALID_REQUEST}}
            )
        return response

    async def _socket(self, socket: WebSocket) -> None:
        if not self.sockets.open or len(self.sockets) >= MAX_SOCKETS:
            await socket.send_denial_response(
                _busy("No more websockets are taken here now. Try again later.")
            )
            return
        await self.run(socket)

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Session:
        del response
        if isinstance(request, WebSocket):
            return Session(self._accounts)
        return Session(self._accounts, self.callers.identify(request.headers.get("authorization")))

    async def on_ws_connect(self, context: Session) -> UnsetType:
        """Let the caller in whose key `connection_init` holds; anybody else is closed with 4403."""
        try:
            context.caller = self.callers.identify(context.connection_params.get("authorization"))
        except Unauthenticated:
            raise ConnectionRejectionError from None
        return NO_PAYLOAD

    async def get_sub_response(self, request: Request | WebSocket) -> Response:
        response: Response = await super().get_sub_response(request)
        response.media_type = _preferred(request.headers.get("accept", ""))
        return response

    async def parse_http_body(self, request: AsyncHTTPRequestAdapter) -> GraphQLRequestData:
        if request.method == "GET":
            data: Any = self.parse_query_params(request.query_params)
        else:
            match (request.content_type or "").partition(";")[0].strip().lower():
                case "application/json":
                    data = self.parse_json(await request.get_body())
                case "multipart/form-data":
                    data = await self._parse_form(request)
                case _:
                    raise HTTPException(415, f"A body of the type {PLAIN_JSON} is wanted.")
        if isinstance(data, list):
            raise HTTPException(400, "One operation at a time: batches are not taken.")
        if not isinstance(data, dict):
            raise HTTPException(400, "An object with “query” and “variables” is wanted.")
        given = {}
        for name, kind in (("query", str), ("operationName", str), ("variables", dict), ("extensions", dict)):
            given[name] = data.get(name)
            if given[name] is not None and not isinstance(given[name], kind):
                wanted = "a text" if kind is str else "an object"
                raise HTTPException(400, f"“{name}” is {wanted} or null.")
        if not given["query"]:
            raise HTTPException(400, "“query” is wanted: the text of an operation.")
        return GraphQLRequestData(
            query=given["query"],
            variables=given["variables"],
            operation_name=given["operationName"],
            extensions=given["extensions"],
            protocol="http",
        )

    async def _parse_form(self, request: AsyncHTTPRequestAdapter) -> Any:
        """A request with a file, by the GraphQL multipart convention: `operations`, `map`, and the file."""
        if self._forms >= MOST_FORMS:
            raise HTTPException(503, "As many files as can be are on their way in. Try again in a minute.")
        self._forms += 1
        try:
            return await self.parse_multipart(request)
        except (LookupError, TypeError, AttributeError, ValueError):
            raise HTTPException(400, "“map” does not lead to places in “operations”.") from None
        finally:
            self._forms -= 1

    def decode_json(self, data: str | bytes) -> object:
        """Whatever does not read as JSON raises the one error that callers of this handle."""
        try:
            text = data if isinstance(data, str) else data.decode(json.detect_encoding(data))
            given = json.loads(text)
            if _SURROGATE.search(text) is not None:
                # Halves of characters that belong together are whole by now; one that is left fits nowhere.
                self.encode_json(given).encode()
        except json.JSONDecodeError:
            raise
        except (ValueError, RecursionError) as error:
            # No UTF-8, half a character, a number of many thousand digits, nested too deeply.
            raise json.JSONDecodeError(type(error).__name__, "", 0) from None
        return given

    def encode_json(self, data: object) -> str:
        return json.dumps(data, ensure_ascii=False, separators=(",", ":"))

    async def process_result(self, request: Request, result: ExecutionResult) -> GraphQLHTTPResponse:
        del request
        processed = process_result(result)
        if result.data is None and result.errors and all(error.path is None for error in result.errors):
            # Nothing was carried out: by the specification such an answer has no `data` at all.
            processed.pop("data", None)
        return processed

    def create_response(self, response_data: Any, sub_response: Response) -> Response:
        media_type = sub_response.media_type or PLAIN_JSON
        before_execution = media_type == GRAPHQL_JSON and "data" not in response_data
        status = 400 if before_execution else 200
        return Response(self.encode_json(response_data), status_code=status, media_type=media_type)


def _too_large() -> LimitExceeded:
    return LimitExceeded(f"A request has {MAX_BODY_BYTES:,} bytes at most. Send fewer things at once.")


def _preferred(accept: str) -> str:
    """The media type of the answer: the newer one for whoever names it, unless they name the older one first."""
    named = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    newer = named.index(GRAPHQL_JSON) if GRAPHQL_JSON in named else len(named)
    older = named.index(PLAIN_JSON) if PLAIN_JSON in named else len(named)
    return GRAPHQL_JSON if newer < older else PLAIN_JSON


def refusal(status: int, error: ShoalError) -> Response:
    plain = to_plain(error)
    return _errors(status, {"message": plain["message"], "extensions": {"code": plain["code"]}})


def _busy(message: str) -> Response:
    return refusal(503, LimitExceeded(message))


def _errors(status: int, error: dict[str, Any]) -> Response:
    return JSONResponse({"errors": [error]}, status_code=status)
