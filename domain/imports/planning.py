"""Planning: what is to be done for each row of a batch, by the contacts that are there.

Owns the meeting of rows and contacts: by key, or by an email address or phone number where exactly one contact has it. What a
plan says is written nowhere by it; carried out (`writing`) or only counted (`trying`), it is the same plan. Held by
`tests/domain/imports/test_writing.py`.

Cost: one read for a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bson import ObjectId

from domain.contact import Contact, cause, new_document, update_of
from domain.contacts import Row
from domain.groups import MAX_GROUPS_OF_A_CONTACT
from domain.imports.batching import Batch
from domain.imports.mapping import Target
from domain.imports.options import Match, Mode, Options
from domain.imports.rejects import Rejection
from domain.rules.tree import GROUPS
from domain.store.client import Document
from domain.store.log import Reason
from domain.store.scope import Scoped

_ROOM = f"{GROUPS}.{MAX_GROUPS_OF_A_CONTACT - 1}"


class Becomes(StrEnum):
    """What becomes of a row. `SKIPPED`: its contact is there, or is not, and the import is not to touch such."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One row. `before` is its contact as it was read; one of `insert` and `update` is there where something is to be written."""

    number: int
    row: Row
    becomes: Becomes
    before: Document | None = None
    insert: Document | None = None
    update: Document | None = None
    query: Mapping[str, Any] | None = None

    @property
    def contact(self) -> ObjectId | None:
        """The contact that is written."""
        found = self.insert or self.before
        return None if found is None else found["_id"]

    @property
    def nonce(self) -> ObjectId:
        """By which the contact is known, once it is written, until something else writes it."""
        written = self.insert if self.insert is not None else (self.update or {})["$set"]
        nonce: ObjectId = written["written"]["nonce"]
        return nonce

    @property
    def updated(self) -> Any:
        """What the contact says then of when a value of it was last changed."""
        if self.insert is not None:
            return self.insert["updated"]
        assert self.update is not None
        assert self.before is not None
        return self.update["$set"].get("updated", self.before.get("updated"))


Plans = tuple[list[Planned], list[Rejection]]
"""What is to be done for some rows, and those of which nobody can tell whom they mean."""


class Planner:
    """For one import. What it plans for a batch holds whatever becomes of the batches before it: no two rows mean one contact."""

    def __init__(self, contacts: Scoped, options: Options, path: str) -> None:
        self._contacts = contacts
        self._options = options
        self._path = path

    async def plan(self, rows: Iterable[tuple[int, Row]], column: str) -> Plans:
        rows = list(rows)
        planned: list[Planned] = []
        rejections: list[Rejection] = []
        found: dict[str, list[Document]] = {}
        for document in await self._contacts.find_among(self._path, [row.key for _, row in rows]):
            found.setdefault(self._identity(document), []).append(document)
        for number, row in rows:
            contacts = found.get(row.key, [])
            if len(contacts) > 1:
                reason = f"{len(contacts):,} contacts have this: which of them is meant cannot be told."
                rejections.append(Rejection(row=number, column=column, value=row.key, reason=reason))
                continue
            plan = self._new(number, row) if not contacts else self.known(number, row, contacts[0])
            planned.append(plan)
            if self._full(plan):
                reason = f"The contact is in {MAX_GROUPS_OF_A_CONTACT} groups, which is the most: it is not put into another one."
                rejections.append(Rejection(row=number, column="", value="", reason=reason))
        return planned, rejections

    def _identity(self, document: Document) -> str:
        found: Any = document
        for part in self._path.split("."):
            found = found[part]
        return str(found)

    def _new(self, number: int, row: Row) -> Planned:
        if self._options.mode is Mode.UPDATE:
            return Planned(number=number, row=row, becomes=Becomes.SKIPPED)
        key = row.key if self._options.match is Match.KEY else None
        document = new_document(ObjectId(), key, row.entries, Reason.IMPORTED)
        if self._options.group is not None:
            document[GROUPS] = [self._options.group]
        return Planned(number=number, row=row, becomes=Becomes.CREATED, insert=document)

    def known(self, number: int, row: Row, document: Document) -> Planned:
        """What is to be done for a row whose contact this is."""
        if self._options.mode is Mode.CREATE:
            return Planned(number=number, row=row, becomes=Becomes.SKIPPED, before=document)
        entries = row.entries
        if self._options.keep_existing:
            values = Contact(document).values
            entries = {key: entry for key, entry in entries.items() if key not in values}
        update = update_of(document, entries, Reason.IMPORTED)
        query: dict[str, Any] = {"_id": document["_id"]}
        group = self._options.group
        if group is not None and group not in _groups(document) and not _is_full(document):
            update = {"$set": cause(Reason.IMPORTED), **(update or {}), "$push": {GROUPS: group}}
            # The database holds the bound, whoever else puts the contact into a group meanwhile.
            query |= {GROUPS: {"$ne": group}, _ROOM: {"$exists": False}}
        becomes = Becomes.UNCHANGED if update is None else Becomes.UPDATED
        return Planned(number=number, row=row, becomes=becomes, before=document, update=update, query=query)

    def _full(self, plan: Planned) -> bool:
        group, before = self._options.group, plan.before
        return (
            group is not None
            and before is not None
            and plan.becomes is not Becomes.SKIPPED
            and group not in _groups(before)
            and _is_full(before)
        )


def path_of(match: Match, targets: Sequence[Target], position: int) -> str:
    """Where a contact has what a row is matched by; the column at `position` holds it."""
    if match is Match.KEY:
        return "key"
    return next(f"normal.{target.field.key}" for target in targets if target.position == position)


def rows_of(batch: Batch) -> list[tuple[int, Row]]:
    return list(zip(batch.numbers, batch.rows, strict=True))


def _groups(document: Document) -> Sequence[Any]:
    groups = document.get(GROUPS)
    return groups if isinstance(groups, list) else ()


def _is_full(document: Document) -> bool:
    return len(_groups(document)) >= MAX_GROUPS_OF_A_CONTACT
