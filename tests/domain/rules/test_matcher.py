from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.rules.calendar import Now
from domain.rules.criterion import Criterion
from domain.rules.matcher import Matcher
from domain.rules.operators import Operator
from domain.rules.predicate import to_predicate
from domain.rules.text import parse
from domain.rules.tree import Condition, Rule, all_of, any_of, field_subject
from tests.domain.rules.deciding import INSTANT, criterion
from tests.domain.rules.generate import FIELDS, LIMITS, SETTINGS, Generator

Contact = dict[str, Any]


def _rule(text: str) -> Rule:
    return parse(text, FIELDS, SETTINGS, LIMITS)


def _changed(generator: Generator, contact: Contact) -> Contact:
    """The contact with a few of its values exchanged for those of another, sometimes for equal ones of another type."""
    random, other = generator.random, generator.contact()
    normal = dict(contact.get("normal", {}))
    for key in random.sample([*FIELDS], random.randint(0, 3)):
        if key in other.get("normal", {}):
            normal[key] = other["normal"][key]
        else:
            normal.pop(key, None)
    if isinstance(normal.get("score"), int) and random.random() < 0.5:
        normal["score"] = random.choice([bool, float])(normal["score"])
    changed = {**contact, "updated": other["updated"]}
    if random.random() < 0.3:
        changed["anniversaries"] = other.get("anniversaries")
    if "groups" in other and random.random() < 0.5:
        changed["groups"] = other["groups"]
    if normal or random.random() < 0.5:
        changed["normal"] = normal
    else:
        changed.pop("normal", None)
    return changed


def _instants(random: Random, criteria: Iterable[Criterion], now: Now) -> list[datetime]:
    """The instant, and the seconds just before and at some of the next turns, in no order."""
    turns = {turn for each in criteria if (turn := each.next_turn(now.instant)) is not None}
    some = random.sample(sorted(turns), min(2, len(turns)))
    instants = [now.instant, *some, *(turn - timedelta(seconds=1) for turn in some)]
    random.shuffle(instants)
    return instants


@settings(max_examples=40)  # each of them puts and drops 60 rules
@given(st.integers(0, 2**32))
def test_the_matcher_answers_as_if_every_rule_were_asked(seed: int) -> None:
    generator = Generator(seed, refers=seed % 2 == 1)
    random: Random = generator.random
    matcher: Matcher[int] = Matcher()
    criteria: dict[int, Criterion] = {}
    now = generator.now()
    for _ in range(60):
        audience = random.randrange(40)
        if audience in criteria and random.random() < 0.3:
            matcher.drop(audience)
            del criteria[audience]
            continue
        # Back to the end of the order, as `put` does with a rule that is exchanged.
        criteria.pop(audience, None)
        rule = generator.followed(generator.rule(depth=random.randint(0, 2)))
        criteria[audience] = Criterion(rule=rule, settings=now.settings)
        matcher.put(audience, criteria[audience])
    instants = _instants(random, criteria.values(), now)
    generator.aim(
        (each.rule for each in criteria.values()), *(replace(now, instant=instant) for instant in instants)
    )
    contact = generator.contact()
    # Time goes back, too, where a change is judged as of when it was made.
    for instant in [*instants, *instants[::-1]]:
        before, contact = contact, _changed(generator, contact)
        predicates = {audience: each.predicate(instant) for audience, each in criteria.items()}
        assert len(matcher) == len(criteria)
        assert matcher.matching(contact, instant) == [
            audience for audience in criteria if predicates[audience](contact)
        ]
        assert matcher.moved(before, contact, instant) == [
            (audience, predicates[audience](contact))
            for audience in criteria
            if predicates[audience](before) is not predicates[audience](contact)
        ]
        assert matcher.moved(None, contact, instant) == [
            (audience, True) for audience in matcher.matching(contact, instant)
        ]
        assert matcher.moved(contact, None, instant) == [
            (audience, False) for audience in matcher.matching(contact, instant)
        ]
        assert matcher.moved(None, None, instant) == []


def test_a_moving_rule_is_asked_as_it_is_at_each_instant() -> None:
    matcher: Matcher[str] = Matcher()
    matcher.put("new", criterion(_rule("created in the last 1 day")))
    contact = {"created": INSTANT}
    tomorrow = INSTANT + timedelta(days=1)
    found = [matcher.matching(contact, instant) for instant in (INSTANT, tomorrow, INSTANT, tomorrow)]
    assert found == [["new"], [], ["new"], []]


def test_nothing_is_left_of_rules_that_are_dropped() -> None:
    generator = Generator(1)
    matcher: Matcher[int] = Matcher()
    for audience in range(200):
        matcher.put(audience, criterion(generator.rule()))
    for audience in range(200):
        matcher.drop(audience)
    assert len(matcher) == 0
    assert matcher._reading == {}
    assert not matcher._all
    with pytest.raises(KeyError):
        matcher.drop(0)


class _Asked:
    """Counts the rules that a change really asks: each is asked of the contact before and after."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0

        def counting(rule: Rule) -> Any:
            predicate = to_predicate(rule)

            def count(contact: Contact) -> bool:
                self.count += 1
                return predicate(contact)

            return count

        monkeypatch.setattr("domain.rules.criterion.to_predicate", counting)


def _condition(key: str, operator: Operator, *operands: Any) -> Rule:
    return Condition(subject=field_subject(key, FIELDS[key].type), operator=operator, operands=operands)


def _city_and_score(number: int) -> Rule:
    return all_of([_condition("city", Operator.IS, f"c{number}"), _condition("score", Operator.MORE_THAN, 3)])


def _one_of_two_cities(number: int) -> Rule:
    other = _condition("city", Operator.IS_ANY_OF, f"d{number}", f"e{number}")
    return any_of([_condition("city", Operator.IS, f"c{number}"), other])


def _tags_and_any_city(number: int) -> Rule:
    tags = _condition("interests", Operator.HAS_ALL_OF, f"t{number}", "x")
    return all_of([tags, _condition("city", Operator.IS_NOT_EMPTY)])


def _another_field(number: int) -> Rule:
    return _condition("2nd_score", Operator.MORE_THAN, number)


@pytest.mark.parametrize(
    ("make", "most"),
    [(_city_and_score, 4), (_one_of_two_cities, 4), (_tags_and_any_city, 2), (_another_field, 0)],
)
def test_a_change_asks_few_of_ten_thousand_rules(
    make: Callable[[int], Rule], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _Asked(monkeypatch)
    matcher: Matcher[int] = Matcher()
    for number in range(10_000):
        matcher.put(number, criterion(make(number)))
    before = {"normal": {"city": "c1", "score": 5, "2nd_score": 5, "interests": ["t7", "x"]}}
    matcher.moved(before, {"normal": {**before["normal"], "city": "c2"}}, INSTANT)
    assert asked.count <= most


def test_a_change_of_what_no_rule_reads_asks_none(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _Asked(monkeypatch)
    matcher: Matcher[str] = Matcher()
    matcher.put("many", criterion(_rule("score > 1")))
    assert (
        matcher.moved({"normal": {"score": 0, "city": "a"}}, {"normal": {"score": 0, "city": "b"}}, INSTANT)
        == []
    )
    assert asked.count == 0


def test_one_and_true_are_told_apart() -> None:
    matcher: Matcher[str] = Matcher()
    matcher.put("one", criterion(_rule("score is 1")))
    assert matcher.moved({"normal": {"score": True}}, {"normal": {"score": 1}}, INSTANT) == [("one", True)]
    assert matcher.moved({"normal": {"score": [True]}}, {"normal": {"score": [1]}}, INSTANT) == [
        ("one", True)
    ]
