"""Trying: an import that writes nothing, and tells what it would do: to contacts, and to whom each audience holds.

Owns the counting. Each contact is judged as the engine judges it (`Catalogue.moved`), before and after the row, so what is foretold
is what happens if nothing else does meanwhile. Held by `tests/domain/imports/test_imports.py`.

Cost: one read for a batch, and what the rules cost that look at what the rows change.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from bson import ObjectId

from domain.catalogue import Catalogue
from domain.definitions import Definitions
from domain.imports.batching import Batch
from domain.imports.planning import Planned, Planner, Plans, rows_of
from domain.imports.steps import Counts, counted
from domain.membership.changes import apply_update
from domain.membership.feed import Feed
from domain.rules.tree import GROUPS
from domain.store.client import Document


class Trial:
    """For one import."""

    def __init__(self, planner: Planner, column: str, definitions: Definitions, feed: Feed) -> None:
        self._planner = planner
        self._column = column
        self._definitions = definitions
        self._feed = feed
        self.joining: Counter[ObjectId] = Counter()
        """How many contacts would join each audience, by its identifier."""
        self.leaving: Counter[ObjectId] = Counter()

    async def carry_out(self, batch: Batch, counts: Counts, planned: Plans | None = None) -> Counts:
        """Count what the batch would do."""
        plans, rejections = planned or await self._planner.plan(rows_of(batch), self._column)
        batch.rejections += rejections
        catalogue = await self._definitions.current()
        for plan in plans:
            self._judge(plan, catalogue)
        return counted(counts, batch, plans)

    def _judge(self, plan: Planned, catalogue: Catalogue) -> None:
        after = _after(plan)
        if after is None:
            return
        for audience, joined in catalogue.moved(plan.before, after, self._feed.instant):
            (self.joining if joined else self.leaving)[audience] += 1


def _after(plan: Planned) -> Document | None:
    """The contact as the plan would leave it; None where it would not touch it."""
    if plan.insert is not None:
        return plan.insert
    if plan.update is None or plan.before is None:
        return None
    news: dict[str, Any] = dict(plan.update["$set"])
    if GROUPS in plan.update.get("$push", {}):
        news[GROUPS] = [*plan.before.get(GROUPS, ()), plan.update["$push"][GROUPS]]
    return dict(
        apply_update(
            plan.before, {"updatedFields": news, "removedFields": list(plan.update.get("$unset", ()))}
        )
    )
