import json
from typing import Any

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidRule
from domain.rules.document import from_document, to_document
from domain.rules.text import parse
from tests.domain.rules.generate import FIELDS, LIMITS, SETTINGS, Generator


@given(st.integers(0, 2**32))
def test_a_rule_comes_back_the_same_through_json_and_bson(seed: int) -> None:
    rule = Generator(seed).rule(depth=4)
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
    _nested(100),
    _nested(100_000),
]


@pytest.mark.parametrize("document", NOT_OURS, ids=range(len(NOT_OURS)))
def test_a_document_of_another_making_is_refused(document: Any) -> None:
    with pytest.raises(InvalidRule):
        from_document(document)
