"""Batching: the second pass over a file, which turns its rows into rows of contacts.

Owns what is taken of a row and what is refused, and writes nothing. Held by `tests/domain/imports/test_running.py`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import dropwhile
from pathlib import Path

from domain.contacts import Row
from domain.errors import InvalidValue
from domain.fields import Entry, FieldType, Settings, parse_cell
from domain.imports.dates import to_iso
from domain.imports.detection import FileFormat
from domain.imports.mapping import Target, column_names
from domain.imports.options import Options
from domain.imports.reading import Ragged, Record, open_table
from domain.imports.rejects import Rejection
from domain.imports.repeats import LastRows
from domain.imports.surveying import identify

# Each batch waits for the disk twice, for its journal and for its contacts; many more rows at once would keep others who write
# waiting for as long.
BATCH = 500
MOST_CHARACTERS = 1_000_000
MOST_REMEMBERED = 1_000
"""Cells that are not parsed anew where they come again soon: first names, cities and answers are few in the longest list."""
LONGEST_REMEMBERED = 60
"""Of a cell, in characters."""
MOST_REFUSED_CELLS = 20
"""Of one row that are told one by one."""


@dataclass(slots=True, kw_only=True)
class Batch:
    """Some rows of the file, one after the other: what is to be written, and what became of the others."""

    last: int
    """The number of its last row in the file."""
    rows: list[Row] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    """The numbers of `rows` in the file."""
    rejections: list[Rejection] = field(default_factory=list)
    superseded: int = 0
    rejected: int = 0
    cells_left_out: int = 0
    position: int = 0


class Batches:
    """How rows become batches, by what the survey found."""

    def __init__(
        self,
        targets: Sequence[Target],
        *,
        key_position: int,
        settings: Settings,
        options: Options,
        last_rows: LastRows,
    ) -> None:
        self._targets = targets
        self._key_position = key_position
        self._identify = identify(key_position, options.match, settings)
        self._settings = settings
        self._options = options
        self._last_rows = last_rows
        self._width = 0
        self._parse_again = lru_cache(maxsize=MOST_REMEMBERED)(self._parse)

    def read(
        self, path: Path, file_format: FileFormat, *, after: int = 0, through: int = 0
    ) -> Generator[Batch, None, None]:
        """The batches of the file, from the row behind `after` on; the first one ends with the row `through`, if that is said.

        Raises `UnreadableFile` and `OSError`.
        """
        with open_table(path, file_format) as table:
            self._width = len(table.headers)
            self._key_name = column_names(table.headers)[self._key_position]
            rows = dropwhile(lambda row: row.row <= after, table.rows())
            while some := _some(rows, through):
                through = 0
                batch = Batch(last=some[-1].row)
                for row in some:
                    self._take(row, batch)
                batch.position = table.position
                yield batch

    def _take(self, row: Record | Ragged, batch: Batch) -> None:
        match row:
            case Ragged(number, width):
                batch.rejected += 1
                reason = f"This row has {width:,} cells and the header {self._width:,}: which is whose cannot be told."
                batch.rejections.append(Rejection(row=number, column="", value="", reason=reason))
            case Record(number, cells):
                try:
                    key = self._identify(row)
                except InvalidValue as error:
                    batch.rejected += 1
                    value = cells[self._key_position]
                    batch.rejections.append(
                        Rejection(row=number, column=self._key_name, value=value, reason=error.message)
                    )
                    return
                if self._last_rows.superseded(key, number):
                    batch.superseded += 1
                else:
                    self._take_record(key, row, batch)

    def _take_record(self, key: str, record: Record, batch: Batch) -> None:
        entries: dict[str, Entry | None] = {}
        refused = 0
        for position, target in enumerate(self._targets):
            cell = record.cells[target.position]
            try:
                entry = self._entry(position, cell) if cell else None
            except InvalidValue as error:
                refused += 1
                if refused <= MOST_REFUSED_CELLS:
                    batch.rejections.append(
                        Rejection(row=record.row, column=target.name, value=cell, reason=error.message)
                    )
            else:
                if entry is not None or self._options.empty_removes:
                    entries[target.field.key] = entry
        if refused > MOST_REFUSED_CELLS:
            more = f"{refused - MOST_REFUSED_CELLS:,} more cells of this row were refused."
            batch.rejections.append(Rejection(row=record.row, column="", value="", reason=more))
        if refused and self._options.strict:
            batch.rejected += 1
        else:
            batch.cells_left_out += refused
            batch.rows.append(Row(key=key, entries=entries))
            batch.numbers.append(record.row)

    def _entry(self, position: int, cell: str) -> Entry | None:
        """What the target at `position` makes of a cell."""
        return (self._parse_again if len(cell) <= LONGEST_REMEMBERED else self._parse)(position, cell)

    def _parse(self, position: int, cell: str) -> Entry | None:
        target = self._targets[position]
        if target.field.type in (FieldType.DATE, FieldType.DATETIME):
            cell = to_iso(cell, target.dates)
        return parse_cell(target.field, cell, self._settings, separator=self._options.separator)


def _some(rows: Iterator[Record | Ragged], through: int) -> list[Record | Ragged]:
    """The next rows: `BATCH` of them, fewer where they are long, and up to the row `through` where that is said."""
    some: list[Record | Ragged] = []
    room = MOST_CHARACTERS
    for row in rows:
        some.append(row)
        room -= sum(map(len, row.cells)) if isinstance(row, Record) else 0
        if row.row == through or (not through and (len(some) == BATCH or room <= 0)):
            break
    return some
