"""`demo`: a server of its own, contacts, and segments that change before your eyes."""

from __future__ import annotations

import asyncio
import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from domain.errors import StartupError


def add_to(commands: typer.Typer) -> None:
    commands.command("demo")(demo)


def demo(
    seconds: Annotated[
        float | None,
        typer.Option(
            envvar="DEMO_SECONDS", min=1, help="For how long replies come in. Left out: until Ctrl-C."
        ),
    ] = None,
    contacts: Annotated[int, typer.Option(min=50, help="How many contacts there are at the start.")] = 2000,
    seed: Annotated[int, typer.Option(help="Another number tells another story.")] = 1,
) -> None:
    """Watch segments shrink and grow while replies come in: a fresh database, 2,000 contacts, nothing left behind."""
    import uvloop  # noqa: PLC0415 # the other commands start without all this
    from rich.console import Console  # noqa: PLC0415

    from api.demo.running import Options, demonstrate  # noqa: PLC0415

    if isinstance(sys.stdout, TextIOWrapper):
        # Names and bars need more letters than some terminals have.
        sys.stdout.reconfigure(errors="replace")
    try:
        right = uvloop.run(demonstrate(Options(seconds=seconds, contacts=contacts, seed=seed), Console()))
    except asyncio.CancelledError:
        typer.echo("Ended before there was anything to see.")
        return
    except StartupError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    if not right:
        raise typer.Exit(1)
