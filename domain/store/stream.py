"""The one change stream: contacts, definitions, requests and fences of the whole database, in the order of everything.

Owns the cutting of the stream into batches of complete *moments*. A moment is all events of one cluster time; a
transaction's events share one. A batch ends where nothing more is waiting, so that an event is handed on at once, and
its token can be resumed from, as it never lies within a moment. Tokens are opaque: saved and given back, never compared.

Pre-images are asked for, looked-up documents are not: a looked-up document may be later than the event.
Held by `tests/domain/store/test_stream.py`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any

from bson import ObjectId, Timestamp
from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.errors import AutoReconnect, OperationFailure

from domain.store.client import Database, Document
from domain.store.indexes import CONTACTS, DEFINITIONS, FENCES, REQUESTS
from domain.store.openings import openings_of
from domain.store.server import ServerTraits

HISTORY_LOST = frozenset({280, 286, 10334})
"""ChangeStreamFatalError and ChangeStreamHistoryLost: the token is dead and must not be tried again. BSONObjectTooLarge: a part
of an event by itself is more than a document may be, and the event stands in the way of all that follow."""

UNREADABLE_TOKEN = frozenset({9, 260, 40647, 40649})
"""FailedToParse, InvalidResumeToken and the resume token's own codes: the token is of another server or another history."""

ENDING = frozenset({"invalidate", "drop", "dropDatabase", "rename"})
"""What ends a stream, or takes away what it told of."""

MAX_BATCH_EVENTS = 1000
AWAIT_MS = 100


class HistoryLost(Exception):
    """The stream cannot be continued from the token: what happened since can no longer be told by it."""


@dataclass(frozen=True, slots=True)
class Moment:
    """All events of one cluster time, in their order."""

    time: Timestamp
    events: list[Document]


@dataclass(frozen=True, slots=True)
class StreamBatch:
    """Complete moments, and the token after the last of them. Without moments: the token of a quiet stream."""

    moments: list[Moment]
    token: Mapping[str, Any]


async def follow(
    database: Database, traits: ServerTraits, token: Mapping[str, Any] | None
) -> AsyncGenerator[StreamBatch, None]:
    """The batches from `token` on, or from now; the first has no moments and says where the stream stands.

    Raises `HistoryLost` where the server no longer has what follows the token, or the stream was invalidated, and `AutoReconnect`
    where it was lost: whoever follows it begins again, at a place of which they know that it is still there.
    """
    pipeline: list[Document] = [
        {
            "$match": {
                "$or": [
                    {"ns.coll": {"$in": [CONTACTS, DEFINITIONS, FENCES, REQUESTS]}},
                    # These name no collection; the loss of any other is nobody's concern.
                    {"operationType": {"$in": ["dropDatabase", "invalidate"]}},
                ]
            }
        }
    ]
    if traits.splits_large_events:
        pipeline.append({"$changeStreamSplitLargeEvent": {}})
    openings, comment = openings_of(database.client).of, str(ObjectId())
    try:
        with history_lost(token):
            stream = await database.watch(
                pipeline,
                full_document_before_change="whenAvailable",
                resume_after=token,
                max_await_time_ms=AWAIT_MS,
                comment=comment,
            )
            async with stream:
                unbroken = _Unbroken(stream, openings, comment)
                if (start := stream.resume_token) is not None:
                    yield StreamBatch([], start)
                async with aclosing(_batches(unbroken, traits)) as batches:
                    async for batch in batches:
                        yield batch
    finally:
        del openings[comment]


@contextmanager
def history_lost(token: Mapping[str, Any] | None) -> Iterator[None]:
    """Raises `HistoryLost` where what the driver raises says that a stream cannot be continued, by this token or at all."""
    try:
        yield
    except OperationFailure as error:
        if error.code in HISTORY_LOST or (token is not None and error.code in UNREADABLE_TOKEN):
            raise HistoryLost((error.details or {}).get("errmsg") or str(error)) from error
        raise
    except StopAsyncIteration as error:
        raise HistoryLost("the server closed the stream") from error


class _Unbroken:
    """A change stream that fails where it was opened again since. Made once it is open."""

    def __init__(self, stream: AsyncChangeStream[Document], openings: Counter[str], comment: str) -> None:
        self._stream = stream
        self._openings = openings
        self._comment = comment
        self._at_first = openings[comment]

    @property
    def resume_token(self) -> Mapping[str, Any] | None:
        return self._stream.resume_token

    async def try_next(self) -> Document | None:
        event = await self._stream.try_next()
        if self._openings[self._comment] != self._at_first:
            raise AutoReconnect(
                "the change stream was lost, and the database may have been put back meanwhile"
            )
        return event


async def _batches(stream: _Unbroken, traits: ServerTraits) -> AsyncGenerator[StreamBatch, None]:
    complete: list[Moment] = []
    current: Moment | None = None
    fragments = Fragments()
    token: Mapping[str, Any] | None = stream.resume_token
    count = 0
    following = asyncio.ensure_future(stream.try_next())
    try:
        while True:
            if not following.done():
                # What is already here is taken without waiting; only an empty buffer makes the stream wait.
                await asyncio.sleep(0)
            if not following.done() and current is not None and _is_complete(current, token, traits):
                complete.append(current)
                current = None
            waiting = following.done() and count < MAX_BATCH_EVENTS
            if complete and current is None and token is not None and not waiting:
                yield StreamBatch(complete, token)
                complete, count = [], 0
            told = await following
            if told is None and not fragments.waiting:
                if current is not None:
                    complete.append(current)
                    current = None
                token = stream.resume_token
                if token is not None:
                    yield StreamBatch(complete, token)
                    complete, count = [], 0
            elif told is not None and (event := fragments.join(told)) is not None:
                if event["operationType"] in ENDING:
                    raise HistoryLost(f"the stream was ended by {event['operationType']}")
                time: Timestamp = event["clusterTime"]
                if current is not None and current.time != time:
                    complete.append(current)
                    current = None
                    if count >= MAX_BATCH_EVENTS and token is not None:
                        # `token` is still that of the last event before this one.
                        yield StreamBatch(complete, token)
                        complete, count = [], 0
                if current is None:
                    current = Moment(time, [])
                current.events.append(event)
                count += 1
                token = stream.resume_token
            following = asyncio.ensure_future(stream.try_next())
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def _is_complete(moment: Moment, token: Mapping[str, Any] | None, traits: ServerTraits) -> bool:
    """Whether no further event can carry this moment's cluster time, as far as can be told without waiting."""
    last = moment.events[-1]
    if token != last["_id"]:
        # The stream's position is beyond the event: the server had no more to give at this time.
        return True
    if "txnNumber" in last:
        return False
    return last["operationType"] == "update" or not traits.shares_cluster_time_outside_transactions


class Fragments:
    """Puts together again what the server has split because it is more than one message may be."""

    def __init__(self) -> None:
        self._so_far: Document = {}

    @property
    def waiting(self) -> bool:
        """Whether the rest of an event has yet to come."""
        return bool(self._so_far)

    def join(self, event: Document) -> Document | None:
        """The event; None until its last fragment has come. Each fragment holds other parts of it, the last one the token."""
        split = event.pop("splitEvent", None)
        if split is None:
            return event
        self._so_far |= event
        if split["fragment"] < split["of"]:
            return None
        event, self._so_far = self._so_far, {}
        return event
