"""Sources: a file of any kind that is taken as a CSV file, and how that is to be read.

Owns the one place that tells kinds apart, by what is in a file and never by its name. Held by
`tests/domain/imports/test_workbooks.py`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from domain.errors import InvalidMapping, UnreadableFile
from domain.imports.detection import FileFormat, detect
from domain.imports.options import Options
from domain.imports.workbooks import is_workbook, unpack


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file that can be read as a table, and its format; of a workbook, the names of all its sheets."""

    path: Path
    format: FileFormat
    sheets: tuple[str, ...] = ()


async def to_table(path: Path, options: Options, directory: Path) -> Source:
    """The file itself, or the sheet of a workbook, written into `directory`.

    Raises `UnreadableFile`, `LimitExceeded`, `InvalidMapping` for a sheet that is not there, and `OSError`.
    """
    if not await asyncio.to_thread(is_workbook, path):
        found = await asyncio.to_thread(detect, path, encoding=options.encoding, delimiter=options.delimiter)
        if options.sheet is not None:
            raise InvalidMapping(f"There is no sheet “{options.sheet[:60]}”: this is no workbook.")
        return Source(path=path, format=found)
    target = directory / "sheet.csv"
    workbook = await unpack(path, target, sheet=options.sheet)
    if not (await asyncio.to_thread(target.stat)).st_size:
        raise UnreadableFile(f"The sheet “{workbook.sheet[:60]}” is empty.")
    found = FileFormat(encoding="utf-8-sig", delimiter=",", sheet=workbook.sheet)
    return Source(path=target, format=found, sheets=workbook.sheets)
