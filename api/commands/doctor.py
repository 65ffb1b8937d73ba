"""`doctor`: whether everything is as it should be, beside a running server as well as without one.

Owns what is said at a terminal; what is looked at stands in `domain.doctor`. Ends with 0 where everything is sound, or has been
mended, and with 1 where not. Nothing but the result goes to standard output. Held by `tests/api/test_doctor_command.py`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import structlog
import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from api import logs
from api.opening import opened
from api.settings import Settings, read_settings, unknown_settings
from domain.doctor.doctor import Doctor, Examination
from domain.doctor.findings import Finding, Told
from domain.errors import StartupError
from domain.store.client import DatabaseError
from domain.store.server import ServerTraits
from domain.store.store import look_at

log = structlog.get_logger(__name__)


def add_to(commands: typer.Typer) -> None:
    commands.command("doctor")(doctor)


def doctor(
    *,
    deep: Annotated[
        bool, typer.Option("--deep", help="Look at every contact, and not at a thousand of them.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what can be mended, and look again.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Say it as JSON, for programs.")] = False,
) -> None:
    """Hold everything that is kept against everything that it follows from, and say in plain words what does not agree."""
    try:
        settings = read_settings(os.environ)
        logs.configure(settings.log_level)
        for warning in unknown_settings(os.environ):
            log.warning("settings.unknown", message=warning)
        traits, examination = uvloop.run(_examine(settings, deep=deep, repair=repair))
    except KeyboardInterrupt:
        _fail("Interrupted. What is mended stays so; look again to see what is left.")
    except StartupError as error:
        _fail(str(error))
    except DatabaseError as error:
        # The driver goes on about its own settings.
        _fail(f"The database cannot be used: {str(error).partition(' (configured')[0]}.")
    if as_json:
        typer.echo(json.dumps(_to_json(traits, examination), ensure_ascii=False, indent=2))
    else:
        typer.echo("\n".join(_to_lines(traits, examination, repair=repair)))
    if examination.left:
        raise typer.Exit(1)


async def _examine(settings: Settings, *, deep: bool, repair: bool) -> tuple[ServerTraits, Examination]:
    async with opened(settings) as database:
        store = await look_at(database)
        with _progress_bar() as told:
            return store.traits, await Doctor(store, deep=deep, told=told).work(repair=repair)


@contextmanager
def _progress_bar() -> Iterator[Told]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Looking")

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield show


def _to_lines(traits: ServerTraits, examination: Examination, *, repair: bool) -> list[str]:
    accounts, audiences = _count(examination.accounts, "account"), _count(examination.audiences, "audience")
    lines = [f"{traits.name} {traits.version}, {accounts} with {audiences}."]
    lines += [f"    {difference}" for difference in traits.lacks()]
    if examination.ran_engine:
        lines.append("No engine was at work. One ran here meanwhile, and has brought the log up to date.")
    mended = [finding for finding in examination.found if finding not in examination.left]
    lines += [f"Mended: {finding.says}" for finding in mended]
    lines += [f"Wrong: {finding.says}" for finding in examination.left]
    if not examination.left:
        lines.append("Everything is sound." if not mended else "Everything is sound now.")
    elif repair:
        lines.append(f"{_count(len(examination.left), 'thing')} cannot be mended by this command.")
    elif any(finding.mend for finding in examination.left):
        lines.append("doctor --repair mends what can be mended.")
    return lines


def _to_json(traits: ServerTraits, examination: Examination) -> dict[str, Any]:
    mended = [finding for finding in examination.found if finding not in examination.left]
    return {
        "server": {"name": traits.name, "version": traits.version, "differences": traits.lacks()},
        "accounts": examination.accounts,
        "audiences": examination.audiences,
        "ran_engine": examination.ran_engine,
        "sound": not examination.left,
        "findings": [_finding_to_json(finding) for finding in examination.left],
        "mended": [_finding_to_json(finding) for finding in mended],
    }


def _finding_to_json(finding: Finding) -> dict[str, Any]:
    return {
        "what": finding.what.value,
        "account": finding.account,
        "audience": None if finding.audience is None else str(finding.audience),
        "name": finding.name,
        "says": finding.says,
        "can_be_mended": finding.mend is not None,
    }


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _fail(message: str) -> None:
    typer.echo(message, err=True)
    raise typer.Exit(1)
