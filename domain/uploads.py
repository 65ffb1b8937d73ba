"""Uploads: files that callers send, kept in the database in parts until an import has used them.

Owns the parts. They lie in the database because the process that is told to import may be another than the one that got the file,
and may come to its end in the middle. A file is there when its last part is: what was broken off is no file. Refuses more bytes
than a file may have, and more files than an account may keep at one time. What nobody uses goes after a day. Held by
`tests/domain/test_uploads.py`.

Cost: one write for each megabyte; memory for two of them, whatever the size of the file.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import anyio
from bson import ObjectId

from domain.definitions import now
from domain.errors import LimitExceeded, NotFound
from domain.store.client import DatabaseError
from domain.store.scope import Scoped

PART = 1 << 20
KEPT = timedelta(days=1)
MOST_FILES = 100
LONGEST_NAME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file that has arrived."""

    id: ObjectId
    name: str
    size: int
    expires: datetime


class Uploads:
    """One account's."""

    def __init__(self, collection: Scoped) -> None:
        self._collection = collection

    async def take(self, parts: AsyncIterator[bytes], *, name: str, most: int) -> Upload:
        """Keep what comes. Raises `LimitExceeded` for more than `most` bytes, of which nothing is kept."""
        if await self._collection.count({"part": 0}) >= MOST_FILES:
            raise LimitExceeded(
                f"{MOST_FILES} uploaded files wait to be imported already. Import them, or wait a day."
            )
        upload = Upload(
            id=ObjectId(), name=name[:LONGEST_NAME].replace("\0", ""), size=0, expires=now() + KEPT
        )
        try:
            size = await self._take(upload, parts, most)
        except BaseException:
            with anyio.CancelScope(shield=True), suppress(DatabaseError):
                # As far as that can be done; what stays expires.
                await self.drop(upload.id)
            raise
        return Upload(id=upload.id, name=upload.name, size=size, expires=upload.expires)

    async def _take(self, upload: Upload, parts: AsyncIterator[bytes], most: int) -> int:
        waiting, size, number = bytearray(), 0, 0
        async for part in parts:
            size += len(part)
            if size > most:
                raise LimitExceeded(f"A file has {most:,} bytes at most. Split it, or take columns out.")
            waiting += part
            while len(waiting) >= PART:
                number += 1
                await self._keep(upload, number, data=bytes(waiting[:PART]))
                del waiting[:PART]
        if waiting:
            await self._keep(upload, number + 1, data=bytes(waiting))
        await self._keep(upload, 0, name=upload.name, size=size)
        return size

    async def _keep(self, upload: Upload, number: int, **content: object) -> None:
        await self._collection.insert_one(
            {"upload": upload.id, "part": number, **content, "expires": upload.expires}
        )

    async def require(self, identifier: ObjectId) -> Upload:
        """Raises `NotFound`."""
        found = await self._collection.find_one({"upload": identifier, "part": 0})
        if found is None:
            raise NotFound(
                "There is no such file. It is kept for a day, and goes when it has been imported.",
                path=("upload",),
            )
        return Upload(id=identifier, name=found["name"], size=found["size"], expires=found["expires"])

    async def write_to(self, identifier: ObjectId, path: Path) -> None:
        """Write the file to `path`. Raises `NotFound`, and `OSError`."""
        upload = await self.require(identifier)
        size = 0
        async with await anyio.open_file(path, "wb") as file:
            query = {"upload": identifier, "part": {"$gt": 0}}
            async for part in self._collection.stream(query, sort=[("part", 1)], batch=8):
                size += await file.write(part["data"])
        if size != upload.size:
            raise NotFound("The file is not there as a whole any more. Upload it again.", path=("upload",))

    async def keep_until(self, identifier: ObjectId, moment: datetime) -> None:
        """Let it not go before that."""
        parts = await self._collection.find({"upload": identifier}, projection={"_id": 1})
        await self._collection.write(
            updates=[({"_id": part["_id"]}, {"$max": {"expires": moment}}) for part in parts]
        )

    async def drop(self, identifier: ObjectId) -> None:
        """Forget it."""
        await self._collection.delete_many({"upload": identifier})
