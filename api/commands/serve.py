"""`serve`: the server, until it is told to end."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from typing import Annotated

import structlog
import typer
import uvloop

from api import logs
from api.admin_key import admin_key
from api.app import admin
from api.server import Serving, serving
from api.settings import Settings, read_settings, unknown_settings
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
    """Serve the GraphQL API at /graphql, until SIGTERM or Ctrl-C."""
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


async def _serve(settings: Settings) -> bool:
    """Whether it ended because it was told to. The first signal ends it in order, the second at once."""
    key = admin_key(settings)
    if key.made_in is not None:
        # Once, and on standard output rather than into the log, which is kept and passed on.
        typer.echo(
            f"The admin key of this server is {key.key}\nIt stands in {key.made_in}, and is not shown again."
        )
    here: Serving | None = None
    told = asyncio.Event()
    starting = asyncio.current_task()
    assert starting is not None

    def end() -> None:
        if here is None:
            starting.cancel()
        elif told.is_set():
            here.server.force_exit = True
        told.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    try:
        while not told.is_set():
            async with serving(settings, admin(key.key)) as here:
                log.info("serving", url=here.url)
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
