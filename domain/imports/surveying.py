"""Surveying: the first pass over a file, which reads it to its end and writes nothing.

Owns what must be known of the whole file before the first row can be taken: that it is readable, what the cells of each new column
leave possible, and the last row of each key. Held by `tests/domain/imports/test_surveying.py`. Memory: a few numbers for a column.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from itertools import islice
from pathlib import Path

from domain.contact import checked_key
from domain.errors import InvalidValue, UnreadableFile
from domain.fields import Field, Settings
from domain.fields.normal import normal_email, normal_phone
from domain.imports.dates import DateGuess, readings
from domain.imports.detection import FileFormat
from domain.imports.inference import ColumnGuess
from domain.imports.mapping import (
    FieldChoice,
    Target,
    columns_of_dates,
    columns_to_guess,
    find_column,
    map_columns,
    own_key_position,
    resolve_choices,
)
from domain.imports.options import Match, Options
from domain.imports.reading import Record, open_table
from domain.imports.repeats import LastRows

STEP = 1_000


class Survey:
    """What the first pass finds. Complete once `steps` has come to its end."""

    headers: tuple[str, ...]
    guesses: dict[int, ColumnGuess]
    dates: dict[int, DateGuess]
    choices: dict[int, FieldChoice]
    left_out: frozenset[int]
    key_position: int
    rows: int

    def __init__(self, last_rows: LastRows) -> None:
        self._last_rows = last_rows

    def steps(
        self,
        path: Path,
        file_format: FileFormat,
        options: Options,
        settings: Settings,
        known: Mapping[str, Field],
    ) -> Generator[int, None, None]:
        """Reads on at each step, and tells how many bytes have been read.

        Raises `UnreadableFile`, `LimitExceeded`, `InvalidMapping`, `InvalidField` and `OSError`.
        """
        with open_table(path, file_format) as table:
            self.headers = table.headers
            self.key_position = find_column(table.headers, options.key_column)
            self.choices = resolve_choices(table.headers, options.choices, known)
            self.left_out = frozenset(find_column(table.headers, name) for name in options.left_out)
            if options.match is Match.KEY:
                own = own_key_position(table.headers, options.key_column, self.choices)
                self.left_out |= set() if own is None else {own}
            self._identify = identify(self.key_position, options.match, settings)
            self._order = options.dates
            looked_at = (table.headers, known, self.choices, self.left_out)
            self.guesses = {
                position: ColumnGuess(settings, separator=options.separator)
                for position in columns_to_guess(*looked_at)
            }
            self.dates = {position: DateGuess() for position in columns_of_dates(*looked_at)}
            rows = table.rows()
            self.rows = 0
            while some := list(islice(rows, STEP)):
                self.rows += len(some)
                self._look_at([row for row in some if isinstance(row, Record)])
                yield table.position
            if not self.rows:
                raise UnreadableFile("The file has a header and not a single row under it.")

    def targets(self, known: Mapping[str, Field]) -> tuple[Target, ...]:
        """The field of each column. Raises `InvalidMapping` where somebody must say how dates are to be read."""
        return map_columns(
            self.headers,
            self.guesses,
            known,
            self.choices,
            self.dates,
            left_out=self.left_out,
            order=self._order,
        )

    def _look_at(self, records: list[Record]) -> None:
        keys: list[tuple[str, int]] = []
        for record in records:
            for position, guess in self.guesses.items():
                if cell := record.cells[position]:
                    guess.see(cell)
            for position, days in self.dates.items():
                # What is no date is the second pass's to refuse; it says nothing of the others.
                if read := readings(record.cells[position]):
                    days.take(read)
            try:
                keys.append((self._identify(record), record.row))
            except InvalidValue:
                continue  # the second pass rejects the row
        self._last_rows.note(keys)


def identify(position: int, match: Match, settings: Settings) -> Callable[[Record], str]:
    """What tells the contact of a row: its key, or the normal form of its address or number. The call raises `InvalidValue`."""

    def identity(record: Record) -> str:
        cell = record.cells[position]
        if not cell.strip():
            raise InvalidValue(f"This row has no {_CALLED[match]}.")
        match match:
            case Match.KEY:
                return checked_key(cell)
            case Match.EMAIL:
                return normal_email(cell)
            case Match.PHONE:
                return normal_phone(cell, settings)

    return identity


_CALLED = {Match.KEY: "key", Match.EMAIL: "email address", Match.PHONE: "phone number"}
