from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.rules.canonical import to_text
from domain.rules.operators import Operator
from domain.rules.predicate import to_predicate
from domain.rules.text import parse
from domain.rules.tree import Condition, Rule, conditions
from tests.domain.rules.generate import FIELDS, LIMITS, NOWS, SETTINGS, Generator
from tests.domain.rules.shrinking import named_case, shrunk

Document = dict[str, Any]


def _parse(text: str) -> Rule:
    return parse(text, FIELDS, SETTINGS, LIMITS)


def _has(accepts: Callable[[Condition], bool]) -> Callable[[Rule], bool]:
    return lambda rule: any(map(accepts, conditions(rule)))


@pytest.mark.parametrize(
    ("wrong", "smallest"),
    [
        (lambda each: each.operator is Operator.CONTAINS and "." in each.operands[0], 'city contains "."'),
        (lambda each: each.operator is Operator.IS_ANY_OF and 7.5 in each.operands, "score is any of (7.5)"),
        (lambda each: each.operator is Operator.MORE_THAN and each.operands[0] > 40, "score > 50"),
        (
            lambda each: each.operator is Operator.NOT_ON and not each.include_missing,
            "birthdate not on 2000-02-29 excluding missing",
        ),
    ],
    ids=range(4),
)
async def test_a_rule_shrinks_to_the_condition_that_is_wrong(
    wrong: Callable[[Condition], bool], smallest: str
) -> None:
    rule = _parse(
        'not ((city contains "a.b" or score is any of (1, 7.5, 3)) and (city is empty or not score > 100))'
        " or birthdate not on 2000-02-29 excluding missing and created after 2026-01-01T00:00:00Z"
    )
    generator = Generator(1)

    async def disagrees(simpler: Rule, contacts: list[Document]) -> bool:
        return _has(wrong)(simpler) and any("city" in contact.get("normal", {}) for contact in contacts)

    simplest, contacts = await shrunk(rule, [generator.contact(odd=0) for _ in range(50)], disagrees)
    assert to_text(simplest) == smallest
    (contact,) = contacts
    assert list(contact) == ["normal"]
    assert list(contact["normal"]) == ["city"]


async def test_what_needs_two_contacts_keeps_two() -> None:
    contacts: list[Document] = [{"normal": {"score": number, "city": "a"}} for number in range(20)]

    async def disagrees(rule: Rule, those: list[Document]) -> bool:
        accepts = to_predicate(rule)
        return {accepts(contact) for contact in those} == {True, False}

    rule, those = await shrunk(_parse('score < 11 and city is "a"'), contacts, disagrees)
    assert len(those) == 2
    assert to_text(rule) in ("score < 1", "score < 0", 'city is "a"') or len(list(conditions(rule))) == 1


def test_a_case_is_written_as_the_table_of_cases_has_it() -> None:
    rule = _parse('city is not "a\\\\b"')
    entry = named_case("found", rule, [{"_id": 7, "normal": {"city": "x"}}, {}], [0, 1], NOWS[0])
    cases = eval(f"{{{entry}}}")
    assert cases == {"found": (to_text(rule), [{"city": "x"}, None], [0, 1])}
    assert _parse(cases["found"][0]) == rule


async def test_what_is_wrong_about_the_contact_s_own_times_is_told_by_a_field() -> None:
    at = datetime(2026, 5, 3, 8, tzinfo=UTC)

    async def disagrees(rule: Rule, contacts: list[Document]) -> bool:
        return any(map(to_predicate(rule), contacts))

    rule = _parse("updated after 2026-05-03T07:00:00Z and created at or after 2026-05-03T08:00:00Z")
    simplest, contacts = await shrunk(rule, [{"created": at, "updated": at}], disagrees)
    assert contacts == [{"normal": {"last_seen": at}}]
    entry = named_case("found", simplest, contacts, [0], NOWS[0])
    assert eval(f"{{{entry}}}") == {"found": (to_text(simplest), [{"last_seen": at}], [0])}
