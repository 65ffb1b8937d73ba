"""From a disagreement of the two readings to the smallest one of its kind, written as a case to keep.

Whether something is still wrong is asked of the caller, so that nothing here depends on what is wrong.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any, assert_never

from domain.errors import ShoalError
from domain.fields import FieldType
from domain.rules.build import build
from domain.rules.calendar import Now, Span, Unit
from domain.rules.canonical import to_text
from domain.rules.moving import is_moving
from domain.rules.operators import Shape
from domain.rules.readings import Operand
from domain.rules.text import parse_unbound
from domain.rules.tree import (
    CREATED,
    UPDATED,
    All,
    AnyOf,
    Carries,
    Condition,
    MemberOf,
    Not,
    Rule,
    Subject,
    all_of,
    any_of,
    field_subject,
    leaves,
    negate,
    paths_read,
)
from tests.domain.rules.generate import FIELDS, LIMITS, SETTINGS

Document = dict[str, Any]

LAST_SEEN = field_subject("last_seen", FieldType.DATETIME)

Disagrees = Callable[[Rule, list[Document]], Awaitable[bool]]
"""Whether the two readings of the rule still disagree over these contacts."""


async def shrunk(rule: Rule, contacts: list[Document], disagrees: Disagrees) -> tuple[Rule, list[Document]]:
    """The simplest rule over the fewest and emptiest contacts that can be found from here by small steps."""
    while True:
        smaller = await _first(rule, contacts, disagrees)
        if smaller is None:
            return rule, contacts
        rule, contacts = smaller


async def _first(
    rule: Rule, contacts: list[Document], disagrees: Disagrees
) -> tuple[Rule, list[Document]] | None:
    for fewer in _fewer(contacts):
        if await disagrees(rule, fewer):
            return rule, fewer
    for simpler in _simpler(rule):
        if await disagrees(simpler, contacts):
            return simpler, contacts
    for renamed in _about_a_field(rule, contacts):
        if await disagrees(*renamed):
            return renamed
    for emptier in _emptier(contacts):
        if await disagrees(rule, emptier):
            return rule, emptier
    return None


def _fewer(contacts: list[Document]) -> Iterator[list[Document]]:
    if len(contacts) > 1:
        half = len(contacts) // 2
        yield contacts[:half]
        yield contacts[half:]
        if len(contacts) <= 8:
            for position in range(len(contacts)):
                yield contacts[:position] + contacts[position + 1 :]


def _emptier(contacts: list[Document]) -> Iterator[list[Document]]:
    for position, contact in enumerate(contacts):
        for part in ("normal", "anniversaries"):
            for key in contact.get(part) or {}:
                left = {other: value for other, value in contact[part].items() if other != key}
                yield [*contacts[:position], contact | {part: left}, *contacts[position + 1 :]]
        for key in ("created", "updated", "anniversaries"):
            if key in contact:
                without = {other: value for other, value in contact.items() if other != key}
                yield [*contacts[:position], without, *contacts[position + 1 :]]


def _about_a_field(rule: Rule, contacts: list[Document]) -> Iterator[tuple[Rule, list[Document]]]:
    """The same, asked of a field instead of the contact's own times: named cases hold nothing but fields."""
    for time in (CREATED, UPDATED):
        if time.path in paths_read(rule) and LAST_SEEN.path not in paths_read(rule):
            moved = [
                contact | {"normal": {**(contact.get("normal") or {}), LAST_SEEN.key: contact.get(time.path)}}
                for contact in contacts
            ]
            yield _instead(rule, time, LAST_SEEN), moved


def _instead(rule: Rule, old: Subject, new: Subject) -> Rule:
    match rule:
        case Condition():
            return replace(rule, subject=new) if rule.subject == old else rule
        case MemberOf() | Carries():
            return rule
        case Not(child=child):
            return negate(_instead(child, old, new))
        case All(children=children):
            return all_of([_instead(child, old, new) for child in children])
        case AnyOf(children=children):
            return any_of([_instead(child, old, new) for child in children])
        case _:
            assert_never(rule)


def _simpler(rule: Rule) -> Iterator[Rule]:
    """Rules that are one step simpler: fewer conditions first, then fewer operands, then shorter ones."""
    match rule:
        case Condition():
            yield from _simpler_condition(rule)
        case MemberOf() | Carries():
            return
        case Not(child=child):
            yield child
            yield from map(negate, _simpler(child))
        case All(children=children) | AnyOf(children=children):
            together = all_of if isinstance(rule, All) else any_of
            yield from children
            for position, child in enumerate(children):
                before, after = children[:position], children[position + 1 :]
                yield together([*before, *after])
                for simpler in _simpler(child):
                    yield together([*before, simpler, *after])
        case _:
            assert_never(rule)


def _simpler_condition(condition: Condition) -> Iterator[Rule]:
    operands = condition.operands
    if condition.operator.value.shape is Shape.MANY and len(operands) > 1:
        for position in range(len(operands)):
            yield replace(condition, operands=operands[:position] + operands[position + 1 :])
    for position, operand in enumerate(operands):
        for simpler in _simpler_operands(operand):
            changed = replace(condition, operands=(*operands[:position], simpler, *operands[position + 1 :]))
            if changed != condition and _can_be(changed):
                yield changed


def _simpler_operands(operand: Operand) -> Iterator[Operand]:
    """Shorter texts, shorter times, and whole numbers nearer to nought. Dates and points in time are simple enough."""
    match operand:
        case bool() | datetime() | Unit():
            return
        case Span():
            counts = dict.fromkeys((1, operand.count // 2, operand.count - 1))
            yield from (Span(count, operand.unit) for count in counts if 0 < count < operand.count)
        case str():
            yield from dict.fromkeys(
                (operand[: len(operand) // 2], operand[len(operand) // 2 :], operand[1:], operand[:-1])
            )
        case int() | float():
            simpler = dict.fromkeys(
                (0, 1, int(operand / 2), int(operand)) if abs(operand) < 2**62 else (0, 1)
            )
            yield from (number for number in simpler if abs(number) < abs(operand))
        case _:
            assert_never(operand)


def _can_be(condition: Condition) -> bool:
    """Whether people could write it: the text of a half is not always a normal form."""
    try:
        return build(parse_unbound(to_text(condition), LIMITS, FIELDS), FIELDS, SETTINGS, LIMITS) == condition
    except ShoalError:
        return False


def named_case(name: str, rule: Rule, contacts: list[Document], accepted: list[int], now: Now) -> str:
    """An entry of `NAMED_CASES`. `accepted` is what the predicate accepts: whoever mends it decides which reading is right."""
    normals = ", ".join(_written(contact.get("normal")) for contact in contacts)
    # What groups a contact is in has no text once a rule is followed.
    text = repr(rule if any(isinstance(leaf, Carries) for leaf in leaves(rule)) else to_text(rule))
    entry = f"    {name!r}: ({text}, [{normals}], {accepted!r}),"
    if is_moving(rule):
        entry = f"{entry}  # at {now.instant.isoformat()} by {now.settings}"
    besides = [
        {key: contact[key] for key in ("created", "updated", "anniversaries") if key in contact}
        for contact in contacts
    ]
    read = {path.partition(".")[0] for path in paths_read(rule)} - {"normal"}
    return f"{entry}  # where the contacts have {_written(besides)}" if read else entry


def _written(value: Any) -> str:
    """The value as source: points in time as they are written in the tests."""
    match value:
        case dict():
            return f"{{{', '.join(f'{key!r}: {_written(inner)}' for key, inner in value.items())}}}"
        case list():
            return f"[{', '.join(map(_written, value))}]"
        case datetime():
            return (
                repr(value).replace("datetime.datetime", "datetime").replace("datetime.timezone.utc", "UTC")
            )
        case _:
            return repr(value)
