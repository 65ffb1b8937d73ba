"""Tables on their way out: rows as a CSV file or an Excel workbook, in constant memory.

Owns what a cell looks like there. No cell of a CSV file begins as a formula does (`=`, `+`, `-`, `@`, a tab, a carriage return):
such a text gets an apostrophe before it, which an import takes off again; a number is a number. In a workbook a text is a text
and never a formula, so it needs none. A workbook is written to disk row by row, and sent when it is whole; a
CSV file is sent as it is written. Held by `tests/domain/test_tables.py`.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import xlsxwriter

from domain.errors import LimitExceeded

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""What a formula begins with, in one spreadsheet program or another."""
CHUNK = 1 << 16
STEP = 1_000
MOST_ROWS_OF_A_SHEET = 1_048_576
LONGEST_CELL_OF_A_SHEET = 32_767

Cell = Any
"""A text, a number, yes or no, a moment, a list of texts, or None."""


class FileKind(StrEnum):
    CSV = "csv"
    XLSX = "xlsx"

    @property
    def media_type(self) -> str:
        if self is FileKind.CSV:
            return "text/csv; charset=utf-8"
        return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def written(kind: FileKind, rows: AsyncIterator[Sequence[Cell]]) -> AsyncIterator[bytes]:
    """The file that holds these rows, the first of which is the header.

    Raises `LimitExceeded` for more rows than a sheet has.
    """
    return _csv(rows) if kind is FileKind.CSV else _xlsx(rows)


async def _csv(rows: AsyncIterator[Sequence[Cell]]) -> AsyncIterator[bytes]:
    text = io.StringIO()
    write = csv.writer(text).writerow
    text.write("\ufeff")  # by which spreadsheets know UTF-8
    async for row in rows:
        write([safe(as_text(cell)) if not _is_number(cell) else as_text(cell) for cell in row])
        if text.tell() >= CHUNK:
            yield text.getvalue().encode("utf-8", "replace")
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode("utf-8", "replace")


async def _xlsx(rows: AsyncIterator[Sequence[Cell]]) -> AsyncIterator[bytes]:
    with TemporaryDirectory(prefix="shoal-export-") as directory:
        path = Path(directory) / "export.xlsx"
        book = xlsxwriter.Workbook(str(path), {"constant_memory": True, "tmpdir": directory})
        sheet = book.add_worksheet()
        number, some = 0, []
        async for row in rows:
            some.append(row)
            if len(some) == STEP:
                await asyncio.to_thread(_write, sheet, number, some)
                number, some = number + len(some), []
        await asyncio.to_thread(_write, sheet, number, some)
        await asyncio.to_thread(book.close)
        async with await anyio.open_file(path, "rb") as file:
            while part := await file.read(CHUNK):
                yield part


def _write(sheet: Any, number: int, rows: Sequence[Sequence[Cell]]) -> None:
    if number + len(rows) > MOST_ROWS_OF_A_SHEET:
        raise LimitExceeded(f"A sheet has {MOST_ROWS_OF_A_SHEET:,} rows at most. Export as CSV.")
    for at, row in enumerate(rows, number):
        for position, cell in enumerate(row):
            if cell is None:
                continue
            if isinstance(cell, bool):
                sheet.write_boolean(at, position, cell)
            elif _is_number(cell) and abs(cell) < 1e15:
                sheet.write_number(at, position, cell)
            else:
                sheet.write_string(at, position, as_text(cell)[:LONGEST_CELL_OF_A_SHEET])


def as_text(cell: Cell) -> str:
    """As an import reads it again."""
    match cell:
        case None:
            return ""
        case str():
            return cell
        case bool():
            return "true" if cell else "false"
        case datetime():
            return cell.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case list():
            return ";".join(as_text(item) for item in cell)
        case _:
            return str(cell)


def safe(text: str) -> str:
    """The text, so that no spreadsheet takes it for a formula."""
    return f"'{text}" if text.startswith(FORMULA_SIGNS) else text


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)
