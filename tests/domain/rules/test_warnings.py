from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import ShoalError
from domain.fields import FieldType
from domain.rules.build import Unbound, UnboundAll, UnboundAny, UnboundNot, build
from domain.rules.canonical import to_text
from domain.rules.operators import operators_of
from domain.rules.predicate import to_predicate
from domain.rules.text import parse
from domain.rules.tree import All, AnyOf, Rule, all_of, any_of, conditions
from domain.rules.warnings import Kind, cautions, questions
from tests.domain.rules.generate import FIELDS, LIMITS, SETTINGS, SUBJECTS, Generator


def _rule(text: str) -> Rule:
    return parse(text, FIELDS, SETTINGS, LIMITS)


def _found(text: str) -> list[tuple[str, str]]:
    return [(caution.kind.name, " ; ".join(map(to_text, caution.parts))) for caution in cautions(_rule(text))]


NEVER = [
    'city is "a" and city is "b"',
    'city is "a" and city is not "a"',
    'city is "a" and city is empty',
    "city is empty and city is not empty",
    'city is empty and city is not "a" excluding missing',
    'city is any of ("a", "b") and city is none of ("a", "b", "c")',
    'city is "abc" and city does not contain "b"',
    'city contains "abc" and city does not contain "b"',
    'city starts with "ab" and city starts with "ac"',
    'city starts with "ab" and city does not start with "a"',
    'city ends with "ab" and city ends with "bb"',
    'city ends with "ab" and not (city ends with "b")',
    'city contains "a" and city is empty',
    'email domain is any of ("x.org") and email domain is any of ("y.org", "z.org")',
    'email domain is any of ("x.org") and email domain is none of ("x.org", "y.org")',
    'email domain is any of ("x.org", "y.org") and email does not end with "org"',
    'email is "a@x.org" and email domain is any of ("y.org")',
    'email domain is any of ("x.org") and email ends with "sub.x.org"',
    "score < 3 and score > 3",
    "score < 3 and score >= 3",
    "score > 3 and score < 3.0000000000000004",
    "score > 9223372036854775806 and score < 9223372036854775807",
    "score between 1 and 2 and score between 3 and 4",
    "score > 1 and score < 5 and score is none of (2, 3) and score is any of (2, 3)",
    "score is 1 and (score is 2 or score is 3)",
    "newsletter is true and newsletter is false",
    "newsletter is not true excluding missing and newsletter is not false excluding missing",
    "birthdate before 0001-01-01",
    "birthdate after 2020-01-01 and birthdate before 2020-01-02",
    "last_seen after 2020-01-01T00:00:00Z and last_seen before 2020-01-01T00:00:00.001Z",
    "created before 2020-01-01T00:00:00Z and created at or after 2020-01-01T00:00:00Z",
    'interests has all of ("a", "b") and interests lacks any of ("a", "b")',
    'interests has any of ("a", "b") and interests has none of ("a", "b")',
    'interests has all of ("a") and interests is empty',
    'role is "staff" and role is "customer"',
    "not (city is empty or city is not empty)",
    "city is empty and (score is 1 and score is 2 and role is empty)",
]
POSSIBLE = [
    "score > 3 and score < 3.000000000000001",
    "score > 9007199254740992 and score < 9007199254740994",
    "score > 9223372036854775805 and score < 9223372036854775807",
    "birthdate after 2020-01-01 and birthdate before 2020-01-03",
    "last_seen after 2020-01-01T00:00:00Z and last_seen before 2020-01-01T00:00:00.002Z",
    'interests has any of ("a", "b") and interests lacks any of ("a", "b")',
    'interests has all of ("a") and interests has all of ("b")',
    'city starts with "ab" and city ends with "ba"',
    'city contains "a" and city does not contain "ab"',
    'city starts with "a" and city does not start with "ab"',
    'city is not "a" and city is not "b"',
    'city does not contain "a" and city is empty',
    'not (city is not "a" excluding missing) and city is empty',
    "newsletter is not true and newsletter is not false",
    'email domain is any of ("x.org", "y.org") and email domain is none of ("x.org")',
    'email domain is any of ("x.org") and email ends with "b@x.org"',
    'city is "a" and email is "b@x.org"',
]


@pytest.mark.parametrize("text", NEVER)
def test_what_no_contact_can_match_is_told(text: str) -> None:
    (caution,) = cautions(_rule(text))
    assert caution.kind is Kind.NEVER_MATCHES
    assert caution.about == _rule(text)
    assert caution.message.endswith("The whole rule matches nobody.")


@pytest.mark.parametrize("text", POSSIBLE)
def test_what_a_contact_can_match_is_not_told_to_match_nobody(text: str) -> None:
    assert [kind for kind, _ in _found(text) if kind != "ADDS_NOTHING"] == []


@pytest.mark.parametrize(
    "text",
    [
        "city is empty or city is not empty",
        'city is "a" or city is not "a"',
        "score < 3 or score >= 3 or score is empty",
        "not (newsletter is true and newsletter is not true)",
        'city contains "b" or city does not contain "abc"',
        'interests has any of ("a", "b") or interests has none of ("a", "b")',
        "score is empty or score > 1 or score <= 2",
    ],
)
def test_what_every_contact_matches_is_told(text: str) -> None:
    (caution,) = cautions(_rule(text))
    assert caution.kind is Kind.ALWAYS_MATCHES
    assert caution.message.endswith("The whole rule matches every contact.")


@pytest.mark.parametrize(
    ("text", "needless", "because"),
    [
        ("score > 1 and score > 2", "score > 1", "score > 2"),
        ("score > 2 and score > 1", "score > 1", "score > 2"),
        ("score > 1 or score > 2", "score > 2", "score > 1"),
        ('city is "a" and city is not empty', "city is not empty", 'city is "a"'),
        ('city is "a" or city is any of ("a", "b")', 'city is "a"', 'city is any of ("a", "b")'),
        ('city contains "abc" and city contains "b"', 'city contains "b"', 'city contains "abc"'),
        ('city starts with "abc" or city contains "b"', 'city starts with "abc"', 'city contains "b"'),
        ('city is "a" and role is empty and city is "a"', 'city is "a"', 'city is "a"'),
        (
            "(city is empty or score is 1) and role is empty and (city is empty or score is 1)",
            "city is empty or score is 1",
            "city is empty or score is 1",
        ),
        ("score >= 1 and score > 1", "score >= 1", "score > 1"),
        ("score >= 1 and not (score < 1)", "not (score < 1)", "score >= 1"),
        (
            'role is "staff" and role is not "customer"',
            'role is not "customer" including missing',
            'role is "staff"',
        ),
        (
            'interests has any of ("a", "b") and interests has all of ("a", "c")',
            'interests has any of ("a", "b")',
            'interests has all of ("a", "c")',
        ),
    ],
)
def test_what_adds_nothing_is_told(text: str, needless: str, because: str) -> None:
    assert _found(text) == [("ADDS_NOTHING", f"{needless} ; {because}")]


def test_what_only_several_together_make_needless_is_told_with_all_of_them() -> None:
    assert _found("score <= 3 and score >= 3 and score is any of (3, 4)") == [
        ("ADDS_NOTHING", "score is any of (3, 4) ; score <= 3 ; score >= 3")
    ]


def test_a_part_of_the_rule_is_told_as_a_part() -> None:
    (caution,) = cautions(_rule('city is "a" or score is 1 and score is 2'))
    assert caution.message == (
        "No contact matches “score is 1” and “score is 2” at once. "
        "The part “score is 1 and score is 2” matches nobody."
    )


def test_where_each_alternative_is_hopeless_each_is_told_with_its_reason() -> None:
    whole, first, second = cautions(
        _rule('city is empty and (score is 1 and score is 2 or role is "staff" and role is empty)')
    )
    hopeless = '“score is 1 and score is 2 or role is "staff" and role is empty”'
    assert whole.message == f"No contact matches {hopeless}. The whole rule matches nobody."
    assert [to_text(first.about), to_text(second.about)] == [
        "score is 1 and score is 2",
        'role is "staff" and role is empty',
    ]


def test_messages_are_sentences() -> None:
    def said(text: str) -> list[str]:
        return [caution.message for caution in cautions(_rule(text))]

    (every,) = said("score is 1 or score is not 1")
    assert every == (
        "Every contact matches “score is 1” or “score is not 1 including missing”, one or the other. "
        "The whole rule matches every contact."
    )
    assert said("score > 1 and score > 2") == [
        "“score > 1” changes nothing: it holds wherever “score > 2” does."
    ]
    assert said("score > 1 or score > 2") == [
        "“score > 2” adds nobody: wherever it holds, so does “score > 1”."
    ]
    assert said("score > 1 and score > 1") == ["“score > 1” stands here twice. Once is enough."]
    assert said(f'not (city is "a" and city is "{"b" * 200}")') == [
        f'No contact matches “city is "a"” and “city is "{"b" * 111}…” at once. The whole rule matches every contact.'
    ]


def test_a_message_names_a_few_of_many_reasons() -> None:
    excluded = " and ".join(f"score is not {number}" for number in range(100))
    (caution,) = cautions(_rule(f"{excluded} and score is any of (1, 2)"))
    assert len(caution.parts) == 101
    assert caution.message.endswith("” and 96 others at once. The whole rule matches nobody.")


@pytest.mark.parametrize("text", ["city is empty", 'role is "staff" and score > 3 or email is empty'])
def test_of_an_ordinary_rule_nothing_is_told(text: str) -> None:
    assert cautions(_rule(text)) == []


class _Narrow(Generator):
    """Draws rules about one or two fields, so that their conditions have to do with each other."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.keys = self.random.sample([*SUBJECTS], self.random.choice([1, 1, 2]))

    def tree(self, depth: int) -> Unbound:
        if depth == 0 or self.random.random() < 0.3:
            key = self.random.choice(self.keys)
            operator = self.random.choice(operators_of(SUBJECTS[key]))
            include_missing = self.random.choice([True, False]) if operator.value.negative else None
            return self._unbound(key, operator, include_missing)
        match self.random.randrange(5):
            case 0:
                return UnboundNot(child=self.tree(depth - 1))
            case 1 | 2:
                return UnboundAny(children=[self.tree(depth - 1) for _ in range(self.random.randint(2, 4))])
            case _:
                return UnboundAll(children=[self.tree(depth - 1) for _ in range(self.random.randint(2, 4))])

    def rule(self, depth: int = 2) -> Rule:
        while True:
            try:
                return build(self.tree(depth), FIELDS, SETTINGS, LIMITS)
            except ShoalError:
                continue

    def contacts_near(self, rule: Rule) -> Iterator[dict[str, Any]]:
        """Contacts whose values are the rule's own operands, and what can be made of them."""
        for _ in range(40):
            contact = self.contact(odd=0)
            normal = contact.setdefault("normal", {})
            for condition in conditions(rule):
                subject, operands = condition.subject, condition.operands
                if not operands or self.random.random() < 0.3:
                    continue
                value: Any = self.random.choice(operands)
                if subject.type is FieldType.TAGS:
                    tags = {
                        str(operand)
                        for operand in self.random.sample(operands, self.random.randint(1, len(operands)))
                    }
                    value = sorted(tags | set(normal.get(subject.key, [])))
                elif (
                    isinstance(value, str)
                    and subject.type is not FieldType.DATE
                    and self.random.random() < 0.5
                ):
                    value = f"{normal.get(subject.key, '')}{value}"
                elif isinstance(value, datetime):
                    value += timedelta(milliseconds=self.random.choice([0, 0, 1]) if value.year < 9999 else 0)
                if subject.is_field:
                    normal[subject.key] = value
                else:
                    contact[subject.path] = value
            yield contact


def test_the_narrow_rules_give_every_kind_of_warning() -> None:
    kinds = Counter(caution.kind for seed in range(400) for caution in cautions(_Narrow(seed).rule()))
    assert all(kinds[kind] >= 30 for kind in (Kind.NEVER_MATCHES, Kind.ALWAYS_MATCHES, Kind.ADDS_NOTHING)), (
        kinds
    )


@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_nothing_is_told_that_is_not_so(seed: int) -> None:
    generator = _Narrow(seed)
    rule = generator.rule()
    contacts = list(generator.contacts_near(rule))
    for caution in cautions(rule):
        about = to_predicate(caution.about)
        match caution.kind:
            case Kind.NEVER_MATCHES:
                assert not any(map(about, contacts)), caution.message
            case Kind.ALWAYS_MATCHES:
                assert all(map(about, contacts)), caution.message
            case _:
                without = to_predicate(_without(caution.about, caution.parts[0]))
                assert [about(contact) for contact in contacts] == [
                    without(contact) for contact in contacts
                ], caution.message


def _without(rule: Rule, needless: Rule) -> Rule:
    assert isinstance(rule, (All, AnyOf))
    children = list(rule.children)
    children.remove(needless)
    return all_of(children) if isinstance(rule, All) else any_of(children)


@given(st.integers(0, 2**32))
def test_any_rule_can_be_looked_at(seed: int) -> None:
    rule = Generator(seed).rule(depth=4)
    for caution in cautions(rule):
        assert caution.message.endswith(".")
        assert caution.parts


@pytest.mark.parametrize(
    "text",
    [
        " and ".join(f"score is not {number}" for number in range(250)),
        " or ".join(f'city contains "{number}"' for number in range(250)),
        " and ".join(f'interests has any of ("{number}", "x")' for number in range(250)),
        " and ".join(
            f"score is none of ({', '.join(str(number) for number in range(start, start + 1_000))})"
            for start in range(0, 15_000, 1_000)
        ),
        " and ".join(f"(score < {number} or score is not {number + 1})" for number in range(125)),
    ],
    ids=range(5),
)
def test_the_largest_rules_take_little_time(text: str) -> None:
    rule = _rule(text)
    began = process_time()
    cautions(rule)
    assert process_time() - began < 5


def test_what_has_to_be_counted_is_said_with_what_the_count_means() -> None:
    rule = _rule('role is not "staff" and (score is 1 or not city is none of ("a"))')
    role, city = 'role is not "staff" {} missing', 'city is none of ("a") {} missing'
    whole = f"{role} and (score is 1 or not ({city}))"
    asked = questions(rule)
    assert [to_text(question.counted) for question in asked] == [
        "role is not empty",
        "score is not empty",
        "city is not empty",
        f"{whole.format('including', 'including')} and not ({whole.format('excluding', 'including')})",
        f"{whole.format('including', 'including')} and not ({whole.format('including', 'excluding')})",
    ]
    assert [question.told(5) for question in asked[:3]] + [question.told(0) for question in asked[3:]] == [
        None
    ] * 5
    fields = [question.told(0) for question in asked[:3]]
    assert [caution.message for caution in fields if caution is not None] == [
        f"No contact has a value in “{key}”, which the rule asks for." for key in ("role", "score", "city")
    ]
    lacks = [question.told(1_200) for question in asked[3:]]
    assert [caution.message for caution in lacks if caution is not None] == [
        f"“{condition.format('including')}” takes in 1,200 contacts only for lack of a value; “excluding missing” would"
        " leave them out."
        for condition in (role, city)
    ]


@given(st.integers(0, 2**32))
def test_what_is_counted_for_lack_of_a_value_are_contacts_of_the_rule_without_one(seed: int) -> None:
    generator = Generator(seed)
    rule = generator.rule()
    matches = to_predicate(rule)
    contacts = [generator.contact(odd=0) for _ in range(20)]
    for question in questions(rule):
        caution = question.told(7) or question.told(0)
        assert caution is not None
        counted = [contact for contact in contacts if to_predicate(question.counted)(contact)]
        if caution.kind is Kind.LACK_OF_A_VALUE:
            (condition,) = conditions(caution.parts[0])
            assert all(matches(contact) for contact in counted)
            assert not any(condition.subject.key in contact.get("normal", {}) for contact in counted)


def test_the_contact_s_own_times_are_never_missing() -> None:
    assert questions(_rule("created after 2026-01-01T00:00:00Z")) == []
