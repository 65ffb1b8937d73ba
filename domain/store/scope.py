"""Account scoping: every query and every write of a caller passes through a `Scoped` collection, which adds the account.

Owns the guarantee that no caller reads or writes another account's documents. A raw collection never leaves `domain.store`;
what the engine reads over all accounts has methods of its own, named so. A document, filter or pipeline that names an
account itself is refused, so that the scope can be neither widened nor forgotten. Held by
`tests/domain/store/test_scope.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pymongo import DeleteOne, InsertOne, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, DuplicateKeyError

from domain.store.client import Document

Query = Mapping[str, Any]
Sort = Sequence[tuple[str, int]]

DUPLICATE = 11000

ONE_BATCH = 10_000
"""Documents in a reply: what a caller has bounded comes in one. The server's own first batch would be 101."""


class Duplicate(Exception):
    """A unique index refused the document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of many writes. `refused`: the index (inserts first, then updates, then deletes) and code of each failure."""

    inserted: int = 0
    matched: int = 0
    modified: int = 0
    deleted: int = 0
    refused: Mapping[int, int] = field(default_factory=dict)


class Scoped:
    """One collection as one account sees it."""

    def __init__(
        self, collection: AsyncCollection[Document], account: str, *, longest_in: int = ONE_BATCH
    ) -> None:
        self._collection = collection
        self._longest_in = longest_in
        self.account = account

    def scoped(self, query: Query) -> Document:
        """`query` within the account.

        The account stands first and at top level, where every index begins; but an identifier stands before it, for
        some servers look no further than the first key that an index serves.
        """
        if "account" in query:
            raise ValueError("a scoped query must not name an account")
        if "_id" in query:
            return {"_id": query["_id"], "account": self.account, **query}
        return {"account": self.account, **query}

    async def find(
        self,
        query: Query,
        *,
        projection: Mapping[str, Any] | None = None,
        sort: Sort | None = None,
        limit: int = 0,
    ) -> list[Document]:
        """All documents that match, at most `limit` where it is not 0: for results whose size the caller has bounded."""
        cursor = self._collection.find(
            self.scoped(query), projection, sort=sort, limit=limit, batch_size=ONE_BATCH
        )
        return await cursor.to_list()

    async def find_among(
        self,
        path: str,
        values: Sequence[Any],
        query: Query | None = None,
        *,
        projection: Mapping[str, Any] | None = None,
        limit: int = 0,
    ) -> list[Document]:
        """All documents that have one of `values` under `path`, at most `limit` where it is not 0.

        One command, or as many as the server's `$in` makes cheap.
        """
        found: list[Document] = []
        for start in range(0, len(values), self._longest_in):
            among = {path: {"$in": list(values[start : start + self._longest_in])}}
            wanted = limit and limit - len(found)
            found += await self.find({**among, **(query or {})}, projection=projection, limit=wanted)
            if limit and len(found) == limit:
                break
        return found

    async def stream(
        self,
        query: Query,
        *,
        projection: Mapping[str, Any] | None = None,
        sort: Sort | None = None,
        batch: int = 1000,
    ) -> AsyncIterator[Document]:
        """The documents that match, one by one from a database cursor, which fetches `batch` at once: constant memory for any
        number of them.
        """
        async with self._collection.find(
            self.scoped(query), projection, sort=sort, batch_size=batch
        ) as cursor:
            async for document in cursor:
                yield document

    async def aggregate(self, query: Query, stages: Sequence[Document]) -> AsyncIterator[Document]:
        """What the stages make of the documents that match, one by one from a database cursor."""
        pipeline = [{"$match": self.scoped(query)}, *stages]
        async with await self._collection.aggregate(pipeline, batchSize=1000, allowDiskUse=True) as cursor:
            async for document in cursor:
                yield document

    async def find_one(self, query: Query, *, sort: Sort | None = None) -> Document | None:
        return await self._collection.find_one(self.scoped(query), sort=sort)

    async def count(self, query: Query) -> int:
        return await self._collection.count_documents(self.scoped(query))

    async def union(self, parts: Sequence[tuple[Query, Sequence[Document]]]) -> list[Document]:
        """Several queries of this collection in one command, each with its own further stages, one after the other.

        A part's stages must bound what it returns. Cost: one command, and one index scan for each part.
        """
        if not parts:
            return []
        pipelines = [[{"$match": self.scoped(query)}, *stages] for query, stages in parts]
        pipeline = list(pipelines[0])
        pipeline += [
            {"$unionWith": {"coll": self._collection.name, "pipeline": further}} for further in pipelines[1:]
        ]
        cursor = await self._collection.aggregate(pipeline, batchSize=ONE_BATCH)
        return await cursor.to_list()

    async def insert_one(self, document: Document) -> None:
        """Raises `Duplicate` where a unique index refuses it."""
        try:
            await self._collection.insert_one(self._owned(document))
        except DuplicateKeyError as error:
            raise Duplicate(str(error)) from error

    async def update_one(self, query: Query, update: Query, *, upsert: bool = False) -> tuple[int, int]:
        """(matched, modified). Raises `Duplicate` where a unique index refuses it."""
        try:
            result = await self._collection.update_one(self.scoped(query), update, upsert=upsert)
        except DuplicateKeyError as error:
            raise Duplicate(str(error)) from error
        return result.matched_count, result.modified_count

    async def delete_one(self, query: Query) -> int:
        return (await self._collection.delete_one(self.scoped(query))).deleted_count

    async def delete_many(self, query: Query) -> int:
        """All that match in one command: for as many as the caller has bounded. Never on contacts, for the embedded database
        hangs where a transaction writes the same collection.
        """
        return (await self._collection.delete_many(self.scoped(query))).deleted_count

    async def write(
        self,
        *,
        inserts: Iterable[Document] = (),
        updates: Iterable[tuple[Query, Query]] = (),
        deletes: Iterable[Query] = (),
    ) -> Written:
        """Many writes in one command, each by itself (unordered): what one refuses does not hold up the others."""
        operations: list[InsertOne[Document] | UpdateOne | DeleteOne] = [
            InsertOne(self._owned(document)) for document in inserts
        ]
        operations += [UpdateOne(self.scoped(query), update) for query, update in updates]
        operations += [DeleteOne(self.scoped(query)) for query in deletes]
        if not operations:
            return Written()
        try:
            result = await self._collection.bulk_write(operations, ordered=False)
        except BulkWriteError as error:
            details = error.details or {}
            if not details.get("writeErrors"):
                raise
            return Written(
                inserted=details["nInserted"],
                matched=details["nMatched"],
                modified=details["nModified"],
                deleted=details["nRemoved"],
                refused={failure["index"]: failure["code"] for failure in details["writeErrors"]},
            )
        return Written(
            inserted=result.inserted_count,
            matched=result.matched_count,
            modified=result.modified_count,
            deleted=result.deleted_count,
        )

    def _owned(self, document: Document) -> Document:
        if "account" in document:
            raise ValueError("a scoped document must not name an account")
        return {**document, "account": self.account}
