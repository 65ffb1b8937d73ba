import json
from typing import Any

import bson
import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidRule
from domain.rules.document import from_document, to_document
from domain.rules.text import parse
from domain.rules.tree import AudienceKind, AudienceRef, Carries, MemberOf, Quantifier
from tests.domain.rules.generate import FIELDS, LIMITS, SETTINGS, Generator


@given(st.integers(0, 2**32))
def test_a_rule_comes_back_the_same_through_json_and_bson(seed: int) -> None:
    rule = Generator(seed, refers=True).rule(depth=4)
    document = to_document(rule)
    assert from_document(document) == rule
    assert from_document(json.loads(json.dumps(document))) == rule
    assert from_document(bson.decode(bson.encode(document))) == rule


def test_a_stored_rule_looks_like_this() -> None:
    text = 'not (role is "staff") and last_seen before 2026-05-03T10:00:00.5+02:00'
    assert to_document(parse(text, FIELDS, SETTINGS, LIMITS)) == {
        "all": [
            {
                "not": {
                    "where": {
                        "path": "normal.role",
                        "type": "choice",
                        "operator": "IS",
                        "operands": ["staff"],
                        "includeMissing": None,
                    }
                }
            },
            {
                "where": {
                    "path": "normal.last_seen",
                    "type": "datetime",
                    "operator": "BEFORE",
                    "operands": ["2026-05-03T08:00:00.500+00:00"],
                    "includeMissing": None,
                }
            },
        ]
    }


def test_a_stored_moving_rule_stays_relative() -> None:
    text = "last_seen in the last 90 minutes and birthdate this quarter and birthdate anniversary in month 5"
    document = to_document(parse(text, FIELDS, SETTINGS, LIMITS))
    assert [
        (part["where"]["path"], part["where"]["operator"], part["where"]["operands"])
        for part in document["all"]
    ] == [
        ("normal.last_seen", "IN_THE_LAST", ["90 minutes"]),
        ("normal.birthdate", "THIS", ["quarter"]),
        ("normal.birthdate", "ANNIVERSARY_IN_MONTH", [5]),
    ]


def _where(**changes: Any) -> dict[str, Any]:
    where = {
        "path": "normal.city",
        "type": "text",
        "operator": "IS",
        "operands": ["x"],
        "includeMissing": None,
    }
    return {"where": {**where, **changes}}


def _nested(depth: int) -> dict[str, Any]:
    document = _where()
    for _ in range(depth):
        document = {"not": document}
    return document


_GROUP = {"kind": "group", "id": "64b000000000000000000001"}
_SEGMENT = {"kind": "segment", "id": "64b000000000000000000001"}


def _member_of(**changes: Any) -> dict[str, Any]:
    return {"memberOf": {"quantifier": "any", "audiences": [_GROUP, _SEGMENT], **changes}}


def test_a_stored_reference_looks_like_this() -> None:
    audiences = (
        AudienceRef(kind=AudienceKind.GROUP, id=ObjectId("64b000000000000000000001")),
        AudienceRef(kind=AudienceKind.SEGMENT, id=ObjectId("64b000000000000000000001")),
    )
    for quantifier in Quantifier:
        rule = MemberOf(quantifier=quantifier, audiences=audiences)
        assert to_document(rule) == _member_of(quantifier=quantifier.value)
        assert from_document(json.loads(json.dumps(to_document(rule)))) == rule
        assert from_document(bson.decode(bson.encode(to_document(rule)))) == rule


def test_a_followed_rule_is_not_stored() -> None:
    with pytest.raises(TypeError):
        to_document(Carries(path="groups", value=ObjectId()))


NOT_OURS: list[Any] = [
    None,
    {},
    [],
    "all",
    {"all": []},
    {"any": []},
    {"all": "ab"},
    {"all": [None]},
    {"where": {}},
    {"or": [_where(), _where()]},
    _where(path="account"),
    _where(path="values.city"),
    _where(type="colour"),
    _where(type="number"),
    _where(operator="IS_LIKE"),
    _where(operator="__class__"),
    _where(operator="LESS_THAN"),
    _where(operands=[]),
    _where(operands=["x", "y"]),
    _where(operands=[1]),
    _where(operands=[True]),
    _where(operands=None),
    _where(operands=[{"$ne": 1}]),
    _where(includeMissing=True),
    _where(operator="IS_NOT"),
    _where(type="number", operands=["1"]),
    _where(type="number", operands=[float("nan")]),
    _where(type="boolean", operands=[1]),
    _where(type="datetime", operator="BEFORE", operands=["yesterday"]),
    {"memberOf": {}},
    _member_of(quantifier="some"),
    _member_of(quantifier=None),
    _member_of(audiences=[]),
    _member_of(audiences={}),
    _member_of(audiences=[_GROUP, _GROUP]),
    _member_of(audiences=[{**_GROUP, "kind": "contact"}]),
    _member_of(audiences=[{**_GROUP, "id": "64b000000000000000000"}]),
    _member_of(audiences=[{**_GROUP, "id": b"abcdefghijkl"}]),
    _member_of(audiences=["64b000000000000000000001"]),
    _where(type="text", operator="IN_THE_LAST", operands=["7 days"]),
    _where(type="date", operator="IN_THE_LAST", operands=["7 hours"]),
    _where(type="date", operator="IN_THE_LAST", operands=["0 days"]),
    _where(type="date", operator="IN_THE_LAST", operands=["100001 days"]),
    _where(type="date", operator="IN_THE_LAST", operands=[7]),
    _where(type="date", operator="THIS", operands=["hour"]),
    _where(type="date", operator="THIS", operands=[None]),
    _where(type="date", operator="ANNIVERSARY_IN_MONTH", operands=[13]),
    _where(type="datetime", operator="ANNIVERSARY_TODAY", operands=[]),
    _nested(100),
    _nested(100_000),
]


@pytest.mark.parametrize("document", NOT_OURS, ids=range(len(NOT_OURS)))
def test_a_document_of_another_making_is_refused(document: Any) -> None:
    with pytest.raises(InvalidRule):
        from_document(document)
