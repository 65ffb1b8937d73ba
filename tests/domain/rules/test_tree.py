import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import LimitExceeded
from domain.fields import FieldType
from domain.rules.operators import Operator
from domain.rules.tree import (
    CREATED,
    All,
    AnyOf,
    Carries,
    Condition,
    Limits,
    MemberOf,
    Not,
    Rule,
    all_of,
    anniversary_subject,
    any_of,
    conditions,
    field_subject,
    fields_used,
    negate,
    paths_read,
    read_subject,
    replaced,
    within,
)
from tests.domain.rules.generate import Generator

A, B, C = (
    Condition(subject=field_subject(key, FieldType.TEXT), operator=Operator.IS, operands=("x",))
    for key in "abc"
)


def test_all_within_all_is_one_list() -> None:
    assert all_of([A, all_of([B, C])]) == All(children=(A, B, C))


def test_any_within_any_is_one_list() -> None:
    assert any_of([any_of([A, B]), C]) == AnyOf(children=(A, B, C))


def test_different_lists_stay_apart() -> None:
    assert all_of([A, any_of([B, C])]) == All(children=(A, AnyOf(children=(B, C))))


def test_a_list_of_one_is_the_one() -> None:
    assert all_of([A]) == any_of([A]) == A
    assert all_of([any_of([B, C])]) == AnyOf(children=(B, C))


def test_not_of_not_is_the_thing_itself() -> None:
    assert negate(negate(A)) == A
    assert negate(A) == Not(child=A)


@pytest.mark.parametrize("children", [(), (A,), (A, All(children=(B, C)))])
def test_an_all_that_is_not_normalised_cannot_be_made(children: tuple[Rule, ...]) -> None:
    with pytest.raises(ValueError, match="all_of"):
        All(children=children)


@pytest.mark.parametrize("children", [(), (A,), (A, AnyOf(children=(B, C)))])
def test_an_any_that_is_not_normalised_cannot_be_made(children: tuple[Rule, ...]) -> None:
    with pytest.raises(ValueError, match="any_of"):
        AnyOf(children=children)


def test_a_not_of_not_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="negate"):
        Not(child=Not(child=A))


def _rebuilt(rule: Rule) -> Rule:
    match rule:
        case All(children=children):
            return all_of(map(_rebuilt, children))
        case AnyOf(children=children):
            return any_of(map(_rebuilt, children))
        case Not(child=child):
            return negate(_rebuilt(child))
        case Condition() | MemberOf() | Carries():
            return rule


@given(st.integers(0, 2**32))
def test_a_tree_built_from_its_own_parts_is_the_same(seed: int) -> None:
    rule = Generator(seed).rule(depth=5)
    assert _rebuilt(rule) == rule


def _alternating(depth: int) -> Rule:
    rule: Rule = A
    for level in range(depth):
        rule = all_of([B, rule]) if level % 2 else any_of([C, rule])
    return rule


def test_depth_counts_what_stands_around_a_condition() -> None:
    assert within(A, Limits(depth=0)) is A
    assert within(_alternating(10), Limits()) == _alternating(10)
    with pytest.raises(LimitExceeded, match="depth of 10"):
        within(_alternating(11), Limits())
    with pytest.raises(LimitExceeded, match="depth of 1 "):
        within(all_of([A, negate(B)]), Limits(depth=1))


def test_a_rule_of_any_depth_is_refused_and_not_fallen_over() -> None:
    with pytest.raises(LimitExceeded):
        within(_alternating(100_000), Limits())


def test_the_number_of_conditions_is_bounded() -> None:
    full = all_of([A] * 250)
    assert within(full, Limits()) is full
    with pytest.raises(LimitExceeded, match="250 conditions at most; this one has 251"):
        within(all_of([A] * 251), Limits())


def test_a_rule_tells_its_conditions_in_order_and_what_it_reads() -> None:
    new = Condition(subject=CREATED, operator=Operator.IS_NOT_EMPTY)
    rule = any_of([all_of([B, new]), negate(all_of([A, B]))])
    assert list(conditions(rule)) == [B, new, A, B]
    assert fields_used(rule) == {"a", "b"}
    assert paths_read(rule) == {"normal.a", "normal.b", "created"}


def test_a_rule_in_whose_conditions_others_are_put_is_in_its_shape_again() -> None:
    rule = any_of([A, all_of([B, negate(A)])])
    assert replaced(rule, lambda each: any_of([A, C]) if each == A else each) == any_of(
        [A, C, all_of([B, negate(any_of([A, C]))])]
    )
    assert replaced(negate(A), lambda _: negate(B)) == B
    assert replaced(rule, lambda each: each) == rule


def test_of_a_date_the_yearly_operators_read_the_day_of_the_year() -> None:
    date = field_subject("birthdate", FieldType.DATE)
    today = Condition(subject=date, operator=Operator.ANNIVERSARY_TODAY)
    assert read_subject(today) == anniversary_subject("birthdate")
    assert (read_subject(today).key, read_subject(today).is_field) == ("birthdate", True)
    assert read_subject(Condition(subject=date, operator=Operator.IS_EMPTY)) == date
    assert fields_used(today) == {"birthdate"}
    assert paths_read(today) == {"anniversaries.birthdate"}
