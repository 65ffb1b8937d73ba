"""The second reading of a rule: a Python function over a contact's document.

Owns only how tests are put together; what each one means is in `operators.py`. The function is made once for a rule and then
asked for every change of a contact, so all that can be decided beforehand is.

Invariant: accepts exactly the contacts that `to_query` finds. Held by `tests/domain/rules/test_two_readings.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, assert_never

from domain.rules.operators import MOVING, Fixed
from domain.rules.readings import Test, missing
from domain.rules.tree import (
    ANNIVERSARIES,
    NORMAL,
    UNFOLLOWED,
    All,
    AnyOf,
    Carries,
    Condition,
    MemberOf,
    Not,
    Rule,
)

Contact = Mapping[str, Any]
Predicate = Callable[[Contact], bool]


def to_predicate(rule: Rule) -> Predicate:
    """The function that says whether a followed rule accepts a contact's document, its instants aware of their time zone."""
    match rule:
        case Condition():
            return _condition(rule)
        case Carries():
            return _carries(rule)
        case MemberOf():
            raise TypeError(UNFOLLOWED)
        case Not(child=child):
            inner = to_predicate(child)
            return lambda contact: not inner(contact)
        case All(children=children):
            return _every([to_predicate(child) for child in children])
        case AnyOf(children=children):
            return _some([to_predicate(child) for child in children])
        case _:
            assert_never(rule)


def _every(parts: list[Predicate]) -> Predicate:
    def predicate(contact: Contact) -> bool:
        for part in parts:  # noqa: SIM110 # a generator would double the cost of the commonest rules
            if not part(contact):
                return False
        return True

    return predicate


def _some(parts: list[Predicate]) -> Predicate:
    def predicate(contact: Contact) -> bool:
        for part in parts:  # noqa: SIM110 # as above
            if part(contact):
                return True
        return False

    return predicate


def _condition(condition: Condition) -> Predicate:
    test = _test(condition)
    look = value_at(condition.subject.path)
    return lambda contact: test(look(contact))


def _carries(rule: Carries) -> Predicate:
    value = rule.value
    look = value_at(rule.path)

    def predicate(contact: Contact) -> bool:
        found = look(contact)
        return value in found if found.__class__ is list else bool(found == value)

    return predicate


def _test(condition: Condition) -> Test:
    means = condition.operator.value.means
    if not isinstance(means, Fixed):
        raise TypeError(MOVING)
    test = means.predicate(condition.subject.type, condition.operands)
    if condition.include_missing is not False:
        return test
    return lambda value: not missing(value) and test(value)


@lru_cache(maxsize=4096)
def value_at(path: str) -> Callable[[Contact], Any]:
    """How to get at what a contact has under a subject's path; None where it has nothing there."""
    if not path.startswith((NORMAL, ANNIVERSARIES)):
        return lambda contact: contact.get(path)
    part, _, key = path.partition(".")

    def look(contact: Contact) -> Any:
        found = contact.get(part)
        return found.get(key) if isinstance(found, dict) else None

    return look
