"""Workbooks: a sheet of an Excel workbook (.xlsx) as a CSV file, which the rest of an import reads like any other.

Owns the look at the archive before it is opened, and the process that opens it (`unpacking`), which may use two gigabytes of
memory and a minute of a processor. Refuses what would unpack to more than is taken, by what the archive itself says and,
where that is a lie, by those bounds; and a sheet that is not there, naming those that are. Held by
`tests/domain/imports/test_workbooks.py`.

Cost: a process, and memory in it that grows with the sheet; none here.
"""

from __future__ import annotations

import asyncio
import json
import sys
import zipfile
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import dataclass
from pathlib import Path

from domain.errors import InvalidMapping, LimitExceeded, UnreadableFile

MOST_UNPACKED = 1 << 30
MEMORY = 2 << 30
SECONDS = 60
MOST_PARTS = 10_000

_PROGRAM = Path(__file__).with_name("unpacking.py")
_MARK = b"PK\x03\x04"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workbook:
    """What was found in a workbook: the names of its sheets, and the one that was taken."""

    sheets: tuple[str, ...]
    sheet: str


def is_workbook(path: Path) -> bool:
    """Whether the file is an Excel workbook (.xlsx), by its content. Raises `OSError`, and `UnreadableFile` if it is broken."""
    with path.open("rb") as file:
        if file.read(len(_MARK)) != _MARK:
            return False
    return "xl/workbook.xml" in _parts(path)


async def unpack(path: Path, target: Path, *, sheet: str | None = None) -> Workbook:
    """Write a sheet to `target` as CSV, in UTF-8 with commas: the one of this name, or the first that is not hidden.

    Raises `UnreadableFile`, `LimitExceeded`, and `InvalidMapping` for a sheet that is not there.
    """
    unpacked = sum((await asyncio.to_thread(_parts, path)).values())
    if unpacked > MOST_UNPACKED:
        raise LimitExceeded(
            f"This workbook unpacks to {unpacked:,} bytes; {MOST_UNPACKED:,} is the most. Save the sheet as CSV."
        )
    bounds = (MEMORY, SECONDS, MOST_UNPACKED)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", str(_PROGRAM), str(path), str(target), sheet or "", *map(str, bounds)),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=DEVNULL,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise LimitExceeded(
            f"This workbook cannot be read within {MEMORY >> 30} GB of memory and {SECONDS} seconds. Save the sheet as CSV."
        )
    found = json.loads(said)
    if "problem" in found:
        raise UnreadableFile(f"This is an Excel workbook. {found['problem']}")
    sheets = tuple(found["sheets"])
    if found["sheet"] is None:
        if not sheets:
            raise UnreadableFile("This workbook has no sheet with cells.")
        listed = ", ".join(f"“{name}”" for name in sheets[:20])
        raise InvalidMapping(f"There is no sheet “{(sheet or '')[:60]}”. The sheets are {listed}.")
    return Workbook(sheets=sheets, sheet=found["sheet"])


def _parts(path: Path) -> dict[str, int]:
    """The parts of the archive, and how many bytes each says that it unpacks to."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
        raise UnreadableFile(
            "This file begins as a ZIP archive or an Excel workbook (.xlsx), and is broken: it may have been cut off."
        ) from error
    if len(parts) > MOST_PARTS:
        raise LimitExceeded(f"This archive has {len(parts):,} parts; {MOST_PARTS:,} is the most.")
    sizes: dict[str, int] = {}
    for part in parts:
        sizes[part.filename] = sizes.get(part.filename, 0) + part.file_size
    return sizes
