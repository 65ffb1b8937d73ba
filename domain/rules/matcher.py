"""Many criteria at once: which audiences does this change of a contact move?

Owns an index over rules, so that a change costs what it can move and not what there is. Two things keep a rule from being
asked: nothing that it reads has changed; or it insists on one of certain values (`city is "Bonn" and …`, a group) that the
contact has neither before nor after. Refuses nothing: rules that are here have been built and followed.

Cost of `moved`: one comparison for each path that any rule reads, and then, for each changed path, one look-up for each
path that rules insist on, and two evaluations of each rule found there. So ten thousand segments of the kind `city is …`
cost as much as the few of the contact's own cities; ten thousand rules that insist on nothing (`score > 1`, `score > 2`, …)
are all asked when `score` changes, and none when it does not.

Invariant: answers exactly as if every rule were asked. Held by `tests/domain/rules/test_matcher.py`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar, assert_never

from bson import ObjectId

from domain.rules.criterion import Criterion
from domain.rules.operators import Operator
from domain.rules.predicate import Contact, Predicate, value_at
from domain.rules.readings import Operands
from domain.rules.tree import UNFOLLOWED, All, AnyOf, Carries, Condition, MemberOf, Not, Rule, paths_read

A = TypeVar("A", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Demand:
    """What a rule insists on: one of `values`, or a list with one of them, under `path`."""

    path: str
    values: frozenset[Any]


class _Entry(Generic[A]):
    """One audience. The predicate of a moving rule is made anew when it is asked for after its rule has turned."""

    __slots__ = ("_criterion", "_predicate", "_since", "_until", "audience", "demand", "paths", "place")

    def __init__(self, audience: A, place: int, criterion: Criterion) -> None:
        self.audience = audience
        self.place = place
        self.paths = paths_read(criterion.rule)
        self.demand = _demand(criterion.rule)
        self._criterion = criterion
        self._since, self._until = _BEGINNING, _END
        self._predicate: Predicate | None = None

    def accepts(self, contact: Contact, instant: datetime) -> bool:
        if self._predicate is None or not self._since <= instant < self._until:
            self._predicate = self._criterion.predicate(instant)
            if self._criterion.is_moving:
                self._since, self._until = instant, self._criterion.next_turn(instant) or _END
        return self._predicate(contact)


_BEGINNING = datetime.min.replace(tzinfo=UTC)
_END = datetime.max.replace(tzinfo=UTC)


class _Group(Generic[A]):
    """Rules that have something in common, sorted by what they insist on."""

    __slots__ = ("demanding", "undemanding")

    def __init__(self) -> None:
        self.undemanding: dict[A, _Entry[A]] = {}
        self.demanding: dict[str, dict[Any, dict[A, _Entry[A]]]] = {}

    def add(self, entry: _Entry[A]) -> None:
        if entry.demand is None:
            self.undemanding[entry.audience] = entry
            return
        by_value = self.demanding.setdefault(entry.demand.path, {})
        for value in entry.demand.values:
            by_value.setdefault(value, {})[entry.audience] = entry

    def remove(self, entry: _Entry[A]) -> None:
        if entry.demand is None:
            del self.undemanding[entry.audience]
            return
        path = entry.demand.path
        by_value = self.demanding[path]
        for value in entry.demand.values:
            del by_value[value][entry.audience]
            if not by_value[value]:
                del by_value[value]
        if not by_value:
            del self.demanding[path]

    def __bool__(self) -> bool:
        return bool(self.undemanding or self.demanding)

    def candidates(self, *states: Contact) -> Iterator[_Entry[A]]:
        """Every rule of the group that could accept one of `states`; some come more than once."""
        yield from self.undemanding.values()
        for path, by_value in self.demanding.items():
            look = value_at(path)
            for value in {value for state in states for value in _values(look(state))}:
                if (found := by_value.get(value)) is not None:
                    yield from found.values()


class Matcher(Generic[A]):
    """The criteria of audiences, by the audience's name or whatever else the caller calls it."""

    def __init__(self) -> None:
        self._entries: dict[A, _Entry[A]] = {}
        self._all: _Group[A] = _Group()
        self._reading: dict[str, _Group[A]] = {}
        self._next_place = 0

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, audience: A, criterion: Criterion) -> None:
        """Adds the audience, or gives it another criterion."""
        if audience in self._entries:
            self.drop(audience)
        self._next_place += 1
        entry = _Entry(audience, self._next_place, criterion)
        self._entries[audience] = entry
        self._all.add(entry)
        for path in entry.paths:
            self._reading.setdefault(path, _Group()).add(entry)

    def drop(self, audience: A) -> None:
        """Forgets the audience; `KeyError` where it is not here."""
        entry = self._entries.pop(audience)
        self._all.remove(entry)
        for path in entry.paths:
            group = self._reading[path]
            group.remove(entry)
            if not group:
                del self._reading[path]

    def matching(self, contact: Contact, instant: datetime) -> list[A]:
        """The audiences that the contact is in at the instant, in the order in which they were put."""
        found = {entry.place: entry for entry in self._all.candidates(contact)}
        return [found[place].audience for place in sorted(found) if found[place].accepts(contact, instant)]

    def moved(self, before: Contact | None, after: Contact | None, instant: datetime) -> list[tuple[A, bool]]:
        """The audiences that the contact joins (True) or leaves (False) by a change at the instant, in the order in which
        they were put.

        `before` is None for a contact that is new, `after` for one that is gone.
        """
        if before is None:
            return [] if after is None else [(audience, True) for audience in self.matching(after, instant)]
        if after is None:
            return [(audience, False) for audience in self.matching(before, instant)]
        found = {
            entry.place: entry
            for path, group in self._reading.items()
            if _differs((look := value_at(path))(before), look(after))
            for entry in group.candidates(before, after)
        }
        moved = {}
        for place, entry in found.items():
            was, is_now = entry.accepts(before, instant), entry.accepts(after, instant)
            if was is not is_now:
                moved[place] = entry.audience, is_now
        return [moved[place] for place in sorted(moved)]


# Exactly these: other BSON types come as subclasses of them, which no rule accepts and not all of which can be looked up.
_INSISTED = frozenset({str, float, ObjectId})


def _values(value: Any) -> Iterator[Any]:
    """The single values that stand there, as far as a rule can insist on them."""
    for part in value if value.__class__ is list else (value,):
        if part.__class__ in _INSISTED or isinstance(part, int):
            yield part


def _differs(before: Any, after: Any) -> bool:
    """Whether a rule could tell one from the other. In doubt it could."""
    if before is after:
        return False
    if before.__class__ is not after.__class__:
        # True and 1 are equal in Python, and nowhere else.
        return True
    if before.__class__ is list:
        return len(before) != len(after) or any(map(_differs, before, after))
    return bool(before != after)


def _demand(rule: Rule) -> _Demand | None:
    """Values without any of which the rule accepts nobody; None where there are none."""
    match rule:
        case Condition():
            values = _demanded(rule)
            return None if values is None else _Demand(path=rule.subject.path, values=frozenset(values))
        case Carries():
            return _Demand(path=rule.path, values=frozenset({rule.value}))
        case MemberOf():
            raise TypeError(UNFOLLOWED)
        case All(children=children):
            demands = [demand for child in children if (demand := _demand(child)) is not None]
            return min(demands, key=lambda demand: len(demand.values), default=None)
        case AnyOf(children=children):
            demands = [demand for child in children if (demand := _demand(child)) is not None]
            if len(demands) < len(children) or len({demand.path for demand in demands}) > 1:
                return None
            return _Demand(
                path=demands[0].path, values=frozenset().union(*(demand.values for demand in demands))
            )
        case Not():
            return None
        case _:
            assert_never(rule)


def _demanded(condition: Condition) -> Operands | None:
    match condition.operator:
        case Operator.IS | Operator.IS_ANY_OF | Operator.ON | Operator.HAS_ANY_OF:
            return condition.operands
        case Operator.HAS_ALL_OF:
            return condition.operands[:1]
        case _:
            return None
