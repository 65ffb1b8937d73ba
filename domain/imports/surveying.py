"""Surveying: the first pass over a file, which reads it to its end and writes nothing.

Owns what must be known of the whole file before the first row can be taken: that it is readable, what the cells of each new column
leave possible, and the last row of each key. Held by `tests/domain/imports/test_surveying.py`. Memory: a few numbers for a column.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from itertools import islice
from pathlib import Path

from domain.contact import checked_key
from domain.errors import InvalidValue, UnreadableFile
from domain.fields import Field, Settings
from domain.imports.detection import FileFormat
from domain.imports.inference import ColumnGuess
from domain.imports.mapping import FieldChoice, columns_to_guess, find_column, resolve_choices
from domain.imports.options import Options
from domain.imports.reading import Record, open_table
from domain.imports.repeats import LastRows

STEP = 1_000


class Survey:
    """What the first pass finds. Complete once `steps` has come to its end."""

    headers: tuple[str, ...]
    guesses: dict[int, ColumnGuess]
    choices: dict[int, FieldChoice]
    key_position: int

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
            self.guesses = {
                position: ColumnGuess(settings, separator=options.separator)
                for position in columns_to_guess(table.headers, known, self.choices)
            }
            rows = table.rows()
            empty = True
            while some := list(islice(rows, STEP)):
                empty = False
                self._look_at([row for row in some if isinstance(row, Record)])
                yield table.position
            if empty:
                raise UnreadableFile("The file has a header and not a single row under it.")

    def _look_at(self, records: list[Record]) -> None:
        keys: list[tuple[str, int]] = []
        for record in records:
            for position, guess in self.guesses.items():
                if cell := record.cells[position]:
                    guess.see(cell)
            try:
                keys.append((key_of(record, self.key_position), record.row))
            except InvalidValue:
                continue  # the second pass rejects the row
        self._last_rows.note(keys)


def key_of(record: Record, position: int) -> str:
    """The key of the row's contact. Raises `InvalidValue`."""
    cell = record.cells[position]
    if not cell.strip():
        raise InvalidValue("This row has no key.")
    return checked_key(cell)
