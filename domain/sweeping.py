"""Sweeping: removing from contacts what a deleted group or field left behind, in the background.

Owns the leftovers. Nothing depends on its being done: what is deleted is out of the definitions first, and no reader looks
at what remains. Written in small batches, so that live changes pass between them; begun again at the next start where a
process ended in the middle. Cost: one write for each contact that holds a leftover.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from bson import ObjectId

from domain.definitions import Definitions
from domain.store.client import DatabaseError
from domain.store.definitions import DefinitionLog, Kind
from domain.store.scope import Scoped

log = structlog.get_logger(__name__)

BATCH = 200
MAX_ATTEMPTS = 20


class Sweeper:
    """One account's."""

    def __init__(self, contacts: Scoped, log: DefinitionLog, definitions: Definitions) -> None:
        self._contacts = contacts
        self._log = log
        self._definitions = definitions
        self._tasks: set[asyncio.Task[None]] = set()

    async def resume(self) -> None:
        """Begin again with whatever is deleted."""
        catalogue = await self._definitions.current()
        for definition in await self._log.deleted():
            if definition.kind is Kind.GROUP and isinstance(definition.id, ObjectId):
                self.strip_group(definition.id)
            elif definition.kind is Kind.FIELD and definition.id not in catalogue.fields:
                self.remove_values(str(definition.id))

    def strip_group(self, group: ObjectId) -> None:
        """Take a deleted group off its contacts."""

        async def strip() -> None:
            while found := await self._contacts.find({"groups": group}, projection={"_id": 1}, limit=BATCH):
                written = await self._contacts.write(
                    updates=[({"_id": contact["_id"]}, {"$pull": {"groups": group}}) for contact in found]
                )
                if not written.modified:
                    # Another program's shapes, which cannot be stripped.
                    return

        self._start(strip)

    def remove_values(self, key: str) -> None:
        """Take a deleted field's values off the contacts."""
        self._start(lambda: self.removing_values(key))

    async def removing_values(self, key: str) -> None:
        """The same, waited for. It stops where the field has been made again: what stands there then is new.

        A contact that is changed between the look and the removal is looked at again.
        """
        paths = [f"values.{key}", f"normal.{key}", f"anniversaries.{key}"]
        attempts = 0
        while found := await self._contacts.find(
            {paths[0]: {"$exists": True}}, projection={"_id": 1, "updated": 1}, limit=BATCH
        ):
            if key in (await self._definitions.current()).fields:
                return
            written = await self._contacts.write(
                updates=[
                    (
                        {"_id": contact["_id"], "updated": contact.get("updated")},
                        {"$unset": dict.fromkeys(paths, "")},
                    )
                    for contact in found
                ]
            )
            if not written.modified:
                attempts += 1
                if attempts == MAX_ATTEMPTS:
                    return

    def _start(self, work: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.create_task(_logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def idle(self) -> None:
        """Wait until nothing is being swept."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Stop where it stands; the next start goes on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _logged(work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except DatabaseError as error:
        log.warning("sweeping.interrupted", error=repr(error))
