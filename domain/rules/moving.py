"""Rules that depend on the time: what they mean, what turns when, and for whom.

All of it is to be had here. Owns the slivers: who can have turned between two instants is a matter of what the edges of windows
have gone over, and so is found by ranges over what has moved. What a rule means at an instant is in `instants.py`, and
when it turns for one contact in `passage.py`. Rules in here have no references to other audiences left.

Invariant: whoever has a flip is found by the slivers. Held by `tests/domain/rules/test_moving.py`.
Cost: of `slivers` what the rule's size is; what they find is what has moved, and not the list.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from domain.fields import FieldType, LeapDay
from domain.rules.calendar import BEYOND_ALL_INSTANTS, Now, civil
from domain.rules.instants import LAST_SECOND, at, is_moving, next_turn, turn_of
from domain.rules.operators import Fixed, Moving, Operator, Yearly
from domain.rules.passage import Passage, passage
from domain.rules.predicate import Contact
from domain.rules.query import Query
from domain.rules.tree import Condition, Rule, conditions, read_subject
from domain.rules.windows import Arc, Window

__all__ = ["at", "flips", "is_moving", "next_flip", "next_turn", "slivers"]

# In so many days an edge does not come round to where it was, be the months as they may.
_NEARLY_A_YEAR = 360


def slivers(rule: Rule, since: Now, until: Now) -> list[Query]:
    """Queries, each a range under one path, that together find all whose answer differs between any two of these seconds."""
    found: list[Query] = []
    for condition in dict.fromkeys(conditions(rule)):
        path = read_subject(condition).path
        found += [{path: swept} for swept in _swept(condition, since, until) if {path: swept} not in found]
    return found


def _swept(condition: Condition, since: Now, until: Now) -> list[Query]:
    """The ranges over which the edges of the condition's window go in that time."""
    means = condition.operator.value.means
    match means:
        case Fixed():
            return []
        case Moving(window=window):
            type_ = condition.subject.type
            before, after = (window(type_, condition.operands, now) for now in (since, until))
            return _window_swept(type_, before, after)
        case Yearly() if condition.operator is Operator.ANNIVERSARY_IN_MONTH:
            years = civil(since.today)[0], civil(until.today)[0]
            leaps = years[0] != years[1] and since.settings.leap_day is LeapDay.MARCH_1
            # Of the days of the year only 29 February is in another month in another year.
            return [{"$gt": "02-28", "$lt": "03-01"}] if leaps and condition.operands[0] in (2, 3) else []
        case Yearly(arc=arc):
            if until.today - since.today >= _NEARLY_A_YEAR:
                return [] if turn_of(condition, since) is None else [{"$gte": ""}]
            return _arc_swept(*(arc(condition.operands, now.today, now.settings) for now in (since, until)))
        case _:
            assert_never(means)


def _window_swept(type_: FieldType, before: Window, after: Window) -> list[Query]:
    found: list[Query] = []
    if before.start != after.start:
        found.append({"$gte": before.start, "$lt": after.start})
    if before.end != after.end:
        # Of dates the end is the last that is in, of points in time the first that is out.
        dates = type_ is FieldType.DATE
        found.append(
            {"$gt": before.end, "$lte": after.end} if dates else {"$gte": before.end, "$lt": after.end}
        )
    return [{key: edge for key, edge in swept.items() if edge != BEYOND_ALL_INSTANTS} for swept in found]


def _arc_swept(before: Arc, after: Arc) -> list[Query]:
    found: list[Query] = []
    if before.first != after.first:
        edges: list[Query] = [{"$gte": before.first}, {"$lt": after.first}]
        # Over the end of the year, a range of its own on either side.
        found += edges if after.first < before.first else [edges[0] | edges[1]]
    if before.last != after.last:
        edges = [{"$gt": before.last}, {"$lte": after.last}]
        found += edges if after.last < before.last else [edges[0] | edges[1]]
    return found


# ---- when it changes for one contact -------------------------------------------------------------------------------


def flips(rule: Rule, contact: Contact, since: Now, until: Now) -> list[tuple[datetime, bool]]:
    """The seconds after `since`, up to `until`, at which the rule's answer for the contact changes, and to what."""
    return passage(rule, since, until).flips(contact)


def next_flip(rule: Rule, contact: Contact, now: Now) -> datetime | None:
    """The first second after `now` at which the rule's answer for the contact, as it is, changes; None where it never does."""
    return Passage(rule, now, replace(now, instant=LAST_SECOND)).next_flip(contact)
