"""Fences: marker documents that place a moment in the stream.

Owns the writing of marks. Each writer (a process that serves, or the engine) keeps one document, whose number rises;
when the number has come out of the change stream, everything committed before it was written has, too. A mark that is
only acknowledged proves nothing: it must have been *seen in the stream*. Two engines at once are two writers, and pass each
other's marks on like those of any process.
"""

from __future__ import annotations

from bson import ObjectId

from domain.store.client import Database, Document
from domain.store.indexes import FENCES


class Fences:
    """The marks of one writer."""

    def __init__(self, database: Database) -> None:
        self._collection = database[FENCES]
        self.writer = str(ObjectId())
        self._number = 0

    async def mark(self) -> int:
        """Write the next mark; its number, once it is acknowledged."""
        self._number += 1
        number = self._number
        await self._collection.update_one({"_id": self.writer}, {"$max": {"number": number}}, upsert=True)
        return number

    async def remove(self) -> None:
        """Leave nothing behind when the writer ends."""
        await self._collection.delete_one({"_id": self.writer})


def read_mark(event: Document) -> tuple[str, int] | None:
    """(writer, number) of a change event of this collection; None for a removal."""
    match event["operationType"]:
        case "insert" | "replace":
            number = event["fullDocument"].get("number")
        case "update":
            number = event["updateDescription"]["updatedFields"].get("number")
        case _:
            return None
    return (str(event["documentKey"]["_id"]), number) if isinstance(number, int) else None
