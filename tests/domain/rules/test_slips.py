import pytest

from domain.errors import ShoalError
from domain.rules.text import parse
from tests.domain.rules.generate import AUDIENCES, FIELDS, LIMITS, SETTINGS

SLIPS = [
    ('city = "a"', "Write “is”."),
    ("score == 3", "Write “is”."),
    ("score != 3", "Write “is not”."),
    ("score<>3", "Write “is not”."),
    ("birthdate = 1965-01-31", "Write “on”."),
    ("birthdate is 1965-01-31", "Write “on”."),
    ('interests is "a"', "Write “has any of (…)”."),
    ('interests contains "a"', "Write “has any of (…)”."),
    ("score from 50 to 80", "Write “between 50 and 80”."),
    ('city CONTAIN "a"', "Write “contains”."),
    ("city = null", "Write “is empty”."),
    ("city != null", "Write “is not empty”."),
    ("phone missing", "Write “is empty”."),
    ("phone is missing", "Write “is empty”."),
    ("phone is null", "Write “is empty”."),
    ("phone is not null", "Write “is not empty”."),
    ("phone exists", "Write “is not empty”."),
    ('city in ("a", "b")', "Write “is any of (…)”."),
    ('city not in ("a", "b")', "Write “is none of (…)”."),
    ("last_seen within 7 days", "Write “in the last 7 days” or “in the next 7 days”."),
    ("last_seen not in the last 7 days", "Write “not (last_seen in the last …)”."),
    ("last_seen in the last week", "Write a number in digits, such as “in the last 1 week”."),
    ("last_seen in the last three days", "Write a number in digits, such as “in the last 1 day”."),
    ("last_seen on 2026-05-03", "Write “between … and …”, from one point in time to another."),
    ("created today", "Write “this day”."),
    ("created is yesterday", "Write “last day”."),
    ("birthdate on tomorrow", "Write “next day”."),
    ("birthdate in february", "Write “anniversary in month 2”."),
    ("birthdate anniversary in month february", "Write “anniversary in month 2”."),
    ("birthdate anniversary in may", "Write “anniversary in month 5”."),
    ("score over 50", "Write “>”."),
    ("score is less than 50", "Write “<”."),
    ("score at least 50", "Write “>=”."),
    ('in group "VIP"', 'Write “in any of (group "VIP")”.'),
    ('city is empty and not in the segment "Lapsed"', 'Write “in any of (segment "Lapsed")”.'),
    ("city is “VIP”", 'Use straight quotes: "VIP".'),
    ("city is any of ('VIP', 'x')", 'Use straight quotes: "VIP".'),
    ("in any of (group „VIP“)", 'Use straight quotes: "VIP".'),
]


@pytest.mark.parametrize(("text", "instead"), SLIPS, ids=range(len(SLIPS)))
def test_who_writes_something_else_is_told_what_to_write(text: str, instead: str) -> None:
    with pytest.raises(ShoalError) as refused:
        parse(text, FIELDS, SETTINGS, LIMITS, AUDIENCES)
    assert f" {instead} " in refused.value.message


@pytest.mark.parametrize(
    "text", ["city blah", "score is between", "city is 'unclosed\n", "cty = 3", "score missed"]
)
def test_of_other_mistakes_nothing_is_guessed(text: str) -> None:
    with pytest.raises(ShoalError) as refused:
        parse(text, FIELDS, SETTINGS, LIMITS, AUDIENCES)
    assert " Write " not in refused.value.message


def test_a_wrong_operator_is_told_with_those_of_the_field() -> None:
    with pytest.raises(ShoalError) as refused:
        parse("newsletter today", FIELDS, SETTINGS, LIMITS, AUDIENCES)
    assert refused.value.message == (
        "Line 1, column 12: “today” is no operator. “newsletter” (boolean) has: is empty, is not empty, is, is not."
    )
