"""The mailbox: messages between processes, which the database's change stream carries.

Owns one document for each channel, which every message replaces. What travels is the replacing: each is an event of its own, in
the order in which they were written, and holds the message as it was written, also for a reader who comes late. So nothing piles
up and nothing has to be cleared away; a message lives as long as the server remembers its last operations. What reads is one
stream for all channels, and it can be taken up again where it was. Held by `tests/domain/store/test_mailbox.py`.

A message is acknowledged by a majority, since no change stream shows it before, but not by a journal of its own: it is a hint, and
what a crash takes away is found in the log. Cost: one write for each message. A message must fit into a document (16 MB).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from pymongo import WriteConcern
from pymongo.errors import DocumentTooLarge

from domain.store.client import Database, DatabaseError, Document
from domain.store.indexes import MESSAGES
from domain.store.stream import ENDING, HistoryLost, history_lost

AWAIT_MS = 1_000


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message of a channel, and the token behind it. Without a message: how far the stream has come."""

    channel: str
    text: str | None
    token: Mapping[str, Any] | None


class Mailbox:
    """That of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._collection = database[MESSAGES].with_options(write_concern=WriteConcern(w="majority"))

    async def put(self, channel: str, text: str) -> None:
        """Raises `DatabaseError`, also where the message is too large."""
        try:
            await self._collection.replace_one({"_id": channel}, {"text": text}, upsert=True)
        except DocumentTooLarge as error:
            raise DatabaseError(str(error)) from error

    async def follow(self, token: Mapping[str, Any] | None) -> AsyncGenerator[Delivery, None]:
        """Every message behind `token`, or from now; the first delivery has none and says that the stream is open.

        Raises `HistoryLost` where the server no longer has what follows the token.
        """
        pipeline: list[Document] = [
            {
                "$match": {
                    "$or": [
                        {"ns.coll": MESSAGES, "operationType": {"$in": ["insert", "replace"]}},
                        # These name no collection; the loss of any other is nobody's concern.
                        {"operationType": {"$in": ["dropDatabase", "invalidate"]}},
                    ]
                }
            }
        ]
        with history_lost(token):
            stream = await self._database.watch(pipeline, resume_after=token, max_await_time_ms=AWAIT_MS)
            async with stream:
                yield Delivery("", None, stream.resume_token)
                while True:
                    event = await stream.try_next()
                    if event is None:
                        yield Delivery("", None, stream.resume_token)
                    elif event["operationType"] in ENDING:
                        raise HistoryLost(f"the stream was ended by {event['operationType']}")
                    else:
                        document = event["fullDocument"]
                        yield Delivery(document["_id"], document["text"], stream.resume_token)
