from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import ShoalError
from domain.fields import FieldType, Settings
from domain.fields.phones import begins_a_number
from domain.rules.build import Unbound, UnboundAll, UnboundAny, UnboundNot, build
from domain.rules.calendar import Now
from domain.rules.canonical import audience_text, to_text
from domain.rules.moving import at
from domain.rules.operators import operators_of
from domain.rules.predicate import to_predicate
from domain.rules.text import parse
from domain.rules.tree import All, AnyOf, AudienceKind, Rule, all_of, any_of, conditions
from domain.rules.warnings import Caution, Kind, cautions, questions
from tests import pace
from tests.domain.rules.generate import AUDIENCES, FIELDS, LIMITS, SETTINGS, SUBJECTS, Generator


def _rule(text: str) -> Rule:
    return parse(text, FIELDS, SETTINGS, LIMITS, AUDIENCES)


def _cautions(text: str) -> list[Caution]:
    return cautions(_rule(text), NOW, AUDIENCES.name)


def _found(text: str) -> list[tuple[str, str]]:
    return [
        (caution.kind.name, " ; ".join(to_text(part, AUDIENCES.name) for part in caution.parts))
        for caution in _cautions(text)
    ]


# A Sunday.
NOW = Now(instant=datetime(2026, 5, 10, 8, tzinfo=UTC), settings=SETTINGS)

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
    "created is empty",
    "city is empty and updated is empty",
    'phone starts with "020"',
    'phone starts with "44" and city is empty',
    'phone starts with "+0"',
    'in any of (group "VIP") and in none of (group "VIP")',
    'in all of (group "VIP", segment "Lapsed") and in none of (group "VIP", segment "VIP")',
    'in any of (group "VIP", segment "VIP") and not (in any of (group "VIP")) and not (in any of (segment "VIP"))',
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
    'phone starts with "+44"',
    'phone starts with "+"',
    'phone contains "020" and phone ends with "44"',
    'phone starts with "+44" and phone contains "020"',
    'in any of (group "VIP", segment "Lapsed") and in none of (group "VIP")',
    'in any of (group "VIP") and in none of (segment "VIP")',
]


@pytest.mark.parametrize("text", NEVER)
def test_what_no_contact_can_match_is_told(text: str) -> None:
    (caution,) = _cautions(text)
    assert caution.kind is Kind.NEVER_MATCHES
    assert caution.about == _rule(text)
    assert caution.message.endswith("The whole rule matches nobody.")


NEVER_NOW = [
    "last_seen in the last 7 days and last_seen more than 90 days ago",
    "last_seen in the last 2 hours and last_seen last week",
    "last_seen this month and last_seen more than 10 days ago",
    "last_seen in the next 1 day and last_seen last day",
    "birthdate in the last 7 days and birthdate after 2027-01-01",
    "birthdate more than 100000 years ago",
    "birthdate anniversary today and birthdate anniversary in month 6",
    "birthdate anniversary today and birthdate is empty",
    "birthdate anniversary in the next 7 days and birthdate on 2020-02-29",
    "birthdate anniversary in month 12 and birthdate between 2020-01-01 and 2020-11-30",
    "created in the next 5 minutes and created in the last 5 days and created before 2026-05-10T08:00:00Z",
]

POSSIBLE_NOW = [
    "last_seen in the last 7 days and last_seen more than 5 days ago",
    "last_seen this day and last_seen in the next 1 hour",
    "birthdate anniversary in month 5 and birthdate anniversary today",
    "birthdate anniversary today and birthdate after 9999-01-01",
    "birthdate anniversary in month 2 and birthdate between 2020-02-29 and 2020-03-02",
    "birthdate anniversary in the last 1 year and birthdate anniversary in month 6",
]


@pytest.mark.parametrize("text", NEVER_NOW)
def test_what_no_contact_can_match_at_an_instant_is_told_as_of_then(text: str) -> None:
    (caution,) = [each for each in cautions(_rule(text), NOW) if each.kind is not Kind.ADDS_NOTHING]
    assert caution.kind is Kind.NEVER_MATCHES
    assert caution.about == _rule(text)
    assert caution.message.startswith("Right now no contact matches ")


@pytest.mark.parametrize("text", POSSIBLE_NOW)
def test_what_a_contact_can_match_at_an_instant_is_not_told_to_match_nobody(text: str) -> None:
    assert [kind for kind, _ in _found(text) if kind != "ADDS_NOTHING"] == []


def test_what_adds_nothing_at_an_instant_is_told_as_of_then() -> None:
    (caution,) = cautions(_rule("last_seen in the last 7 days and last_seen in the last 1 month"), NOW)
    assert caution.message == (
        "Right now “last_seen in the last 1 month” changes nothing: it holds wherever “last_seen in the last 7 days” does."
    )


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
        "updated is not empty",
        'phone does not start with "020"',
        'in none of (group "VIP") or in any of (group "VIP", segment "Lapsed")',
    ],
)
def test_what_every_contact_matches_is_told(text: str) -> None:
    (caution,) = _cautions(text)
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
    (caution,) = cautions(_rule('city is "a" or score is 1 and score is 2'), NOW)
    assert caution.message == (
        "No contact matches “score is 1” and “score is 2” at once. "
        "The part “score is 1 and score is 2” matches nobody."
    )


def test_where_each_alternative_is_hopeless_each_is_told_with_its_reason() -> None:
    whole, first, second = cautions(
        _rule('city is empty and (score is 1 and score is 2 or role is "staff" and role is empty)'), NOW
    )
    hopeless = '“score is 1 and score is 2 or role is "staff" and role is empty”'
    assert whole.message == f"No contact matches {hopeless}. The whole rule matches nobody."
    assert [to_text(first.about), to_text(second.about)] == [
        "score is 1 and score is 2",
        'role is "staff" and role is empty',
    ]


def test_messages_are_sentences() -> None:
    def said(text: str) -> list[str]:
        return [caution.message for caution in cautions(_rule(text), NOW)]

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
    (caution,) = cautions(_rule(f"{excluded} and score is any of (1, 2)"), NOW)
    assert len(caution.parts) == 101
    assert caution.message.endswith("” and 96 others at once. The whole rule matches nobody.")


@pytest.mark.parametrize("text", ["city is empty", 'role is "staff" and score > 3 or email is empty'])
def test_of_an_ordinary_rule_nothing_is_told(text: str) -> None:
    assert cautions(_rule(text), NOW) == []


class _Narrow(Generator):
    """Draws rules about one or two fields, so that their conditions have to do with each other."""

    def __init__(self, seed: int, *, refers: bool = False) -> None:
        super().__init__(seed)
        self.keys = self.random.sample([*SUBJECTS], self.random.choice([1, 1, 2]))
        if refers:
            self.refer()

    def tree(self, depth: int) -> Unbound:
        if depth == 0 or self.random.random() < 0.3:
            if self.referable and self.random.random() < 0.3:
                return self.membership()
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
                return build(self.tree(depth), FIELDS, SETTINGS, LIMITS, AUDIENCES)
            except ShoalError:
                continue

    def contacts_near(self, rule: Rule, now: Now) -> Iterator[dict[str, Any]]:
        """Contacts whose values are the rule's own operands, and what can be made of them."""
        self.aim([rule], now)
        for _ in range(40):
            contact = self.contact(odd=0)
            normal = contact.setdefault("normal", {})
            for condition in conditions(rule):
                subject, operands = condition.subject, condition.operands
                # What has to do with the time is near it already.
                timely = subject.type in (FieldType.DATE, FieldType.DATETIME)
                if not operands or timely or self.random.random() < 0.3:
                    continue
                value: Any = self.random.choice(operands)
                if subject.type is FieldType.TAGS:
                    tags = {
                        str(operand)
                        for operand in self.random.sample(operands, self.random.randint(1, len(operands)))
                    }
                    value = sorted(tags | set(normal.get(subject.key, [])))
                elif isinstance(value, str) and self.random.random() < 0.5:
                    value = f"{normal.get(subject.key, '')}{value}"
                if subject.type is FieldType.PHONE and not begins_a_number(value):
                    value = f"+1{value}"
                normal[subject.key] = value
            yield contact


def test_the_narrow_rules_give_every_kind_of_warning() -> None:
    kinds = Counter(caution.kind for seed in range(400) for caution in cautions(_Narrow(seed).rule(), NOW))
    assert all(kinds[kind] >= 30 for kind in (Kind.NEVER_MATCHES, Kind.ALWAYS_MATCHES, Kind.ADDS_NOTHING)), (
        kinds
    )


@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_nothing_is_told_that_is_not_so(seed: int) -> None:
    generator = _Narrow(seed, refers=seed % 3 == 0)
    rule, now = generator.rule(), generator.now()
    contacts = list(generator.contacts_near(generator.followed(rule), now))
    for caution in cautions(rule, now, AUDIENCES.name):
        about = to_predicate(at(generator.followed(caution.about), now))
        match caution.kind:
            case Kind.NEVER_MATCHES:
                assert not any(map(about, contacts)), caution.message
            case Kind.ALWAYS_MATCHES:
                assert all(map(about, contacts)), caution.message
            case _:
                without = generator.followed(_without(caution.about, caution.parts[0]))
                judged = to_predicate(at(without, now))
                assert [about(contact) for contact in contacts] == [
                    judged(contact) for contact in contacts
                ], caution.message


def _without(rule: Rule, needless: Rule) -> Rule:
    assert isinstance(rule, (All, AnyOf))
    children = list(rule.children)
    children.remove(needless)
    return all_of(children) if isinstance(rule, All) else any_of(children)


@given(st.integers(0, 2**32))
def test_any_rule_can_be_looked_at(seed: int) -> None:
    generator = Generator(seed, refers=True)
    for caution in cautions(generator.rule(depth=4), generator.now(), AUDIENCES.name):
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
    with pace.at_most(1_000):
        cautions(rule, NOW)


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
    generator = Generator(seed, refers=seed % 3 == 0)
    rule, now = generator.rule(), generator.now()
    matches = to_predicate(at(generator.followed(rule), now))
    contacts = [generator.contact(odd=0) for _ in range(20)]
    for question in questions(rule):
        caution = question.told(7) or question.told(0)
        assert caution is not None
        counts = to_predicate(at(generator.followed(question.counted), now))
        counted = [contact for contact in contacts if counts(contact)]
        if caution.kind is Kind.LACK_OF_A_VALUE:
            (condition,) = conditions(caution.parts[0])
            assert all(matches(contact) for contact in counted)
            assert not any(condition.subject.key in contact.get("normal", {}) for contact in counted)


@pytest.mark.parametrize(
    ("part", "region", "instead"),
    [
        ("020", "GB", "Write “+4420”"),
        ("0044", "GB", "Write “+44”"),
        ("0044", "US", "Write “+44”"),
        ("44", "GB", "Begin with “+” and the country's code"),
    ],
)
def test_a_beginning_of_phone_numbers_that_none_has_is_told_with_what_is_meant(
    part: str, region: str, instead: str
) -> None:
    now = replace(NOW, settings=Settings(region=region))
    (caution,) = cautions(_rule(f'phone starts with "{part}"'), now)
    assert caution.message == (
        "Phone numbers are compared in international form, such as +442079460958; none starts with"
        f" “{part}”. {instead}. The whole rule matches nobody."
    )


def test_what_a_not_takes_in_for_lack_of_a_value_is_counted() -> None:
    rule = _rule('not (role is "staff" and (score is 1 or not (city is "a"))) and not (email is not empty)')
    asked = [question for question in questions(rule) if question.told(1) is not None]
    assert [to_text(question.counted).partition(" and not (not (")[2] for question in asked] == [
        '(role is "staff" or role is empty) and (score is 1 or not (city is "a"))) and not (email is not empty))',
        'role is "staff" and (score is 1 or score is empty or not (city is "a"))) and not (email is not empty))',
    ]
    caution = asked[0].told(2)
    assert caution is not None
    assert (caution.kind, caution.parts) == (Kind.LACK_OF_A_VALUE, (_rule('role is "staff"'),))
    assert caution.message == (
        '“role is "staff"” within “not (…)” takes in 2 contacts only for lack of a value;'
        ' “role is "staff" or role is empty” in its place would leave them out.'
    )


def test_who_asks_for_dates_to_come_that_nobody_has_is_told_of_anniversaries() -> None:
    (_, ahead) = questions(_rule("birthdate in the next 2 weeks"))
    assert to_text(ahead.counted) == "birthdate in the next 2 weeks"
    assert ahead.told(1) is None
    caution = ahead.told(0)
    assert caution is not None
    assert caution.kind is Kind.NOBODY_AHEAD
    assert caution.message.endswith("“birthdate anniversary in the next 2 weeks” asks.")
    assert len(questions(_rule("last_seen in the next 2 weeks"))) == 1


def test_what_a_reference_means_is_not_looked_into() -> None:
    def told(text: str) -> list[str]:
        return [caution.message for caution in _cautions(text)]

    assert told('in any of (segment "Lapsed", group "VIP") and in any of (segment "Lapsed")') == [
        '“in any of (segment "Lapsed", group "VIP")” changes nothing: it holds wherever “in any of (segment "Lapsed")” does.'
    ]
    many = ", ".join(audience_text(kind, name) for kind in AudienceKind for name in AUDIENCES.names(kind))
    assert told(f"in any of ({many}) and in none of ({many})") == []
    assert told('(city is "a" or in any of (group "VIP")) and city is "b"') == []
    assert told('in any of (group "vip") and city is empty and in any of (group "VIP")') == [
        '“in any of (group "VIP")” stands here twice. Once is enough.'
    ]
    (never,) = told('(city is "a" or in any of (group "VIP")) and (score is 1 and score is 2)')
    assert never.endswith("The whole rule matches nobody.")


def test_the_contact_s_own_times_are_never_missing() -> None:
    assert questions(_rule("created after 2026-01-01T00:00:00Z")) == []
