"""The composition root: the only place that builds clients and wires them together.

Owns the order. Up: database, indexes, bus, engine. Down: the engine after its last write, when it gives up its lease, the bus, the
services, the client, and the embedded database last. What ends by itself (a defect of the engine's, the embedded database) is not
survived: it is logged, `Shoal.failed` is set, and the process is to end rather than go on wrong. Held by
`tests/api/test_serving.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

from api.bus import OVER_DATABASE, Bus, opening
from api.downloads import DownloadView
from api.errors import masked
from api.graphql_view import GraphQLView
from api.hearing import Hearing
from api.identity import Caller, Callers
from api.reply_hook import ReplyHook
from api.schema import schema
from api.settings import EngineMode, Settings, variable
from api.sockets import Sockets
from api.uploads import UploadView
from domain.accounts import DEFAULT_ACCOUNT, Accounts
from domain.courier import Courier
from domain.errors import StartupError
from domain.membership.engine import Engine
from domain.membership.hub import Hub
from domain.membership.retention import Retention
from domain.store import embedded
from domain.store.client import DatabaseError, connected, open_database
from domain.store.store import Store, open_store

log = structlog.get_logger(__name__)

PROBE_SECONDS = 2.0
CONNECT_SECONDS = 15.0
CLOSE_SECONDS = 2.0
STOP_SECONDS = 15.0
"""For the engine to write what it has found; what is not written then is found again at the next start."""


class Shoal:
    """Everything that runs in one process, wired."""

    def __init__(
        self, *, store: Store, hub: Hub, accounts: Accounts, hearing: Hearing, callers: Callers
    ) -> None:
        self.store = store
        self.hub = hub
        self.accounts = accounts
        self.hearing = hearing
        self.callers = callers
        self.sockets = Sockets()
        self.failed = asyncio.Event()
        """Set when a part that all the rest needs has ended by itself."""
        self.orphaned = False
        """Whether that part was a database which another process ran: starting again is all that is needed."""

    async def ready(self) -> bool:
        """Whether requests can be answered: the database answers, and the engine is heard, wherever it runs."""
        if not self.hearing.hears() or self.failed.is_set():
            return False
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self.store.ping()
        except (DatabaseError, TimeoutError):
            return False
        return True


@asynccontextmanager
async def running(settings: Settings, callers: Callers) -> AsyncIterator[Shoal]:
    """Shoal, up; down again when the block is left. Raises `StartupError` where something outside must be put right.

    What it has to do with the engine is said by the settings; where it runs the engine only, nobody is there to hear.
    """
    async with AsyncExitStack() as stack:
        uri, database = settings.mongodb_uri, None
        if uri is None:
            database = await stack.enter_async_context(embedded.running(settings.data_dir))
            uri = database.uri
        store = await _opened(stack, uri, settings.database)
        hub = Hub()
        accounts = Accounts(store, hub, private_targets=settings.private_targets)
        stack.push_async_callback(_briefly, accounts.close)
        bus = Bus(
            opening(settings.bus, store.mailbox),
            f"shoal.{settings.database}",
            hub.receive,
            returned=accounts.catch_up,
        )
        engine = Engine(store, bus.publish)
        hearing = Hearing(hub, store.leases, bus=settings.bus, leads=lambda: engine.leads)
        shoal = Shoal(store=store, hub=hub, accounts=accounts, hearing=hearing, callers=callers)
        await stack.enter_async_context(_part("bus", bus.work(), shoal))
        await _connected(bus, settings.bus)
        if settings.engine is not EngineMode.ONLY:
            await stack.enter_async_context(_part("hearing", hearing.work(), shoal))
            courier = Courier(store, accounts)
            await stack.enter_async_context(_part("courier", courier.work(), shoal, stop=courier.stop))
        if settings.engine is not EngineMode.OFF:
            await stack.enter_async_context(_part("engine", engine.work(), shoal, stop=engine.stop))
        if settings.log_retention_days:
            retention = Retention(store, timedelta(days=settings.log_retention_days))
            await stack.enter_async_context(_part("retention", retention.work(), shoal))
        if database is not None:
            await stack.enter_async_context(_part("database", _watched(database, shoal), shoal))
        await accounts.get(DEFAULT_ACCOUNT).resume()
        yield shoal


async def _watched(database: embedded.EmbeddedDatabase, shoal: Shoal) -> str:
    """How the embedded database ended."""
    how = await database.died()
    shoal.orphaned = not database.owned
    return how


async def _connected(bus: Bus, url: str) -> None:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await bus.wait_connected()
    except TimeoutError:
        shown = urlsplit(url)
        problem = (
            "the database shows no changes to those who follow them"
            if url == OVER_DATABASE
            else f"nothing answers at {shown.scheme}://{shown.hostname}:{shown.port}"
        )
        raise StartupError(f"{variable('bus')}: {problem}. Start it, or name another.") from None


async def _opened(stack: AsyncExitStack, uri: str, name: str) -> Store:
    try:
        client = await stack.enter_async_context(connected(uri))
        return await open_store(open_database(client, name))
    except DatabaseError as error:
        reason = str(error).partition(" (configured timeouts")[0]
        raise StartupError(f"{variable('mongodb_uri')}: the database cannot be used: {reason}") from error


async def _briefly(close: Callable[[], Awaitable[None]]) -> None:
    """Close it, as far as that can be done. What stays behind, because the database is gone, does no harm where it is."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await close()
    except (DatabaseError, TimeoutError) as error:
        log.warning("ending.left_behind", error=repr(error))


@asynccontextmanager
async def _part(
    name: str, work: Coroutine[Any, Any, object], shoal: Shoal, stop: Callable[[], None] | None = None
) -> AsyncIterator[None]:
    """Something that goes on in the background, until the block is left. Its ending before that is a failure."""
    task = asyncio.create_task(work, name=name)

    def ended(task: asyncio.Task[object]) -> None:
        failure = None if task.cancelled() else task.exception()
        log.critical("part.ended", part=name, said=None if failure else str(task.result()), exc_info=failure)
        shoal.failed.set()

    task.add_done_callback(ended)
    try:
        yield
    finally:
        task.remove_done_callback(ended)
        if stop is not None and not shoal.failed.is_set():
            stop()
            await asyncio.wait({task}, timeout=STOP_SECONDS)
        while not task.done():
            # Again, where its own clearing away waits for a database that is gone.
            task.cancel()
            await asyncio.wait({task}, timeout=CLOSE_SECONDS)
        if not task.cancelled():
            task.exception()  # logged, where it was the reason to end; else no news


def build_app(shoal: Shoal, settings: Settings) -> Starlette:
    """The routes: GraphQL, files in and out, and the probes of whoever runs the process."""
    most = settings.upload_megabytes << 20
    view = GraphQLView(
        schema,
        shoal.accounts,
        shoal.callers,
        shoal.sockets,
        allowed_origins=settings.allowed_origins,
        most_uploaded=most,
    )

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        ready = await shoal.ready()
        return JSONResponse({"status": "ready" if ready else "not ready"}, status_code=200 if ready else 503)

    async def defect(_: Request, error: Exception) -> Response:
        plain = masked(error)
        return JSONResponse({"errors": [plain.formatted]}, status_code=500)

    middleware = []
    if settings.allowed_origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.allowed_origins,
                allow_methods=["GET", "POST"],
                allow_headers=["authorization", "content-type"],
            )
        )
    return Starlette(
        routes=[
            Route("/graphql", view),
            WebSocketRoute("/graphql", view),
            Route("/replies/{account}", ReplyHook(shoal.accounts).__call__, methods=["POST"]),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            UploadView(shoal.accounts, shoal.callers, most=most).route(),
            DownloadView(shoal.accounts).route(),
        ],
        middleware=middleware,
        exception_handlers={Exception: defect},
    )


def admin(key: str) -> Callers:
    """The one caller there is without any other: whoever has the admin key of the default account."""
    return Callers({key: Caller(account=DEFAULT_ACCOUNT, name="admin")})
