"""A real database for every test that asks for one.

One server per worker, not durable (speed); every test makes a database of its own there. Which server: `tests.server`.

And a bound on every test: one that hangs fails, says where everything in it stood, and the rest goes on.
"""

import asyncio
import functools
import gc
import inspect
import os
import secrets
from collections.abc import AsyncIterator, Generator, Iterator
from datetime import UTC
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from bson.codec_options import CodecOptions
from hypothesis import settings
from pymongo import WriteConcern
from pymongo.asynchronous.database import AsyncDatabase

from domain.store.client import connect
from tests import server

# Generated tests are judged by their answers, not by the clock: a busy machine is no defect.
settings.register_profile("shoal", deadline=None)
settings.load_profile("shoal")

_ON_UVLOOP = {"use_uvloop": True}

LIMIT_SECONDS = 300.0
SOAK_LIMIT_SECONDS = 60 * float(os.environ.get("SOAK_MINUTES", "10")) + 1800
GRACE_SECONDS = 60.0
"""For whoever is interrupted to put away what is its own."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is still there after its bound is ended by pytest-timeout.

    A signal would interrupt an event loop, but not what waits in it, which all the later tests would then wait for. So
    there the worker ends, saying where it stood, and pytest-xdist puts another in its place. A test that is a coroutine does
    not come to that (`pytest_pyfunc_call`): only its fixtures, and what cannot be cancelled.

    And what takes longest begins first, lest one worker be at it alone at the end.
    """
    items.sort(key=lambda item: item.path.parent.name != "oracle")
    for item in items:
        on_loop = isinstance(item, pytest.Function) and "anyio_backend" in item.fixturenames
        item.add_marker(
            pytest.mark.timeout(_limit(item) + GRACE_SECONDS, method="thread" if on_loop else "signal")
        )


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """A coroutine that hangs is cancelled, and fails where it waited."""
    test, seconds = pyfuncitem.obj, _limit(pyfuncitem)

    @functools.wraps(test)
    async def bounded(**arguments: Any) -> None:
        async with asyncio.timeout(None) as bound:
            hung = asyncio.get_running_loop().call_later(seconds, _hung, bound)
            try:
                await test(**arguments)
            finally:
                hung.cancel()

    if inspect.iscoroutinefunction(test):
        pyfuncitem.obj = bounded
    return (yield)


def pytest_collection_finish() -> None:
    """The tests and what they import stay: to look through them for garbage, again and again, would find none."""
    gc.freeze()


def _limit(item: pytest.Item) -> float:
    return LIMIT_SECONDS if item.get_closest_marker("soak") is None else SOAK_LIMIT_SECONDS


def _hung(bound: asyncio.Timeout) -> None:
    for task in asyncio.all_tasks():
        task.print_stack()
    bound.reschedule(asyncio.get_running_loop().time())


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", _ON_UVLOOP


@pytest.fixture(scope="session")
def mongodb_uri() -> Iterator[str]:
    """The address of a server that lives as long as the worker; on a loop of its own, so that no test shares one."""
    with (
        start_blocking_portal("asyncio", _ON_UVLOOP) as portal,
        portal.wrap_async_context_manager(server.running(durable=False)) as uri,
    ):
        yield uri


@pytest.fixture
async def database(mongodb_uri: str) -> AsyncIterator[AsyncDatabase[dict[str, Any]]]:
    """An empty database of the test's own, gone after it."""
    async with connect(mongodb_uri) as client:
        name = f"shoal_test_{secrets.token_hex(6)}"
        try:
            yield client.get_database(
                name,
                codec_options=CodecOptions(tz_aware=True, tzinfo=UTC),
                write_concern=WriteConcern(w="majority"),
            )
        finally:
            await client.drop_database(name)
