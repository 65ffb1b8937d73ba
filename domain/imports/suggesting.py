"""Suggesting: which field each column of a file seems to be meant for, and what its rows could be matched by.

Pure but for the reading of the sample. A column goes to the field whose key or label its header is, or a common name of which
(`E-mail`, `Mobile`, `Surname`); to the built-in email or phone field where its cells are of that kind and no other column is;
else to a new field. Looks at the beginning of the file only: what a new field's type is in the end, the whole of it decides.
Held by `tests/domain/imports/test_suggesting.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from domain.errors import UnreadableFile
from domain.fields import Field, FieldType, Settings, field_key, fold
from domain.imports.dates import DateGuess, DateOrder, readings
from domain.imports.detection import FileFormat
from domain.imports.inference import ColumnGuess
from domain.imports.mapping import FieldChoice, column_keys, column_names
from domain.imports.options import Match
from domain.imports.reading import Record, open_table

MOST_CELLS = 200_000
MOST_ROWS = 5_000
FEWEST_ROWS = 100
SHOWN = 5
LONGEST_SHOWN = 100

_COMMON = {
    "email": ("e_mail", "mail", "email_address", "e_mail_address", "mail_address"),
    "phone": (
        *("phone_number", "phone_no", "telephone", "telephone_number", "tel", "tel_no"),
        *("mobile", "mobile_phone", "mobile_number", "cell", "cell_phone"),
    ),
    "first_name": ("firstname", "given_name", "forename"),
    "last_name": ("lastname", "surname", "family_name"),
    "birthdate": ("birth_date", "date_of_birth", "dob"),
}
_BY_CONTENT = {FieldType.EMAIL: "email", FieldType.PHONE: "phone"}
_NAMES_OF_KEYS = re.compile(r"(?:.*_)?(?:id|key|no|nr|number|code|uuid|guid)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column, some of its cells, and the field that is suggested for it. `known`: the field is there already.

    `dates_open`: it has dates whose day and month could be either; `dates` is the order that its cells call for.
    """

    name: str
    samples: tuple[str, ...]
    key: str
    label: str
    type: FieldType
    known: bool
    dates: DateOrder | None
    dates_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """`key_column` is None where nothing that was looked at tells the rows apart."""

    columns: tuple[Column, ...]
    match: Match
    key_column: str | None
    rows: int
    """How many rows were looked at."""


def suggest(
    path: Path,
    file_format: FileFormat,
    settings: Settings,
    known: Mapping[str, Field],
    *,
    separator: str = ";",
) -> Suggestion:
    """Raises `UnreadableFile`, `LimitExceeded` and `OSError`."""
    with open_table(path, file_format) as table:
        names = column_names(table.headers)
        wanted = max(FEWEST_ROWS, min(MOST_ROWS, MOST_CELLS // len(names)))
        records = [row for row in islice(table.rows(), wanted) if isinstance(row, Record)]
        if not records and next(table.rows(), None) is None:
            raise UnreadableFile("The file has a header and not a single row under it.")
    guesses = [ColumnGuess(settings, separator=separator) for _ in names]
    days = [DateGuess() for _ in names]
    for record in records:
        for position, cell in enumerate(record.cells):
            if cell:
                guesses[position].see(cell)
                if readings(cell):
                    days[position].see(cell)
    choices = recognised(names, [guess.type for guess in guesses], known)
    keys = column_keys(table.headers, choices)
    columns = tuple(
        _column(name, known.get(key), key, guess, dates, [record.cells[position] for record in records])
        for position, (name, key, guess, dates) in enumerate(zip(names, keys, guesses, days, strict=True))
    )
    match, key_column = _matched_by(columns, records)
    return Suggestion(columns=columns, match=match, key_column=key_column, rows=len(records))


def recognised(
    names: Sequence[str], types: Sequence[FieldType], known: Mapping[str, Field]
) -> dict[int, FieldChoice]:
    """The columns that are meant for a field which is there and has another key than their header makes."""
    by_label = {fold(field.label): field.key for field in known.values()}
    common = {name: key for key, others in _COMMON.items() if key in known for name in others}
    plain = [field_key(name) for name in names]
    taken = {key for key in plain if key in known}
    choices: dict[int, FieldChoice] = {}

    def choose(position: int, key: str | None) -> None:
        if key is not None and key not in taken and plain[position] not in known and position not in choices:
            taken.add(key)
            choices[position] = FieldChoice(header=names[position], key=key)

    for position, name in enumerate(names):
        choose(position, by_label.get(fold(name)))
    for position in range(len(names)):
        choose(position, common.get(plain[position]))
    for type, key in _BY_CONTENT.items():
        like = [
            position
            for position, found in enumerate(types)
            if found is type and plain[position] not in known and "fax" not in plain[position]
        ]
        if len(like) == 1 and key in known and known[key].type is type:
            choose(like[0], key)
    return choices


def _column(
    name: str, field: Field | None, key: str, guess: ColumnGuess, days: DateGuess, cells: Sequence[str]
) -> Column:
    type = guess.type if field is None else field.type
    of_days = type in (FieldType.DATE, FieldType.DATETIME)
    shown = dict.fromkeys(cell.strip()[:LONGEST_SHOWN] for cell in cells if cell.strip())
    return Column(
        name=name,
        samples=tuple(islice(shown, SHOWN)),
        key=key,
        label=name if field is None else field.label,
        type=type,
        known=field is not None,
        dates=days.order if of_days else None,
        dates_open=of_days and days.is_open,
    )


def _matched_by(columns: Sequence[Column], records: Sequence[Record]) -> tuple[Match, str | None]:
    cells = [[record.cells[position].strip() for record in records] for position in range(len(columns))]
    different = [len(set(some) - {""}) for some in cells]
    for position, column in enumerate(columns):
        # Some rows may lack their key, or repeat one: they are told of when they are imported.
        named = _NAMES_OF_KEYS.fullmatch(field_key(column.name)) or column.name.lower() in {"id", "key"}
        if named and 2 * different[position] >= max(1, len(records)):
            return Match.KEY, column.name
    for column in columns:
        if column.type is FieldType.EMAIL:
            return Match.EMAIL, column.name
    for position, column in enumerate(columns):
        if records and different[position] == len(records):
            return Match.KEY, column.name
    return Match.KEY, None
