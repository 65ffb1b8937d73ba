from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.fields import FieldType
from domain.rules.moving import at
from domain.rules.operators import Operator, operators_of
from domain.rules.predicate import to_predicate
from domain.rules.tree import Condition, Subject, conditions
from domain.rules.witnesses import Demand, contact_with, exclude, witnesses
from tests.domain.rules.generate import SUBJECTS, Generator

PARTS = {
    Operator.CONTAINS,
    Operator.DOES_NOT_CONTAIN,
    Operator.STARTS_WITH,
    Operator.DOES_NOT_START_WITH,
    Operator.ENDS_WITH,
    Operator.DOES_NOT_END_WITH,
    Operator.DOMAIN_IS_ANY_OF,
    Operator.DOMAIN_IS_NONE_OF,
}


def _conditions(generator: Generator, key: str, count: int) -> list[Condition]:
    found = []
    for _ in range(count):
        operator = generator.random.choice(operators_of(SUBJECTS[key]))
        include_missing = generator.random.choice([True, False]) if operator.value.negative else None
        condition = generator.condition(key, operator, include_missing=include_missing)
        assert isinstance(condition, Condition)
        found.append(condition)
    return found


def _values(generator: Generator, key: str) -> list[Any]:
    contacts = [generator.contact(odd=0) for _ in range(60)]
    return [
        contact[key] if key in ("created", "updated") else contact.get("normal", {}).get(key)
        for contact in contacts
    ]


@given(st.integers(0, 2**32))
def test_a_witness_stands_for_each_value_that_a_contact_can_have(seed: int) -> None:
    generator = Generator(seed)
    key = generator.random.choice([*SUBJECTS])
    drawn, now = _conditions(generator, key, 3), generator.now()
    generator.aim(drawn, now)
    subject = drawn[0].subject
    asked = [fixed for condition in drawn for fixed in conditions(at(condition, now))]
    found = witnesses(subject, asked)
    if found is None:
        assert any(condition.operator in PARTS for condition in asked)
        return
    judged = {_judgement(subject, asked, value) for value in found}
    assert judged >= {_judgement(subject, asked, value) for value in _values(generator, key)}


def _judgement(subject: Subject, asked: list[Condition], value: Any) -> tuple[bool, ...]:
    contact = contact_with(subject, value)
    return tuple(to_predicate(condition)(contact) for condition in asked)


@given(st.integers(0, 2**32))
def test_no_value_satisfies_demands_that_exclude_each_other(seed: int) -> None:
    generator = Generator(seed)
    key = generator.random.choice([key for key, type_ in SUBJECTS.items() if type_ is not FieldType.TAGS])
    asked = [
        fixed
        for condition in _conditions(generator, key, 6)
        for fixed in conditions(at(condition, generator.now()))
    ]
    values = [
        None,
        *_values(generator, key),
        *(operand for condition in asked for operand in condition.operands),
        *(
            f"{one}{other}"
            for first in asked
            for second in asked
            for one in first.operands
            for other in second.operands
            if isinstance(one, str) and isinstance(other, str)
        ),
    ]
    demands = [Demand(condition=condition, wanted=wanted) for condition in asked for wanted in (True, False)]
    for one in demands:
        for other in demands:
            if exclude(one, other):
                assert exclude(other, one)
                assert [value for value in values if one.accepts(value) and other.accepts(value)] == []
