from collections.abc import Iterable
from random import Random

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from domain.fields import FieldRegistry
from domain.rules.completion import MOST_AUDIENCES, Completion, Kind, complete
from domain.rules.text import begun, to_text
from domain.rules.tree import AudienceKind, Limits
from tests import pace
from tests.domain.rules.generate import AUDIENCES, FIELDS, LIMITS, Generator


def _at(marked: str, fields: FieldRegistry = FIELDS) -> Completion:
    """What completes the text at its “|”."""
    before, _, after = marked.partition("|")
    return complete(before + after, len(before), fields, LIMITS, AUDIENCES)


def _texts(marked: str) -> list[str]:
    return [suggestion.text for suggestion in _at(marked).suggestions]


FIELD_KEYS = [
    *(
        "first_name",
        "last_name",
        "email",
        "phone",
        "birthdate",
        "city",
        "`not`",
        "score",
        "`2nd_score`",
        "newsletter",
    ),
    *("last_seen", "role", "free", "interests", "created", "updated"),
]

MEMBERSHIPS = ["in any of", "in all of", "in none of"]

PLACES: list[tuple[str, list[str]]] = [
    ("|", [*FIELD_KEYS, *MEMBERSHIPS, "not", "("]),
    ("city is empty and |", [*FIELD_KEYS, *MEMBERSHIPS, "not", "("]),
    ("not |", [*FIELD_KEYS, *MEMBERSHIPS, "not", "("]),
    ("(|", [*FIELD_KEYS, *MEMBERSHIPS, "not", "("]),
    ("la|", ["last_name", "last_seen"]),
    ("name|", ["first_name", "last_name"]),
    ("cit|y is empty", ["city"]),
    ("SC|", ["score", "`2nd_score`"][:1]),
    ("2|", ["`2nd_score`"]),
    ("`|", FIELD_KEYS),
    ("`no|", ["`not`"]),
    ("no|", ["`not`", "not"]),
    ("role |", ["is empty", "is not empty", "is", "is not", "is any of", "is none of"]),
    ("role is |", ["empty", "not empty", "not", "any of", "none of", '"Customer"', '"Staff"', '"Straße"']),
    ("role is n|", ["not empty", "not", "none of"]),
    ("role is any |", ["of"]),
    ("role is any of |", ["("]),
    ("role is any of (|", ['"Customer"', '"Staff"', '"Straße"']),
    ('role is any of ("st|', ['"Staff"', '"Straße"']),
    ('role is any of ("STRASSE|', ['"Straße"']),
    ('role is any of ("staff"|', [")", ","]),
    ('role is any of ("staff" |', [")", ","]),
    ("newsletter is |", ["empty", "not empty", "not", "true", "false"]),
    ("newsletter is not |", ["empty", "true", "false"]),
    ("newsletter is tr|", ["true"]),
    (
        "score |",
        [
            "is empty",
            "is not empty",
            "is",
            "is not",
            "is any of",
            "is none of",
            "<",
            "<=",
            ">",
            ">=",
            "between",
        ],
    ),
    ("score <|", ["<", "<="]),
    ("score <= |", []),
    ("score between 3 |", ["and"]),
    (
        "last_seen |",
        [
            *("is empty", "is not empty", "between", "before", "after", "at or before", "at or after"),
            *("in the last", "in the next", "more than", "this", "last", "next"),
        ],
    ),
    ("last_seen in |", ["the last", "the next"]),
    ("last_seen in the |", ["last", "next"]),
    ("last_seen in the last |", []),
    ("last_seen in the last 7 |", ["minutes", "hours", "days", "weeks", "months", "years"]),
    ("last_seen in the last 1 |", ["minute", "hour", "day", "week", "month", "year"]),
    ("last_seen in the last 7 m|", ["minutes", "months"]),
    ("birthdate in the last 7 |", ["days", "weeks", "months", "years"]),
    ("last_seen in the last 7 days |", ["and", "or"]),
    ("last_seen more |", ["than"]),
    ("last_seen more than 7 days |", ["ago", "ahead"]),
    ("last_seen more than 7 days ag|", ["ago"]),
    ("last_seen more than 7 days ago |", ["and", "or"]),
    ("created this |", ["day", "week", "month", "quarter", "year"]),
    ("created last mo|", ["month"]),
    ("created this month |", ["and", "or"]),
    (
        "birthdate an|",
        ["anniversary today", "anniversary in the next", "anniversary in the last", "anniversary in month"],
    ),
    ("birthdate anniversary in |", ["the next", "the last", "month"]),
    ("birthdate anniversary in month |", []),
    ("birthdate anniversary today |", ["and", "or"]),
    ("birthdate on |", ["or before", "or after"]),
    ("birthdate on or |", ["before", "after"]),
    ("birthdate is |", ["empty", "not empty"]),
    ("created at |", ["or before", "or after"]),
    ("email does|", ["does not contain", "does not start with", "does not end with"]),
    ("email does not |", ["contain", "start with", "end with"]),
    ("email domain is |", ["any of", "none of"]),
    ("city is empty |", ["and", "or"]),
    ("(city is empty |", ["and", "or", ")"]),
    ("(city is empty o|", ["or"]),
    ('city is "a" |', ["and", "or"]),
    ('city is not "a" |', ["and", "or", "including missing", "excluding missing"]),
    ('city is not "a" ex|', ["excluding missing"]),
    ('city is not "a" excluding |', ["missing"]),
    ("unknown |", []),
    ("unknown is |", []),
    ("city is is |", []),
    (") |", []),
    ('city is "a\\q" and |', []),
    ('city is "a\\|', []),
    ('city is "and |', []),
    ("in|", ["interests", *MEMBERSHIPS]),
    ("in |", ["any of", "all of", "none of"]),
    ("city is empty and not in |", ["any of", "all of", "none of"]),
    ("IN A|", ["any of", "all of"]),
    ("in all |", ["of"]),
    ("in none of |", ["("]),
    (
        "in any of (|",
        [
            *("group", "segment", r'group "a\\b"', 'segment "and"', r'segment "a\u200bb"'),
            *('segment "in any of (group"', 'segment "Lapsed"', 'group "Staff - Active"'),
            *(r'group "the \"best\""', 'group "VIP"', 'segment "VIP"', 'group "Ü-30 😀"'),
        ],
    ),
    ("in any of (vi|", ['group "VIP"', 'segment "VIP"']),
    ("in any of (act|", ['group "Staff - Active"']),
    ('in any of ("v|', ['group "VIP"', 'segment "VIP"']),
    ('in any of (group "STAFF|', ['"Staff - Active"']),
    ('in any of (group "lapsed|', []),
    ('in any of (group "the \\"|', [r'"the \"best\""']),
    ('in any of (group "THE \\"B|', [r'"the \"best\""']),
    (
        'in any of (group "VIP", segment |',
        ['"and"', r'"a\u200bb"', '"in any of (group"', '"Lapsed"', '"VIP"'],
    ),
    ('in any of (group "VIP" |', [")", ","]),
    ('in any of (group "VIP") |', ["and", "or"]),
    ('city is "x" or in any of (group "VIP") |', ["and", "or"]),
    ('in any of (group "VIP") and city is |', ["empty", "not empty", "not", "any of", "none of"]),
    ("city is in |", []),
]


@pytest.mark.parametrize(("marked", "texts"), PLACES, ids=[marked for marked, _ in PLACES])
def test_what_may_stand_here_is_suggested(marked: str, texts: list[str]) -> None:
    assert _texts(marked) == texts


@pytest.mark.parametrize(
    ("marked", "operand"),
    [
        ("city is |", 'a text in double quotes, such as "Bonn"'),
        ("city contains |", 'a part of the text in double quotes, such as "ann"'),
        ("phone starts with |", 'a part of the international form in double quotes, such as "+44"'),
        ("email domain is any of (|", 'a domain in double quotes, such as "example.org"'),
        ("score between |", "a number, such as 3 or -0.5"),
        ("score between 3 and |", "a number, such as 3 or -0.5"),
        ("birthdate on |", "a date, such as 1965-01-31"),
        ("updated before |", "a point in time, such as 2026-05-03T10:00:00+02:00"),
        ("newsletter is |", "true or false"),
        ("role is |", "an option in double quotes"),
        ('interests has any of ("a", |', 'a tag in double quotes, such as "shoes"'),
        (
            "birthdate in the last |",
            "a whole number and a unit (days, weeks, months, years), such as 7 days",
        ),
        (
            "last_seen more than |",
            "a whole number and a unit (minutes, hours, days, weeks, months, years), such as 7 days",
        ),
        ("last_seen this |", "one of day, week, month, quarter, year"),
        (
            "birthdate anniversary in month |",
            "the number of a month, from 1 for January to 12 for December",
        ),
        ("last_seen in the last 7 |", None),
        ("birthdate is |", None),
        ("city |", None),
        ("|", None),
        ("city is empty |", None),
        ("in any of (|", None),
        ("in any of (group |", 'the name of a group in double quotes, such as "VIP"'),
        ('in any of (group "VIP", segment "|', 'the name of a segment in double quotes, such as "VIP"'),
    ],
)
def test_where_a_value_is_wanted_it_is_said_what_it_looks_like(marked: str, operand: str | None) -> None:
    assert _at(marked).operand == operand


def test_a_suggestion_says_what_it_means_and_what_it_replaces() -> None:
    completion = _at("score > 1 and la|")
    assert completion.start == len("score > 1 and ")
    assert [(each.kind, each.doc) for each in completion.suggestions] == [
        (Kind.FIELD, "Last name (text)"),
        (Kind.FIELD, "Last seen (datetime)"),
    ]
    for place in ("score |", "last_seen |", "last_seen in the last 7 |", "last_seen this |"):
        assert all(each.doc.endswith(".") for each in _at(place).suggestions)


def test_what_begins_alike_is_one_suggestion_that_tells_both() -> None:
    (suggestion,) = [each for each in _at("last_seen |").suggestions if each.text == "more than"]
    assert suggestion.doc.startswith("“more than … ago”: The value lies further back than this.")
    assert "“more than … ahead”: " in suggestion.doc


class _Thousands:
    """An account with as many groups as there may be."""

    def named(self, _kind: AudienceKind, _name: str) -> ObjectId | None:
        raise NotImplementedError

    def kind_of(self, _identifier: ObjectId) -> AudienceKind | None:
        raise NotImplementedError

    def names(self, kind: AudienceKind) -> Iterable[str]:
        return [f"Group {number}" for number in range(10_000)] if kind is AudienceKind.GROUP else []


def test_of_thousands_of_groups_the_first_by_name_are_suggested() -> None:
    def named(text: str) -> list[str]:
        completion = complete(text, len(text), FIELDS, LIMITS, _Thousands())
        return [each.text for each in completion.suggestions if each.kind is Kind.AUDIENCE]

    assert len(named("in any of (")) == MOST_AUDIENCES
    assert named('in any of (group "group 99')[:3] == ['"Group 99"', '"Group 990"', '"Group 9900"']
    assert named("in any of (group 9998") == ['"Group 9998"']
    assert named("in any of (9998") == ['group "Group 9998"']


def _any_text(seed: int) -> str:
    return to_text(Generator(seed, refers=seed % 2 == 1).rule(), AUDIENCES.name)


@given(st.integers(0, 2**32))
def test_what_stands_in_a_rule_is_among_the_suggestions_for_its_place(seed: int) -> None:
    text = _any_text(seed)
    said = begun(text)
    assert said is not None
    for token in said[0]:
        # Behind a blank, so that it is not the word before that is to be completed.
        before = text[: token.start_pos] + " "
        completion = complete(before, len(before), FIELDS, LIMITS, AUDIENCES)
        if token.type in ("STRING", "NUMBER", "MOMENT", "TRUE", "FALSE", "PERIOD"):
            assert completion.operand is not None
        else:
            assert any(each.text.split()[0] == str(token).lower() for each in completion.suggestions), before


@given(st.integers(0, 2**32))
def test_a_suggestion_that_is_taken_leaves_what_a_rule_can_begin_with(seed: int) -> None:
    random = Random(seed)
    text = _any_text(seed)
    position = random.randint(0, len(text))
    completion = complete(text, position, FIELDS, LIMITS, AUDIENCES)
    assert completion.start <= position
    for suggestion in completion.suggestions:
        assert begun(f"{text[: completion.start]}{suggestion.text} ") is not None


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=40), st.integers(-5, 50))
def test_any_text_and_place_have_an_answer(text: str, position: int) -> None:
    assert complete(text, position, FIELDS, LIMITS).start <= len(text)


@given(st.integers(0, 2**32))
def test_a_mutated_text_has_an_answer(seed: int) -> None:
    random = Random(seed)
    text = _any_text(seed)
    for _ in range(3):
        place = random.randint(0, len(text))
        text = (
            text[:place]
            + random.choice(['"', "`", "(", ")", "\\", " ", "<", "\0", "é", "1"])
            + text[place + random.choice([0, 1]) :]
        )
    for _ in range(5):
        complete(text, random.randint(0, len(text)), FIELDS, LIMITS, AUDIENCES)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000,
        "x" * 100_000,
        "x" * 99_999 + " ",
        '"\\' * 50_000,
        "`" * 99_999,
        "city is empty or " * 5_800,
        "not " * 25_000,
        "<" * 100_000,
    ],
    ids=range(8),
)
def test_the_longest_texts_take_little_time(text: str) -> None:
    with pace.at_most(1_000):
        complete(text, len(text), FIELDS, LIMITS)


def test_beyond_the_limit_of_a_text_nothing_is_suggested() -> None:
    assert complete("city ", 5, FIELDS, Limits(text=4)).suggestions == ()
