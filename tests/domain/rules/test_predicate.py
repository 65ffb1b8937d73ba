from collections.abc import Mapping
from typing import Any

import pytest
from bson.int64 import Int64

from domain.rules.moving import at
from domain.rules.predicate import to_predicate
from domain.rules.text import parse
from tests.domain.rules.generate import FIELDS, LIMITS, NOWS, SETTINGS


def _accepts(text: str, contact: Mapping[str, Any]) -> bool:
    return to_predicate(parse(text, FIELDS, SETTINGS, LIMITS))(contact)


@pytest.mark.parametrize(
    "contact", [{}, {"normal": None}, {"normal": {}}, {"normal": "odd"}, {"normal": []}, {"normal": 5}]
)
def test_a_contact_without_a_normal_form_has_no_values(contact: dict[str, Any]) -> None:
    assert _accepts("city is empty", contact)
    assert _accepts('city is not "a"', contact)
    assert not _accepts('city is not "a" excluding missing', contact)
    assert not _accepts('city contains "a"', contact)
    assert _accepts("created is empty", contact)


def test_the_driver_s_own_integers_are_numbers() -> None:
    assert _accepts("score is 3 and score < 4 and score between 3 and 3", {"normal": {"score": Int64(3)}})


def test_any_mapping_will_do_for_a_contact() -> None:
    class Lazy(Mapping[str, Any]):
        def __getitem__(self, key: str) -> Any:
            return {"normal": {"city": "bonn"}}[key]

        def __iter__(self) -> Any:
            return iter(("normal",))

        def __len__(self) -> int:
            return 1

    assert _accepts('city is "bonn"', Lazy())


@pytest.mark.parametrize("odd", [None, {}, "05-10", [], 5, {"birthdate": None}, {"birthdate": 510}])
def test_a_contact_without_days_of_the_year_has_no_anniversaries(odd: Any) -> None:
    today = at(parse("birthdate anniversary today", FIELDS, SETTINGS, LIMITS), NOWS[0])
    assert not to_predicate(today)({"anniversaries": odd, "normal": {"birthdate": "1965-05-03"}})
    assert to_predicate(today)({"anniversaries": {"birthdate": "05-03"}})
