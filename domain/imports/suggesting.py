"""Suggesting: which field each column of a file seems to be meant for, and what its rows could be matched by.

Pure but for the reading of the sample. A column goes to the field whose key or label its header is; to one of the usual fields of
which it is a common name (`E-mail`, `Mobile`, `Birthday`), unless the field refuses most of its cells; to the built-in email or
phone field where its cells are of that kind and no other column is; else to a new field. The key column of an export, `Key`,
goes to no field: it is the contact's own key. Looks at the beginning of the file only: what a new field's type is in the end, the
whole of it decides.
Held by `tests/domain/imports/test_suggesting.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from domain.errors import InvalidValue, UnreadableFile
from domain.fields import Field, FieldType, Settings, field_key, fold, parse_cell
from domain.imports.dates import DateGuess, DateOrder, readings
from domain.imports.detection import FileFormat
from domain.imports.inference import ColumnGuess
from domain.imports.mapping import (
    KEY,
    FieldChoice,
    column_keys,
    column_names,
    is_own_key,
    own_key_position,
)
from domain.imports.options import Match
from domain.imports.reading import Record, open_table

MOST_CELLS = 200_000
MOST_ROWS = 5_000
FEWEST_ROWS = 100
SHOWN = 5
LONGEST_SHOWN = 100

_COMMON = {
    "email": ("e_mail", "mail", "email_address", "emailaddress", "e_mail_address", "mail_address"),
    "phone": (
        *("phone_number", "phone_no", "telephone", "telephone_number", "tel", "tel_no"),
        *("mobile", "mobile_phone", "mobile_number", "cell", "cell_phone", "cellphone"),
    ),
    "first_name": ("firstname", "fname", "given_name", "forename"),
    "last_name": ("lastname", "lname", "surname", "family_name"),
    "birthdate": ("birth_date", "birthday", "birth_day", "date_of_birth", "dob", "d_o_b"),
}
MOST_TRIED = 200
"""Cells of a column that is called by a common name, to see whether its field takes them."""
_BY_CONTENT = {FieldType.EMAIL: "email", FieldType.PHONE: "phone"}
_NAMES_OF_KEYS = re.compile(r"(?:.*_)?(?:id|key|no|nr|number|code|uuid|guid)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column, some of its cells, and the field that is suggested for it. `known`: the field is there already, or it is `KEY`.

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
    cells = [[record.cells[position] for record in records] for position in range(len(names))]

    def takes(position: int, key: str) -> bool:
        return _takes_most(known[key], cells[position], settings)

    choices = recognised(names, [guess.type for guess in guesses], known, takes)
    keys = column_keys(table.headers, choices)
    columns = tuple(
        _column(name, known.get(key), key, guess, dates, some)
        for name, key, guess, dates, some in zip(names, keys, guesses, days, cells, strict=True)
    )
    match, key_column = _matched_by(columns, cells)
    if match is Match.KEY and (own := own_key_position(names, key_column, choices)) is not None:
        column = replace(columns[own], key=KEY, label=names[own], type=FieldType.TEXT, known=True)
        columns = (*columns[:own], column, *columns[own + 1 :])
    return Suggestion(columns=columns, match=match, key_column=key_column, rows=len(records))


def recognised(
    names: Sequence[str],
    types: Sequence[FieldType],
    known: Mapping[str, Field],
    takes: Callable[[int, str], bool],
) -> dict[int, FieldChoice]:
    """The columns that are meant for a field which is there and has another key than their header makes.

    `takes` says whether the field of a key takes what is in a column, by and large.
    """
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
        key = common.get(plain[position])
        if key is not None and takes(position, key):
            choose(position, key)
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


def _takes_most(field: Field, cells: Sequence[str], settings: Settings) -> bool:
    """Whether a field takes at least half of the filled cells, or there is none."""
    tried = list(islice((cell for cell in cells if cell.strip()), MOST_TRIED))
    return 2 * sum(_takes(field, cell, settings) for cell in tried) >= len(tried)


def _takes(field: Field, cell: str, settings: Settings) -> bool:
    if field.type in (FieldType.DATE, FieldType.DATETIME):
        cell = next(iter(readings(cell).values()), cell)
    try:
        parse_cell(field, cell, settings)
    except InvalidValue:
        return False
    return True


def _matched_by(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> tuple[Match, str | None]:
    rows = len(cells[0])
    different = [len({cell.strip() for cell in some} - {""}) for some in cells]
    for by_name in (is_own_key, _is_named_as_key):
        for position, column in enumerate(columns):
            # Some rows may lack their key, or repeat one: they are told of when they are imported.
            if by_name(column.name) and 2 * different[position] >= max(1, rows):
                return Match.KEY, column.name
    for column in columns:
        if column.type is FieldType.EMAIL:
            return Match.EMAIL, column.name
    for position, column in enumerate(columns):
        if rows and different[position] == rows:
            return Match.KEY, column.name
    return Match.KEY, None


def _is_named_as_key(name: str) -> bool:
    return name.lower() == "id" or _NAMES_OF_KEYS.fullmatch(field_key(name)) is not None
