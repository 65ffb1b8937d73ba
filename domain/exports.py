"""Exports: the contacts of an audience, or those that a rule matches, as a table.

Owns what is in it: a header of the fields' labels and a row for each contact, as it is when it is read, in the order of
identifiers, so that two exports of the same contacts are the same file. An export that was asked for is kept, as a question and not
as an answer, as long as links to it live. Held by `tests/domain/test_exports.py`.

Cost: one pass over the contacts by a database cursor, in constant memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from domain.catalogue import Catalogue
from domain.contact import Contact
from domain.definitions import Definitions, now
from domain.errors import LimitExceeded, NotFound, UnknownField
from domain.fields import FieldRegistry
from domain.links import LIFETIME
from domain.membership.feed import Feed
from domain.rules.document import from_document, to_document
from domain.rules.tree import Rule
from domain.store.scope import Scoped
from domain.tables import MOST_ROWS_OF_A_SHEET, Cell, FileKind

OWN = {"key": "Key", "created": "Created", "updated": "Updated"}
"""What a contact has beside its fields."""
MOST_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Whose contacts: an audience's, or else those that the rule matches, or else all. `fields` are keys; empty for all fields."""

    kind: FileKind
    audience: ObjectId | None = None
    rule: Rule | None = None
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What is to be written: a file's name, its kind, and its rows, the first of which is the header."""

    name: str
    kind: FileKind
    rows: AsyncIterator[Sequence[Cell]]


class Exports:
    """One account's."""

    def __init__(self, contacts: Scoped, kept: Scoped, definitions: Definitions, feed: Feed) -> None:
        self._contacts = contacts
        self._kept = kept
        self._definitions = definitions
        self._feed = feed

    async def create(self, identifier: ObjectId, wanted: Wanted) -> None:
        """Keep the question under `identifier`, for those who come with a link.

        Raises `NotFound`, `UnknownField`, `BrokenSegment`, `LimitExceeded` for more contacts than a sheet has rows.
        """
        catalogue = await self._definitions.current()
        columns_of(catalogue.fields, wanted.fields)
        query = self._query(catalogue, wanted)
        if wanted.kind is FileKind.XLSX and await self._contacts.count(query) >= MOST_ROWS_OF_A_SHEET:
            raise LimitExceeded(
                f"A sheet has {MOST_ROWS_OF_A_SHEET:,} rows at most. Export as CSV.", path=("format",)
            )
        await self._kept.update_one(
            {"_id": identifier},
            {
                "$set": {
                    "export": {
                        "kind": wanted.kind.value,
                        "audience": wanted.audience,
                        "rule": None if wanted.rule is None else to_document(wanted.rule),
                        "fields": list(wanted.fields),
                    },
                    # A link may be made again just before it goes.
                    "expires": now() + 2 * LIFETIME,
                }
            },
            upsert=True,
        )

    async def open(self, identifier: ObjectId) -> Export:
        """The export that was asked for. Raises `NotFound`, and as `create` does where things have changed since."""
        found = await self._kept.find_one({"_id": identifier})
        if found is None:
            raise NotFound("There is no such export any more. Ask for a new one.")
        kept: Mapping[str, Any] = found["export"]
        return await self.now(
            Wanted(
                kind=FileKind(kept["kind"]),
                audience=kept["audience"],
                rule=None if kept["rule"] is None else from_document(kept["rule"]),
                fields=tuple(kept["fields"]),
            )
        )

    async def now(self, wanted: Wanted) -> Export:
        """What would be written at this moment. Raises as `create` does."""
        catalogue = await self._definitions.current()
        audience = None if wanted.audience is None else catalogue.audience(wanted.audience)
        name = "contacts" if audience is None else audience.name[:MOST_NAME]
        columns = columns_of(catalogue.fields, wanted.fields)
        query = self._query(catalogue, wanted)
        return Export(name=f"{name}.{wanted.kind}", kind=wanted.kind, rows=self._rows(columns, query))

    def _query(self, catalogue: Catalogue, wanted: Wanted) -> Mapping[str, Any]:
        instant = self._feed.instant
        if wanted.audience is not None:
            return catalogue.criterion(wanted.audience).query(instant)
        return {} if wanted.rule is None else catalogue.criterion_of(wanted.rule).query(instant)

    async def _rows(
        self, columns: Mapping[str, str], query: Mapping[str, Any]
    ) -> AsyncIterator[Sequence[Cell]]:
        yield list(columns.values())
        projection = {key if key in OWN else f"values.{key}": 1 for key in columns}
        async for document in self._contacts.stream(query, projection=projection, sort=[("_id", 1)]):
            contact = Contact(document)
            own = {"key": contact.key, "created": contact.created, "updated": contact.updated}
            values = contact.values
            yield [own[key] if key in OWN else values.get(key) for key in columns]


def columns_of(fields: FieldRegistry, wanted: Sequence[str]) -> dict[str, str]:
    """The header of each column by its key. Raises `UnknownField`."""
    if not wanted:
        return {"key": OWN["key"], **{field.key: field.label for field in fields.values()}}
    columns: dict[str, str] = {}
    for index, key in enumerate(wanted):
        try:
            columns[key] = OWN[key] if key in OWN else fields.require(key).label
        except UnknownField as error:
            raise error.at("fields", index) from None
    return columns
