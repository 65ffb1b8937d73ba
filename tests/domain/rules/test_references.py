"""What rules mean that refer to groups and to other segments."""

from typing import Any

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidRule, LimitExceeded
from domain.fields import FieldType
from domain.rules.calendar import Now
from domain.rules.canonical import to_text
from domain.rules.matcher import Matcher
from domain.rules.moving import at
from domain.rules.operators import Operator
from domain.rules.predicate import to_predicate
from domain.rules.query import to_query
from domain.rules.references import LIMITS, carrying, check_edit, follow, referred
from domain.rules.tree import (
    All,
    AnyOf,
    AudienceKind,
    AudienceRef,
    Carries,
    Condition,
    Limits,
    MemberOf,
    Not,
    Quantifier,
    Rule,
    all_of,
    any_of,
    conditions,
    field_subject,
    fields_used,
    leaves,
    negate,
    paths_read,
    within,
)
from tests.domain.rules.deciding import INSTANT, criterion
from tests.domain.rules.generate import Generator

IDS = [ObjectId(f"{number:024x}") for number in range(200)]
ANY, ALL, NONE = Quantifier


def asks(key: str, value: str = "x") -> Condition:
    return Condition(subject=field_subject(key, FieldType.TEXT), operator=Operator.IS, operands=(value,))


def group(number: int) -> AudienceRef:
    return AudienceRef(kind=AudienceKind.GROUP, id=IDS[number])


def segment(number: int) -> AudienceRef:
    return AudienceRef(kind=AudienceKind.SEGMENT, id=IDS[number])


def member(quantifier: Quantifier, *audiences: AudienceRef) -> MemberOf:
    return MemberOf(quantifier=quantifier, audiences=audiences)


def followed(rule: Rule, inner: dict[int, Rule] | None = None, limits: Limits = LIMITS) -> Rule:
    rules = {IDS[number]: each for number, each in (inner or {}).items()}
    return follow(rule, rules.__getitem__, limits)


A, B, C = asks("a"), asks("b"), asks("c")
G0, G1 = carrying(IDS[0]), carrying(IDS[1])


@pytest.mark.parametrize("audiences", [(), (group(0), segment(1), group(0))])
def test_a_membership_of_nothing_or_of_one_thing_twice_cannot_be_made(
    audiences: tuple[AudienceRef, ...],
) -> None:
    with pytest.raises(ValueError, match="one audience at least"):
        MemberOf(quantifier=ANY, audiences=audiences)


def test_a_group_and_a_segment_of_one_identifier_are_two_audiences() -> None:
    assert len(member(ANY, group(0), segment(0)).audiences) == 2


def test_a_rule_tells_whom_it_refers_to_and_counts_a_reference_as_a_condition() -> None:
    rule = all_of([A, negate(member(NONE, group(0), segment(1))), any_of([member(ANY, segment(2)), B])])
    assert referred(rule) == {group(0), segment(1), segment(2)}
    assert list(conditions(rule)) == [A, B]
    assert len(list(leaves(rule))) == 4
    assert fields_used(rule) == {"a", "b"}
    assert within(rule, Limits(conditions=4)) is rule
    with pytest.raises(LimitExceeded, match="3 conditions at most; this one has 4"):
        within(rule, Limits(conditions=3))


FOLLOWED: list[tuple[Rule, dict[int, Rule], Rule]] = [
    (member(ANY, group(0)), {}, G0),
    (member(ANY, group(0), group(1)), {}, any_of([G0, G1])),
    (member(ALL, group(0), segment(2)), {2: A}, all_of([G0, A])),
    (member(NONE, group(0)), {}, negate(G0)),
    (member(NONE, group(0), segment(2)), {2: A}, negate(any_of([G0, A]))),
    (member(NONE, segment(2)), {2: negate(A)}, A),
    (negate(member(NONE, segment(2), group(0))), {2: any_of([A, B])}, any_of([A, B, G0])),
    (all_of([C, member(ANY, segment(2))]), {2: all_of([A, B])}, all_of([C, A, B])),
    (all_of([C, member(ANY, segment(2), segment(3))]), {2: A, 3: B}, all_of([C, any_of([A, B])])),
    (member(ANY, segment(2)), {2: member(NONE, segment(3)), 3: member(ALL, group(0))}, negate(G0)),
]


@pytest.mark.parametrize(("rule", "inner", "meant"), FOLLOWED, ids=range(len(FOLLOWED)))
def test_each_reference_is_replaced_by_what_it_means(rule: Rule, inner: dict[int, Rule], meant: Rule) -> None:
    assert followed(rule, inner) == meant


@given(st.integers(0, 2**32))
def test_a_followed_rule_accepts_whom_the_referring_one_means(seed: int) -> None:
    generator = Generator(seed, refers=True)
    rule, now = generator.rule(), generator.now()
    generator.aim([rule], now)
    accepts = to_predicate(at(generator.followed(rule), now))
    for _ in range(10):
        contact = generator.contact(odd=0)
        assert accepts(contact) is _meant(rule, contact, generator.segments, now)


def _meant(rule: Rule, contact: dict[str, Any], segments: dict[ObjectId, Rule], now: Now) -> bool:
    """By the words alone."""

    def is_in(audience: AudienceRef) -> bool:
        if audience.kind is AudienceKind.GROUP:
            return audience.id in contact["groups"]
        return _meant(segments[audience.id], contact, segments, now)

    match rule:
        case All(children=children):
            return all(_meant(child, contact, segments, now) for child in children)
        case AnyOf(children=children):
            return any(_meant(child, contact, segments, now) for child in children)
        case Not(child=child):
            return not _meant(child, contact, segments, now)
        case MemberOf(quantifier=Quantifier.ANY, audiences=audiences):
            return any(map(is_in, audiences))
        case MemberOf(quantifier=Quantifier.ALL, audiences=audiences):
            return all(map(is_in, audiences))
        case MemberOf(audiences=audiences):
            return not any(map(is_in, audiences))
        case _:
            return to_predicate(at(rule, now))(contact)


def test_a_rule_without_references_is_followed_as_it_is() -> None:
    rule = all_of([A, negate(B)])
    assert followed(rule) is rule


@pytest.mark.parametrize(
    "read", [to_query, to_predicate, paths_read, lambda rule: Matcher[str]().put("a", criterion(rule))]
)
def test_what_is_not_followed_is_not_read(read: Any) -> None:
    with pytest.raises(TypeError, match="followed"):
        read(all_of([A, member(ANY, group(0))]))


def test_a_rule_that_is_followed_is_not_written() -> None:
    with pytest.raises(TypeError, match="no text"):
        to_text(G0)


# ---- what contacts carry -------------------------------------------------------------------------------------------

ODD_GROUPS: list[tuple[Any, bool]] = [
    ([IDS[0]], True),
    ([IDS[1], IDS[0]], True),
    (IDS[0], True),
    ([], False),
    (None, False),
    ([IDS[1]], False),
    (str(IDS[0]), False),
    ([str(IDS[0])], False),
    ([[IDS[0]]], False),
    ({"a": IDS[0]}, False),
    (7, False),
]


@pytest.mark.parametrize(("stored", "carries"), ODD_GROUPS, ids=range(len(ODD_GROUPS)))
def test_a_contact_carries_what_it_lists(*, stored: Any, carries: bool) -> None:
    assert to_predicate(G0)({"groups": stored}) is carries
    assert not to_predicate(G0)({})


def test_many_groups_are_one_look_up() -> None:
    groups = any_of([carrying(each) for each in IDS])
    assert to_query(groups) == {"groups": {"$in": IDS}}
    assert to_query(negate(groups)) == {"groups": {"$nin": IDS}}
    assert to_query(any_of([A, *map(carrying, IDS)])) == {
        "$or": [{"groups": {"$in": IDS}}, {"normal.a": "x"}]
    }
    assert to_query(any_of([A, G0])) == {"$or": [{"normal.a": "x"}, {"groups": IDS[0]}]}
    assert to_query(all_of([G0, negate(G1)])) == {"groups": {"$eq": IDS[0], "$ne": IDS[1]}}
    assert to_query(all_of([G0, G1])) == {"groups": IDS[0], "$and": [{"groups": IDS[1]}]}


def test_of_ten_thousand_segments_over_groups_those_of_the_contacts_own_groups_are_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Rule] = []

    def counting(rule: Rule) -> Any:
        accepts = to_predicate(rule)

        def count(contact: Any) -> bool:
            asked.append(rule)
            return accepts(contact)

        return count

    monkeypatch.setattr("domain.rules.criterion.to_predicate", counting)
    groups = [ObjectId() for _ in range(10_000)]
    matcher: Matcher[int] = Matcher()
    for number, each in enumerate(groups):
        matcher.put(number, criterion(all_of([carrying(each), negate(asks("a", "y"))])))
    assert matcher.moved({"groups": [groups[1]]}, {"groups": [groups[1], groups[7]]}, INSTANT) == [(7, True)]
    assert len(asked) <= 4
    assert matcher.moved({"groups": [groups[1]]}, {"groups": [], "normal": {"a": "y"}}, INSTANT) == [
        (1, False)
    ]
    assert matcher.matching({"groups": groups[5]}, INSTANT) == [5]


def test_a_value_under_another_path_is_carried_alike() -> None:
    rule = Carries(path="kept", value="x")
    assert to_query(rule) == {"kept": "x"}
    assert [to_predicate(rule)({"kept": stored}) for stored in ("x", ["y", "x"], ["y"], None)] == [
        True,
        True,
        False,
        False,
    ]
    matcher: Matcher[str] = Matcher()
    matcher.put("s", criterion(rule))
    assert matcher.moved({}, {"kept": ["x"]}, INSTANT) == [("s", True)]


# ---- how far references go -----------------------------------------------------------------------------------------


def test_conditions_are_counted_with_all_that_is_referred_to() -> None:
    inner: dict[int, Rule] = {2: all_of([A, B]), 3: any_of([C, member(ANY, segment(2), group(0))])}
    rule = all_of([A, member(ANY, segment(3), segment(2))])
    whole = followed(rule, inner, Limits(followed_conditions=7))
    assert len(list(leaves(whole))) == 7
    with pytest.raises(LimitExceeded, match="6 conditions at most, with those of all segments"):
        followed(rule, inner, Limits(followed_conditions=6))


def test_each_reference_is_one_more_level() -> None:
    inner: dict[int, Rule] = {2: any_of([A, negate(B)]), 3: member(ANY, segment(2))}
    rule = all_of([C, member(ANY, segment(3))])
    assert followed(rule, inner, Limits(followed_depth=5)) == all_of([C, any_of([A, negate(B)])])
    with pytest.raises(LimitExceeded, match="4 levels at most"):
        followed(rule, inner, Limits(followed_depth=4))


def test_segments_that_double_each_other_take_no_time_to_refuse() -> None:
    doubling: dict[int, Rule] = {0: A}
    for number in range(1, 39):
        doubling[number] = any_of(
            [all_of([member(ANY, segment(number - 1)), B]), all_of([member(ANY, segment(number - 1)), C])]
        )
    deep = Limits(followed_depth=1_000)
    with pytest.raises(LimitExceeded, match="2,500 conditions"):
        followed(member(ANY, segment(38)), doubling, deep)


def test_a_rule_many_times_referred_to_is_built_once() -> None:
    asked: list[ObjectId] = []
    inner = all_of([A, B])

    def rule_of(identifier: ObjectId) -> Rule:
        asked.append(identifier)
        return inner

    rule = any_of([negate(member(ALL, segment(5), group(number))) for number in range(100)])
    assert len(list(leaves(follow(rule, rule_of)))) == 300
    assert asked == [IDS[5]] * 2


@pytest.mark.parametrize("length", [60, 199])
def test_a_long_chain_is_refused_and_not_fallen_over(length: int) -> None:
    chain: dict[int, Rule] = {0: A}
    for number in range(1, length):
        chain[number] = _wrapped(member(ANY, segment(number - 1)), 10)
    with pytest.raises(LimitExceeded, match="40 levels"):
        followed(member(ANY, segment(length - 1)), chain)


def _wrapped(rule: Rule, depth: int) -> Rule:
    for level in range(depth):
        rule = all_of([B, rule]) if level % 2 else any_of([C, rule])
    return rule


def test_a_circle_is_refused_wherever_it_is_met() -> None:
    circle: dict[int, Rule] = {1: member(ANY, segment(2)), 2: all_of([A, member(NONE, segment(1))])}
    with pytest.raises(InvalidRule, match="cannot refer to itself"):
        followed(member(ANY, segment(1)), circle)


# ---- what a save checks --------------------------------------------------------------------------------------------

NAMES = {IDS[number]: name for number, name in enumerate("ABCDEF")}


def _check(
    number: int, rule: Rule, saved: dict[int, Rule], *dependants: int, limits: Limits = LIMITS
) -> None:
    rules = {IDS[each]: inner for each, inner in saved.items()}
    check_edit(
        IDS[number],
        rule,
        dependants=[IDS[each] for each in dependants],
        rule_of=rules.__getitem__,
        name_of=NAMES.__getitem__,
        limits=limits,
    )


CIRCLES: list[tuple[Rule, dict[int, Rule], str]] = [
    (member(ANY, segment(0)), {}, "“A” -> “A”"),
    (member(NONE, group(1), segment(1)), {1: member(ANY, segment(0))}, "“A” -> “B” -> “A”"),
    (
        all_of([C, negate(any_of([A, member(ALL, segment(2))]))]),
        {0: A, 1: member(ANY, segment(0)), 2: all_of([B, member(ANY, segment(1))])},
        "“A” -> “C” -> “B” -> “A”",
    ),
]


@pytest.mark.parametrize(("rule", "saved", "spelled"), CIRCLES, ids=range(len(CIRCLES)))
def test_a_rule_that_leads_back_to_its_segment_is_refused_with_the_circle_spelled_out(
    rule: Rule, saved: dict[int, Rule], spelled: str
) -> None:
    with pytest.raises(InvalidRule) as refused:
        _check(0, rule, saved)
    assert f": {spelled}. " in refused.value.message


def test_one_segment_referred_to_by_two_ways_is_no_circle() -> None:
    _check(
        0,
        member(ANY, segment(1), segment(2)),
        {1: member(ANY, segment(3)), 2: member(NONE, segment(3)), 3: A},
    )


def test_an_edit_that_would_make_an_outer_segment_too_large_names_that_one() -> None:
    saved: dict[int, Rule] = {
        0: A,
        1: all_of([B, member(ANY, segment(0))]),
        2: all_of([C, member(ANY, segment(1))]),
    }
    wider = any_of([A, B, C])
    _check(0, wider, saved, 1, 2, limits=Limits(followed_conditions=5))
    with pytest.raises(LimitExceeded, match=r"4 conditions at most.*“C” would have more"):
        _check(0, wider, saved, 1, 2, limits=Limits(followed_conditions=4))
    with pytest.raises(LimitExceeded, match=r"2 conditions at most.*this one has more"):
        _check(0, wider, saved, 1, 2, limits=Limits(followed_conditions=2))
    deeper = any_of([A, all_of([B, negate(C)])])
    _check(0, deeper, saved, 1, 2, limits=Limits(followed_depth=7))
    with pytest.raises(LimitExceeded, match=r"6 levels at most.*“C” would have more"):
        _check(0, deeper, saved, 1, 2, limits=Limits(followed_depth=6))
