"""Undoing: an import taken back, contact by contact, its last step first.

Owns the test by which a contact is taken back: it bears the mark of the import and the time of its last change, so nothing else
has written it since. What the import made goes; what it changed gets back what it had, as far as its fields are still there and of
the same type. Fields that were made stay, for others may use them. Each step is marked before it is taken back, so that an undoing
that was broken off goes on and counts right. Held by `tests/domain/imports/test_imports.py`.

Cost: one read and one bulk write for each step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson import ObjectId

from domain.definitions import Definitions, now
from domain.imports.steps import Change, Step, Steps
from domain.jobs import Cancelled, Run
from domain.rules.tree import GROUPS
from domain.store.log import Reason
from domain.store.scope import Query, Scoped


async def undo(run: Run, contacts: Scoped, steps: Steps, definitions: Definitions) -> None:
    """Take back what the run's import did."""
    types = {target["key"]: target["type"] for target in run.document["targets"]}
    group = run.document["options"]["group"]
    reverted = kept = 0
    whole: int | None = None
    async for step, marks in steps.backwards():
        if run.cancelled:
            raise Cancelled
        whole = whole or step.through
        done = marks
        if "reverted" not in marks:
            nonce = marks.get("nonce")
            if nonce is None:
                nonce = ObjectId()
                await steps.mark(step, nonce=nonce)
            fields = (await definitions.current()).fields
            there = {key for key, type in types.items() if key in fields and fields[key].type.value == type}
            done = await _take_back(contacts, step, nonce, there, group)
            await steps.mark(step, **done)
        reverted, kept = reverted + done["reverted"], kept + done["kept"]
        percent = 100 - step.since * 100 // max(1, whole)
        await run.note(percent=min(99, percent), undone={"reverted": reverted, "kept": kept})
    await run.note(percent=100)


async def _take_back(
    contacts: Scoped, step: Step, nonce: ObjectId, there: set[str], group: ObjectId | None
) -> Mapping[str, int]:
    found = await contacts.find_among("_id", [change.contact for change in step.changes])
    known = {document["_id"]: document for document in found}
    updates: list[tuple[Query, Query]] = []
    deletes: list[Query] = []
    before = 0
    for change in step.changes:
        document = known.get(change.contact)
        mark = None if document is None else document.get("written", {}).get("nonce")
        if mark == nonce or (document is None and change.made):
            before += 1  # by an attempt that was broken off
        elif document is None or mark != change.nonce or document.get("updated") != change.updated:
            continue
        elif change.made:
            deletes.append(_as_left(change))
        else:
            updates.append((_as_left(change), _restoring(change, nonce, there, group)))
    written = await contacts.write(updates=updates, deletes=deletes)
    reverted = before + written.matched + written.deleted
    return {"reverted": reverted, "kept": len(step.changes) - reverted}


def _as_left(change: Change) -> Query:
    return {"_id": change.contact, "written.nonce": change.nonce, "updated": {"$eq": change.updated}}


def _restoring(change: Change, nonce: ObjectId, there: set[str], group: ObjectId | None) -> Query:
    sets: dict[str, Any] = {"written": {"reason": Reason.IMPORTED.value, "nonce": nonce}, "updated": now()}
    unsets: dict[str, str] = {}
    for part in ("values", "normal", "anniversaries"):
        had = change.before.get(part, {})
        for key in change.keys:
            if key not in there:
                continue
            if key in had:
                sets[f"{part}.{key}"] = had[key]
            else:
                unsets[f"{part}.{key}"] = ""
    update: dict[str, Any] = {"$set": sets}
    if unsets:
        update["$unset"] = unsets
    if change.grouped and group is not None:
        update["$pull"] = {GROUPS: group}
    return update
