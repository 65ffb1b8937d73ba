"""Sources: a file of any kind that is taken as a CSV file, and how that is to be read.

Owns the one place that tells kinds apart, by what is in a file and never by its name. Held by
`tests/domain/imports/test_workbooks.py`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from domain.imports.detection import FileFormat, detect
from domain.imports.options import Options
from domain.imports.workbooks import is_workbook, unpack

UNPACKED = FileFormat(encoding="utf-8-sig", delimiter=",")


async def to_table(path: Path, options: Options, directory: Path) -> tuple[Path, FileFormat]:
    """The file itself, or the sheet of a workbook, written into `directory`; and its format.

    Raises `UnreadableFile`, `LimitExceeded`, `InvalidMapping` for a sheet that is not there, and `OSError`.
    """
    if not await asyncio.to_thread(is_workbook, path):
        found = await asyncio.to_thread(detect, path, encoding=options.encoding, delimiter=options.delimiter)
        return path, found
    target = directory / "sheet.csv"
    workbook = await unpack(path, target, sheet=options.sheet)
    if not target.stat().st_size:  # a file that was just written
        return target, await asyncio.to_thread(detect, target)  # which says that it is empty
    return target, FileFormat(encoding=UNPACKED.encoding, delimiter=UNPACKED.delimiter, sheet=workbook.sheet)
