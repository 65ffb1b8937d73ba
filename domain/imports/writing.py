"""Writing: batches into contacts, each by a plan that stands in the journal before anything is written.

Owns that a row is written once. A batch that was broken off anywhere, by the end of the process or of the database, is carried out
again by the plan of its step: what was made has the identifier that the step names, what was changed bears its mark. What
somebody else writes in between is met again: the rows concerned are planned anew. Held by `tests/domain/imports/test_writing.py`.

Cost: for a batch one read, one bulk write, and one insert into the journal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Protocol

from bson import ObjectId

from domain.contacts import MAX_ATTEMPTS, Row
from domain.imports.batching import Batch
from domain.imports.planning import Becomes, Planned, Planner, Plans, rows_of
from domain.imports.rejects import Rejection
from domain.imports.steps import Change, Counts, Step, Steps, change_of, counted
from domain.store.client import Document
from domain.store.log import Reason
from domain.store.scope import Scoped


class Carries(Protocol):
    """Does with each batch what the import is for, and counts; what it refuses it adds to the batch's rejections.

    `planned` is what was planned for the batch already.
    """

    async def carry_out(self, batch: Batch, counts: Counts, planned: Plans | None = None) -> Counts: ...


class Writer:
    """For one import into `contacts`. Without `steps` it keeps no journal: it can be repeated, but not gone on with or taken back.

    `last` is the step with which it goes on.
    """

    def __init__(
        self,
        contacts: Scoped,
        planner: Planner,
        column: str,
        steps: Steps | None = None,
        last: Step | None = None,
    ) -> None:
        self._contacts = contacts
        self._planner = planner
        self._column = column
        self._steps = steps
        self._since = 0 if last is None else last.since
        self._last = last

    async def carry_out(self, batch: Batch, counts: Counts, planned: Plans | None = None) -> Counts:
        """Write the batch. Raises `domain.imports.steps.Overtaken`."""
        if self._last is not None:
            step, self._last = await self._again(batch, self._last), None
            self._since = step.through
            return step.counts
        plans, rejections = planned or await self._planner.plan(rows_of(batch), self._column)
        step = _step(self._since, batch, plans, rejections, counts)
        if self._steps is not None:
            if len(batch.rows) > 1 and not step.fits():
                first, second = _halves(batch)
                counts = await self.carry_out(second, await self.carry_out(first, counts))
                batch.rejections = first.rejections + second.rejections
                return counts
            await self._steps.append(step)
        refused = await self._execute([plan for plan in plans if _writes(plan)])
        step = await self._settled(step, refused)
        batch.rejections = list(step.rejections)
        self._since = step.through
        return step.counts

    async def _again(self, batch: Batch, step: Step) -> Step:
        """Carry out what is left of a step that was broken off."""
        changes = {change.row: change for change in step.changes}
        found = await self._contacts.find_among("_id", [change.contact for change in step.changes])
        known = {document["_id"]: document for document in found}
        missing: list[tuple[int, Row]] = []
        left: list[Planned] = []
        for number, row in rows_of(batch):
            if (change := changes.get(number)) is None:
                continue
            document = known.get(change.contact)
            if document is None:
                missing.append((number, row))
            elif not change.made and _mark(document) != change.nonce:
                left.append(_as_said(self._planner.known(number, row, document), change))
        anew, _ = await self._planner.plan(missing, self._column)
        left += [
            _as_said(plan, changes[plan.number])
            for plan in anew
            if plan.insert is not None and changes[plan.number].made
        ]
        said = {plan.number for plan in left}
        lost = [(number, row) for number, row in missing if number not in said]
        refused = await self._execute([plan for plan in left if _writes(plan)])
        return await self._settled(step, refused, lost)

    async def _settled(
        self, step: Step, refused: Sequence[Planned], lost: Sequence[tuple[int, Row]] = ()
    ) -> Step:
        """The step as it came to be: what could not be done as it was planned is planned anew, and the step says so."""
        rows = [*((plan.number, plan.row) for plan in refused), *lost]
        for attempt in range(MAX_ATTEMPTS + 1):
            if not rows:
                break
            if attempt < MAX_ATTEMPTS:
                plans, rejections = await self._planner.plan(rows, self._column)
            else:
                plans = []
                reason = "Others are writing this contact over and over. Import the row again."
                rejections = [
                    Rejection(row=number, column=self._column, value=row.key, reason=reason)
                    for number, row in rows
                ]
            step = _replanned(step, {number for number, _ in rows}, plans, rejections)
            if self._steps is not None:
                await self._steps.amend(step)
            refused = await self._execute([plan for plan in plans if _writes(plan)])
            rows = [(plan.number, plan.row) for plan in refused]
        return step

    async def _execute(self, plans: Sequence[Planned]) -> list[Planned]:
        """Write what is planned. Those that somebody else has made impossible in between."""
        inserts = [plan for plan in plans if plan.insert is not None]
        updates = [plan for plan in plans if plan.insert is None]
        written = await self._contacts.write(
            inserts=[plan.insert for plan in inserts if plan.insert is not None],
            updates=[
                (plan.query, plan.update)
                for plan in updates
                if plan.query is not None and plan.update is not None
            ],
        )
        if not written.refused and written.matched == len(updates):
            return []
        # Seldom: whoever does not bear its mark now was not written.
        found = await self._contacts.find_among("_id", [plan.contact for plan in plans])
        marks = {document["_id"]: _mark(document) for document in found}
        return [plan for plan in plans if marks.get(plan.contact) != plan.nonce]


def _writes(plan: Planned) -> bool:
    return plan.insert is not None or plan.update is not None


def _as_said(plan: Planned, change: Change) -> Planned:
    """The plan with identifier, mark and time of the step, so that what it writes is what the step says."""
    written = {"reason": Reason.IMPORTED.value, "nonce": change.nonce}
    if plan.insert is not None:
        document: Document = {**plan.insert, "_id": change.contact, "written": written}
        return replace(plan, insert={**document, "created": change.updated, "updated": change.updated})
    if plan.update is not None:
        news = {**plan.update["$set"], "written": written}
        if "updated" in news:
            news["updated"] = change.updated
        return replace(plan, update={**plan.update, "$set": news})
    return plan


def _step(
    since: int, batch: Batch, plans: Sequence[Planned], rejections: Sequence[Rejection], counts: Counts
) -> Step:
    return Step(
        since=since,
        through=batch.last,
        changes=[change_of(plan) for plan in plans if _writes(plan)],
        rejections=[*batch.rejections, *rejections],
        counts=counted(counts, batch, plans),
    )


def _replanned(
    step: Step, numbers: AbstractSet[int], plans: Sequence[Planned], rejections: Sequence[Rejection]
) -> Step:
    """The step with these plans in place of what it says of these rows, each of which it was to write."""
    instead = [change for change in step.changes if change.row in numbers]
    made = sum(change.made for change in instead)
    kinds = [plan.becomes for plan in plans]
    counts = step.counts
    return replace(
        step,
        changes=[
            *(change for change in step.changes if change.row not in numbers),
            *(change_of(plan) for plan in plans if _writes(plan)),
        ],
        rejections=[*step.rejections, *rejections],
        counts=replace(
            counts,
            created=counts.created - made + kinds.count(Becomes.CREATED),
            updated=counts.updated - (len(instead) - made) + kinds.count(Becomes.UPDATED),
            unchanged=counts.unchanged + kinds.count(Becomes.UNCHANGED),
            skipped=counts.skipped + kinds.count(Becomes.SKIPPED),
            rejected=counts.rejected + len(instead) - len(plans),
        ),
    )


def _mark(document: Document) -> ObjectId | None:
    """What the last writer left who said why."""
    written = document.get("written")
    nonce = written.get("nonce") if isinstance(written, Mapping) else None
    return nonce if isinstance(nonce, ObjectId) else None


def _halves(batch: Batch) -> tuple[Batch, Batch]:
    """Two batches of the rows of one; what was refused is told with the first."""
    middle = len(batch.rows) // 2
    first = replace(
        batch, rows=batch.rows[:middle], numbers=batch.numbers[:middle], last=batch.numbers[middle - 1]
    )
    second = Batch(
        last=batch.last, rows=batch.rows[middle:], numbers=batch.numbers[middle:], position=batch.position
    )
    return first, second
