from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from domain.rules.calendar import Now
from domain.rules.canonical import to_text
from domain.rules.explain import MOST_TRIED, Explanation, Verdict, explain
from domain.rules.moving import at
from domain.rules.predicate import to_predicate
from domain.rules.references import carrying
from domain.rules.text import parse
from domain.rules.tree import All, AnyOf, AudienceKind, Carries, Condition, Leaf, MemberOf, Not, Rule, leaves
from tests.domain.rules.generate import AUDIENCES, FIELDS, LIMITS, SETTINGS, Generator


def _rule(text: str) -> Rule:
    return parse(text, FIELDS, SETTINGS, LIMITS, AUDIENCES)


def _whole(rule: Rule, answers: Mapping[Leaf, bool]) -> bool:
    match rule:
        case All(children=children):
            return all(_whole(child, answers) for child in children)
        case AnyOf(children=children):
            return any(_whole(child, answers) for child in children)
        case Not(child=child):
            return not _whole(child, answers)
        case Condition() | MemberOf() | Carries():
            return answers[rule]


@given(st.integers(0, 2**32))
def test_the_conditions_that_turn_the_verdict_are_the_fewest(seed: int) -> None:
    generator = Generator(seed, refers=seed % 2 == 1)
    rule, now = generator.rule(depth=2), generator.now()
    generator.aim([rule], now)
    contact = generator.contact()
    explanation = explain(rule, contact, now, rule_of=generator.segments.__getitem__, names=AUDIENCES.name)
    followed = generator.followed(rule)
    assert explanation.holds is explanation.verdict.holds is to_predicate(at(followed, now))(contact)
    answers: dict[Leaf, bool] = {each: to_predicate(at(each, now))(contact) for each in leaves(followed)}

    def turns(chosen: tuple[Leaf, ...]) -> bool:
        return (
            _whole(followed, {each: answers[each] is not (each in chosen) for each in answers})
            is not explanation.holds
        )

    if explanation.turning:
        assert turns(explanation.turning)
    if len(answers) <= 8:
        sizes = [size for size in range(1, len(answers) + 1) if any(map(turns, combinations(answers, size)))]
        assert explanation.smallest
        assert len(explanation.turning) == min(sizes, default=0)


def _turning(explanation: Explanation) -> list[str]:
    return [to_text(leaf) for leaf in explanation.turning if isinstance(leaf, Condition)]


NOW = Now(instant=datetime(2026, 5, 10, 8, tzinfo=UTC), settings=SETTINGS)
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
    explanation = explain(_rule(text), CONTACT, NOW)
    assert explanation.holds is holds
    assert explanation.smallest
    if turning is None:
        assert len(explanation.turning) == 2
    else:
        assert _turning(explanation) == turning


def test_each_part_says_its_verdict_and_what_it_saw() -> None:
    verdict = explain(_rule('city is "bonn" and not (score < 7 or role is "staff")'), CONTACT, NOW).verdict
    assert (verdict.holds, verdict.seen) == (False, None)
    city, negation = verdict.parts
    assert (city.text, city.holds, city.seen, city.parts) == ('city is "bonn"', True, "bonn", ())
    assert (negation.text, negation.holds) == ('not (score < 7 or role is "staff")', False)
    score, role = negation.parts[0].parts
    assert (score.text, score.holds, score.seen) == ("score < 7", True, 5)
    assert (role.text, role.holds, role.seen) == ('role is "staff"', False, None)


VIPS = AUDIENCES.of(AudienceKind.GROUP)[0]
VIP_SEGMENT, LAPSED, *_ = AUDIENCES.of(AudienceKind.SEGMENT)
SAVED = {
    LAPSED.id: _rule('city is "bonn" and (score > 9 or in any of (group "VIP"))'),
    VIP_SEGMENT.id: _rule('in none of (segment "Lapsed") or role is "staff"'),
}


def _explained(text: str, groups: list[ObjectId]) -> Explanation:
    contact = {**CONTACT, "groups": groups}
    return explain(_rule(text), contact, NOW, rule_of=SAVED.__getitem__, names=AUDIENCES.name)


def _shown(verdict: Verdict) -> tuple[str, bool, list[Any]]:
    return verdict.text, verdict.holds, [_shown(part) for part in verdict.parts]


def test_a_reference_says_its_verdict_and_below_it_what_the_segment_s_rule_says() -> None:
    explanation = _explained('score > 3 and in any of (segment "Lapsed")', [])
    inner: tuple[str, bool, list[Any]] = (
        'city is "bonn" and (score > 9 or in any of (group "VIP"))',
        False,
        [
            ('city is "bonn"', True, []),
            (
                'score > 9 or in any of (group "VIP")',
                False,
                [("score > 9", False, []), ('in any of (group "VIP")', False, [])],
            ),
        ],
    )
    assert _shown(explanation.verdict) == (
        'score > 3 and in any of (segment "Lapsed")',
        False,
        [("score > 3", True, []), ('in any of (segment "Lapsed")', False, [inner])],
    )
    assert _turning(explanation) == ["score > 9"]


def test_of_several_audiences_each_says_its_own() -> None:
    for quantifier, holds in (("any", True), ("all", False), ("none", False)):
        verdict = _explained(
            f'in {quantifier} of (group "VIP", segment "VIP", group "Staff - Active")', [VIPS.id]
        ).verdict
        assert verdict.holds is holds
        assert [(part.text, part.holds) for part in verdict.parts] == [
            ('in any of (group "VIP")', True),
            ('in any of (segment "VIP")', False),
            ('in any of (group "Staff - Active")', False),
        ]
        (of_segment,) = verdict.parts[1].parts
        (lapsed, _) = of_segment.parts
        assert (lapsed.text, lapsed.holds) == ('in none of (segment "Lapsed")', False)
        assert [(part.text, part.holds) for part in lapsed.parts] == [
            ('city is "bonn" and (score > 9 or in any of (group "VIP"))', True)
        ]


@pytest.mark.parametrize(
    ("text", "groups", "turning"),
    [
        ('in any of (group "VIP")', [], [carrying(VIPS.id)]),
        ('in none of (group "VIP")', [VIPS.id], [carrying(VIPS.id)]),
        ('in any of (segment "Lapsed")', [VIPS.id], [_rule('city is "bonn"')]),
        ('in any of (segment "VIP") and in all of (group "VIP")', [VIPS.id], [_rule('city is "bonn"')]),
        ('in any of (segment "Lapsed") and in any of (group "VIP")', [], [carrying(VIPS.id)]),
    ],
)
def test_what_would_have_to_be_otherwise_is_looked_for_in_what_is_referred_to(
    text: str, groups: list[ObjectId], turning: list[Rule]
) -> None:
    explanation = _explained(text, groups)
    assert list(explanation.turning) == turning
    assert explanation.smallest


def test_a_followed_rule_is_not_explained() -> None:
    with pytest.raises(TypeError, match="as it was said"):
        explain(carrying(VIPS.id), CONTACT, NOW)


def test_a_condition_that_stands_twice_counts_once() -> None:
    explanation = explain(_rule('city is "ulm" and score > 9 or city is "ulm" and score > 3'), CONTACT, NOW)
    assert _turning(explanation) == ['city is "ulm"']


def test_beyond_what_can_be_tried_some_sufficient_conditions_are_named_as_such() -> None:
    many = " and ".join(f"score > {number}" for number in range(10, 10 + MOST_TRIED))
    rule = _rule(f'(city is "ulm" or city is "ulm" and score is 5) and {many}')
    explanation = explain(rule, CONTACT, NOW)
    assert not explanation.holds
    assert len(explanation.turning) == MOST_TRIED + 1
    assert not explanation.smallest


def test_where_every_condition_stands_once_any_number_is_exact() -> None:
    many = " and ".join(f"score > {number}" for number in range(10, 10 + 2 * MOST_TRIED))
    explanation = explain(_rule(f'{many} or city is "ulm"'), CONTACT, NOW)
    assert _turning(explanation) == ['city is "ulm"']
    assert explanation.smallest


def _day(text: str) -> datetime:
    """When that day begins in the account's time zone, Europe/Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=SETTINGS.zone).astimezone(UTC)


def test_it_is_said_when_time_alone_turns_a_condition_and_when_the_whole() -> None:
    contact = {
        "normal": {"last_seen": datetime(2026, 5, 5, 12, tzinfo=UTC), "birthdate": "1965-05-20", "score": 1},
        "anniversaries": {"birthdate": "05-20"},
    }
    rule = _rule(
        "last_seen in the last 7 days and (birthdate anniversary today or birthdate anniversary in the next 3 days) and score is 1"
    )
    explanation = explain(rule, contact, NOW)
    seen, birthday, score = explanation.verdict.parts
    assert (seen.holds, seen.turns) == (True, _day("2026-05-12"))
    assert [(part.holds, part.turns, part.seen) for part in birthday.parts] == [
        (False, _day("2026-05-20"), "1965-05-20"),
        (False, _day("2026-05-18"), "1965-05-20"),
    ]
    # Of what is no condition nothing is said, and what does not move does not turn.
    assert (birthday.turns, score.turns, explanation.verdict.turns) == (None, None, None)
    # By then they have not been seen for too long.
    assert (explanation.holds, explanation.flips) == (False, None)
    assert explain(_rule("birthdate anniversary in the next 3 days"), contact, NOW).flips == _day(
        "2026-05-18"
    )


@pytest.mark.parametrize(
    "text",
    [
        'city is "bonn" and last_seen in the last 9 days and last_seen in the last 7 days',
        '(city is "bonn" and last_seen in the last 7 days) and (city is "bonn" or city is "ulm")',
    ],
)
def test_of_conditions_that_would_do_those_are_named_that_time_turns_next(text: str) -> None:
    contact = {"normal": {"city": "bonn", "last_seen": datetime(2026, 5, 5, 12, tzinfo=UTC)}}
    explanation = explain(_rule(text), contact, NOW)
    assert (explanation.flips, explanation.smallest) == (_day("2026-05-12"), True)
    assert _turning(explanation) == ["last_seen in the last 7 days"]


def test_the_whole_turns_where_its_conditions_do_so_at_different_times() -> None:
    contact = {"normal": {"last_seen": datetime(2026, 5, 5, 12, tzinfo=UTC)}}
    rule = _rule("last_seen in the last 7 days or last_seen more than 9 days ago")
    explanation = explain(rule, contact, NOW)
    assert [part.turns for part in explanation.verdict.parts] == [_day("2026-05-12"), _day("2026-05-15")]
    assert explanation.flips == _day("2026-05-12")


def test_what_moves_in_a_segment_that_is_referred_to_turns_there_and_the_whole_with_it() -> None:
    contact = {
        "normal": {"last_seen": datetime(2026, 5, 5, 12, tzinfo=UTC), "score": 1},
        "groups": [VIPS.id],
    }
    saved = {LAPSED.id: _rule("last_seen more than 7 days ago or last_seen is empty")}

    def explained(text: str) -> Explanation:
        return explain(_rule(text), contact, NOW, rule_of=saved.__getitem__, names=AUDIENCES.name)

    explanation = explained('in none of (segment "Lapsed") and score is 1')
    reference, score = explanation.verdict.parts
    (lapsed,) = reference.parts
    assert [(part.text, part.holds, part.turns) for part in lapsed.parts] == [
        ("last_seen more than 7 days ago", False, _day("2026-05-13")),
        ("last_seen is empty", False, None),
    ]
    # A reference is no condition, and a group does not move.
    assert (reference.turns, lapsed.turns, score.turns) == (None, None, None)
    assert (explanation.holds, explanation.flips) == (True, _day("2026-05-13"))
    # Neither in nor out by time alone, where something else decides all the same.
    assert explained('in any of (segment "Lapsed", group "VIP")').flips is None
    assert explained('in all of (segment "Lapsed", group "VIP")').flips == _day("2026-05-13")
