"""A rule as one plain English sentence: “Contacts whose role is Customer and who have no email.”

Owns how a rule is told to somebody who does not write rules. Fields go by their labels, choices by their options as they are
spelled, groups and segments by their names; what negative conditions do with missing values is always said. Parts that could be
read in two ways stand in parentheses. A long list is told by its beginning and the number of the others, a long text by its
beginning: this is for reading and is never parsed; the exact words are `to_text`'s.

Invariant: every rule has a sentence, always the same one, and no field that has a label goes by its key. Held by
`tests/domain/rules/test_words.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import assert_never

from domain.fields import FieldRegistry, FieldType, fold
from domain.rules.calendar import EXACT, Span, Unit
from domain.rules.canonical import Names, nameless
from domain.rules.operators import Operator, Reads
from domain.rules.readings import Operand
from domain.rules.tree import (
    CREATED,
    UPDATED,
    All,
    AnyOf,
    Carries,
    Condition,
    MemberOf,
    Not,
    Quantifier,
    Rule,
    conditions,
    leaves,
)

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

# What was done to the contact at its own times.
_DONE = {CREATED: "created", UPDATED: "last changed"}


def sentence(rule: Rule, fields: FieldRegistry, names: Names = nameless) -> str:
    """Who is meant, as one sentence that begins with “Contacts”. A rule that refers to audiences wants their names."""
    return f"Contacts {_told(rule, fields, names)}."


def _told(rule: Rule, fields: FieldRegistry, names: Names) -> str:
    """A relative clause: “who have no email”, “whose role is Customer and who …”."""
    match rule:
        case Condition():
            return _condition(rule, fields)
        case MemberOf():
            return _membership(rule, names)
        case Carries():
            raise TypeError("a followed rule is told by the rule that it comes of")
        case Not(child=child):
            return f"who are not among those {_part(child, fields, names)}{_so_also(child, fields)}"
        case All(children=children):
            return _joined([_part(child, fields, names, Quantifier.ALL) for child in children], "and")
        case AnyOf(children=children):
            return _joined([_part(child, fields, names, Quantifier.ANY) for child in children], "or")
        case _:
            assert_never(rule)


def _part(rule: Rule, fields: FieldRegistry, names: Names, within: Quantifier | None = None) -> str:
    """A part of `all` or of `any`, which a membership of the same kind goes on with, or of a `not`."""
    told = _told(rule, fields, names)
    several = isinstance(rule, (All, AnyOf)) or (
        isinstance(rule, MemberOf) and len(rule.audiences) > 1 and rule.quantifier is not within
    )
    return f"({told})" if several else told


def _joined(parts: Sequence[str], word: str) -> str:
    if len(parts) <= 2:
        return f" {word} ".join(parts)
    return f"{', '.join(parts[:-1])}, {word} {parts[-1]}"


def _membership(rule: MemberOf, names: Names) -> str:
    audiences = [f"the {audience.kind} “{_visible(names(audience))}”" for audience in rule.audiences]
    match rule.quantifier:
        case Quantifier.ANY:
            return f"who are in {_listed(audiences, 'or')}"
        case Quantifier.ALL:
            return f"who are in {_listed(audiences)}"
        case Quantifier.NONE if len(audiences) == 1:
            return f"who are not in {audiences[0]}"
        case Quantifier.NONE if len(audiences) == 2:
            return f"who are in neither {audiences[0]} nor {audiences[1]}"
        case Quantifier.NONE:
            return f"who are in none of {_listed(audiences)}"
        case _:
            assert_never(rule.quantifier)


def _so_also(denied: Rule, fields: FieldRegistry) -> str:
    """Whom a `not` lets in for lack of a value, where the rule within it is about one field."""
    asked = list(leaves(denied))
    condition = asked[0]
    if not isinstance(condition, Condition) or not condition.subject.is_field:
        return ""
    alike = all(isinstance(leaf, Condition) and leaf.subject == condition.subject for leaf in asked)
    # Who asks for the lack of a value says so already.
    if (
        not alike
        or any(leaf.operator is Operator.IS_NOT_EMPTY for leaf in conditions(denied))
        or _holds_of_none(denied)
    ):
        return ""
    return f" (so also those {_lacking(condition, _name(condition, fields))})"


def _holds_of_none(rule: Rule) -> bool:
    """Whether a rule about one field holds for a contact without a value there."""
    match rule:
        case Condition():
            return rule.operator is Operator.IS_EMPTY or rule.include_missing is True
        case Not(child=child):
            return not _holds_of_none(child)
        case All(children=children):
            return all(map(_holds_of_none, children))
        case AnyOf(children=children):
            return any(map(_holds_of_none, children))
        case _:
            raise TypeError("a membership is about no field")


# ---- conditions ----------------------------------------------------------------------------------------------------


def _condition(condition: Condition, fields: FieldRegistry) -> str:
    name = _name(condition, fields)
    said = _said(condition, name, [_value(operand, condition, fields) for operand in condition.operands])
    if condition.include_missing:
        return f"{said} (or {_lacking(condition, name)})"
    return said


def _lacking(condition: Condition, name: str) -> str:
    # “no newsletter” could be taken for “newsletter is false”.
    return f"who have no {'entry for ' if condition.subject.type is FieldType.BOOLEAN else ''}{name}"


def _having(name: str) -> str:
    return f"who have an entry for {name}"


def _said(condition: Condition, name: str, values: Sequence[str]) -> str:  # noqa: C901, PLR0915 # once for each operator
    whose = f"whose {name}"
    if condition.include_missing is False:
        whose += " is known and"
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
            return f"{_known(condition, name)}who do not have {_one_of(values)} among their {name}"
        case Operator.LACKS_ANY_OF:
            at_least = "at least one of " if len(values) > 1 else ""
            return f"{_known(condition, name)}who lack {at_least}{_listed(values)} among their {name}"
        case Operator.IN_THE_LAST if _is_one_day(condition):
            return f"{_is(condition, whose, past=False)} today"
        case Operator.IN_THE_LAST:
            return f"{_lies(condition, whose)} in the last {_span(condition)}{_today_counts(condition)}"
        case Operator.IN_THE_NEXT if _is_one_day(condition):
            return f"{_is(condition, whose, past=False)} today"
        case Operator.IN_THE_NEXT:
            return f"{whose} lies in the next {_span(condition)}{_today_counts(condition)}"
        case Operator.MORE_THAN_AGO:
            return f"{_lies(condition, whose)} more than {values[0]} ago"
        case Operator.MORE_THAN_AHEAD:
            return f"{whose} lies more than {values[0]} ahead"
        case Operator.THIS if condition.operands == (Unit.DAY,):
            return f"{_is(condition, whose, past=False)} today"
        case Operator.THIS:
            return f"{_lies(condition, whose)} in this {values[0]}"
        case Operator.LAST if condition.operands == (Unit.DAY,):
            return f"{_is(condition, whose, past=True)} yesterday"
        case Operator.LAST:
            return f"{_lies(condition, whose)} in the last {values[0]}"
        case Operator.NEXT if condition.operands == (Unit.DAY,):
            return f"{whose} is tomorrow"
        case Operator.NEXT:
            return f"{whose} lies in the next {values[0]}"
        case Operator.ANNIVERSARY_IN_THE_NEXT if _is_one_day(condition):
            return f"{whose} has its anniversary today"
        case Operator.ANNIVERSARY_TODAY:
            return f"{whose} has its anniversary today"
        case Operator.ANNIVERSARY_IN_THE_NEXT:
            return f"{whose} has its anniversary within the next {_span(condition)} (today counts)"
        case Operator.ANNIVERSARY_IN_THE_LAST if _is_one_day(condition):
            return f"{whose} has its anniversary today"
        case Operator.ANNIVERSARY_IN_THE_LAST:
            return f"{whose} had its anniversary within the last {_span(condition)} (today counts)"
        case Operator.ANNIVERSARY_IN_MONTH:
            return f"{whose} has its anniversary in {values[0]}"
        case _:
            assert_never(condition.operator)


def _known(condition: Condition, name: str) -> str:
    """Of tags, which are known where there are some."""
    return f"whose {name} are known and " if condition.include_missing is False else ""


def _is(condition: Condition, whose: str, *, past: bool) -> str:
    if (done := _DONE.get(condition.subject)) is not None:
        return f"who were {done}"
    return f"{whose} {'was' if past else 'is'}"


def _lies(condition: Condition, whose: str) -> str:
    done = _DONE.get(condition.subject)
    return f"{whose} lies" if done is None else f"who were {done}"


def _is_one_day(condition: Condition) -> bool:
    return condition.operands == (Span(1, Unit.DAY),)


def _span(condition: Condition) -> str:
    """“week” of one, and “2 weeks”."""
    (span,) = condition.operands
    return span.unit.value if isinstance(span, Span) and span.count == 1 else str(span)


def _today_counts(condition: Condition) -> str:
    # Hours and minutes are exact: no day counts.
    exact = any(isinstance(operand, Span) and operand.unit in EXACT for operand in condition.operands)
    return "" if exact else " (today counts)"


def _one_of(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"any of {_listed(values)}"


def _none_of(values: Sequence[str]) -> str:
    return f"not {values[0]}" if len(values) == 1 else f"none of {_listed(values)}"


def _listed(values: Sequence[str], word: str = "and") -> str:
    if len(values) > _MOST_LISTED + 1:
        values = [*values[:_MOST_LISTED], f"{len(values) - _MOST_LISTED:,} others"]
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} {word} {values[-1]}"


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
        case int() if condition.operator is Operator.ANNIVERSARY_IN_MONTH:
            return _MONTHS[operand - 1]
        case int() | float():
            return repr(operand)
        case datetime():
            return _instant(operand)
        case Span():
            return str(operand)
        case Unit():
            return f"calendar {operand}"
        case str() if condition.subject.type is FieldType.DATE:
            return _day(date.fromisoformat(operand))
        case str():
            text = _text(_spelled(operand, condition, fields))
            # A part of a text is no word of its own.
            part = condition.operator.value.reads is Reads.PART
            return f"“{text}”" if part and not text.startswith("“") else text
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
