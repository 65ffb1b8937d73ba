"""Mapping: which field each column of a file goes to.

Pure. A column goes to the field whose key its header makes (`Contact Form` -> `contact_form`; a second column of the same key
gets `_2`): to the account's own where there is one, else to a new one of the inferred type. What the caller chose for a column
comes first. Refuses with `InvalidMapping` what cannot be led so, naming what was probably meant.

Invariant: no two columns go to one field, and the same header goes to the same key in every import of the same columns.
Held by `tests/domain/imports/test_mapping.py`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domain.errors import InvalidMapping
from domain.fields import Field, FieldType, field_key
from domain.fields.definitions import LONGEST_LABEL
from domain.imports.inference import ColumnGuess


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChoice:
    """What the caller says of one column: its field's key, and its type unless that is to be inferred."""

    header: str
    key: str
    type: FieldType | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a column goes. `made`: the field is not there yet."""

    position: int
    name: str
    field: Field
    made: bool


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


def map_columns(
    headers: Sequence[str],
    guesses: Sequence[ColumnGuess],
    known: Mapping[str, Field],
    choices: Mapping[int, FieldChoice],
) -> tuple[Target, ...]:
    """The field of each column; a column with neither header nor content is left out."""
    taken = {choice.key for choice in choices.values()}
    targets: list[Target] = []
    for position, (name, guess) in enumerate(zip(column_names(headers), guesses, strict=True)):
        choice = choices.get(position)
        if choice is None:
            if not headers[position] and not guess.filled:
                continue
            key = field_key(name, taken)
            taken.add(key)
        else:
            key = choice.key
        field = known.get(key)
        if field is None:
            type = choice.type if choice is not None and choice.type is not None else guess.type
            made = Field(key=key, label=name[:LONGEST_LABEL], type=type)
            targets.append(Target(position=position, name=name, field=made, made=True))
        else:
            targets.append(Target(position=position, name=name, field=field, made=False))
    return tuple(targets)
