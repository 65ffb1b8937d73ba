"""Running: a CSV file into an account's contacts, in two passes.

Owns the order of things. The first pass reads the file to its end: it finds what is broken, infers the types and notes the last
row of each key. Only then fields are made, and the second pass writes in batches. So a file that cannot be read leaves nothing
behind. A cell that its field refuses is left out while its row goes in (`strict`: the row is rejected); a row without a key, or
with another number of cells than the header, is rejected; of several rows with one key the last one counts, even where it
is rejected. Reading goes on in a thread of its own while a batch is being written.

Invariant: created, updated, unchanged, superseded and rejected rows are all rows, and the same file a second time changes
nothing. Held by `tests/domain/imports/test_running.py`. Memory: a few batches, whatever the length of the file.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeVar

from domain.contacts import Contacts, Entries, Outcome, Row, checked_key
from domain.definitions import Definitions
from domain.errors import InvalidMapping, InvalidValue, LimitExceeded, UnreadableFile
from domain.fields import Entry, Field, Settings, parse_cell
from domain.imports.detection import Format, detect
from domain.imports.inference import ColumnGuess
from domain.imports.mapping import FieldChoice, Target, find_column, map_columns, resolve_choices
from domain.imports.reading import Ragged, Record, open_table
from domain.imports.rejects import Rejection
from domain.imports.repeats import LastRows
from domain.registry import MAX_FIELDS, Fields
from domain.store.log import Reason

BATCH = 500

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a file is to be imported."""

    key_column: str
    choices: tuple[FieldChoice, ...] = ()
    separator: str = ";"
    strict: bool = False
    encoding: str | None = None
    delimiter: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run has come: bytes of the file, which both passes read."""

    writing: bool
    position: int
    size: int


@dataclass(slots=True, kw_only=True)
class Report:
    """What became of the rows so far. `superseded`: those whose key came again further down."""

    format: Format
    made: tuple[Field, ...] = ()
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    superseded: int = 0
    rejected: int = 0
    cells_left_out: int = 0

    @property
    def rows(self) -> int:
        return self.created + self.updated + self.unchanged + self.superseded + self.rejected


@dataclass(slots=True, kw_only=True)
class _Batch:
    """The outcome of reading some rows of the second pass."""

    rows: list[Row] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    superseded: int = 0
    rejected: int = 0
    cells_left_out: int = 0
    position: int = 0


class Import:
    """One import of one file. `report` tells how far it came, also where it failed."""

    def __init__(self, path: Path, options: Options) -> None:
        if not options.separator:
            raise InvalidMapping("The separator of tags cannot be empty.")
        self._path = path
        self._options = options
        self.report: Report | None = None

    async def run(
        self,
        *,
        definitions: Definitions,
        fields: Fields,
        contacts: Contacts,
        reject: Callable[[Rejection], None],
        progress: Callable[[Progress], None],
    ) -> Report:
        """Carry it out. `reject` is told of every refused cell and row, in the order of the file.

        Raises `UnreadableFile`, `InvalidMapping`, `InvalidField` and `LimitExceeded` before anything is written, and `OSError`
        from the file system.
        """
        options = self._options
        size = (await asyncio.to_thread(self._path.stat)).st_size
        format = await asyncio.to_thread(
            detect, self._path, encoding=options.encoding, delimiter=options.delimiter
        )
        report = self.report = Report(format=format)
        catalogue = await definitions.current()
        with LastRows() as last:
            survey = Survey(self._path, format, options, catalogue.settings, catalogue.fields, last)
            steps = survey.steps()
            while (position := await asyncio.to_thread(next, steps, None)) is not None:
                progress(Progress(writing=False, position=position, size=size))
            targets = map_columns(survey.headers, survey.guesses, catalogue.fields, survey.choices)
            report.made = await _make_fields(fields, targets, room=MAX_FIELDS - len(catalogue.fields))

            batches = self._batches(format, survey.key, targets, catalogue.settings, last)
            batch = await _next(batches)
            while batch is not None:
                upcoming = asyncio.create_task(_next(batches))
                try:
                    outcomes = await contacts.upsert(batch.rows, reason=Reason.IMPORTED)
                except BaseException:
                    # The thread must be done with file and table before they are closed.
                    await asyncio.wait([upcoming])
                    raise
                _add(report, batch, Counter(outcome for _, outcome in outcomes))
                for rejection in batch.rejections:
                    reject(rejection)
                progress(Progress(writing=True, position=batch.position, size=size))
                batch = await upcoming
        return report

    def _batches(
        self, format: Format, key: int, targets: Sequence[Target], settings: Settings, last: LastRows
    ) -> Iterator[_Batch]:
        with open_table(self._path, format) as table:
            rows = table.rows()
            while some := list(islice(rows, BATCH)):
                batch = _Batch()
                for row in some:
                    self._read(row, key, targets, settings, last, batch)
                batch.position = table.position
                yield batch

    def _read(
        self,
        row: Record | Ragged,
        key_position: int,
        targets: Sequence[Target],
        settings: Settings,
        last: LastRows,
        batch: _Batch,
    ) -> None:
        """Put the row into the batch, or why not."""
        key = _key(row, key_position)
        if isinstance(key, Rejection):
            column = next((target.name for target in targets if target.position == key_position), "")
            batch.rejected += 1
            batch.rejections.append(key)
            return
        assert isinstance(row, Record)
        if last.superseded(key, row.row):
            batch.superseded += 1
            return
        entries: dict[str, Entry | None] = {}
        refused = 0
        for target in targets:
            cell = row.cells[target.position]
            try:
                entries[target.field.key] = parse_cell(
                    target.field, cell, settings, separator=self._options.separator
                )
            except InvalidValue as error:
                refused += 1
                batch.rejections.append(
                    Rejection(row=row.row, column=target.name, value=cell, reason=error.message)
                )
        if refused and self._options.strict:
            batch.rejected += 1
        else:
            batch.cells_left_out += refused
            batch.rows.append(Row(key=key, entries=entries))
