"""The first reading of a rule: a MongoDB query document.

Owns only how conditions are put together; what each one means is in `operators.py`. Uses documented MongoDB behaviour
alone, and leaves out the account: the store puts it on top. Keeps what it can at the top level under the plain path,
because some servers use no index beside a key that begins with `$`.

Invariant: finds exactly the contacts that `to_predicate` accepts. Held by `tests/domain/rules/test_two_readings.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, assert_never

from bson import ObjectId

from domain.rules.operators import MOVING, Fixed
from domain.rules.tree import UNFOLLOWED, All, AnyOf, Carries, Condition, MemberOf, Not, Rule

Query = dict[str, Any]


def to_query(rule: Rule) -> Query:
    """The query document of a followed rule. It has none of the keys `account` and `_id`, so these can be added beside it."""
    return _plain(_query(rule))


def _query(rule: Rule) -> Query:
    """The query with every path's part still spelled as operators, so that parts can be merged."""
    match rule:
        case Condition():
            return {rule.subject.path: _condition(rule)}
        case Carries():
            return {rule.path: {"$eq": rule.value}}
        case MemberOf():
            raise TypeError(UNFOLLOWED)
        case All(children=children):
            return _merged(_query(child) for child in children)
        case AnyOf(children=children):
            parts = _alternatives(children)
            return parts[0] if len(parts) == 1 else {"$or": [*map(_plain, parts)]}
        case Not(child=Condition() as condition) if "$not" not in (denied := _condition(condition)):
            return {condition.subject.path: {"$not": denied}}
        case Not(child=Carries(path=path, value=value)):
            return {path: {"$ne": value}}
        case Not(child=AnyOf(children=children)):
            match _alternatives(children):
                case [part]:
                    ((path, listed),) = part.items()
                    return {path: {"$nin": listed["$in"]}}
                case parts:
                    return {"$nor": [*map(_plain, parts)]}
        case Not(child=child):
            return {"$nor": [_plain(_query(child))]}
        case _:
            assert_never(rule)


def _alternatives(children: Sequence[Rule]) -> list[Query]:
    """The queries of alternatives: one look-up for all values that may be listed under one path, as of a hundred groups."""
    carried: dict[str, list[ObjectId | str]] = {}
    for child in children:
        if isinstance(child, Carries):
            carried.setdefault(child.path, []).append(child.value)
    several = {path: {path: {"$in": values}} for path, values in carried.items() if len(values) > 1}
    others = (child for child in children if not (isinstance(child, Carries) and child.path in several))
    return [*several.values(), *map(_query, others)]


def _condition(condition: Condition) -> Query:
    means = condition.operator.value.means
    if not isinstance(means, Fixed):
        raise TypeError(MOVING)
    document = means.query(condition.subject.type, condition.operands)
    if condition.include_missing is not False:
        return document
    # `null` stands for a missing value, as it does in the database's own `$ne` and `$nin`.
    match document:
        case {"$ne": value}:
            return {"$nin": [value, None]}
        case {"$nin": values}:
            return {"$nin": [*values, None]}
        case _:
            return {**document, "$ne": None}


def _merged(parts: Iterable[Query]) -> Query:
    """All parts in one flat document, as far as no operator is needed twice under one path; the rest under `$and`."""
    whole: Query = {}
    rest: list[Query] = []
    for part in parts:
        # A part has one key: a path, `$or` or `$nor`.
        ((key, added),) = part.items()
        present = whole.get(key)
        if present is None:
            whole[key] = added
        elif key == "$nor":
            whole[key] = [*present, *added]
        elif key != "$or" and present.keys().isdisjoint(added):
            whole[key] = {**present, **added}
        else:
            rest.append(_plain(part))
    if rest:
        whole["$and"] = rest
    return whole


def _plain(query: Query) -> Query:
    """A lone `$eq` written as the bare value."""
    return {
        key: value["$eq"] if isinstance(value, dict) and value.keys() == {"$eq"} else value
        for key, value in query.items()
    }
