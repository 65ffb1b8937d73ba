from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.rules.canonical import to_text
from domain.rules.explain import MOST_TRIED, explain
from domain.rules.predicate import to_predicate
from domain.rules.text import parse
from domain.rules.tree import All, AnyOf, Condition, Not, Rule, conditions
from tests.domain.rules.generate import FIELDS, LIMITS, SETTINGS, Generator


def _rule(text: str) -> Rule:
    return parse(text, FIELDS, SETTINGS, LIMITS)


def _whole(rule: Rule, answers: Mapping[Condition, bool]) -> bool:
    match rule:
        case All(children=children):
            return all(_whole(child, answers) for child in children)
        case AnyOf(children=children):
            return any(_whole(child, answers) for child in children)
        case Not(child=child):
            return not _whole(child, answers)
        case Condition():
            return answers[rule]


@given(st.integers(0, 2**32))
def test_the_conditions_that_turn_the_verdict_are_the_fewest(seed: int) -> None:
    generator = Generator(seed)
    rule, contact = generator.rule(depth=2), generator.contact()
    explanation = explain(rule, contact)
    assert explanation.holds is explanation.verdict.holds is to_predicate(rule)(contact)
    answers = {each: to_predicate(each)(contact) for each in conditions(rule)}

    def turns(chosen: tuple[Condition, ...]) -> bool:
        return (
            _whole(rule, {each: answers[each] is not (each in chosen) for each in answers})
            is not explanation.holds
        )

    if explanation.turning:
        assert turns(explanation.turning)
    if len(answers) <= 8:
        sizes = [size for size in range(1, len(answers) + 1) if any(map(turns, combinations(answers, size)))]
        assert explanation.smallest
        assert len(explanation.turning) == min(sizes, default=0)


CONTACT: dict[str, Any] = {"normal": {"city": "bonn", "score": 5, "interests": ["hats"]}}


@pytest.mark.parametrize(
    ("text", "holds", "turning"),
    [
        ('city is "bonn"', True, ['city is "bonn"']),
        ('city is "bonn" and score > 3', True, ['city is "bonn"']),
        ('city is "bonn" and score > 9 and role is "staff"', False, ["score > 9", 'role is "staff"']),
        ('city is "bonn" or score > 3', True, ['city is "bonn"', "score > 3"]),
        ('city is "ulm" or score > 9', False, ['city is "ulm"']),
        ('not (city is "bonn" and score > 3)', False, ['city is "bonn"']),
        ('city is "ulm" or score > 9 and score < 7', False, ['city is "ulm"']),
        (
            'city is "ulm" and score > 9 or city is "ulm" and role is "staff" or score > 7 and score > 8',
            False,
            None,
        ),
        ('city is "bonn" or not (city is "bonn")', True, []),
    ],
)
def test_what_would_have_to_be_otherwise(*, text: str, holds: bool, turning: list[str] | None) -> None:
    explanation = explain(_rule(text), CONTACT)
    assert explanation.holds is holds
    assert explanation.smallest
    if turning is None:
        assert len(explanation.turning) == 2
    else:
        assert [to_text(condition) for condition in explanation.turning] == turning


def test_each_part_says_its_verdict_and_what_it_saw() -> None:
    verdict = explain(_rule('city is "bonn" and not (score < 7 or role is "staff")'), CONTACT).verdict
    assert (verdict.holds, verdict.seen) == (False, None)
    city, negation = verdict.parts
    assert (city.text, city.holds, city.seen, city.parts) == ('city is "bonn"', True, "bonn", ())
    assert (negation.text, negation.holds) == ('not (score < 7 or role is "staff")', False)
    score, role = negation.parts[0].parts
    assert (score.text, score.holds, score.seen) == ("score < 7", True, 5)
    assert (role.text, role.holds, role.seen) == ('role is "staff"', False, None)


def test_a_condition_that_stands_twice_counts_once() -> None:
    explanation = explain(_rule('city is "ulm" and score > 9 or city is "ulm" and score > 3'), CONTACT)
    assert [to_text(condition) for condition in explanation.turning] == ['city is "ulm"']


def test_beyond_what_can_be_tried_some_sufficient_conditions_are_named_as_such() -> None:
    many = " and ".join(f"score > {number}" for number in range(10, 10 + MOST_TRIED))
    rule = _rule(f'(city is "ulm" or city is "ulm" and score is 5) and {many}')
    explanation = explain(rule, CONTACT)
    assert not explanation.holds
    assert len(explanation.turning) == MOST_TRIED + 1
    assert not explanation.smallest


def test_where_every_condition_stands_once_any_number_is_exact() -> None:
    many = " and ".join(f"score > {number}" for number in range(10, 10 + 2 * MOST_TRIED))
    explanation = explain(_rule(f'{many} or city is "ulm"'), CONTACT)
    assert [to_text(condition) for condition in explanation.turning] == ['city is "ulm"']
    assert explanation.smallest
