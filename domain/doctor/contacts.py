"""What the doctor finds of contacts: normal forms that are out of date, and marks and groups that belong to nothing.

Held by `tests/domain/doctor/test_contacts.py`. Cost: one scan of the contacts that are looked at, one of the indexes over
groups and marks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

from bson import ObjectId

from domain.audiences import FROZEN
from domain.catalogue import Catalogue
from domain.contact import Contact, retyped_of
from domain.doctor.findings import Finding, Told, What
from domain.errors import InvalidValue
from domain.fields import Entry, Field, FieldType, Settings, normalize, reread
from domain.rules.tree import GROUPS, Carries
from domain.store.scope import Query, Scoped

SAMPLE = 500
"""From either end of the contacts, where not all of them are looked at."""
BATCH = 200

PARTS = {"values": 1, "normal": 1, "anniversaries": 1, "key": 1}


class NormalForms:
    """Of one account. `regions`: each that the account has ever had; a number stays as it was normalised when it was written.

    `converting`: fields whose values are just getting the normal form of another type, and are left alone.
    """

    def __init__(
        self,
        contacts: Scoped,
        catalogue: Catalogue,
        *,
        regions: frozenset[str],
        converting: frozenset[str],
        deep: bool,
    ) -> None:
        self._contacts = contacts
        self._catalogue = catalogue
        self._regions = regions
        self._converting = converting
        self._deep = deep

    async def examine(self, told: Told) -> list[Finding]:
        """One finding for each field of which some contact holds what its value does not give today."""
        total = await self._contacts.count({}) if self._deep else 2 * SAMPLE
        count: dict[str, int] = {}
        such_as: dict[str, Contact] = {}
        done = 0
        async for document in self._documents():
            done += 1
            if done % BATCH == 0:
                told("Reading contacts", done, max(done, total))
            for key in self._wrong(document):
                count[key] = count.get(key, 0) + 1
                such_as.setdefault(key, Contact(document))
        return [
            Finding(
                what=What.NORMAL_FORM,
                account=self._contacts.account,
                name=key,
                says=f"{_contacts(count[key])} another normal form of the field “{key}” than its value gives, such as the"
                f" contact {such_as[key].key or such_as[key].id}.",
                mend=self.mend,
            )
            for key in sorted(count)
        ]

    async def mend(self) -> None:
        """Write the normal forms that the values give, where nobody has changed them meanwhile."""
        updates: list[tuple[Query, Query]] = []
        async for document in self._documents():
            for key, entry in self._wrong(document).items():
                if (update := retyped_of(document, key, entry)) is not None:
                    updates.append(update)
            if len(updates) >= BATCH:
                await self._contacts.write(updates=updates)
                updates.clear()
        await self._contacts.write(updates=updates)

    async def _documents(self) -> AsyncIterator[Mapping[str, Any]]:
        if self._deep:
            async for document in self._contacts.stream({}, projection=PARTS):
                yield document
            return
        for order in (1, -1):
            for document in await self._contacts.find(
                {}, projection=PARTS, sort=[("_id", order)], limit=SAMPLE
            ):
                yield document

    def _wrong(self, document: Mapping[str, Any]) -> dict[str, Entry | None]:
        """The fields of which the contact holds something else than it should, with what it should hold."""
        parts = [document.get(name, {}) for name in ("values", "normal", "anniversaries")]
        if not all(isinstance(part, Mapping) for part in parts):
            # Another program's shape, which counts as not there.
            return {}
        wrong: dict[str, Entry | None] = {}
        for key, field in self._catalogue.fields.items():
            if key not in self._converting and any(key in part for part in parts):
                right = self._right(field, parts[0].get(key))
                if right and all(retyped_of(document, key, entry) is not None for entry in right):
                    wrong[key] = right[0]
        return wrong

    def _right(self, field: Field, value: Any) -> list[Entry | None]:
        """What the value may give; nothing where it is refused today, for such a value stays as it is."""
        settings = self._catalogue.settings
        regions = [settings.region]
        if field.type is FieldType.PHONE:
            regions += sorted(self._regions - {settings.region})
        right = []
        for read, region in product(self._readings(field), regions):
            with suppress(InvalidValue):
                # A value stays where an option is taken away.
                right.append(read(replace(field, options=()), value, replace(settings, region=region)))
        return right

    def _readings(self, field: Field) -> list[Callable[[Field, Any, Settings], Entry | None]]:
        """A field that had another type may hold values that were entered then."""
        return [normalize, reread] if field.key in self._catalogue.retyped else [normalize]


async def left_over(contacts: Scoped, catalogue: Catalogue) -> dict[tuple[str, Any], int]:
    """Groups and marks that contacts carry and that belong to nothing, by path and value, with how many contacts do."""
    marks = {
        criterion.value
        for segment in catalogue.segments.values()
        if segment.broken is not None
        and isinstance(criterion := catalogue.criterion(segment.id).rule, Carries)
    }
    found: dict[tuple[str, Any], int] = {}
    for path, kind, known in ((GROUPS, ObjectId, catalogue.groups.keys()), (FROZEN, str, marks)):
        stages: list[dict[str, Any]] = [
            {"$unwind": f"${path}"},
            {"$group": {"_id": f"${path}", "count": {"$sum": 1}}},
        ]
        async for each in contacts.aggregate({path: {"$exists": True}}, stages):
            # Whatever else other programs may have written there is neither.
            if isinstance(each["_id"], kind) and each["_id"] not in known:
                found[path, each["_id"]] = each["count"]
    return found


def of_left_over(contacts: Scoped, path: str, value: Any, count: int) -> Finding:
    """A finding of something left over."""
    what, kind = (What.GROUP_LEFT_OVER, "group") if path == GROUPS else (What.MARK_LEFT_OVER, "mark")
    return Finding(
        what=what,
        account=contacts.account,
        name=str(value),
        says=f"{_contacts(count)} a {kind} that belongs to nothing, {value}.",
        mend=partial(_strip, contacts, path, value),
    )


async def _strip(contacts: Scoped, path: str, value: Any) -> None:
    while found := await contacts.find({path: value}, projection={"_id": 1}, limit=BATCH):
        updates = [({"_id": contact["_id"]}, {"$pull": {path: value}}) for contact in found]
        if not (await contacts.write(updates=updates)).modified:
            # Another program's shapes, which cannot be stripped.
            return


def _contacts(count: int) -> str:
    return "1 contact holds" if count == 1 else f"{count:,} contacts hold"
