"""What the caller wants of an import, and what was suggested for the rest.

Owns how the two are put together to the options of a run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from domain.errors import InvalidMapping
from domain.fields import FieldType
from domain.imports.dates import DateOrder
from domain.imports.mapping import KEY, FieldChoice, open_dates
from domain.imports.options import Match, Mode, Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the caller says of an import that differs from what was suggested. `choices` and `left_out` are of single columns."""

    match: Match | None = None
    key_column: str | None = None
    choices: tuple[FieldChoice, ...] = ()
    left_out: tuple[str, ...] = ()
    mode: Mode = Mode.BOTH
    separator: str = ";"
    dates: DateOrder | None = None
    strict: bool = False
    empty_removes: bool = True
    keep_existing: bool = False
    group: ObjectId | None = None


def complete_options(job: Mapping[str, Any], wanted: Wanted) -> Options:
    """What was suggested, but for what the caller wants otherwise."""
    own = next((choice for choice in wanted.choices if choice.key == KEY), None)
    left_out = {" ".join(name.split()) for name in wanted.left_out}
    suggested = suggested_choices(job["columns"], wanted.choices, left_out)
    key_column = wanted.key_column or (job["key_column"] if own is None else own.header)
    if key_column is None:
        raise InvalidMapping(
            "Say which column tells the rows apart: none of them is different in every row.",
            path=("keyColumn",),
        )
    said = wanted.key_column is not None or own is not None
    match = wanted.match or (Match.KEY if said else Match(job["match"]))
    if own is not None:
        if match is not Match.KEY or " ".join(own.header.split()) != " ".join(key_column.split()):
            raise InvalidMapping(
                f"Only the column that rows are matched by is the key of a contact, and “{own.header[:60]}” is not that.",
                path=("columns",),
            )
        left_out.add(own.header)
    return Options(
        key_column=key_column,
        match=match,
        choices=(*(choice for choice in wanted.choices if choice is not own), *suggested),
        left_out=tuple(sorted(left_out)),
        mode=wanted.mode,
        separator=wanted.separator,
        dates=wanted.dates,
        strict=wanted.strict,
        empty_removes=wanted.empty_removes,
        keep_existing=wanted.keep_existing,
        group=wanted.group,
        encoding=job["format"]["encoding"] if job["format"]["sheet"] is None else None,
        delimiter=job["format"]["delimiter"] if job["format"]["sheet"] is None else None,
        sheet=job["format"]["sheet"],
    )


def suggested_choices(
    columns: Sequence[Mapping[str, Any]], choices: Sequence[FieldChoice], left_out: Collection[str]
) -> list[FieldChoice]:
    """The fields that are suggested for the columns of which nothing else is said."""
    named = {" ".join(choice.header.split()) for choice in choices}
    given = {choice.key for choice in choices}
    return [
        FieldChoice(header=column["name"], key=column["key"])
        for column in columns
        if column["known"]
        and column["key"] != KEY
        and column["name"] not in named
        and column["name"] not in left_out
        and column["key"] not in given
    ]


def check_dates(job: Mapping[str, Any], options: Options) -> None:
    """Raises `InvalidMapping` where the beginning of the file shows already that somebody must say how dates are to be read."""
    choices = {choice.header: choice for choice in options.choices}
    for column in job["columns"]:
        name = column["name"]
        choice = choices.get(name)
        of_days = choice is None or choice.type in (None, FieldType.DATE, FieldType.DATETIME)
        said = options.dates or (choice and choice.dates)
        if column["dates_open"] and of_days and not said and name not in options.left_out:
            raise open_dates(name)
