"""What saving a rule would change, told before it is saved: who would join and who would leave, here and elsewhere.

Owns the comparing. It goes by the same criteria as the engine, so what is foretold is what happens if nothing else does
meanwhile. Held by `tests/domain/test_differences.py`.

Cost: one count for each side of each segment that would change, and the rules of those that refer to the segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bson import ObjectId

from domain.audiences import Segment, difference
from domain.catalogue import Catalogue
from domain.rules.query import Query
from domain.rules.tree import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Queries for the contacts that would join a segment, and for those that would leave it."""

    segment: Segment
    joining: Query
    leaving: Query


def differences(
    catalogue: Catalogue, identifier: ObjectId, rule: Rule, instant: datetime
) -> Sequence[Difference]:
    """What the rule would change: of the segment itself first, then of those that refer to it, if it changes them.

    The rule is one that can be saved (`domain.referring.check_rule`).
    """
    found = []
    for each, criterion in catalogue.as_if(identifier, rule).items():
        if each not in catalogue.segments:
            # A campaign's audience: who is reached is told by its own preview.
            continue
        before, after = catalogue.criterion(each).query(instant), criterion.query(instant)
        if each == identifier or before != after:
            found.append(
                Difference(
                    segment=catalogue.segments[each],
                    joining=difference(after, before),
                    leaving=difference(before, after),
                )
            )
    return found
