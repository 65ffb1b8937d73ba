"""Jobs: long work on an account's behalf, begun by a request, carried out by one process at a time, and told of while it goes on.

Owns who is at work. A job's document names its holder, who renews it every second; one that nobody has renewed for six is
taken by whoever looks next, in another process or in the same one after it was started again. A holder that was thought dead and is
not is told by the next thing that it notes (`Lost`); what it does in between must do no harm, which its kind sees to. The work
itself belongs to the kinds (`domain.imports`, `domain.copying`), each of which says how it is carried out. Told to end, a process
gives its jobs up at once. Held by `tests/domain/test_jobs.py`.

Cost: a small write in each second for a job that is being carried out, a look every two seconds for the accounts resumed.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

import anyio
import structlog
from bson import ObjectId

from domain.background import Background
from domain.definitions import now
from domain.errors import ShoalError, Unavailable
from domain.store.client import DatabaseError, Document
from domain.store.scope import Scoped

log = structlog.get_logger(__name__)

RENEW_SECONDS = 1.0
LEASE = timedelta(seconds=6)
LOOK_SECONDS = 2.0
TELL_EVERY_SECONDS = 0.5
KEPT = timedelta(days=90)
"""For which a job is remembered."""

ACTIVE = ("running", "checking", "undoing")
"""States in which somebody is, or should be, at work."""


class Lost(Exception):
    """Another process has taken the job."""


class Cancelled(Exception):
    """Somebody wants it to end where it stands."""


class Run:
    """A job that this process is carrying out."""

    def __init__(self, jobs: Scoped, document: Document, holder: str) -> None:
        self._jobs = jobs
        self._holder = holder
        self.document: Mapping[str, Any] = document
        self.id: ObjectId = document["_id"]
        self.cancelled = False
        self.lost = False
        self._noted = time.monotonic()

    @property
    def state(self) -> str:
        return str(self.document["state"])

    async def note(self, **news: Any) -> None:
        """Put these into the job's document. Raises `Lost`."""
        query = {"_id": self.id, "lease.holder": self._holder}
        matched, _ = await self._jobs.update_one(query, {"$set": {**news, "lease.until": now() + LEASE}})
        if not matched:
            self.lost = True
            raise Lost
        self.document = {**self.document, **news}
        self._noted = time.monotonic()

    async def renew(self) -> None:
        """Without end. Raises `Lost`."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            with suppress(DatabaseError):
                # Whatever is noted renews it, too.
                if time.monotonic() - self._noted >= RENEW_SECONDS:
                    await self.note()
                found = await self._jobs.find_one({"_id": self.id})
                self.cancelled = self.cancelled or bool(found and found.get("cancel"))


Work = Callable[[Run], Awaitable[str]]
"""Carries a job out; the state in which it is then."""


class Jobs(Background):
    """One account's."""

    def __init__(self, collection: Scoped) -> None:
        super().__init__()
        self._collection = collection
        self._kinds: dict[str, Work] = {}
        self._here: set[ObjectId] = set()
        self._holder = secrets.token_hex(8)

    def carried_out_by(self, kind: str, work: Work) -> None:
        """Say how jobs of this kind are carried out."""
        self._kinds[kind] = work

    async def resume(self) -> None:
        """From now on take up what nobody is at work on."""
        self._start(self._look)

    # ---- reading ---------------------------------------------------------------------------------------------------

    async def get(self, kind: str, identifier: ObjectId) -> Document | None:
        return await self._collection.find_one({"_id": identifier, "kind": kind})

    async def page(self, kind: str, *, before: ObjectId | None, limit: int) -> list[Document]:
        """The newest first."""
        query: dict[str, Any] = {"kind": kind}
        if before is not None:
            query["_id"] = {"$lt": before}
        return await self._collection.find(query, sort=[("_id", -1)], limit=limit)

    async def count(self, kind: str) -> int:
        return await self._collection.count({"kind": kind})

    async def follow(self, kind: str, identifier: ObjectId) -> AsyncGenerator[Document, None]:
        """The job's document now, then whenever it has changed, until nobody is at work on it any more."""
        told: Document | None = None
        while (found := await self.get(kind, identifier)) is not None:
            shown = {key: value for key, value in found.items() if key != "lease"}
            if shown != told:
                told = shown
                yield found
            if found["state"] not in ACTIVE:
                return
            await asyncio.sleep(TELL_EVERY_SECONDS)

    # ---- writing ---------------------------------------------------------------------------------------------------

    async def make(self, kind: str, identifier: ObjectId, state: str, **content: Any) -> None:
        """Make a job under `identifier`. One that is to be carried out at once is begun."""
        moment = now()
        document = {
            "_id": identifier,
            "kind": kind,
            "state": state,
            "created": moment,
            "expires": moment + KEPT,
            "cancel": False,
            "lease": {"holder": self._holder, "until": moment + LEASE},
            **content,
        }
        await self._collection.insert_one(document)
        if state in ACTIVE:
            self._carry_out(identifier)

    async def begin(self, identifier: ObjectId, states: tuple[str, ...], state: str, **news: Any) -> bool:
        """Go from one of `states` to another, in which somebody is at work: this process. Whether it was in one of them."""
        lease = {"holder": self._holder, "until": now() + LEASE}
        changes = {"state": state, "cancel": False, "error": None, "lease": lease, **news}
        query = {"_id": identifier, "state": {"$in": list(states)}}
        matched, _ = await self._collection.update_one(query, {"$set": changes})
        if matched:
            self._carry_out(identifier)
        return bool(matched)

    async def cancel(self, identifier: ObjectId) -> None:
        """Have it end where it stands, soon."""
        query = {"_id": identifier, "state": {"$in": list(ACTIVE)}}
        await self._collection.update_one(query, {"$set": {"cancel": True}})

    # ---- carrying out ----------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        while True:
            dead = {"state": {"$in": list(ACTIVE)}, "lease.until": {"$lt": now()}}
            for kind in self._kinds:
                for found in await self._collection.find(
                    {"kind": kind, **dead}, projection={"_id": 1}, limit=100
                ):
                    if found["_id"] not in self._here:
                        self._carry_out(found["_id"])
            await asyncio.sleep(LOOK_SECONDS)

    def _carry_out(self, identifier: ObjectId) -> None:
        self._here.add(identifier)
        self._start(lambda: self._work(identifier))

    async def _work(self, identifier: ObjectId) -> None:
        """Until it is at its end, or another's. Raises what makes another attempt worth while."""
        try:
            run = await self._claim(identifier)
            if run is not None:
                await self._carried(run)
        except (DatabaseError, Unavailable):
            raise
        except BaseException:
            self._here.discard(identifier)
            raise
        self._here.discard(identifier)

    async def _claim(self, identifier: ObjectId) -> Run | None:
        """None where it is another's, or done."""
        found = await self._collection.find_one({"_id": identifier, "state": {"$in": list(ACTIVE)}})
        if found is None or (found["lease"]["holder"] != self._holder and found["lease"]["until"] >= now()):
            return None
        seen = {"_id": identifier, "state": found["state"], "lease": found["lease"]}
        lease = {"holder": self._holder, "until": now() + LEASE}
        matched, _ = await self._collection.update_one(seen, {"$set": {"lease": lease}})
        if not matched:
            return None
        run = Run(self._collection, {**found, "lease": lease}, self._holder)
        run.cancelled = bool(found.get("cancel"))
        return run

    async def _carried(self, run: Run) -> None:
        renewing = asyncio.create_task(run.renew())
        working = asyncio.ensure_future(self._kinds[run.document["kind"]](run))
        try:
            await asyncio.wait({renewing, working}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                # It is another's now.
                return
            await self._end(run, working)
        except Lost:
            return
        except asyncio.CancelledError:
            working.cancel()
            await asyncio.wait({working})
            with anyio.CancelScope(shield=True), suppress(DatabaseError, Lost):
                await self._collection.update_one(
                    {"_id": run.id, "lease.holder": self._holder}, {"$set": {"lease.until": now()}}
                )
            raise
        finally:
            for task in (renewing, working):
                task.cancel()
            await asyncio.gather(renewing, working, return_exceptions=True)

    async def _end(self, run: Run, working: asyncio.Future[str]) -> None:
        error = working.exception()
        match error:
            case None:
                news: dict[str, Any] = {"state": working.result()}
            case Cancelled():
                news = {"state": "cancelled"}
            case Lost() | DatabaseError() | Unavailable():
                raise error
            case ShoalError():
                news = {"state": "failed", "error": {"code": error.code, "message": error.message}}
            case _:
                number = secrets.token_hex(8)
                log.error("job.failed", id=number, exc_info=error)
                message = (
                    f"Something went wrong here. It is logged under {number}: name that when you report it."
                )
                news = {"state": "failed", "error": {"code": "INTERNAL", "message": message}}
        await run.note(**news, finished=now())
