"""A rule as a document, for storage: JSON- and BSON-safe, and exactly the same rule when read back.

Owns this one form. It needs no registry: a condition carries its path and type. Refuses, by `InvalidRule`, a document
that this version does not know how to read, rather than guess at it.

Invariant: `from_document(to_document(rule)) == rule`, through JSON and BSON. Held by `tests/domain/rules/test_document.py`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, assert_never

from bson import ObjectId

from domain.errors import InvalidRule, ShoalError
from domain.fields import FieldType
from domain.fields.normal import normal_datetime, normal_number
from domain.rules.calendar import Span, Unit
from domain.rules.operators import Operator, Reads, Shape
from domain.rules.readings import Operand
from domain.rules.spans import month_operand, period_operand, span_operand
from domain.rules.tree import (
    CREATED,
    UPDATED,
    All,
    AnyOf,
    AudienceKind,
    AudienceRef,
    Carries,
    Condition,
    MemberOf,
    Not,
    Quantifier,
    Rule,
    Subject,
    all_of,
    any_of,
    negate,
)

# Far beyond any limit that an account can have, and far below the depth at which Python or the database gives up.
_DEEPEST = 60

_COUNTS = {Shape.NONE: range(1), Shape.ONE: range(1, 2), Shape.TWO: range(2, 3), Shape.MANY: range(1, 2**31)}


def to_document(rule: Rule) -> dict[str, Any]:
    match rule:
        case All(children=children):
            return {"all": [to_document(child) for child in children]}
        case AnyOf(children=children):
            return {"any": [to_document(child) for child in children]}
        case Not(child=child):
            return {"not": to_document(child)}
        case Condition():
            return {
                "where": {
                    "path": rule.subject.path,
                    "type": rule.subject.type.value,
                    "operator": rule.operator.name,
                    "operands": [_stored(operand) for operand in rule.operands],
                    "includeMissing": rule.include_missing,
                }
            }
        case MemberOf(quantifier=quantifier, audiences=audiences):
            stored = [{"kind": audience.kind.value, "id": str(audience.id)} for audience in audiences]
            return {"memberOf": {"quantifier": quantifier.value, "audiences": stored}}
        case Carries():
            raise TypeError("a followed rule is never stored, but the rule that it comes of")
        case _:
            assert_never(rule)


def _stored(operand: Operand) -> str | int | float | bool:
    # JSON has no instants and no spans, and the subject's type and the operator say which texts are some.
    match operand:
        case datetime():
            return operand.isoformat(timespec="milliseconds")
        case Span() | Unit():
            return str(operand)
        case _:
            return operand


def from_document(document: Any) -> Rule:
    """The rule that `to_document` wrote. `InvalidRule` where the document is not of its making."""
    return _read(document, 0)


def _read(document: Any, depth: int) -> Rule:
    if depth > _DEEPEST:
        raise InvalidRule("This stored rule is nested too deeply to be one.")
    match document:
        case {"all": [_, *_] as parts}:
            return all_of([_read(part, depth + 1) for part in parts])
        case {"any": [_, *_] as parts}:
            return any_of([_read(part, depth + 1) for part in parts])
        case {"not": part}:
            return negate(_read(part, depth + 1))
        case {
            "where": {
                "path": str() as path,
                "type": str() as type_,
                "operator": str() as operator,
                "operands": list() as operands,
                "includeMissing": None | bool() as include_missing,
            }
        }:
            return _condition(
                path=path, type_=type_, name=operator, stored=operands, include_missing=include_missing
            )
        case {"memberOf": {"quantifier": str() as quantifier, "audiences": list() as audiences}}:
            return _member_of(quantifier, audiences)
        case _:
            raise InvalidRule(
                "This stored rule has a part that is none of all, any, not, where and memberOf."
            )


def _condition(
    *, path: str, type_: str, name: str, stored: list[Any], include_missing: bool | None
) -> Condition:
    try:
        subject = Subject(path=path, type=FieldType(type_))
        operator = Operator[name]
    except (ValueError, KeyError):
        raise InvalidRule(
            f"This stored rule uses “{name}” on “{type_}”, one of which is unknown here."
        ) from None
    row = operator.value
    if (
        not (subject.is_field or subject in (CREATED, UPDATED))
        or subject.type not in row.types
        or len(stored) not in _COUNTS[row.shape]
        or row.negative is (include_missing is None)
    ):
        raise InvalidRule(f"This stored rule does not use {name} as it can be used on {type_}.")
    operands = tuple(_operand(row.reads, subject.type, operand) for operand in stored)
    return Condition(subject=subject, operator=operator, operands=operands, include_missing=include_missing)


def _member_of(quantifier: str, stored: list[Any]) -> MemberOf:
    try:
        return MemberOf(quantifier=Quantifier(quantifier), audiences=tuple(map(_audience, stored)))
    except ValueError:
        raise InvalidRule("This stored rule has a membership that cannot be one.") from None


def _audience(stored: Any) -> AudienceRef:
    match stored:
        case {"kind": str() as kind, "id": str() as identifier} if ObjectId.is_valid(identifier):
            return AudienceRef(kind=AudienceKind(kind), id=ObjectId(identifier))
        case _:
            raise InvalidRule("This stored rule refers to something that is no audience.")


def _operand(reads: Reads, type_: FieldType, stored: Any) -> Operand:
    try:
        match reads:
            case Reads.SPAN:
                return span_operand(stored, type_)
            case Reads.PERIOD:
                return period_operand(stored, type_)
            case Reads.MONTH:
                return month_operand(stored)
            case Reads.VALUE if type_ is FieldType.NUMBER:
                return normal_number(stored)
            case Reads.VALUE if type_ is FieldType.DATETIME:
                return normal_datetime(stored)
            case Reads.VALUE if type_ is FieldType.BOOLEAN:
                if isinstance(stored, bool):
                    return stored
            case Reads.VALUE | Reads.PART | Reads.DOMAIN:
                if isinstance(stored, str):
                    return stored
            case _:
                assert_never(reads)
    except ShoalError:
        pass
    raise InvalidRule(f"This stored rule has an operand that no {type_} can be.")
