"""Rejects: what an import did not take, as a CSV file for whoever mends it.

Owns the file's form: row, column, value and reason, one line for each cell or row that was refused; no cell begins as a formula
does. Made at the start, so that a place that cannot be written is known before anything else is; removed at the end where nothing
was refused. Held by `tests/domain/imports/test_rejects.py`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from domain.tables import safe

LONGEST_VALUE = 1_000
COLUMNS = ("Row", "Column", "Value", "Reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A refused cell, or a refused row: then `column` is empty, or names the column of the key."""

    row: int
    column: str
    value: str
    reason: str


class RejectsFile:
    """Made by `rejects_file`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow(COLUMNS)

    def write(self, rejection: Rejection) -> None:
        value = rejection.value
        if len(value) > LONGEST_VALUE:
            value = value[:LONGEST_VALUE] + "…"
        self.lines += 1
        self._writer.writerow((rejection.row, safe(rejection.column), safe(value), rejection.reason))

    def close(self) -> None:
        self._file.close()


@contextmanager
def rejects_file(path: Path) -> Iterator[RejectsFile]:
    """The file at `path`, written anew. Raises `OSError`."""
    rejects = RejectsFile(path)
    try:
        yield rejects
    finally:
        rejects.close()
        if not rejects.lines:
            path.unlink()
