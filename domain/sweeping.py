"""Sweeping: removing from contacts what a deleted group or field left behind, and marks by which no segment goes any more.

Owns the leftovers. Nothing depends on its being done: what is deleted or mended is out of the definitions first, and no reader
looks at what remains. What breaks or mends by it is placed by the engine before the first contact is written. Written in small
batches, so that live changes pass between them; begun again at the next start where a process ended in the middle. Cost: one
write for each contact that holds a leftover, one look-up at each start for everything that was ever deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson import ObjectId

from domain.audiences import FROZEN
from domain.background import Background
from domain.definitions import Definitions
from domain.membership.feed import Feed
from domain.rules.tree import GROUPS
from domain.store.definitions import DefinitionLog, Kind
from domain.store.scope import Scoped

BATCH = 200
MAX_ATTEMPTS = 20


class Sweeper(Background):
    """One account's."""

    def __init__(
        self,
        contacts: Scoped,
        conversions: Scoped,
        log: DefinitionLog,
        definitions: Definitions,
        feed: Feed,
    ) -> None:
        super().__init__()
        self._contacts = contacts
        self._conversions = conversions
        self._log = log
        self._definitions = definitions
        self._feed = feed
        self._stripped: set[str] = set()

    async def resume(self) -> None:
        """Begin again with whatever is deleted or mended."""
        catalogue = await self._definitions.current()
        for definition in await self._log.deleted():
            if definition.kind is Kind.GROUP and isinstance(definition.id, ObjectId):
                self.strip_group(definition.id)
            elif definition.kind is Kind.FIELD and definition.id not in catalogue.fields:
                self.remove_values(str(definition.id))
        self.strip_marks()

    def strip_group(self, group: ObjectId) -> None:
        """Take a deleted group off its contacts."""
        self._start(lambda: self._strip(GROUPS, group))

    def strip_marks(self) -> None:
        """Take the marks of segments that were mended or deleted off their contacts, where there are any that are new."""
        spent = self._definitions.known.spent_marks
        left = {mark: segment for mark, segment in spent.items() if mark not in self._stripped}
        if left:
            self._stripped.update(left)
            self._start(lambda: self._strip_marks(left))

    async def _strip_marks(self, left: Mapping[str, ObjectId]) -> None:
        # Who joins and leaves by the mending is being found by these very marks.
        await self._feed.settled(left.values())
        for mark in left:
            await self._strip(FROZEN, mark)

    async def _strip(self, path: str, value: ObjectId | str) -> None:
        while found := await self._contacts.find({path: value}, projection={"_id": 1}, limit=BATCH):
            written = await self._contacts.write(
                updates=[({"_id": contact["_id"]}, {"$pull": {path: value}}) for contact in found]
            )
            if not written.modified:
                # Another program's shapes, which cannot be stripped.
                return

    def remove_values(self, key: str) -> None:
        """Take a deleted field's values off the contacts."""
        self._start(lambda: self.removing_values(key))

    async def removing_values(self, key: str) -> None:
        """The same, waited for. It stops where the field has been made again: what stands there then is new.

        A contact that is changed between the look and the removal is looked at again. Raises `Unavailable` where the engine does
        not come to say that what broke by the deletion is frozen.
        """
        paths = [f"values.{key}", f"normal.{key}", f"anniversaries.{key}"]
        frozen = False
        attempts = 0
        while found := await self._contacts.find(
            {paths[0]: {"$exists": True}}, projection={"_id": 1, "updated": 1}, limit=BATCH
        ):
            catalogue = await self._definitions.current()
            if key in catalogue.fields:
                return
            if not frozen:
                await self._feed.settled(catalogue.broken)
                frozen = True
            written = await self._contacts.write(
                updates=[(_as_found(contact), {"$unset": dict.fromkeys(paths, "")}) for contact in found]
            )
            if not written.modified:
                attempts += 1
                if attempts == MAX_ATTEMPTS:
                    return
        if key not in (await self._definitions.current()).fields:
            await self._conversions.delete_one({"field": key})


def _as_found(contact: dict[str, Any]) -> dict[str, Any]:
    return {"_id": contact["_id"], "updated": contact.get("updated")}
