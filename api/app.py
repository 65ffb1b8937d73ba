"""The composition root: the only place that builds clients and wires them together.

Owns the order. Up: database, indexes, bus, engine. Down: the engine after its last write, the bus, the services, the client, and the
embedded database last. What ends by itself (a defect of the engine's, the embedded database) is not survived: it is logged,
`Shoal.failed` is set, and the process is to end rather than go on wrong. Held by `tests/api/test_app.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

from api.admin_key import AdminKey, admin_key
from api.bus import Bus
from api.graphql_view import GraphQLView
from api.identity import Caller, Callers
from api.schema import schema
from api.settings import Settings
from api.sockets import Sockets
from domain.accounts import DEFAULT_ACCOUNT, Accounts
from domain.membership.engine import Engine
from domain.membership.hub import Hub
from domain.store import embedded
from domain.store.client import connect, open_database
from domain.store.store import Store, open_store

log = structlog.get_logger(__name__)

PROBE_SECONDS = 2.0


class Shoal:
    """Everything that runs in one process, wired."""

    def __init__(
        self, settings: Settings, store: Store, hub: Hub, accounts: Accounts, engine: Engine, key: AdminKey
    ) -> None:
        self.settings = settings
        self.store = store
        self.hub = hub
        self.accounts = accounts
        self.engine = engine
        self.key = key
        self.sockets = Sockets()
        self.failed = asyncio.Event()

    async def ready(self) -> bool:
        """Whether requests can be answered: the database answers, and the engine follows its stream."""
        if not self.engine.ready or self.failed.is_set():
            return False
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self.store.ping()
        except Exception:  # noqa: BLE001 # whatever it is that failed, the answer is no
            return False
        return True


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Shoal]:
    """Shoal, up; down again when the block is left. Raises `StartupError` where something outside must be put right."""
    key = admin_key(settings)
    async with AsyncExitStack() as stack:
        tasks = stack.push_async_callback  # entered first, left last: see the module's docstring for the order
        del tasks
        uri, died = settings.mongodb_uri, None
        if uri is None:
            database = await stack.enter_async_context(embedded.running(settings.data_dir))
            uri, died = database.uri, database.died
        client = connect(uri)
        stack.push_async_callback(client.close)
        store = await open_store(open_database(client, settings.database))
        hub = Hub()
        accounts = Accounts(store, hub)
        stack.push_async_callback(accounts.close)
        bus = Bus(settings.bus, f"shoal.{settings.database}", hub.receive)
        engine = Engine(store, bus.publish)
        shoal = Shoal(settings, store, hub, accounts, engine, key)
        await stack.enter_async_context(_task(shoal, "bus", bus.work()))
        await bus.wait_connected()
        await stack.enter_async_context(_task(shoal, "engine", engine.work(), stop=engine.stop))
        if died is not None:
            await stack.enter_async_context(_task(shoal, "database", died()))
        await accounts.get(DEFAULT_ACCOUNT).sweeper.resume()
        yield shoal


