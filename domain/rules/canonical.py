"""The one canonical text of each rule.

Owns how a rule is written: operands in normal form, negative conditions always saying whether missing values are in, and
parentheses only where the meaning needs them. Knows no registry: all it writes is in the rule, but for the names of the
audiences that it refers to, which the caller knows.

Invariant: `parse(to_text(rule)) == rule`. Held by `tests/domain/rules/test_text.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import assert_never

from domain.fields import FieldType
from domain.rules.calendar import Span, Unit
from domain.rules.operators import Operator, Shape
from domain.rules.readings import Operand
from domain.rules.tree import (
    All,
    AnyOf,
    AudienceKind,
    AudienceRef,
    Carries,
    Condition,
    MemberOf,
    Not,
    Rule,
)

Names = Callable[[AudienceRef], str]
"""By what name an audience goes."""


def nameless(audience: AudienceRef) -> str:
    """For rules that refer to nobody."""
    raise TypeError(f"a rule that refers to the {audience.kind} {audience.id} is written with names")


# Every word that the text form gives a meaning. A field of such a key is quoted by back-ticks.
KEY_WORDS = frozenset(
    {"and", "or", "not", "true", "false", "including", "excluding", "missing"}
    | {"in", "any", "all", "none", "of"}
    | {word for operator in Operator for word in operator.value.words.split() if word.isalpha()}
)

# These have a meaning only where no field can stand, so a field of such a key needs no quotes.
AUDIENCE_WORDS = frozenset(kind.value for kind in AudienceKind)

_BARE_KEY = re.compile(r"[a-z][a-z0-9_]*")


def to_text(rule: Rule, names: Names = nameless) -> str:
    """The text of a rule that people wrote. A rule that refers to others wants `names`; a followed one has no text."""
    match rule:
        case Condition():
            return _condition(rule)
        case MemberOf(quantifier=quantifier, audiences=audiences):
            listed = ", ".join(audience_text(audience.kind, names(audience)) for audience in audiences)
            return f"in {quantifier} of ({listed})"
        case Carries():
            raise TypeError("a followed rule has no text, but the rule that it comes of")
        case Not(child=child):
            return f"not ({to_text(child, names)})"
        case All(children=children):
            return " and ".join(
                f"({to_text(child, names)})" if isinstance(child, AnyOf) else to_text(child, names)
                for child in children
            )
        case AnyOf(children=children):
            return " or ".join(to_text(child, names) for child in children)
        case _:
            assert_never(rule)


def _condition(condition: Condition) -> str:
    row = condition.operator.value
    words = [key_text(condition.subject.key), *row.opening]
    operands = [operand_text(operand, condition.subject.type) for operand in condition.operands]
    match row.shape:
        case Shape.NONE:
            pass
        case Shape.ONE:
            words.extend(operands)
        case Shape.TWO:
            words.append(" and ".join(operands))
        case Shape.MANY:
            words.append(f"({', '.join(operands)})")
        case _:
            assert_never(row.shape)
    words.extend(row.closing)
    if condition.include_missing is not None:
        words.append("including missing" if condition.include_missing else "excluding missing")
    return " ".join(words)


def key_text(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) and key not in KEY_WORDS else f"`{key}`"


def audience_text(kind: AudienceKind, name: str) -> str:
    return f"{kind} {_quoted(name)}"


def operand_text(operand: Operand, type_: FieldType) -> str:
    match operand:
        case bool():
            return "true" if operand else "false"
        case int() | float():
            return repr(operand)
        case datetime():
            return instant_text(operand)
        case Span() | Unit():
            return str(operand)
        case str():
            return operand if type_ is FieldType.DATE else _quoted(operand)
        case _:
            assert_never(operand)


def instant_text(instant: datetime) -> str:
    """ISO 8601 in UTC, with milliseconds where there are some."""
    return (
        instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z").replace(".000", "")
    )


def _quoted(text: str) -> str:
    return f'"{"".join(map(_character, text))}"'


def _character(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    # What cannot be seen could make two texts look like one.
    return character if character.isprintable() else "".join(f"\\u{unit:04x}" for unit in _utf16(character))


def _utf16(character: str) -> list[int]:
    units = character.encode("utf-16-be")
    return [int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2)]
