"""Converting: what contacts hold in a field whose type was changed gets the normal form of the new type, in the background.

Owns the job. What was entered stays as it was entered: only the normal form, which rules read, is made anew, so that giving a
field its old type again loses nothing. A value of which the new type can make nothing has no normal form: rules see the field
as empty there, and the report tells which contacts these are. What broke by the change is frozen before the first contact is
written; some time after it is done all contacts are gone through once more, for whoever did not yet know of the new type when it
wrote.

A step does nothing where it is done again, so a process that ended in the middle, and several at once, do no harm; a contact
that is changed between the look and the write is looked at again; another change of the type puts an end to the job. Held by
`tests/domain/test_converting.py`.

Cost: each contact that has a value in the field is read twice, and written once where its normal form changes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from bson import ObjectId

from domain.background import Background
from domain.catalogue import Catalogue, Retyping
from domain.contact import Contact, retyped_of
from domain.definitions import Definitions, now
from domain.errors import InvalidValue
from domain.fields import Field, FieldType, Settings, reread
from domain.membership.feed import Feed
from domain.store.client import Document
from domain.store.scope import Duplicate, Scoped

BATCH = 200
MAX_ATTEMPTS = 5
MOST_FAILURES = 1_000
TELL_EVERY_SECONDS = 1.0
LATE_WRITERS = timedelta(seconds=60)
"""How long after a change of the type somebody may still write by the old one. A request takes half of that at most; an import
looks before each of its batches.
"""

_LONGEST_SHOWN = 200
_MOST_SHOWN = 20


class Stage(StrEnum):
    """`WAITING`: what broke by the change is being frozen first."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A contact of whose value the new type can make nothing. A long value is told by its beginning."""

    contact: ObjectId
    value: Any
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """How far it has come: `done` of `total` contacts were looked at, and each of them was `converted` or has `failed`.

    `failures` are the first of those that failed.
    """

    key: str
    before: FieldType
    after: FieldType
    stage: Stage
    total: int
    done: int
    converted: int
    failed: int
    failures: tuple[Failure, ...]
    started: datetime
    finished: datetime | None

    @property
    def progress(self) -> int:
        """Per cent. Contacts that come meanwhile never make it more than it is."""
        if self.stage is Stage.DONE:
            return 100
        return min(99, self.done * 100 // self.total) if self.total else 0


class Converter(Background):
    """One account's."""

    def __init__(self, contacts: Scoped, jobs: Scoped, definitions: Definitions, feed: Feed) -> None:
        super().__init__()
        self._contacts = contacts
        self._jobs = jobs
        self._definitions = definitions
        self._feed = feed

    async def resume(self) -> None:
        """Begin again with whatever is not finished."""
        for key in list((await self._definitions.current()).retyped):
            await self.convert(key)

    async def convert(self, key: str) -> None:
        """Begin with the values of a field that got another type, or go on; nothing where that is done."""
        retyping = (await self._definitions.current()).retyped.get(key)
        if retyping is not None and await self._book(retyping):
            self._start(lambda: self._convert(retyping))

    async def of(self, catalogue: Catalogue, keys: Iterable[str]) -> dict[str, Conversion]:
        """The last conversion of each of these fields that ever had one."""
        retyped = [catalogue.retyped[key] for key in keys if key in catalogue.retyped]
        found = await self._jobs.find_among("field", [retyping.key for retyping in retyped])
        jobs = {(job["field"], job["version"]): job for job in found}
        return {each.key: _conversion(each, jobs.get((each.key, each.version))) for each in retyped}

    # ---- the job ---------------------------------------------------------------------------------------------------

    async def _book(self, retyping: Retyping) -> bool:
        """Whether there is anything left to do."""
        fresh = {
            "version": retyping.version,
            "from": retyping.before.value,
            "to": retyping.after.value,
            "stage": Stage.WAITING.value,
            "total": 0,
            **_Tally().told(),
            "started": retyping.at,
            "finished": None,
            "looked_again": False,
        }
        try:
            earlier = {"field": retyping.key, "version": {"$lt": retyping.version}}
            await self._jobs.update_one(earlier, {"$set": fresh}, upsert=True)
        except Duplicate:
            booked = await self._jobs.find_one({"field": retyping.key, "version": retyping.version})
            return booked is not None and not booked["looked_again"]
        return True

    async def _note(self, retyping: Retyping, **news: Any) -> None:
        """Nothing happens where another job has taken this one's place."""
        await self._jobs.update_one({"field": retyping.key, "version": retyping.version}, {"$set": news})

    async def _convert(self, retyping: Retyping) -> None:
        try:
            conversion = (await self.of(await self._still(retyping), [retyping.key]))[retyping.key]
            if conversion.stage is not Stage.DONE:
                await self._feed.settled((await self._still(retyping)).broken)
                total = await self._contacts.count(_holding(retyping.key))
                await self._note(retyping, stage=Stage.RUNNING.value, total=total)
                tally = await self._pass(retyping, telling=True)
                await self._note(retyping, stage=Stage.DONE.value, finished=now(), **tally.told())
            await asyncio.sleep((retyping.at + LATE_WRITERS - now()).total_seconds())
            tally = await self._pass(retyping, telling=False)
            await self._note(retyping, looked_again=True, **tally.told())
        except _Superseded:
            return

    async def _still(self, retyping: Retyping) -> Catalogue:
        """The catalogue. Raises `_Superseded`."""
        catalogue = await self._definitions.current()
        if catalogue.retyped.get(retyping.key) != retyping:
            raise _Superseded
        return catalogue

    async def _pass(self, retyping: Retyping, *, telling: bool) -> _Tally:
        """Go through all contacts that have a value, and tell meanwhile how far that has come."""
        tally, told_at = _Tally(), time.monotonic()
        batch: list[Document] = []
        async for document in self._contacts.stream(_holding(retyping.key), projection=_parts(retyping.key)):
            batch.append(document)
            if len(batch) < BATCH:
                continue
            await self._take(retyping, batch, tally)
            batch = []
            if telling and time.monotonic() - told_at >= TELL_EVERY_SECONDS:
                told_at = time.monotonic()
                await self._note(retyping, **tally.told())
        await self._take(retyping, batch, tally)
        return tally

    async def _take(self, retyping: Retyping, batch: Sequence[Document], tally: _Tally) -> None:
        """Give these contacts their normal forms. One that is changed meanwhile is looked at again."""
        key = retyping.key
        seen: dict[ObjectId, Failure | None] = {}
        for _ in range(MAX_ATTEMPTS):
            catalogue = await self._still(retyping)
            updates = []
            for document in batch:
                if isinstance(document["_id"], ObjectId) and key in Contact(document).values:
                    update, failure = _reread(document, catalogue.fields[key], catalogue.settings)
                    seen[document["_id"]] = failure
                    updates += [] if update is None else [update]
            written = await self._contacts.write(updates=updates)
            if written.matched == len(updates):
                break
            changed = [query["_id"] for query, _ in updates]
            batch = await self._contacts.find_among("_id", changed, _holding(key), projection=_parts(key))
            for contact in {*changed} - {document["_id"] for document in batch}:
                del seen[contact]
        tally.add(seen.values())


class _Superseded(Exception):
    """The field was deleted, or given yet another type."""


@dataclass(slots=True)
class _Tally:
    """What a pass over the contacts has found so far."""

    done: int = 0
    failed: int = 0
    failures: list[Failure] = field(default_factory=list)

    def add(self, seen: Iterable[Failure | None]) -> None:
        for failure in seen:
            self.done += 1
            if failure is not None:
                self.failed += 1
                if len(self.failures) < MOST_FAILURES:
                    self.failures.append(failure)

    def told(self) -> dict[str, Any]:
        return {
            "done": self.done,
            "converted": self.done - self.failed,
            "failed": self.failed,
            "failures": [asdict(failure) for failure in self.failures],
        }


def _holding(key: str) -> dict[str, Any]:
    return {f"values.{key}": {"$exists": True}}


def _parts(key: str) -> dict[str, int]:
    return dict.fromkeys((f"values.{key}", f"normal.{key}", f"anniversaries.{key}"), 1)


def _reread(
    document: Document, field: Field, settings: Settings
) -> tuple[tuple[dict[str, Any], dict[str, Any]] | None, Failure | None]:
    """The update of a contact, where it needs one, and what is wrong with its value."""
    value = Contact(document).values[field.key]
    try:
        return retyped_of(document, field.key, reread(field, value, settings)), None
    except InvalidValue as refused:
        failure = Failure(contact=document["_id"], value=_shown(value), message=refused.message)
        return retyped_of(document, field.key, None), failure


def _shown(value: Any) -> Any:
    """A value as it can be kept a thousand times over in one document."""
    match value:
        case str() if len(value) > _LONGEST_SHOWN:
            return f"{value[:_LONGEST_SHOWN]}…"
        case list() if len(value) > _MOST_SHOWN:
            return [*map(_shown, value[:_MOST_SHOWN]), "…"]
        case list():
            return [*map(_shown, value)]
        case str() | bool() | int() | float():
            return value
        case _:
            return _shown(str(value))


def _conversion(retyping: Retyping, job: Mapping[str, Any] | None) -> Conversion:
    """Of a field whose conversion nobody has booked yet, one that is waiting."""
    job = job or {"total": 0, "stage": Stage.WAITING.value, "finished": None, **_Tally().told()}
    return Conversion(
        key=retyping.key,
        before=retyping.before,
        after=retyping.after,
        stage=Stage(job["stage"]),
        total=job["total"],
        done=job["done"],
        converted=job["converted"],
        failed=job["failed"],
        failures=tuple(Failure(**failure) for failure in job["failures"]),
        started=retyping.at,
        finished=job["finished"],
    )
