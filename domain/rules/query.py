"""The first reading of a rule: a MongoDB query document.

Owns only how conditions are put together; what each one means is in `operators.py`. Uses documented MongoDB behaviour
alone, and leaves out the account: the store puts it on top. Keeps what it can at the top level under the plain path,
because some servers use no index beside a key that begins with `$`.

Invariant: finds exactly the contacts that `to_predicate` accepts. Held by `tests/domain/rules/test_two_readings.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, assert_never

from domain.rules.tree import All, AnyOf, Condition, Not, Rule

Query = dict[str, Any]


def to_query(rule: Rule) -> Query:
    """The query document. It has none of the keys `account` and `_id`, so these can be added beside it."""
    return _plain(_query(rule))


def _query(rule: Rule) -> Query:
    """The query with every path's part still spelled as operators, so that parts can be merged."""
    match rule:
        case Condition():
            return {rule.subject.path: _condition(rule)}
        case All(children=children):
            return _merged(_query(child) for child in children)
        case AnyOf(children=children):
            return {"$or": [_plain(_query(child)) for child in children]}
        case Not(child=Condition() as condition) if "$not" not in (denied := _condition(condition)):
            return {condition.subject.path: {"$not": denied}}
        case Not(child=AnyOf(children=children)):
            return {"$nor": [_plain(_query(child)) for child in children]}
        case Not(child=child):
            return {"$nor": [_plain(_query(child))]}
        case _:
            assert_never(rule)


def _condition(condition: Condition) -> Query:
    document = condition.operator.value.query(condition.subject.type, condition.operands)
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
