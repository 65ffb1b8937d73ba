"""`serve`: the server, until it is told to end; or the engine alone, where the settings say so, which nobody can ask anything.

Held by `tests/api/test_serving.py` and `tests/api/test_engines.py`.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Annotated

import structlog
import typer
import uvloop

from api import logs
from api.admin_key import admin_key
from api.app import Shoal, admin, running
from api.identity import Callers
from api.server import serving
from api.settings import EngineMode, Settings, read_settings, unknown_settings
from domain.errors import StartupError

log = structlog.get_logger(__name__)


def add_to(commands: typer.Typer) -> None:
    commands.command("serve")(serve)


def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen on, instead of SHOAL_HOST.")] = None,
    port: Annotated[
        int | None, typer.Option(help="The port to listen on, instead of SHOAL_PORT.", min=0, max=65535)
    ] = None,
) -> None:
    """Serve the GraphQL API at /graphql, until SIGTERM or Ctrl-C.

    With SHOAL_ENGINE=only, run the engine and serve nothing.
    """
    try:
        settings = read_settings(os.environ)
        settings = replace(
            settings,
            host=settings.host if host is None else host,
            port=settings.port if port is None else port,
        )
        logs.configure(settings.log_level)
        for warning in unknown_settings(os.environ):
            log.warning("settings.unknown", message=warning)
        well = uvloop.run(_serve(settings))
    except StartupError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    if not well:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _Up:
    """What is up, and how to make it end at once when it is ending already."""

    shoal: Shoal
    hurry: Callable[[], None]


@asynccontextmanager
async def _up(settings: Settings, callers: Callers) -> AsyncIterator[_Up]:
    if settings.engine is EngineMode.ONLY:
        async with running(settings, callers) as shoal:
            log.info("running", only="the engine, when it is its turn")
            yield _Up(shoal, lambda: None)
        return
    async with serving(settings, callers) as here:

        def hurry() -> None:
            here.server.force_exit = True

        log.info("serving", url=here.url)
        yield _Up(here.shoal, hurry)


def _callers(settings: Settings) -> Callers:
    """Who may ask: nobody, where nothing is served."""
    if settings.engine is EngineMode.ONLY:
        return Callers({})
    key = admin_key(settings)
    if key.made_in is not None:
        # Once, and on standard output rather than into the log, which is kept and passed on.
        typer.echo(
            f"The admin key of this server is {key.key}\nIt stands in {key.made_in}, and is not shown again."
        )
    return admin(key.key)


async def _serve(settings: Settings) -> bool:
    """Whether it ended because it was told to. The first signal ends it in order, the second at once."""
    callers = _callers(settings)
    here: _Up | None = None
    told = asyncio.Event()
    starting = asyncio.current_task()
    assert starting is not None

    def end() -> None:
        if here is None:
            starting.cancel()
        elif told.is_set():
            here.hurry()
        told.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    try:
        while not told.is_set():
            async with _up(settings, callers) as here:
                await _either(told, here.shoal.failed)
                log.info("ending")
            if not here.shoal.orphaned:
                break
            # An import, for example, that was here first and is done.
            log.warning("database.owner_ended", then="starting one of our own")
    except asyncio.CancelledError:
        if not told.is_set():
            raise
        return True
    return here is None or told.is_set() or not here.shoal.failed.is_set()


async def _either(*events: asyncio.Event) -> None:
    """Return when one of the events is set."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for waiter in waiting:
        waiter.cancel()
