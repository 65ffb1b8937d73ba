import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.fields import Field, FieldRegistry, FieldType
from domain.rules.document import from_document, to_document
from domain.rules.operators import Operator, operators_of
from domain.rules.text import parse
from domain.rules.tree import conditions, fields_used
from domain.rules.words import sentence
from tests.domain.rules.generate import AUDIENCES, FIELDS, LIMITS, SETTINGS, SUBJECTS, Generator

SENTENCES: list[tuple[str, str]] = [
    ('role is "customer" and email is empty', "whose role is Customer and who have no email"),
    ("email is not empty", "who have an entry for email"),
    ("newsletter is empty", "who have no entry for newsletter"),
    ("newsletter is true", "whose newsletter is true"),
    ("newsletter is not true", "whose newsletter is not true (or who have no entry for newsletter)"),
    ('role is not "staff"', "whose role is not Staff (or who have no role)"),
    ('role is not "staff" excluding missing', "whose role is known and is not Staff"),
    ('city is any of ("Bonn", "Bad Ems")', "whose city is any of bonn and “bad ems”"),
    ('city is any of ("bonn")', "whose city is bonn"),
    ('city is none of ("bonn", "ulm")', "whose city is none of bonn and ulm (or who have no city)"),
    ('city is none of ("bonn")', "whose city is not bonn (or who have no city)"),
    ('first_name contains "an"', "whose first name contains “an”"),
    ('city does not contain "or"', "whose city does not contain “or” (or who have no city)"),
    ('city starts with "b"', "whose city starts with “b”"),
    ('city does not start with "b"', "whose city does not start with “b” (or who have no city)"),
    ('city ends with "."', "whose city ends with “.”"),
    ('city does not end with "n"', "whose city does not end with “n” (or who have no city)"),
    ('email domain is any of ("x.org", "y.org")', "whose email has one of the domains x.org and y.org"),
    (
        'email domain is none of ("x.org") excluding missing',
        "whose email is known and has another domain than x.org",
    ),
    ("score is 3 or score is not -1.5", "whose score is 3 or whose score is not -1.5 (or who have no score)"),
    ("score < 3 and score > 1", "whose score is less than 3 and whose score is more than 1"),
    ("score <= 3 and score >= 1", "whose score is 3 or less and whose score is 1 or more"),
    ("score between 3 and 7.5", "whose score is from 3 to 7.5"),
    ("birthdate on 2020-02-29", "whose birthdate is 29 February 2020"),
    ("birthdate not on 2020-02-29", "whose birthdate is not 29 February 2020 (or who have no birthdate)"),
    ("birthdate before 1965-01-01", "whose birthdate is before 1 January 1965"),
    ("birthdate after 0999-01-01", "whose birthdate is after 1 January 999"),
    ("birthdate on or before 1965-01-01", "whose birthdate is 1 January 1965 or earlier"),
    ("birthdate on or after 1965-01-01", "whose birthdate is 1 January 1965 or later"),
    (
        "birthdate between 2020-01-01 and 2020-12-31",
        "whose birthdate is from 1 January 2020 to 31 December 2020",
    ),
    ("last_seen at or before 2026-05-03T10:00+02:00", "whose last seen is 3 May 2026, 08:00 UTC or earlier"),
    (
        "created at or after 2026-05-03T08:00:01Z",
        "whose time of creation is 3 May 2026, 08:00:01 UTC or later",
    ),
    (
        "updated between 2026-05-03T08:00:00.5Z and 2026-05-04T00:00Z",
        "whose time of the last change is from 3 May 2026, 08:00:00.500 UTC until just before 4 May 2026, 00:00 UTC",
    ),
    ('interests has any of ("shoes", "hats")', "who have any of shoes and hats among their interests"),
    ('interests has all of ("shoes", "hats")', "who have shoes and hats among their interests"),
    (
        'interests has none of ("shoes", "hats")',
        "who do not have any of shoes and hats among their interests (or who have no interests)",
    ),
    (
        'interests lacks any of ("shoes", "hats")',
        "who lack at least one of shoes and hats among their interests (or who have no interests)",
    ),
    (
        'interests lacks any of ("shoes") excluding missing',
        "whose interests are known and who lack shoes among their interests",
    ),
    (
        "city is empty and (score is 1 or score is 2) and role is empty",
        "who have no city, (whose score is 1 or whose score is 2), and who have no role",
    ),
    (
        "not (city is empty or not score is 1) or role is empty",
        (
            "who are not among those (who have no city or who are not among those whose score is 1"
            " (so also those who have no score)) or who have no role"
        ),
    ),
    ('not (role is "staff")', "who are not among those whose role is Staff (so also those who have no role)"),
    (
        "not (score < 1 or score > 3)",
        "who are not among those (whose score is less than 1 or whose score is more than 3) (so also those who have no score)",
    ),
    (
        "not (last_seen in the last 2 hours)",
        "who are not among those whose last seen lies in the last 2 hours (so also those who have no last seen)",
    ),
    ("not (score is not empty)", "who are not among those who have an entry for score"),
    (
        'not (role is not "staff")',
        "who are not among those whose role is not Staff (or who have no role)",
    ),
    (
        "not (score is empty or score is 1)",
        "who are not among those (who have no score or whose score is 1)",
    ),
    (
        "not (created last day)",
        "who are not among those who were created yesterday",
    ),
    ('city is "\\u202e"', "whose city is “\\u{202e}”"),
    ("`2nd_score` is 1", "whose A key that begins with a digit is 1"),
    ('in any of (group "vip", segment "lapsed")', "who are in the group “VIP” or the segment “Lapsed”"),
    (
        'in all of (group "vip", segment "lapsed", segment "vip")',
        "who are in the group “VIP”, the segment “Lapsed” and the segment “VIP”",
    ),
    ('in none of (group "vip")', "who are not in the group “VIP”"),
    (
        'in none of (group "vip", segment "lapsed")',
        "who are in neither the group “VIP” nor the segment “Lapsed”",
    ),
    (
        'in none of (group "vip", segment "lapsed", segment "a\u200bb")',
        "who are in none of the group “VIP”, the segment “Lapsed” and the segment “a\\u{200b}b”",
    ),
    (
        'in any of (group "vip", segment "lapsed") and not in all of (group "vip")',
        "(who are in the group “VIP” or the segment “Lapsed”) and who are not among those who are in the group “VIP”",
    ),
    ("last_seen in the last 7 days", "whose last seen lies in the last 7 days (today counts)"),
    ("last_seen in the last 90 minutes", "whose last seen lies in the last 90 minutes"),
    ("birthdate in the next 1 week", "whose birthdate lies in the next week (today counts)"),
    ("last_seen more than 90 days ago", "whose last seen lies more than 90 days ago"),
    ("created more than 3 months ahead", "whose time of creation lies more than 3 months ahead"),
    ("created this day", "who were created today"),
    ("created last day", "who were created yesterday"),
    ("birthdate next day", "whose birthdate is tomorrow"),
    ("updated this week", "who were last changed in this calendar week"),
    ("last_seen last quarter", "whose last seen lies in the last calendar quarter"),
    ("birthdate next year", "whose birthdate lies in the next calendar year"),
    ("birthdate anniversary today", "whose birthdate has its anniversary today"),
    (
        "birthdate anniversary in the next 14 days and phone is empty",
        "whose birthdate has its anniversary within the next 14 days (today counts) and who have no phone",
    ),
    (
        "birthdate anniversary in the last 2 months",
        "whose birthdate had its anniversary within the last 2 months (today counts)",
    ),
    ("birthdate anniversary in month 2", "whose birthdate has its anniversary in February"),
    ("birthdate anniversary in the next 1 day", "whose birthdate has its anniversary today"),
    ("last_seen in the last 1 day", "whose last seen is today"),
    ("created in the next 1 day", "who were created today"),
    ("created in the last 1 month", "who were created in the last month (today counts)"),
    (
        'in any of (group "vip", segment "lapsed") or score is 1',
        "who are in the group “VIP” or the segment “Lapsed” or whose score is 1",
    ),
    (
        'in all of (group "vip", segment "lapsed") and score is 1',
        "who are in the group “VIP” and the segment “Lapsed” and whose score is 1",
    ),
]


@pytest.mark.parametrize(("text", "told"), SENTENCES, ids=range(len(SENTENCES)))
def test_a_rule_is_told_in_plain_english(text: str, told: str) -> None:
    rule = parse(text, FIELDS, SETTINGS, LIMITS, AUDIENCES)
    assert sentence(rule, FIELDS, AUDIENCES.name) == f"Contacts {told}."


def test_the_table_above_has_every_operator() -> None:
    rules = [parse(text, FIELDS, SETTINGS, LIMITS, AUDIENCES) for text, _ in SENTENCES]
    assert {each.operator for rule in rules for each in conditions(rule)} == set(Operator)


# Labels that have nothing in common with the keys, nor with any value that the generator draws.
LABELS = {key: f"Label {number}" for number, key in enumerate(FIELDS)}
LABELLED = FieldRegistry(
    [
        Field(key=field.key, label=LABELS[field.key], type=field.type, options=field.options)
        for field in FIELDS.values()
    ]
)


@given(st.integers(0, 2**32))
def test_every_rule_has_one_sentence_that_names_fields_by_their_labels(seed: int) -> None:
    rule = Generator(seed).rule(depth=4)
    told = sentence(rule, LABELLED)
    assert told == sentence(from_document(to_document(rule)), LABELLED)
    assert told.startswith(("Contacts who", "Contacts ("))
    assert told.endswith(".")
    assert told.isprintable()
    assert {key for key in fields_used(rule) if LABELS[key].lower() not in told} == set()
    # “not” is a word of the sentence, too.
    assert [key for key in FIELDS if key != "not" and re.search(rf"\b{key}\b", told)] == []


@given(st.integers(0, 2**32))
def test_the_sentence_says_what_happens_to_missing_values(seed: int) -> None:
    generator = Generator(seed)
    key = generator.random.choice([*SUBJECTS])
    for operator in operators_of(SUBJECTS[key]):
        if operator.value.negative:
            including = sentence(generator.condition(key, operator, include_missing=True), FIELDS)
            excluding = sentence(generator.condition(key, operator, include_missing=False), FIELDS)
            assert "(or who have no " in including
            assert " known and " in excluding


def test_names_that_could_mislead_stand_in_quotes() -> None:
    fields = FieldRegistry(
        [
            Field(key="one", label="Name and title", type=FieldType.TEXT),
            Field(key="two", label="Likes dogs?", type=FieldType.BOOLEAN),
            Field(key="three", label="VIP status", type=FieldType.TEXT),
            Field(key="four", label="Size", type=FieldType.TEXT),
            Field(key="five", label="size", type=FieldType.TEXT),
        ]
    )

    def told(text: str) -> str:
        return sentence(parse(text, fields, SETTINGS, LIMITS), fields)

    assert told("one is empty") == "Contacts who have no “Name and title”."
    assert told("two is true") == "Contacts whose “Likes dogs?” is true."
    assert told("three is empty") == "Contacts who have no VIP status."
    assert told("four is empty") == "Contacts who have no “Size” (four)."
    assert sentence(parse("score is 1", FIELDS, SETTINGS, LIMITS), fields) == "Contacts whose “score” is 1."


def test_long_lists_and_texts_are_told_by_their_beginning() -> None:
    many = ", ".join(str(number) for number in range(1_000))
    told = sentence(parse(f"score is any of ({many})", FIELDS, SETTINGS, LIMITS), FIELDS)
    assert told.endswith("any of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 988 others.")
    told = sentence(parse(f'city is "{"x" * 10_000}"', FIELDS, SETTINGS, LIMITS), FIELDS)
    assert told == f"Contacts whose city is “{'x' * 80}…”."
