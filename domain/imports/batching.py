"""Batching: the second pass over a file, which turns its rows into rows of contacts.

Owns what is taken of a row and what is refused, and writes nothing. Held by `tests/domain/imports/test_running.py`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from domain.contacts import Row
from domain.errors import InvalidValue
from domain.fields import Entry, Settings, parse_cell
from domain.imports.detection import FileFormat
from domain.imports.mapping import Target
from domain.imports.options import Options
from domain.imports.reading import Ragged, Record, open_table
from domain.imports.rejects import Rejection
from domain.imports.repeats import LastRows
from domain.imports.surveying import key_of

# More at once gain nothing (the rate is that of the server's inserts), and the embedded database looks keys up in a time that
# grows with their square.
BATCH = 200


@dataclass(slots=True, kw_only=True)
class Batch:
    """Some rows of the file, one after the other: what is to be written, and what became of the others."""

    rows: list[Row] = field(default_factory=list)
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
        self._key_name = next(target.name for target in targets if target.position == key_position)
        self._settings = settings
        self._options = options
        self._last_rows = last_rows
        self._width = 0

    def read(self, path: Path, file_format: FileFormat) -> Generator[Batch, None, None]:
        """The batches of the file. Raises `UnreadableFile` and `OSError`."""
        with open_table(path, file_format) as table:
            self._width = len(table.headers)
            rows = table.rows()
            while some := list(islice(rows, BATCH)):
                batch = Batch()
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
                    key = key_of(row, self._key_position)
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
        for target in self._targets:
            cell = record.cells[target.position]
            try:
                entries[target.field.key] = (
                    parse_cell(target.field, cell, self._settings, separator=self._options.separator)
                    if cell
                    else None
                )
            except InvalidValue as error:
                refused += 1
                batch.rejections.append(
                    Rejection(row=record.row, column=target.name, value=cell, reason=error.message)
                )
        if refused and self._options.strict:
            batch.rejected += 1
        else:
            batch.cells_left_out += refused
            batch.rows.append(Row(key=key, entries=entries))
