"""Mapping: which field each column of a file goes to.

Pure. A column goes to the field whose key its header makes (`Contact Form` -> `contact_form`; a second column of the same key
gets `_2`): to the account's own where there is one, else to a new one of the inferred type. What the caller chose for a column
comes first. A key column that is called `Key`, as in an export, goes to no field: it is the contact's own key. Refuses with
`InvalidMapping` what cannot be led so, naming what was probably meant.

Invariant: no two columns go to one field, and the same header goes to the same key in every import of the same columns.
Held by `tests/domain/imports/test_mapping.py`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from types import MappingProxyType

from domain.errors import InvalidMapping
from domain.fields import Field, FieldType, field_key, fold
from domain.fields.definitions import LONGEST_LABEL
from domain.imports.dates import DateGuess, DateOrder
from domain.imports.inference import ColumnGuess

KEY = "key"
"""What stands in place of a field's key for the contact's own; no field has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChoice:
    """What the caller says of one column: its field's key; its type, and the order of its dates, unless those are inferred."""

    header: str
    key: str
    type: FieldType | None = None
    dates: DateOrder | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a column goes. `made`: the field is not there yet. `dates`: how those are read that could mean either."""

    position: int
    name: str
    field: Field
    made: bool
    dates: DateOrder | None = None


def find_column(headers: Sequence[str], name: str) -> int:
    """The position of the column of this header. Raises `InvalidMapping`, which names the headers and the nearest one."""
    wanted = " ".join(name.split())
    names = column_names(headers)
    if wanted in names:
        return names.index(wanted)
    folded = {header.lower(): header for header in names}
    near = difflib.get_close_matches(wanted[:200].lower(), folded, n=1, cutoff=0.5)
    meant = f" Did you mean “{folded[near[0]]}”?" if near else ""
    listed = ", ".join(f"“{header[:60]}”" for header in names[:50])
    more = f" and {len(names) - 50:,} more" if len(names) > 50 else ""
    raise InvalidMapping(f"There is no column “{wanted[:60]}”.{meant} The columns are {listed}{more}.")


def open_dates(name: str) -> InvalidMapping:
    return InvalidMapping(
        f"The dates of the column “{name[:60]}” may have their day first or their month: 3/5/1990 is in March or in May."
        " Say which."
    )


def column_names(headers: Sequence[str]) -> list[str]:
    """What each column is called: by its header, or `Column 7` where it has none."""
    return [header or f"Column {position}" for position, header in enumerate(headers, 1)]


def resolve_choices(
    headers: Sequence[str], choices: Sequence[FieldChoice], known: Mapping[str, Field]
) -> dict[int, FieldChoice]:
    """The choices by the position of their column. Raises `InvalidMapping`, and `InvalidField` for a key that cannot be."""
    resolved: dict[int, FieldChoice] = {}
    keys: dict[str, str] = {}
    for choice in choices:
        position = find_column(headers, choice.header)
        if position in resolved:
            raise InvalidMapping(f"Two fields are chosen for the column “{choice.header[:60]}”.")
        if choice.key in keys:
            raise InvalidMapping(
                f"The field “{choice.key}” is chosen for two columns, “{keys[choice.key]}” and “{choice.header[:60]}”."
            )
        field = known.get(choice.key)
        if field is None:
            Field(key=choice.key, label="-", type=choice.type or FieldType.TEXT)
        elif choice.type not in (None, field.type):
            raise InvalidMapping(
                f"The field “{choice.key}” is there already, of type {field.type} and not {choice.type}. Choose another key,"
                " or leave the type out."
            )
        resolved[position] = choice
        keys[choice.key] = choice.header[:60]
    return resolved


def column_keys(headers: Sequence[str], choices: Mapping[int, FieldChoice]) -> list[str]:
    """The key of each column's field: as chosen, or made of the header."""
    taken = {choice.key for choice in choices.values()}
    keys: list[str] = []
    for position, name in enumerate(column_names(headers)):
        choice = choices.get(position)
        key = field_key(name, taken) if choice is None else choice.key
        taken.add(key)
        keys.append(key)
    return keys


def is_own_key(header: str) -> bool:
    """Whether a column is called what a contact's key is called in an export."""
    return fold(header) == KEY


def own_key_position(
    headers: Sequence[str], key_column: str | None, choices: Mapping[int, FieldChoice]
) -> int | None:
    """The position of the column of keys where it goes to no field, because it is called so and no field was chosen for it."""
    if key_column is None or not is_own_key(key_column):
        return None
    position = find_column(headers, key_column)
    return None if position in choices else position


def columns_to_guess(
    headers: Sequence[str],
    known: Mapping[str, Field],
    choices: Mapping[int, FieldChoice],
    left_out: AbstractSet[int] = frozenset(),
) -> list[int]:
    """The columns whose type neither a field that is there nor the caller says."""
    return [
        position
        for position, key in enumerate(column_keys(headers, choices))
        if position not in left_out
        and key not in known
        and (position not in choices or choices[position].type is None)
    ]


def columns_of_dates(
    headers: Sequence[str],
    known: Mapping[str, Field],
    choices: Mapping[int, FieldChoice],
    left_out: AbstractSet[int] = frozenset(),
) -> list[int]:
    """The columns that go to days or points in time, as a field that is there or the caller says."""
    types = [
        known[key].type if key in known else choices[position].type if position in choices else None
        for position, key in enumerate(column_keys(headers, choices))
    ]
    return [
        position
        for position, type in enumerate(types)
        if position not in left_out and type in (FieldType.DATE, FieldType.DATETIME)
    ]


def map_columns(
    headers: Sequence[str],
    guesses: Mapping[int, ColumnGuess],
    known: Mapping[str, Field],
    choices: Mapping[int, FieldChoice],
    dates: Mapping[int, DateGuess] = MappingProxyType({}),
    *,
    left_out: AbstractSet[int] = frozenset(),
    order: DateOrder | None = None,
) -> tuple[Target, ...]:
    """The field of each column. `guesses` are those of `columns_to_guess`, `dates` those of `columns_of_dates`.

    A column that has neither header nor content, and no field from an earlier import, is left out. Raises `InvalidMapping` for
    a column whose dates could have their day or their month first while nobody says which.
    """
    targets: list[Target] = []
    names, keys = column_names(headers), column_keys(headers, choices)
    for position, (name, key) in enumerate(zip(names, keys, strict=True)):
        if position in left_out:
            continue
        field = known.get(key)
        made = field is None
        if field is None:
            guess = guesses.get(position)
            if guess is not None and not guess.filled and not headers[position]:
                continue
            type = choices[position].type if guess is None else guess.type
            assert type is not None, "a column without a guess has a type that was chosen"
            field = Field(key=key, label=name[:LONGEST_LABEL], type=type)
        said = (choices[position].dates if position in choices else None) or order
        days = dates.get(position) or (guesses[position].dates if position in guesses else None)
        of_days = field.type in (FieldType.DATE, FieldType.DATETIME)
        if of_days and said is None and days is not None and days.is_open:
            raise open_dates(name)
        targets.append(
            Target(
                position=position,
                name=name,
                field=field,
                made=made,
                dates=(said or (None if days is None else days.order)) if of_days else None,
            )
        )
    return tuple(targets)
