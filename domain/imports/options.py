"""How a file is to be imported, as the caller says."""

from __future__ import annotations

from dataclasses import dataclass

from domain.errors import InvalidMapping
from domain.imports.mapping import FieldChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`encoding` and `delimiter` are detected where they are None; `sheet`, of a workbook, is then the first that can be seen.

    `strict`: a refused cell rejects its row.
    """

    key_column: str
    choices: tuple[FieldChoice, ...] = ()
    separator: str = ";"
    strict: bool = False
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None

    def __post_init__(self) -> None:
        if not self.separator:
            raise InvalidMapping("The separator of tags cannot be empty.")
