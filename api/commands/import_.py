"""`import`: a CSV file or Excel workbook into the contacts of the default account, beside a running server as well as without one.

Owns what is said at a terminal about an import; what it does is `domain.imports`. It needs no engine of its own: a running
server's engine sees the writes in the stream, and without one the next start does. Nothing but the result goes to standard
output. Held by `tests/api/test_import_command.py`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated

import structlog
import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from api import logs
from api.opening import opened
from api.settings import Settings, read_settings, unknown_settings
from domain.accounts import DEFAULT_ACCOUNT, Account, Accounts
from domain.errors import InvalidMapping, ShoalError, StartupError
from domain.fields import FieldType, field_key
from domain.imports import running
from domain.imports.dates import DateOrder
from domain.imports.mapping import FieldChoice
from domain.imports.options import Options
from domain.imports.rejects import RejectsFile, rejects_file
from domain.membership.hub import Hub
from domain.store.client import DatabaseError
from domain.store.store import open_store

log = structlog.get_logger(__name__)


def add_to(commands: typer.Typer) -> None:
    commands.command("import")(import_)


def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help="The CSV file or Excel workbook (.xlsx). Its first row holds the headers.",
            show_default=False,
        ),
    ],
    *,
    key_column: Annotated[
        str,
        typer.Option(
            help="The header of the column that tells contacts apart, such as “Member ID”.",
            show_default=False,
        ),
    ],
    field: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HEADER=KEY[:TYPE]",
            help="Which field a column goes to, and of what type a new one is: “Birthday=birthdate:date”. By its header and "
            "its cells if not said. May be repeated.",
        ),
    ] = None,
    separator: Annotated[
        str, typer.Option(help="What stands between several values of one cell (tags).")
    ] = ";",
    dates: Annotated[
        DateOrder | None,
        typer.Option(help="What stands first in dates such as 3/5/1990, where a column leaves that open."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Reject the whole row where a field refuses one of its cells.")
    ] = False,
    rejects: Annotated[
        Path | None,
        typer.Option(help="Where to write what was refused. FILE.rejects.csv in this directory if not said."),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Such as utf-8 or cp1252. Detected if not said.")
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(help="What stands between the columns; “\\t” for a tab. Detected if not said."),
    ] = None,
    sheet: Annotated[
        str | None, typer.Option(help="Of a workbook: the sheet. The first that is not hidden if not said.")
    ] = None,
) -> None:
    """Create and update contacts from a CSV file or an Excel workbook. Importing the same file again changes nothing."""
    report = running.Report()
    try:
        settings = read_settings(os.environ)
        logs.configure(settings.log_level)
        for warning in unknown_settings(os.environ):
            log.warning("settings.unknown", message=warning)
        options = Options(
            key_column=key_column,
            choices=tuple(map(read_choice, field or ())),
            separator=separator,
            dates=dates,
            strict=strict,
            encoding=encoding,
            delimiter="\t" if delimiter == "\\t" else delimiter,
            sheet=sheet,
        )
        place = rejects or Path(f"{file.stem}.rejects.csv")
        _check_files(file, place)
        with rejects_file(place) as refused:
            recognised = uvloop.run(_import(settings, file, options, report, refused))
    except KeyboardInterrupt:
        _fail("Interrupted.", report)
    except (ShoalError, StartupError) as error:
        _fail(str(error), report)
    except DatabaseError as error:
        # The driver goes on about its own settings.
        _fail(f"The database cannot be used: {str(error).partition(' (configured')[0]}.", report)
    except OSError as error:
        _fail(f"{error.filename or file}: {error.strerror or error}.", report)
    _show(report, refused, recognised)


def read_choice(text: str) -> FieldChoice:
    """`Birthday=birthdate:date`, as it is said at the command line. Raises `InvalidMapping`."""
    header, equals, target = text.rpartition("=")
    key, colon, type = target.partition(":")
    if not equals or not header.strip() or not key.strip():
        raise InvalidMapping(
            f"--field {text[:100]}: HEADER=KEY or HEADER=KEY:TYPE is wanted, such as Birthday=birthdate:date."
        )
    if colon and type.strip() not in list(FieldType):
        raise InvalidMapping(
            f"--field {text[:100]}: “{type[:60]}” is no type of field; the types are {', '.join(FieldType)}."
        )
    return FieldChoice(header=header, key=key.strip(), type=FieldType(type.strip()) if colon else None)


def _check_files(file: Path, rejects: Path) -> None:
    if not file.exists():
        raise StartupError(f"There is no file {file}.")
    if not file.is_file():
        raise StartupError(f"{file} is no ordinary file, which is wanted because it is read twice.")
    if rejects.exists() and rejects.samefile(file):
        raise StartupError(
            f"{rejects} would be written over, which is the very file to be imported. Say another by --rejects."
        )


async def _import(
    settings: Settings, file: Path, options: Options, report: running.Report, refused: RejectsFile
) -> list[FieldChoice]:
    """The columns that were taken for fields of other names, without anybody having said so."""
    async with opened_account(settings) as account:
        whole = await account.imports.complete(file, options)
        with _progress_bar() as progress:
            await account.imports.importer(reject=refused.write, progress=progress).run(file, whole, report)
    suggested = whole.choices[len(options.choices) :]
    return [choice for choice in suggested if choice.key != field_key(choice.header)]


@asynccontextmanager
async def opened_account(settings: Settings) -> AsyncIterator[Account]:
    """The default account in the database that the server uses."""
    async with opened(settings) as database:
        # Nobody watches in this process, so its hub is told nothing.
        accounts = Accounts(await open_store(database), Hub())
        try:
            yield accounts.get(DEFAULT_ACCOUNT)
        finally:
            await accounts.close()


@contextmanager
def _progress_bar() -> Iterator[Callable[[running.Progress], None]]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Reading")

        def show(progress: running.Progress) -> None:
            bar.update(
                task,
                description="Writing" if progress.writing else "Reading",
                completed=progress.position + progress.size * progress.writing,
                total=2 * progress.size,
            )

        yield show


def _show(report: running.Report, refused: RejectsFile, recognised: Sequence[FieldChoice]) -> None:
    lines = [
        f"{report.counts.created:>9,} created",
        f"{report.counts.updated:>9,} updated",
        f"{report.counts.unchanged:>9,} unchanged",
        f"{report.counts.rejected:>9,} rejected",
    ]
    if report.counts.superseded:
        lines.append(f"{report.counts.superseded:>9,} passed over, since their key comes again further down")
    if report.counts.cells_left_out:
        lines.append(f"{report.counts.cells_left_out:>9,} cells left out, which their fields refuse")
    if refused.lines:
        lines.append(f"What was refused, and why, stands in {refused.path}")
    if recognised:
        lines.append("Columns that were taken for fields of other names:")
        width = max(len(choice.header) for choice in recognised)
        lines += [f"    {choice.header:<{width}}  {choice.key}" for choice in recognised]
    if report.made:
        lines.append(f"{len(report.made):,} fields were made:")
        width = max(len(field.key) for field in report.made)
        lines += [f"    {field.key:<{width}}  {field.type}" for field in report.made]
    if report.file_format is not None and report.file_format.sheet is not None:
        lines.append(f"Read from the sheet “{report.file_format.sheet}”.")
    elif report.file_format is not None:
        encoding = report.file_format.encoding.removesuffix("-sig")
        between = {",": "commas", ";": "semicolons", "\t": "tabs"}.get(
            report.file_format.delimiter, f"“{report.file_format.delimiter}”"
        )
        lines.append(f"Read as {encoding}, with {between} between columns.")
    typer.echo("\n".join(lines))


def _fail(message: str, report: running.Report) -> None:
    typer.echo(message, err=True)
    if report.counts.rows:
        typer.echo(
            f"It stopped after {report.counts.rows:,} rows, {report.counts.created:,} created and {report.counts.updated:,}"
            " updated. Importing the file again does the rest, and changes nothing that is done.",
            err=True,
        )
    raise typer.Exit(1)
