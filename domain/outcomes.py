"""Outcomes: a mutation repeated under its `clientMutationId` gives its first outcome instead of being carried out again.

Owns the claim. Whoever comes first with an identifier claims it, acts, and stores the outcome; whoever comes with it again
within a day gets that. A claim carries an identifier for what is to be made, so that a claim whose holder died is taken
over without making a thing twice. Its holder renews it while it acts; so whoever repeats what a process was killed in waits a
quarter of a minute at most. Held by `tests/domain/test_outcomes.py`.

Cost: two small writes for a mutation that has an identifier, and one for each five seconds that it takes; none for one without.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from bson import ObjectId

from domain.definitions import now
from domain.errors import InvalidValue, MutationIdReused, ShoalError
from domain.store.client import DatabaseError
from domain.store.scope import Duplicate, Scoped

LONGEST_ID = 200
LEASE = timedelta(seconds=15)
RENEW_SECONDS = 5.0
PATIENCE_SECONDS = 20.0
"""For who repeats a mutation: longer than the claim of a holder that died."""
LOOK_EVERY_SECONDS = 0.05

Act = Callable[[ObjectId], Awaitable[Mapping[str, Any]]]
"""Carries the mutation out, making what it makes under the given identifier, and tells the outcome in plain BSON values."""


class Outcomes:
    """One account's."""

    def __init__(self, collection: Scoped) -> None:
        self._collection = collection

    async def once(
        self, caller: str, mutation: str, identifier: str | None, given: Any, act: Act
    ) -> Mapping[str, Any]:
        """The outcome of `act`, which is carried out once for this caller and `identifier`; always where that is None.

        `given` is the mutation's input in JSON values. Raises `MutationIdReused` where the identifier came with another
        mutation or input, or where the first is still being carried out after twenty seconds; and what `act` raises: a refusal
        leaves nothing claimed.
        """
        if identifier is None:
            return await act(ObjectId())
        if not identifier or len(identifier) > LONGEST_ID:
            raise InvalidValue(
                f"An identifier of 1 to {LONGEST_ID} characters is wanted.", path=("clientMutationId",)
            )
        claim = _digest(self._collection.account, caller, identifier)
        digest = _digest(mutation, json.dumps(given, sort_keys=True, default=str))
        fresh = await self._claim(claim, digest)
        if isinstance(fresh, Mapping):
            return fresh
        renewing = asyncio.create_task(self._renew(claim))
        try:
            outcome = dict(await act(fresh))
        except ShoalError:
            await self._collection.delete_one({"_id": claim})
            raise
        except BaseException:
            # Whether it was carried out is unknown. Whoever comes again takes over at once, and makes the same thing.
            await self._collection.update_one({"_id": claim}, {"$set": {"until": now()}})
            raise
        finally:
            renewing.cancel()
        await self._collection.update_one({"_id": claim}, {"$set": {"outcome": outcome}})
        return outcome

    async def _renew(self, claim: str) -> None:
        """Until cancelled. Where the database cannot be reached the claim ends; who takes it over makes the same thing."""
        with suppress(DatabaseError):
            while True:
                await asyncio.sleep(RENEW_SECONDS)
                await self._collection.update_one({"_id": claim}, {"$set": {"until": now() + LEASE}})

    async def _claim(self, claim: str, digest: str) -> ObjectId | Mapping[str, Any]:
        """The identifier to make things under, once the claim is ours; or the outcome that is there already."""
        document = {"_id": claim, "digest": digest, "makes": ObjectId(), "at": now(), "until": now() + LEASE}
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    try:
                        await self._collection.insert_one(document)
                    except Duplicate:
                        taken = await self._taken(claim, digest)
                        if taken is not None:
                            return taken
                        await asyncio.sleep(LOOK_EVERY_SECONDS)
                    else:
                        return ObjectId(str(document["makes"]))
        except TimeoutError:
            raise MutationIdReused(
                "The first mutation of this clientMutationId is still being carried out. Repeat it in a minute.",
                path=("clientMutationId",),
            ) from None

    async def _taken(self, claim: str, digest: str) -> ObjectId | Mapping[str, Any] | None:
        """What the existing claim amounts to; None while its holder is at work."""
        known = await self._collection.find_one({"_id": claim})
        if known is None:
            return None
        if known["digest"] != digest:
            raise MutationIdReused(
                "This clientMutationId was used with another mutation or input. Use a new one for each thing to be done.",
                path=("clientMutationId",),
            )
        outcome: Mapping[str, Any] | None = known.get("outcome")
        if outcome is not None:
            return outcome
        if known["until"] < now():
            matched, _ = await self._collection.update_one(
                {"_id": claim, "until": known["until"]}, {"$set": {"until": now() + LEASE}}
            )
            if matched:
                makes: ObjectId = known["makes"]
                return makes
        return None


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
