"""Steps: the journal of an import, one document for each batch, written before the contacts are.

Owns what makes an import one that can be gone on with and taken back. A step names the row behind which it begins and its last one;
no two steps of an import begin behind the same row, so of two processes that both believe to be at work one is told that it
is not. It holds what each contact written was before, and the mark by which it is known until something else writes it;
what was refused; and the counts up to its end. Kept for thirty days. Held by `tests/domain/imports/test_writing.py`.

Cost: one insert for a batch, of some hundred bytes for each contact written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

from bson import ObjectId, encode

from domain.definitions import now
from domain.imports.batching import Batch
from domain.imports.planning import Becomes, Planned
from domain.imports.rejects import LONGEST_VALUE, Rejection
from domain.jobs import Lost
from domain.rules.tree import GROUPS
from domain.store.scope import Duplicate, Scoped

KEPT = timedelta(days=30)
MOST_BYTES = 8_000_000
"""Of a step; a document of the database has sixteen million at most."""

_PARTS = ("values", "normal", "anniversaries")


class Overtaken(Lost):
    """Another process has gone on with this import from the same place."""


@dataclass(slots=True, kw_only=True)
class Counts:
    """What became of the rows so far. `superseded`: those whose key comes again further down."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    superseded: int = 0
    rejected: int = 0
    cells_left_out: int = 0

    @property
    def rows(self) -> int:
        named = (self.created, self.updated, self.unchanged, self.skipped, self.superseded, self.rejected)
        return sum(named)


def counted(counts: Counts, batch: Batch, plans: Sequence[Planned]) -> Counts:
    """The counts with a batch added, of whose rows these are planned."""
    kinds = [plan.becomes for plan in plans]
    return Counts(
        created=counts.created + kinds.count(Becomes.CREATED),
        updated=counts.updated + kinds.count(Becomes.UPDATED),
        unchanged=counts.unchanged + kinds.count(Becomes.UNCHANGED),
        skipped=counts.skipped + kinds.count(Becomes.SKIPPED),
        superseded=counts.superseded + batch.superseded,
        rejected=counts.rejected + batch.rejected + len(batch.rows) - len(plans),
        cells_left_out=counts.cells_left_out + batch.cells_left_out,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One contact that a step writes. `before` is what it had in the fields of `keys`, which are written; nothing where it is made.

    `grouped`: it is put into the group, too.
    """

    row: int
    contact: ObjectId
    nonce: ObjectId
    updated: Any
    made: bool
    keys: Sequence[str] = ()
    before: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    grouped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`counts` are those of the whole import up to its end."""

    since: int
    through: int
    changes: Sequence[Change]
    rejections: Sequence[Rejection]
    counts: Counts

    def fits(self) -> bool:
        """Whether it is small enough to be kept as one."""
        return len(encode(_document(self))) <= MOST_BYTES


class Steps:
    """Those of one import."""

    def __init__(self, collection: Scoped, job: ObjectId) -> None:
        self._collection = collection
        self._job = job

    async def append(self, step: Step) -> None:
        """Raises `Overtaken`."""
        document = {"job": self._job, **_document(step), "expires": now() + KEPT}
        try:
            await self._collection.insert_one(document)
        except Duplicate:
            raise Overtaken from None

    async def amend(self, step: Step) -> None:
        """Put this in place of the one that begins there: what was planned could not be done."""
        await self._collection.update_one({"job": self._job, "since": step.since}, {"$set": _document(step)})

    async def last(self) -> Step | None:
        found = await self._collection.find_one({"job": self._job}, sort=[("since", -1)])
        return None if found is None else _step(found)

    async def rejections(self) -> AsyncIterator[Rejection]:
        """All of them, in the order of the file."""
        query, parts = {"job": self._job}, {"rejections": 1}
        async for found in self._collection.stream(query, projection=parts, sort=[("since", 1)]):
            for rejection in found["rejections"]:
                yield Rejection(**rejection)

    async def backwards(self) -> AsyncIterator[tuple[Step, Mapping[str, Any]]]:
        """The last one first, each with what was noted beside it by `mark`."""
        async for found in self._collection.stream({"job": self._job}, sort=[("since", -1)]):
            yield _step(found), found.get("marks", {})

    async def mark(self, step: Step, **marks: Any) -> None:
        """Note something beside a step."""
        news = {f"marks.{name}": value for name, value in marks.items()}
        await self._collection.update_one({"job": self._job, "since": step.since}, {"$set": news})


def change_of(plan: Planned) -> Change:
    """What a plan will have changed. It is one that writes."""
    assert plan.contact is not None
    before: dict[str, Mapping[str, Any]] = {}
    touched: set[str] = set()
    grouped = False
    if plan.update is not None:
        assert plan.before is not None
        touched = {
            path.split(".")[1]
            for path in (*plan.update["$set"], *plan.update.get("$unset", ()))
            if "." in path
        }
        for part in _PARTS:
            stored = plan.before.get(part)
            kept = (
                {key: stored[key] for key in touched if key in stored} if isinstance(stored, Mapping) else {}
            )
            before[part] = kept
        grouped = GROUPS in plan.update.get("$push", {})
    return Change(
        row=plan.number,
        contact=plan.contact,
        nonce=plan.nonce,
        updated=plan.updated,
        made=plan.insert is not None,
        keys=sorted(touched),
        before=before,
        grouped=grouped,
    )


def _document(step: Step) -> dict[str, Any]:
    return {
        "since": step.since,
        "through": step.through,
        "changes": [
            {
                "row": change.row,
                "contact": change.contact,
                "nonce": change.nonce,
                "updated": change.updated,
                **(
                    {"made": True}
                    if change.made
                    else {"keys": list(change.keys), "before": change.before, "grouped": change.grouped}
                ),
            }
            for change in step.changes
        ],
        "rejections": [
            {**asdict(rejection), "value": rejection.value[: LONGEST_VALUE + 1]}
            for rejection in step.rejections
        ],
        "counts": asdict(step.counts),
    }


def _step(document: Mapping[str, Any]) -> Step:
    return Step(
        since=document["since"],
        through=document["through"],
        changes=[Change(**{"made": False, **change}) for change in document["changes"]],
        rejections=[Rejection(**rejection) for rejection in document["rejections"]],
        counts=Counts(**document["counts"]),
    )
