"""Reading: a CSV file as a table, row by row, in constant memory.

Owns what counts as a row. The first row that is not blank is the header, unless it is a line `sep=;`, which tells spreadsheets the
delimiter; rows without any content are passed over, as spreadsheets leave them at the end. A row with fewer cells than the
header, or with more that are filled, is handed on as `Ragged`: which of its cells belongs to which column cannot be told. What
leaves the rest of the file in doubt (bytes of another encoding, a quotation mark that is never closed, a cell of a megabyte) raises
`UnreadableFile`. The importer reads a file to its end before it writes anything, so such a file leaves nothing behind.

Held by `tests/domain/imports/test_reading.py`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from domain.errors import LimitExceeded, UnreadableFile
from domain.imports.detection import DELIMITER_SAID, FileFormat
from domain.tables import FORMULA_SIGNS

MAX_COLUMNS = 1_000
LONGEST_CELL = 1_000_000
LONGEST_ROW = 4_000_000

# The limit belongs to the whole process; nobody else here reads CSV. A text has 10,000 characters at most, and what is longer
# than that but within this limit is refused as a single cell, not as a file.
csv.field_size_limit(LONGEST_CELL)


@dataclass(frozen=True, slots=True)
class Record:
    """A row, as many cells as the header has. `row` counts as a spreadsheet does: the file's first row is 1."""

    row: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Ragged:
    """A row with too few or too many cells."""

    row: int
    width: int


class _Lines:
    """The lines of a text, none of them held whole where it is too long; knows whether the text has ended."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self.length = 0
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(LONGEST_ROW - self.length + 1)
        if not line:
            self.ended = True
            raise StopIteration
        self.length += len(line)
        if self.length > LONGEST_ROW:
            raise _TooLong
        return line


class _TooLong(Exception):
    pass


class Table:
    """An opened table. Made by `open_table`."""

    def __init__(self, file: BinaryIO, file_format: FileFormat) -> None:
        self._file = file
        self._encoding = file_format.encoding
        self._lines = _Lines(io.TextIOWrapper(file, encoding=file_format.encoding, newline=""))
        self._records = csv.reader(self._lines, delimiter=file_format.delimiter)
        self._row = 0
        header = self._next()
        if header is not None and DELIMITER_SAID.fullmatch(file_format.delimiter.join(header)):
            header = self._next()
        if header is None:
            raise UnreadableFile("The file is empty.")
        self.headers = _headers(header)

    @property
    def position(self) -> int:
        """How many bytes of the file have been read."""
        return self._file.tell()

    def rows(self) -> Iterator[Record | Ragged]:
        """The rows under the header. Raises `UnreadableFile`."""
        width = len(self.headers)
        while (cells := self._next()) is not None:
            if len(cells) < width or (len(cells) > width and any(map(str.strip, cells[width:]))):
                yield Ragged(self._row, len(cells))
            else:
                yield Record(self._row, [_as_meant(cell) for cell in cells[:width]])

    def _next(self) -> list[str] | None:
        """The next row with any content."""
        while True:
            self._lines.length = 0
            self._row += 1
            try:
                cells = next(self._records, None)
            except UnicodeError:
                raise UnreadableFile(
                    f"Row {self._row:,} cannot be read as {self._encoding}: say the right encoding (--encoding cp1252)."
                ) from None
            except (csv.Error, _TooLong):
                raise UnreadableFile(
                    f"Row {self._row:,} is not readable: it has a cell of more than {LONGEST_CELL:,} characters, or more than"
                    f" {LONGEST_ROW:,} in all. Probably a quotation mark is not closed there."
                ) from None
            if cells is None:
                return None
            if self._lines.ended:
                # The row was ended by the end of the file, not by that of a line.
                raise UnreadableFile(
                    f"Row {self._row:,} opens a quotation mark that is never closed, so it swallows the rest of the file."
                )
            if any(map(str.strip, cells)):
                return cells


@contextmanager
def open_table(path: Path, file_format: FileFormat) -> Iterator[Table]:
    """The table in a file. Raises `UnreadableFile`, `LimitExceeded` for too many columns, and `OSError`."""
    with path.open("rb") as file:
        yield Table(file, file_format)


def _as_meant(cell: str) -> str:
    """Without the apostrophe that an export puts before what a spreadsheet would take for a formula (`domain.tables`)."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in FORMULA_SIGNS else cell


def _headers(cells: list[str]) -> tuple[str, ...]:
    """The names of the columns, "" for a column without one."""
    if len(cells) > MAX_COLUMNS:
        raise LimitExceeded(
            f"The file has {len(cells):,} columns; {MAX_COLUMNS:,} is the most that is taken."
        )
    headers = tuple(" ".join(cell.split()) for cell in cells)
    first: dict[str, int] = {}
    for position, header in enumerate(headers):
        if header and header in first:
            raise UnreadableFile(
                f"The columns {first[header] + 1} and {position + 1} have the same header, “{header[:60]}”. Rename one of them."
            )
        first[header] = position
    return headers
