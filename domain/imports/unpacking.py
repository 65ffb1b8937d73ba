"""Unpacking: a program of its own, which writes one sheet of an Excel workbook as a CSV file.

Run by `domain.imports.workbooks`, never imported: a workbook is an archive that can grow to anything when it is read, and the
reader holds a whole sheet in memory. So this process may use no more than it is given, and where it ends, nothing else does. Of a
formula its cached value is taken. What it says on standard output is one JSON object. Held by
`tests/domain/imports/test_workbooks.py`.
"""

from __future__ import annotations

import csv
import json
import resource
import sys
from datetime import date, datetime, time, timedelta
from typing import Any

import python_calamine as calamine


def main() -> None:
    source, target, wanted, memory, seconds, room = sys.argv[1:]
    for limit, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, room),
        (resource.RLIMIT_CORE, "0"),
    ):
        resource.setrlimit(limit, (int(most), int(most)))
    said: dict[str, Any]
    try:
        said = unpack(source, target, wanted)
    except calamine.PasswordError:
        said = {"problem": "It is protected by a password. Take that off first."}
    except (calamine.CalamineError, calamine.XmlError, calamine.ZipError) as error:
        said = {"problem": f"It cannot be read: {str(error)[:200]}."}
    sys.stdout.write(json.dumps(said))


def unpack(source: str, target: str, wanted: str) -> dict[str, Any]:
    with calamine.load_workbook(source) as workbook:
        sheets = [
            (each.name, each.visible is calamine.SheetVisibleEnum.Visible)
            for each in workbook.sheets_metadata
            if each.typ is calamine.SheetTypeEnum.WorkSheet
        ]
        names = [name for name, _ in sheets]
        # Whoever says nothing means what they see.
        first = next((name for name, visible in sheets if visible), names[0] if names else None)
        chosen = wanted or first
        if chosen is None or chosen not in names:
            return {"sheets": names, "sheet": None}
        sheet = workbook.get_sheet_by_name(chosen)
        with open(target, "w", encoding="utf-8", newline="", errors="replace") as file:  # noqa: PTH123 # isolated: as little as can be
            write = csv.writer(file, lineterminator="\n").writerow
            for row in sheet.iter_rows():
                write([as_text(value) for value in row])
        return {"sheets": names, "sheet": chosen}


def as_text(value: object) -> str:
    """As an import reads it: a whole number without a point, a day as 1990-05-03."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case datetime():
            return value.isoformat(" ", timespec="milliseconds" if value.microsecond else "seconds")
        case date() | time():
            return value.isoformat()
        case timedelta():
            return str(value)
        case _:
            return str(value)


if __name__ == "__main__":
    main()
