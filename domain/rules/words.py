"""A rule as one plain English sentence: “Contacts whose role is Customer and who have no email.”

Owns how a rule is told to somebody who does not write rules. Fields go by their labels, choices by their options as they are
spelled; what negative conditions do with missing values is always said. Parts that could be read in two ways stand in
parentheses. A long list is told by its beginning and the number of the others, a long text by its beginning: this is for reading
and is never parsed; the exact words are `to_text`'s.

Invariant: every rule has a sentence, always the same one, and no field that has a label goes by its key. Held by
`tests/domain/rules/test_words.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import assert_never

from domain.fields import FieldRegistry, FieldType, fold
from domain.rules.operators import Operator
from domain.rules.readings import Operand
from domain.rules.tree import CREATED, UPDATED, All, AnyOf, Condition, Not, Rule

# What a list shows before it says “and 90 others”, and a text before it breaks off.
_MOST_LISTED = 12
_LONGEST_SHOWN = 80

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

# Words with which this sentence is built; a label or value that has one of them stands in quotes.
_JOINTS = re.compile(r"\b(and|or|not|no|none|one|of|is|who|whose|those|among|their|others?)\b")
_PLAIN_LABEL = re.compile(r"\w[\w '-]*")
_PLAIN_VALUE = re.compile(r"[\w+][\w.@+-]*")


def sentence(rule: Rule, fields: FieldRegistry) -> str:
    """Who is meant, as one sentence that begins with “Contacts”."""
    return f"Contacts {_told(rule, fields)}."


def _told(rule: Rule, fields: FieldRegistry) -> str:
    """A relative clause: “who have no email”, “whose role is Customer and who …”."""
    match rule:
        case Condition():
            return _condition(rule, fields)
        case Not(child=child):
            return f"who are not among those {_part(child, fields)}"
        case All(children=children):
            return _joined([_part(child, fields) for child in children], "and")
        case AnyOf(children=children):
            return _joined([_part(child, fields) for child in children], "or")
        case _:
            assert_never(rule)


def _part(rule: Rule, fields: FieldRegistry) -> str:
    told = _told(rule, fields)
    return f"({told})" if isinstance(rule, (All, AnyOf)) else told


def _joined(parts: Sequence[str], word: str) -> str:
    if len(parts) <= 2:
        return f" {word} ".join(parts)
    return f"{', '.join(parts[:-1])}, {word} {parts[-1]}"


# ---- conditions ----------------------------------------------------------------------------------------------------


def _condition(condition: Condition, fields: FieldRegistry) -> str:
    name = _name(condition, fields)
    said = _said(condition, name, [_value(operand, condition, fields) for operand in condition.operands])
    match condition.include_missing:
        case None:
            return said
        case True:
            return f"{said} (or {_lacking(condition, name)})"
        case False:
            return f"{said} (and {_having(name)})"
        case _:
            assert_never(condition.include_missing)


def _lacking(condition: Condition, name: str) -> str:
    # “no newsletter” could be taken for “newsletter is false”.
    return f"who have no {'entry for ' if condition.subject.type is FieldType.BOOLEAN else ''}{name}"


def _having(name: str) -> str:
    return f"who have an entry for {name}"


def _said(condition: Condition, name: str, values: Sequence[str]) -> str:  # noqa: C901 # once for each operator
    whose = f"whose {name}"
    match condition.operator:
        case Operator.IS_EMPTY:
            return _lacking(condition, name)
        case Operator.IS_NOT_EMPTY:
            return _having(name)
        case Operator.IS | Operator.ON:
            return f"{whose} is {values[0]}"
        case Operator.IS_NOT | Operator.NOT_ON:
            return f"{whose} is not {values[0]}"
        case Operator.IS_ANY_OF:
            return f"{whose} is {_one_of(values)}"
        case Operator.IS_NONE_OF:
            return f"{whose} is {_none_of(values)}"
        case Operator.CONTAINS:
            return f"{whose} contains {values[0]}"
        case Operator.DOES_NOT_CONTAIN:
            return f"{whose} does not contain {values[0]}"
        case Operator.STARTS_WITH:
            return f"{whose} starts with {values[0]}"
        case Operator.DOES_NOT_START_WITH:
            return f"{whose} does not start with {values[0]}"
        case Operator.ENDS_WITH:
            return f"{whose} ends with {values[0]}"
        case Operator.DOES_NOT_END_WITH:
            return f"{whose} does not end with {values[0]}"
        case Operator.DOMAIN_IS_ANY_OF:
            one_of = "the domain" if len(values) == 1 else "one of the domains"
            return f"{whose} has {one_of} {_listed(values)}"
        case Operator.DOMAIN_IS_NONE_OF:
            none_of = "another domain than" if len(values) == 1 else "none of the domains"
            return f"{whose} has {none_of} {_listed(values)}"
        case Operator.LESS_THAN:
            return f"{whose} is less than {values[0]}"
        case Operator.AT_MOST:
            return f"{whose} is {values[0]} or less"
        case Operator.MORE_THAN:
            return f"{whose} is more than {values[0]}"
        case Operator.AT_LEAST:
            return f"{whose} is {values[0]} or more"
        case Operator.BETWEEN if condition.subject.type is FieldType.DATETIME:
            return f"{whose} is from {values[0]} until just before {values[1]}"
        case Operator.BETWEEN:
            return f"{whose} is from {values[0]} to {values[1]}"
        case Operator.BEFORE:
            return f"{whose} is before {values[0]}"
        case Operator.AFTER:
            return f"{whose} is after {values[0]}"
        case Operator.ON_OR_BEFORE | Operator.AT_OR_BEFORE:
            return f"{whose} is {values[0]} or earlier"
        case Operator.ON_OR_AFTER | Operator.AT_OR_AFTER:
            return f"{whose} is {values[0]} or later"
        case Operator.HAS_ANY_OF:
            return f"who have {_one_of(values)} among their {name}"
        case Operator.HAS_ALL_OF:
            return f"who have {_listed(values)} among their {name}"
        case Operator.HAS_NONE_OF:
            return f"who do not have {_one_of(values)} among their {name}"
        case Operator.LACKS_ANY_OF:
            at_least = "at least one of " if len(values) > 1 else ""
            return f"who lack {at_least}{_listed(values)} among their {name}"
        case _:
            assert_never(condition.operator)


def _one_of(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"any of {_listed(values)}"


def _none_of(values: Sequence[str]) -> str:
    return f"not {values[0]}" if len(values) == 1 else f"none of {_listed(values)}"


def _listed(values: Sequence[str]) -> str:
    if len(values) > _MOST_LISTED + 1:
        values = [*values[:_MOST_LISTED], f"{len(values) - _MOST_LISTED:,} others"]
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} and {values[-1]}"


# ---- names and values ----------------------------------------------------------------------------------------------


def _name(condition: Condition, fields: FieldRegistry) -> str:
    subject = condition.subject
    if subject == CREATED:
        return "time of creation"
    if subject == UPDATED:
        return "time of the last change"
    field = fields.get(subject.key)
    if field is None:
        return f"“{subject.key}”"
    label = " ".join(field.label.split())
    if sum(fold(other.label) == fold(label) for other in fields.values()) > 1:
        # Two fields that people see under one name.
        return f"“{_visible(label)}” ({field.key})"
    if not _PLAIN_LABEL.fullmatch(label) or _JOINTS.search(label.lower()):
        return f"“{_visible(label)}”"
    first, blank, rest = label.partition(" ")
    # “First name” in the middle of a sentence is “first name”; “VIP” and “YouTube” stay.
    return (first.lower() if first[1:].islower() else first) + blank + rest


def _value(operand: Operand, condition: Condition, fields: FieldRegistry) -> str:
    match operand:
        case bool():
            return "true" if operand else "false"
        case int() | float():
            return repr(operand)
        case datetime():
            return _instant(operand)
        case str() if condition.subject.type is FieldType.DATE:
            return _day(date.fromisoformat(operand))
        case str():
            return _text(_spelled(operand, condition, fields))
        case _:
            assert_never(operand)


def _spelled(operand: str, condition: Condition, fields: FieldRegistry) -> str:
    field = fields.get(condition.subject.key)
    options = () if field is None else field.options
    return next((option for option in options if fold(option) == operand), operand)


def _text(text: str) -> str:
    text = " ".join(text.split())
    if len(text) > _LONGEST_SHOWN:
        return f"“{_visible(text[:_LONGEST_SHOWN])}…”"
    if _PLAIN_VALUE.fullmatch(text) and not _JOINTS.search(text):
        return text
    return f"“{_visible(text)}”"


def _visible(text: str) -> str:
    return "".join(
        character if character.isprintable() else f"\\u{{{ord(character):x}}}" for character in text
    )


def _day(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def _instant(instant: datetime) -> str:
    instant = instant.astimezone(UTC)
    if instant.microsecond:
        clock = instant.time().isoformat("milliseconds")
    else:
        clock = instant.time().isoformat("seconds" if instant.second else "minutes")
    return f"{_day(instant.date())}, {clock} UTC"
