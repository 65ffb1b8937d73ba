"""How a file is to be imported, as the caller says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bson import ObjectId

from domain.errors import InvalidMapping
from domain.imports.dates import DateOrder
from domain.imports.mapping import FieldChoice


class Match(StrEnum):
    """What a row's contact is found by."""

    KEY = "key"
    EMAIL = "email"
    PHONE = "phone"


class Mode(StrEnum):
    """What becomes of rows whose contact is there, or is not."""

    CREATE = "create"
    UPDATE = "update"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`key_column` tells contacts apart: its cells are their keys, or else what `match` says.

    `encoding` and `delimiter` are detected where they are None; `sheet`, of a workbook, is then the first that can be seen; `dates`
    is the order of columns that leave it open. `strict`: a refused cell rejects its row. `empty_removes`: an empty cell removes the
    value. `keep_existing`: a value that is there stays. All contacts of the file are put into `group`. Columns in `left_out`
    go nowhere.
    """

    key_column: str
    match: Match = Match.KEY
    mode: Mode = Mode.BOTH
    choices: tuple[FieldChoice, ...] = ()
    left_out: tuple[str, ...] = ()
    separator: str = ";"
    dates: DateOrder | None = None
    strict: bool = False
    empty_removes: bool = True
    keep_existing: bool = False
    group: ObjectId | None = None
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None

    def __post_init__(self) -> None:
        if not self.separator:
            raise InvalidMapping("The separator of tags cannot be empty.")
