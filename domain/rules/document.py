"""A rule as a document, for storage: JSON- and BSON-safe, and exactly the same rule when read back.

Owns this one form. It needs no registry: a condition carries its path and type. Refuses, by `InvalidRule`, a document
that this version does not know how to read, rather than guess at it.

Invariant: `from_document(to_document(rule)) == rule`, through JSON and BSON. Held by `tests/domain/rules/test_document.py`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, assert_never

from domain.errors import InvalidRule, InvalidValue
from domain.fields import FieldType
from domain.fields.normal import normal_datetime, normal_number
from domain.rules.operators import Operator, Shape
from domain.rules.readings import Operand
from domain.rules.tree import (
    CREATED,
    UPDATED,
    All,
    AnyOf,
    Condition,
    Not,
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
        case _:
            assert_never(rule)


def _stored(operand: Operand) -> str | int | float | bool:
    # JSON has no instants, and the subject's type says which texts are some.
    return operand.isoformat(timespec="milliseconds") if isinstance(operand, datetime) else operand


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
        case _:
            raise InvalidRule("This stored rule has a part that is none of all, any, not and where.")


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
    operands = tuple(_operand(subject.type, operand) for operand in stored)
    return Condition(subject=subject, operator=operator, operands=operands, include_missing=include_missing)


def _operand(type_: FieldType, stored: Any) -> Operand:
    try:
        match type_:
            case FieldType.NUMBER:
                return normal_number(stored)
            case FieldType.DATETIME:
                return normal_datetime(stored)
            case FieldType.BOOLEAN if isinstance(stored, bool):
                return stored
            case FieldType.BOOLEAN:
                pass
            case _ if isinstance(stored, str):
                return stored
            case _:
                pass
    except InvalidValue:
        pass
    raise InvalidRule(f"This stored rule has an operand that no {type_} can be.")
