"""RULES.md, sections 2 and 4, line by line: each test quotes the line or cell that it holds.

Section 1 is held beside the fields. What is about references between audiences stands with those.
"""

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from domain.contact import new_document
from domain.errors import InvalidRule, InvalidValue, LimitExceeded, RuleSyntaxError, ShoalError, UnknownField
from domain.fields import (
    RESERVED_KEYS,
    Field,
    FieldRegistry,
    FieldType,
    LeapDay,
    Settings,
    Weekday,
    field_key,
    normalize,
)
from domain.rules.build import Unbound, UnboundAll, UnboundAny, UnboundCondition, UnboundNot, build
from domain.rules.calendar import Now
from domain.rules.canonical import to_text
from domain.rules.moving import at, flips, next_turn
from domain.rules.operators import Operator, Shape
from domain.rules.predicate import to_predicate
from domain.rules.text import parse
from domain.rules.tree import All, Limits, Rule
from domain.store.log import Reason

US = Settings()
NOW = Now(instant=datetime(2026, 5, 10, 12, tzinfo=UTC), settings=US)

FIELDS = FieldRegistry(
    [
        Field(key="name", label="Name", type=FieldType.TEXT),
        Field(key="role", label="Role", type=FieldType.CHOICE, options=("Senator", "Customer", "Staff")),
        Field(key="status", label="Status", type=FieldType.CHOICE),
        Field(key="department", label="Department", type=FieldType.CHOICE),
        Field(key="score", label="Score", type=FieldType.NUMBER),
        Field(key="newsletter", label="Newsletter", type=FieldType.BOOLEAN),
        Field(key="last_seen", label="Last seen", type=FieldType.DATETIME),
        Field(key="interests", label="Interests", type=FieldType.TAGS),
    ]
)


def _rule(text: str, limits: Limits = Limits()) -> Rule:  # noqa: B008 # frozen
    return parse(text, FIELDS, US, limits)


def _contact(**values: Any) -> dict[str, Any]:
    """A contact as it is stored when these values are entered."""
    entries = {key: normalize(FIELDS[key], value, US) for key, value in values.items()}
    return new_document(ObjectId(), None, entries, Reason.CONTACT_CREATED)


def _matches(text: str, now: Now = NOW, **values: Any) -> bool:
    return to_predicate(at(_rule(text), now))(_contact(**values))


# ---- 2. Operators --------------------------------------------------------------------------------------------------

EVERY: list[tuple[FieldType, str, Any]] = [
    (FieldType.TEXT, "name", "a"),
    (FieldType.EMAIL, "email", "a@x.org"),
    (FieldType.PHONE, "phone", "(202) 224-3441"),
    (FieldType.NUMBER, "score", 0),
    (FieldType.BOOLEAN, "newsletter", False),
    (FieldType.DATE, "birthdate", "1965-01-01"),
    (FieldType.DATETIME, "last_seen", "2026-05-03T10:00:00Z"),
    (FieldType.CHOICE, "role", "Staff"),
    (FieldType.TAGS, "interests", ["a"]),
]


@pytest.mark.parametrize(("type_", "key", "value"), EVERY)
def test_every_type_is_asked_for_emptiness(type_: FieldType, key: str, value: Any) -> None:
    """“every type | `F is empty` · `F is not empty`”"""
    assert FIELDS[key].type is type_
    assert (_matches(f"{key} is empty"), _matches(f"{key} is not empty")) == (True, False)
    assert (_matches(f"{key} is empty", **{key: value}), _matches(f"{key} is not empty", **{key: value})) == (
        False,
        True,
    )


# Of each cell of the table its words, a condition, a value that it matches, one that it does not, and whether it matches none.
CELLS: list[tuple[str, str, Any, Any, bool]] = [
    ('text, email, phone, choice: F is "x"', 'name is "X"', "x", "y", False),
    ('F is not "x"', 'email is not "A@x.org"', "b@x.org", "a@x.org", True),
    (
        'F is any of ("x", "y")',
        'phone is any of ("(202) 224-3441", "(202) 224-3442")',
        "+12022243441",
        "+12022243443",
        False,
    ),
    ('F is none of ("x", "y")', 'role is none of ("staff", "senator")', "Customer", "Staff", True),
    ('text, email, phone: F contains "x"', 'name contains "X"', "axa", "aya", False),
    ('F does not contain "x"', 'email does not contain "ann"', "bob@x.org", "ann@x.org", True),
    ('F starts with "x"', 'phone starts with "+1 202"', "(202) 224-3441", "+49 30 901820", False),
    ('F does not start with "x"', 'name does not start with "x"', "ax", "xa", True),
    ('F ends with "x"', 'email ends with ".org"', "a@x.org", "a@x.com", False),
    ('F does not end with "x"', 'name does not end with "x"', "xa", "ax", True),
    (
        'email: F domain is any of ("x.org")',
        'email domain is any of ("x.org")',
        "a@X.org",
        "a@sub.x.org",
        False,
    ),
    ('F domain is none of ("x.org")', 'email domain is none of ("x.org")', "a@sub.x.org", "a@x.org", True),
    ("number: F is 3", "score is 3", 3.0, 4, False),
    ("F is not 3", "score is not 3", 4, 3, True),
    ("F < 3", "score < 3", 2.9, 3, False),
    ("F <= 3", "score <= 3", 3, 3.1, False),
    ("F > 3", "score > 3", 3.1, 3, False),
    ("F >= 3", "score >= 3", 3, 2.9, False),
    ("F between 3 and 7.5 (both ends in): the first", "score between 3 and 7.5", 3, 2.9, False),
    ("F between 3 and 7.5 (both ends in): the second", "score between 3 and 7.5", 7.5, 7.6, False),
    ("F is any of (1, 2)", "score is any of (1, 2)", 2, 3, False),
    ("F is none of (1, 2)", "score is none of (1, 2)", 3, 2, True),
    ("boolean: F is true", "newsletter is true", True, False, False),
    ("F is false", "newsletter is false", False, True, False),
    ("F is not true (false or empty)", "newsletter is not true", False, True, True),
    ("with `excluding missing`, false", "newsletter is not true excluding missing", False, True, False),
    ("F is not false", "newsletter is not false", True, False, True),
    ("date: F on 2020-02-29", "birthdate on 2020-02-29", "2020-02-29", "2020-02-28", False),
    ("F not on 2020-02-29", "birthdate not on 2020-02-29", "2020-02-28", "2020-02-29", True),
    ("F before …", "birthdate before 2020-02-29", "2020-02-28", "2020-02-29", False),
    ("F after …", "birthdate after 2020-02-29", "2020-03-01", "2020-02-29", False),
    ("F on or before …", "birthdate on or before 2020-02-29", "2020-02-29", "2020-03-01", False),
    ("F on or after …", "birthdate on or after 2020-02-29", "2020-02-29", "2020-02-28", False),
    (
        "F between … (both ends in): first",
        "birthdate between 2020-01-01 and 2020-12-31",
        "2020-01-01",
        "2019-12-31",
        False,
    ),
    (
        "F between … (both ends in): last",
        "birthdate between 2020-01-01 and 2020-12-31",
        "2020-12-31",
        "2021-01-01",
        False,
    ),
    (
        "datetime: F before 2026-05-03T10:00:00Z",
        "last_seen before 2026-05-03T10:00:00Z",
        "2026-05-03T09:59:59.999Z",
        "2026-05-03T10:00:00Z",
        False,
    ),
    (
        "F after … (datetime)",
        "last_seen after 2026-05-03T10:00:00Z",
        "2026-05-03T10:00:00.001Z",
        "2026-05-03T10:00:00Z",
        False,
    ),
    (
        "F at or before …",
        "last_seen at or before 2026-05-03T10:00:00Z",
        "2026-05-03T12:00:00+02:00",
        "2026-05-03T10:00:00.001Z",
        False,
    ),
    (
        "F at or after …",
        "last_seen at or after 2026-05-03T10:00:00Z",
        "2026-05-03T10:00:00Z",
        "2026-05-03T09:59:59.999Z",
        False,
    ),
    (
        "F between … and … (start in)",
        "last_seen between 2026-05-03T10:00:00Z and 2026-05-04T10:00:00Z",
        "2026-05-03T10:00:00Z",
        "2026-05-03T09:59:59Z",
        False,
    ),
    (
        "F between … and … (end out)",
        "last_seen between 2026-05-03T10:00:00Z and 2026-05-04T10:00:00Z",
        "2026-05-04T09:59:59.999Z",
        "2026-05-04T10:00:00Z",
        False,
    ),
    # At noon of Sunday, 10 May 2026, in UTC.
    (
        "date, datetime, moving: F in the last 7 days",
        "birthdate in the last 7 days",
        "2026-05-04",
        "2026-05-03",
        False,
    ),
    ("F in the next 2 weeks", "birthdate in the next 2 weeks", "2026-05-23", "2026-05-24", False),
    (
        "F more than 90 days ago",
        "last_seen more than 90 days ago",
        "2026-02-08T23:59:59Z",
        "2026-02-09T00:00:00Z",
        False,
    ),
    ("F more than 3 months ahead", "birthdate more than 3 months ahead", "2026-08-11", "2026-08-10", False),
    (
        "hours … for datetime",
        "last_seen in the last 3 hours",
        "2026-05-10T09:00:00Z",
        "2026-05-10T08:59:59Z",
        False,
    ),
    (
        "minutes for datetime",
        "last_seen in the next 30 minutes",
        "2026-05-10T12:30:00Z",
        "2026-05-10T12:30:01Z",
        False,
    ),
    ("F this month", "last_seen this month", "2026-05-31T23:59:59Z", "2026-06-01T00:00:00Z", False),
    ("F last quarter", "birthdate last quarter", "2026-03-31", "2026-04-01", False),
    ("F next year", "birthdate next year", "2027-12-31", "2026-12-31", False),
    ("(day, …)", "birthdate this day", "2026-05-10", "2026-05-11", False),
    ("(…, week, …)", "birthdate next week", "2026-05-11", "2026-05-10", False),
    ("date, yearly: F anniversary today", "birthdate anniversary today", "1965-05-10", "1965-05-11", False),
    (
        "F anniversary in the next 14 days",
        "birthdate anniversary in the next 14 days",
        "1965-05-23",
        "1965-05-24",
        False,
    ),
    (
        "F anniversary in the last 7 days",
        "birthdate anniversary in the last 7 days",
        "1965-05-04",
        "1965-05-03",
        False,
    ),
    ("F anniversary in month 5", "birthdate anniversary in month 5", "1965-05-31", "1965-06-01", False),
    ('tags: F has any of ("x", "y")', 'interests has any of ("x", "Y")', ["y"], ["z"], False),
    ('F has all of ("x", "y")', 'interests has all of ("x", "y")', ["x", "y", "z"], ["x"], False),
    ('F has none of ("x", "y")', 'interests has none of ("x", "y")', ["z"], ["x", "z"], True),
    (
        'F lacks any of ("x", "y") (at least one is not there)',
        'interests lacks any of ("x", "y")',
        ["x"],
        ["x", "y"],
        True,
    ),
]


@pytest.mark.parametrize(
    ("cell", "text", "inside", "outside", "missing"), CELLS, ids=[cell for cell, *_ in CELLS]
)
def test_each_operator_of_the_table_means_what_its_cell_says(
    *, cell: str, text: str, inside: Any, outside: Any, missing: bool
) -> None:
    """The table of section 2, one operator of it."""
    key = text.split(maxsplit=1)[0]
    assert _matches(text, **{key: inside}), cell
    assert not _matches(text, **{key: outside}), cell
    assert _matches(text) is missing, cell


def test_the_contact_s_own_times_are_asked_as_datetimes() -> None:
    """“the contact itself | … `created …` and `updated …` as datetimes”"""
    contact = {
        "created": datetime(2026, 5, 10, 11, tzinfo=UTC),
        "updated": datetime(2026, 5, 10, 12, tzinfo=UTC),
    }
    for text, holds in {
        "created before 2026-05-10T12:00:00Z": True,
        "updated at or after 2026-05-10T12:00:01Z": False,
        "created in the last 1 hour": True,
        "created in the last 59 minutes": False,
        "updated this day": True,
    }.items():
        assert to_predicate(at(_rule(text), NOW))(contact) is holds
    with pytest.raises(InvalidRule):
        _rule("created anniversary today")


def test_hours_and_minutes_are_for_datetimes_only() -> None:
    """“(days, weeks, months, years; hours and minutes for datetime)”"""
    for unit in ("days", "weeks", "months", "years"):
        _rule(f"birthdate in the last 3 {unit} and last_seen in the last 3 {unit}")
    for unit in ("hours", "minutes"):
        _rule(f"last_seen in the last 3 {unit}")
        with pytest.raises(InvalidValue, match="days, weeks, months or years"):
            _rule(f"birthdate in the last 3 {unit}")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ('name is "  ACME  GmbH "', 'name is "acme gmbh"'),
        ('phone is "(202) 224-3441"', 'phone is "+12022243441"'),
        ('role is "SENATOR"', 'role is "senator"'),
        ("score is 3.0", "score is 3"),
        ("last_seen before 2026-05-03T12:00:00+02:00", "last_seen before 2026-05-03T10:00:00Z"),
    ],
)
def test_operands_are_folded_parsed_and_validated_as_values_are(text: str, canonical: str) -> None:
    """“Operands are folded, parsed and validated exactly as values of the field are.”"""
    assert to_text(_rule(text)) == canonical


@pytest.mark.parametrize(
    "text",
    ['role is "consul"', 'email is "nobody"', "birthdate on 2023-02-29", "score is 1e999", 'phone is "12"'],
)
def test_an_operand_that_no_value_can_be_is_refused(text: str) -> None:
    """“Operands are … validated exactly as values of the field are.”"""
    with pytest.raises(InvalidValue):
        _rule(text)


NEGATIVE = {
    "is not": 'name is not "x"',
    "is none of": 'name is none of ("x")',
    "does not contain": 'name does not contain "x"',
    "does not start with": 'name does not start with "x"',
    "does not end with": 'name does not end with "x"',
    "not on": "birthdate not on 2020-02-29",
    "has none of": 'interests has none of ("x")',
    "lacks any of": 'interests lacks any of ("x")',
    "domain is none of": 'email domain is none of ("x.org")',
}


@pytest.mark.parametrize("words", [operator.value.words for operator in Operator if operator.value.negative])
def test_every_negative_operator_includes_missing_values_by_default(words: str) -> None:
    """“Every negative operator (…) carries `includeMissing`, **true by default**”; “The canonical text always says which it is, by
    a closing `including missing` or `excluding missing`; a text that leaves it out means including.”"""
    text = NEGATIVE[words]
    assert _matches(text)
    assert _matches(f"{text} including missing")
    assert not _matches(f"{text} excluding missing")
    assert to_text(_rule(text)) == f"{text} including missing"
    assert to_text(_rule(f"{text} excluding missing")) == f"{text} excluding missing"


def test_role_is_not_staff_includes_contacts_without_a_role() -> None:
    """“"role is not Staff" includes contacts without a role”"""
    assert _matches('role is not "Staff"')
    assert set(NEGATIVE) == {operator.value.words for operator in Operator if operator.value.negative}


@pytest.mark.parametrize(
    "operator", [operator for operator in Operator if operator.value.shape is Shape.MANY]
)
def test_an_empty_operand_list_is_an_error(operator: Operator) -> None:
    """“**Empty operand lists** are an error, never "matches nothing" or "matches all".”"""
    type_ = next(type_ for type_ in FieldType if type_ in operator.value.types)
    key = next(key for key, field in FIELDS.items() if field.type is type_)
    with pytest.raises(InvalidRule, match="at least one value"):
        build(UnboundCondition(field=key, operator=operator), FIELDS, US, Limits())
    with pytest.raises(RuleSyntaxError):
        _rule(f"{key} {operator.value.words} ()")
    for empty in (UnboundAll(children=[]), UnboundAny(children=[])):
        with pytest.raises(InvalidRule):
            build(empty, FIELDS, US, Limits())


def test_trees_are_nested_to_depth_10_and_have_at_most_250_conditions() -> None:
    """“nested to depth 10, at most 250 conditions …; each limit is a setting and its error names it”"""
    deep = "score is 1"
    for level in range(10):
        deep = f"(score is 2 {'and' if level % 2 else 'or'} {deep})"
    _rule(deep)
    with pytest.raises(LimitExceeded, match="depth of 10"):
        _rule(f"not ({deep})")
    many = " or ".join(f"score is {number}" for number in range(250))
    _rule(many)
    with pytest.raises(LimitExceeded, match="250 conditions"):
        _rule(f"{many} or score is 250")
    with pytest.raises(LimitExceeded, match="2 conditions"):
        _rule("score is 1 or score is 2 or score is 3", Limits(conditions=2))
    with pytest.raises(LimitExceeded, match="depth of 1 at most"):
        _rule("not (score is 1 or score is 2)", Limits(depth=1))


def test_one_meaning_has_one_tree() -> None:
    """“Building a tree flattens `all` in `all`, unwraps single children and drops double `not`, so that one meaning has one
    tree.”"""
    one, two, three = (
        UnboundCondition(field="score", operator=Operator.IS, operands=[number]) for number in (1, 2, 3)
    )

    def built(unbound: Unbound) -> Rule:
        return build(unbound, FIELDS, US, Limits())

    nested = built(UnboundAll(children=[one, UnboundAll(children=[two, three])]))
    assert isinstance(nested, All)
    assert nested == built(UnboundAll(children=[one, two, three]))
    assert built(UnboundAny(children=[one, UnboundAny(children=[two, three])])) == built(
        UnboundAny(children=[one, two, three])
    )
    assert built(UnboundAll(children=[one])) == built(UnboundAny(children=[one])) == built(one)
    assert built(UnboundNot(child=UnboundNot(child=one))) == built(one)


def test_a_day_is_one_in_the_account_s_time_zone() -> None:
    """“A day is a calendar day in the account's time zone.”"""
    late = datetime(2026, 5, 10, 22, 30, tzinfo=UTC)
    berlin, new_york = (
        Now(instant=late, settings=Settings(time_zone=zone)) for zone in ("Europe/Berlin", "America/New_York")
    )
    assert _matches("birthdate this day", berlin, birthdate="2026-05-11")
    assert _matches("birthdate this day", new_york, birthdate="2026-05-10")


def test_in_the_last_7_days_on_the_10th_is_the_4th_to_the_10th() -> None:
    """“"In the last 7 days" on the 10th is the 4th to the 10th: today counts, both for last and for next.”"""
    days = [f"2026-05-{day:02}" for day in range(1, 25)]
    assert [day for day in days if _matches("birthdate in the last 7 days", birthdate=day)] == days[3:10]
    assert [day for day in days if _matches("birthdate in the next 7 days", birthdate=day)] == days[9:16]


def test_weeks_begin_on_the_account_s_first_weekday() -> None:
    """“Weeks begin on the account's first weekday.”"""
    sunday = Now(instant=NOW.instant, settings=Settings(first_weekday=Weekday.SUNDAY))
    days = [f"2026-05-{day:02}" for day in range(1, 25)]
    assert [day for day in days if _matches("birthdate this week", birthdate=day)] == days[3:10]
    assert [day for day in days if _matches("birthdate this week", sunday, birthdate=day)] == days[9:16]


def test_of_datetimes_hours_are_exact_and_days_are_the_calendar_s() -> None:
    """“For datetimes, N hours and minutes are exact durations; N days and larger are calendar days.”"""
    # Noon in Berlin on the day on which clocks went on.
    now = Now(instant=datetime(2025, 3, 30, 10, tzinfo=UTC), settings=Settings(time_zone="Europe/Berlin"))
    assert _matches("last_seen in the last 24 hours", now, last_seen="2025-03-29T10:00:00Z")
    assert not _matches("last_seen in the last 24 hours", now, last_seen="2025-03-29T09:59:59Z")
    assert _matches("last_seen in the last 2 days", now, last_seen="2025-03-28T23:00:00Z")
    assert not _matches("last_seen in the last 2 days", now, last_seen="2025-03-28T22:59:59Z")
    assert _matches("last_seen this day", now, last_seen="2025-03-30T21:59:59Z")
    assert not _matches("last_seen this day", now, last_seen="2025-03-30T22:00:00Z")


def test_29_february_is_observed_on_the_28th_or_on_1_march() -> None:
    """“**29 February** is observed on the 28th in years without it, or on 1 March: an account setting, 28th by default.”"""
    assert US.leap_day is LeapDay.FEBRUARY_28
    march = Settings(leap_day=LeapDay.MARCH_1)
    for day, settings, celebrated in (
        ("2025-02-28", US, True),
        ("2025-03-01", US, False),
        ("2025-02-28", march, False),
        ("2025-03-01", march, True),
        ("2024-02-29", US, True),
        ("2024-02-29", march, True),
        ("2024-02-28", US, False),
        ("2024-03-01", march, False),
    ):
        now = Now(instant=datetime.fromisoformat(f"{day}T12:00:00Z"), settings=settings)
        assert _matches("birthdate anniversary today", now, birthdate="2000-02-29") is celebrated


def test_a_rule_with_a_moving_condition_changes_its_members_although_no_contact_changes() -> None:
    """“A rule with a moving condition changes its members although no contact changes.”"""
    rule = _rule("last_seen in the last 7 days")
    contact = _contact(last_seen="2026-05-05T12:00:00Z")
    turns = datetime(2026, 5, 12, tzinfo=UTC)
    later = Now(instant=datetime(2026, 6, 1, tzinfo=UTC), settings=US)
    assert flips(rule, contact, NOW, later) == [(turns, False)]
    assert next_turn(rule, NOW) == datetime(2026, 5, 11, tzinfo=UTC)


def test_now_is_a_whole_second() -> None:
    """“"Now" is a whole second of the engine's clock.”"""
    with pytest.raises(ValueError, match="whole seconds"):
        Now(instant=datetime(2026, 5, 10, 12, microsecond=1, tzinfo=UTC), settings=US)


# ---- 4. Text form --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ('role is "customer" and email is empty', 'role is "customer" and email is empty'),
        (
            'birthdate on or after 1965-01-01 and newsletter is true and interests has any of ("shoes", "boots")',
            'birthdate on or after 1965-01-01 and newsletter is true and interests has any of ("shoes", "boots")',
        ),
        (
            'status is not "active" including missing and last_seen more than 90 days ago',
            'status is not "active" including missing and last_seen more than 90 days ago',
        ),
        (
            'not (department is any of ("sales", "support"))',
            'not (department is any of ("sales", "support"))',
        ),
    ],
)
def test_the_examples_of_the_text_form_are_canonical(text: str, canonical: str) -> None:
    """“Each rule has one canonical text, with operands in normal form, and each text parses back to the same rule
    (`parse(text(rule)) == rule`)”, and its examples."""
    rule = _rule(text)
    assert to_text(rule) == canonical
    assert _rule(to_text(rule)) == rule


def test_not_binds_before_and_and_and_before_or() -> None:
    """“`not` binds before `and`, `and` before `or`; parentheses as usual.”"""
    one, two, three = "score is 1", "score is 2", "score is 3"
    assert _rule(f"not {one} and {two} or {three}") == _rule(f"((not ({one})) and {two}) or {three}")
    assert _rule(f"{one} or {two} and {three}") == _rule(f"{one} or ({two} and {three})")
    assert _rule(f"({one} or {two}) and {three}") != _rule(f"{one} or {two} and {three}")


def test_key_words_are_in_any_letter_case_and_keys_bare_or_quoted() -> None:
    """“Key words in any letter case; field keys bare, or quoted by back-ticks when they need it”"""
    assert _rule("NOT (Birthdate Is Empty)".replace("Birthdate", "birthdate")) == _rule(
        "not (birthdate is empty)"
    )
    assert _rule("last_seen IN THE LAST 7 DAYS Or `birthdate` Anniversary TODAY") == _rule(
        "last_seen in the last 7 days or birthdate anniversary today"
    )
    fields = FieldRegistry([Field(key="not", label="Not", type=FieldType.TEXT)])
    assert to_text(parse("`not` is empty", fields, US, Limits())) == "`not` is empty"


def test_strings_stand_in_double_quotes_with_backslash_escapes() -> None:
    """“strings in double quotes with backslash escapes”"""
    assert _matches(r'name is "a \"b\" \\ \u00e9"', name='a "b" \\ é')


def test_a_syntax_error_names_line_column_and_what_could_have_stood_there() -> None:
    """“A syntax error names the line, the column, and what could have stood there”"""
    with pytest.raises(RuleSyntaxError) as refused:
        _rule("role is empty\n and last_seen in the last days")
    assert (refused.value.line, refused.value.column) == (2, 28)
    assert refused.value.expected == ("a number",)


def test_an_unknown_field_names_the_nearest_known_ones() -> None:
    """“an unknown field names the nearest known ones”"""
    with pytest.raises(UnknownField, match="Did you mean “birthdate”"):
        _rule("birthdat is empty")


@pytest.mark.parametrize(
    ("header", "taken", "key"),
    [
        ("Contact Form", set(), "contact_form"),
        ("YouTube", set(), "youtube"),
        ("Contact--Form (new)", set(), "contact_form_new"),
        ("Contact Form", {"contact_form"}, "contact_form_2"),
        ("id", set(), "id_2"),
    ],
)
def test_a_header_becomes_a_key(header: str, taken: set[str], key: str) -> None:
    """“a header becomes one by lower-casing and turning each run of other characters into `_` (…); a second of the same key gets
    `_2`; `id`, `key`, `created`, `updated`, `groups` are reserved (`id` -> `id_2`)”"""
    assert field_key(header, taken) == key
    assert {"id", "key", "created", "updated", "groups"} == RESERVED_KEYS


def test_a_key_is_lower_case_ascii_words_joined_by_underscores() -> None:
    """“Field keys are lower-case ASCII words joined by `_`”"""
    Field(key="contact_form_2", label="X", type=FieldType.TEXT)
    for key in ("Contact", "contact-form", "straße", "_x", "x__y", ""):
        with pytest.raises(ShoalError):
            Field(key=key, label="X", type=FieldType.TEXT)
