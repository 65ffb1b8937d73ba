"""`export`: the contacts of an audience, or those that a rule matches, as a file, beside a running server as well as without one.

Held by `tests/api/test_exports.py`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated

import anyio
import structlog
import typer
import uvloop
from bson import ObjectId

from api import logs
from api.commands.import_ import opened_account
from api.settings import Settings, read_settings, unknown_settings
from domain.accounts import Account
from domain.errors import NotFound, ShoalError, StartupError
from domain.exports import Wanted
from domain.referring import KnownAudiences
from domain.rules.text import parse
from domain.rules.tree import Limits
from domain.store.client import DatabaseError
from domain.store.definitions import Kind
from domain.tables import Cell, FileKind, written

log = structlog.get_logger(__name__)


def add_to(commands: typer.Typer) -> None:
    commands.command("export")(export)


def export(
    file: Annotated[
        Path, typer.Argument(help="Where to write: a file that ends with .csv or .xlsx.", show_default=False)
    ],
    *,
    audience: Annotated[
        str | None,
        typer.Option(help="The segment or group: its name or its identifier. All contacts if not said."),
    ] = None,
    rule: Annotated[
        str | None, typer.Option(help="In place of an audience: a rule, such as 'email is empty'.")
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(
            help="A column: a field's key, or key, created, updated. May be repeated. All fields if not said."
        ),
    ] = None,
) -> None:
    """Write contacts into a CSV file or an Excel workbook."""
    try:
        settings = read_settings(os.environ)
        logs.configure(settings.log_level)
        for warning in unknown_settings(os.environ):
            log.warning("settings.unknown", message=warning)
        rows = uvloop.run(_export(settings, file, audience, rule, tuple(field or ())))
    except (ShoalError, StartupError) as error:
        _fail(str(error))
    except DatabaseError as error:
        _fail(f"The database cannot be used: {str(error).partition(' (configured')[0]}.")
    except OSError as error:
        _fail(f"{error.filename or file}: {error.strerror or error}.")
    else:
        typer.echo(f"{rows:>9,} contacts written to {file}")


async def _export(
    settings: Settings, file: Path, audience: str | None, rule: str | None, fields: tuple[str, ...]
) -> int:
    kind = _kind(file)
    if audience is not None and rule is not None:
        raise StartupError("Either --audience or --rule, not both.")
    async with opened_account(settings) as account:
        catalogue = await account.definitions.current()
        wanted = Wanted(
            kind=kind,
            audience=None if audience is None else await _find(account, audience),
            rule=None
            if rule is None
            else parse(rule, catalogue.fields, catalogue.settings, Limits(), KnownAudiences(catalogue)),
            fields=fields,
        )
        found = await account.exports.now(wanted)
        rows = -1

        async def counted() -> AsyncIterator[Sequence[Cell]]:
            nonlocal rows
            async for row in found.rows:
                rows += 1
                yield row

        async with await anyio.open_file(file, "wb") as target:
            async for part in written(kind, counted()):
                await target.write(part)
        return rows


def _kind(file: Path) -> FileKind:
    try:
        return FileKind(file.suffix.lower().removeprefix("."))
    except ValueError:
        raise StartupError(f"{file}: a file that ends with .csv or .xlsx is wanted.") from None


async def _find(account: Account, name: str) -> ObjectId:
    from api.ids import AUDIENCES, find_id  # noqa: PLC0415 # the other commands start without it

    catalogue = await account.definitions.current()
    found = (
        catalogue.named(Kind.SEGMENT, name) or catalogue.named(Kind.GROUP, name) or find_id(name, *AUDIENCES)
    )
    if found is None or catalogue.audience(found) is None:
        raise NotFound(f"There is no segment or group “{name[:100]}”.")
    return found


def _fail(message: str) -> None:
    typer.echo(message, err=True)
    raise typer.Exit(1)
