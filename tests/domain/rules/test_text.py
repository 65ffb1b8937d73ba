from contextlib import suppress
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.errors import (
    InvalidRule,
    InvalidValue,
    LimitExceeded,
    RuleSyntaxError,
    ShoalError,
    UnknownAudience,
    UnknownField,
)
from domain.fields import Field, FieldRegistry, FieldType
from domain.rules.canonical import KEY_WORDS
from domain.rules.operators import operators_of
from domain.rules.text import parse, to_text
from domain.rules.tree import Limits, Rule
from tests.domain.rules.generate import AUDIENCES, FIELDS, LIMITS, SETTINGS, Generator


def _parse(text: str, limits: Limits = LIMITS) -> Rule:
    return parse(text, FIELDS, SETTINGS, limits, AUDIENCES)


def _said(rule: Rule) -> str:
    return to_text(rule, AUDIENCES.name)


@given(st.integers(0, 2**32))
def test_a_rule_s_text_says_the_same_rule(seed: int) -> None:
    for refers in (False, True):
        rule = Generator(seed, refers=refers).rule(depth=4)
        assert _parse(_said(rule)) == rule


@given(st.text(min_size=1, max_size=50, alphabet=st.characters(exclude_categories=["Cs"])))
@example("\\")
@example('"')
@example("\u2028\u200b\U000e0001\x7f")
def test_any_text_can_be_an_operand(text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    try:
        rule = _parse(f'city contains "{escaped}"')
    except InvalidValue:
        return
    assert _parse(to_text(rule)) == rule
    assert to_text(rule).isprintable()


CANONICAL: list[tuple[str, str]] = [
    ('role is "customer"', 'role is "customer"'),
    ('ROLE IS "x"'.replace("ROLE", "free"), 'free is "x"'),
    ('free iS noT "X"', 'free is not "x" including missing'),
    ('free is not "x" Excluding Missing', 'free is not "x" excluding missing'),
    ('free IS ANY OF("a","B" , "a")', 'free is any of ("a", "b")'),
    ("city is empty", "city is empty"),
    ("city is not empty", "city is not empty"),
    ("newsletter is TRUE", "newsletter is true"),
    ("newsletter is not false", "newsletter is not false including missing"),
    ("score<3", "score < 3"),
    ("score <= -0.5 or score>=.5e1", "score <= -0.5 or score >= 5"),
    ("score is 3.0", "score is 3"),
    ("score > 1e20", "score > 1e+20"),
    ("score between 3 and 7.5 and score > 4", "score between 3 and 7.5 and score > 4"),
    ("birthdate on 2020-02-29", "birthdate on 2020-02-29"),
    ("birthdate not on 2020-02-29", "birthdate not on 2020-02-29 including missing"),
    ("birthdate on or before 2020-02-29", "birthdate on or before 2020-02-29"),
    ('birthdate on or after "2020-02-29"', "birthdate on or after 2020-02-29"),
    ("birthdate between 2020-01-01 and 2020-12-31", "birthdate between 2020-01-01 and 2020-12-31"),
    ("last_seen at or after 2026-05-03T10:00+02:00", "last_seen at or after 2026-05-03T08:00:00Z"),
    ("created before 2026-05-03T10:00:00.25Z", "created before 2026-05-03T10:00:00.250Z"),
    ("updated after 0001-01-01T00:00:00Z", "updated after 0001-01-01T00:00:00Z"),
    ('email domain is none of ("X.org")', 'email domain is none of ("x.org") including missing'),
    ('interests lacks any of ("a")', 'interests lacks any of ("a") including missing'),
    ('`not` contains "x"', '`not` contains "x"'),
    ("`2nd_score` is 1", "`2nd_score` is 1"),
    ("`city` is empty", "city is empty"),
    ("(((city is empty)))", "city is empty"),
    ("not city is empty", "not (city is empty)"),
    ("not not not city is empty", "not (city is empty)"),
    ("not (not (city is empty))", "city is empty"),
    ("not city is empty and score is 1", "not (city is empty) and score is 1"),
    ("not (city is empty and score is 1)", "not (city is empty and score is 1)"),
    ("city is empty or score is 1 and score is 2", "city is empty or score is 1 and score is 2"),
    ("(city is empty or score is 1) and score is 2", "(city is empty or score is 1) and score is 2"),
    ("city is empty and (score is 1 and score is 2)", "city is empty and score is 1 and score is 2"),
    ("  city\n\tis\u00a0empty  ", "city is empty"),
    ('city contains "\\u0041\\ud83d\\ude00\\n\\/\\""', 'city contains "a😀 /\\""'),
    ('city contains "\\u200b"', 'city contains "\\u200b"'),
    ('city contains "first\nsecond"', 'city contains "first second"'),
    ('in any of (group "VIP")', 'in any of (group "VIP")'),
    ('IN All Of(SEGMENT"lapsed" ,Group " vip ")', 'in all of (segment "Lapsed", group "VIP")'),
    ('in none of (group "VIP", segment "VIP", group "vip")', 'in none of (group "VIP", segment "VIP")'),
    ('not in any of (group "VIP")', 'not (in any of (group "VIP"))'),
    (
        'city is empty and in any of (segment "AND") or in all of (group "the \\"best\\"")',
        'city is empty and in any of (segment "and") or in all of (group "the \\"best\\"")',
    ),
    ('in any of (segment "a\u200bb", group "a\\\\b")', 'in any of (segment "a\\u200bb", group "a\\\\b")'),
    ("last_seen in the last 7 days", "last_seen in the last 7 days"),
    ("last_seen IN The Last 07 DAY", "last_seen in the last 7 days"),
    ("last_seen in the last 1 Days", "last_seen in the last 1 day"),
    ("last_seen in the next 2weeks", "last_seen in the next 2 weeks"),
    ("last_seen more than 90 minutes ago", "last_seen more than 90 minutes ago"),
    ("birthdate More Than 3 Months Ahead", "birthdate more than 3 months ahead"),
    ("created this MONTH", "created this month"),
    ("updated last quarter or updated next year", "updated last quarter or updated next year"),
    ("birthdate anniversary today", "birthdate anniversary today"),
    ("birthdate ANNIVERSARY in the next 14 days", "birthdate anniversary in the next 14 days"),
    ("birthdate anniversary in the last 1 month", "birthdate anniversary in the last 1 month"),
    ("birthdate anniversary in month 05", "birthdate anniversary in month 5"),
    (
        "not birthdate in the last 1 year and city is empty",
        "not (birthdate in the last 1 year) and city is empty",
    ),
]


@pytest.mark.parametrize(("text", "canonical"), CANONICAL, ids=range(len(CANONICAL)))
def test_a_text_has_its_canonical_form(text: str, canonical: str) -> None:
    assert _said(_parse(text)) == canonical
    assert _said(_parse(canonical)) == canonical


SYNTAX_ERRORS: list[tuple[str, int, int, set[str]]] = [
    ("", 1, 1, {"a field's key", "“(”", "“not”"}),
    ("   ", 1, 4, {"a field's key"}),
    ("city", 1, 5, {"is", "contains", "does not end with"}),
    ("cty", 1, 4, {"“is”", "“contains”", "“<”"}),
    ("city is", 1, 8, {"a text in double quotes", "“not”", "“empty”", "“any”"}),
    ("city is x", 1, 9, {"a text in double quotes"}),
    ("city = 1", 1, 6, {"is", "is any of"}),
    ("created then", 1, 9, {"is empty", "in the last", "more than … ago"}),
    ("score is", 1, 9, {"a number", "“any”"}),
    ("newsletter is on", 1, 15, {"“true”", "“false”"}),
    ("city is empty city", 1, 15, {"“and”", "“or”", "the end of the rule"}),
    ("city is empty and", 1, 18, {"a field's key", "“not”", "“(”"}),
    ("(city is empty", 1, 15, {"“)”", "“and”"}),
    ("city is empty)", 1, 14, {"the end of the rule"}),
    ("city is any of ()", 1, 17, {"a text in double quotes"}),
    ('city is any of ("a" "b")', 1, 21, {"“,”", "“)”"}),
    ('city is "a', 1, 9, {"a text in double quotes"}),
    ("`city is empty", 1, 1, {"a field's key"}),
    ('city\nis\n  "a\\q"', 3, 5, {"“\\n”", "“\\uXXXX”"}),
    ('city is "a\nb\\x"', 2, 2, {"“\\n”"}),
    ("score between 1 or 2", 1, 17, {"“and”"}),
    ("city is not empty including", 1, 28, {"“missing”"}),
    ("city is empty;", 1, 14, {"“and”"}),
    ("city is empty -- all of them", 1, 15, {"“and”"}),
    ("birthdate on yesterday", 1, 14, {"a date or point in time"}),
    ("in", 1, 3, {"“any”", "“all”", "“none”"}),
    ("in any (", 1, 8, {"“of”"}),
    ('in any of "VIP"', 1, 11, {"“(”"}),
    ("in any of ()", 1, 12, {"“group”", "“segment”"}),
    ('in any of ("VIP")', 1, 12, {"“group”", "“segment”"}),
    ("in any of (group VIP)", 1, 18, {"a text in double quotes"}),
    ('in any of (group "VIP" segment "VIP")', 1, 24, {"“,”", "“)”"}),
    ('in any of (group "VIP"', 1, 23, {"“,”", "“)”"}),
    ('in any of (group "VIP", )', 1, 25, {"“group”", "“segment”"}),
    ('in any of (group "VIP") including missing', 1, 25, {"“and”", "the end of the rule"}),
    ('in is any of ("VIP")', 1, 4, {"“any”"}),
    ('in any of (group "V\\q")', 1, 20, {"“\\n”"}),
    ("\ud800", 1, 1, {"a field's key"}),
    ("last_seen in", 1, 13, {"“the”"}),
    ("last_seen in the", 1, 17, {"“last”", "“next”"}),
    ("last_seen in the last", 1, 22, {"a number"}),
    ("last_seen in the last days", 1, 23, {"a number"}),
    ("last_seen in the last 7", 1, 24, {"a unit of time such as “days”"}),
    ("last_seen in the last 7 days days", 1, 30, {"“and”", "“or”", "the end of the rule"}),
    ("last_seen more than 7 days", 1, 27, {"“ago”", "“ahead”"}),
    ("last_seen more than 7 days before", 1, 28, {"“ago”", "“ahead”"}),
    ("last_seen last 7 days", 1, 16, {"a period such as “month”"}),
    ("birthdate anniversary", 1, 22, {"“in”", "“today”"}),
    ("birthdate anniversary in may", 1, 26, {"“month”", "“the”"}),
    ("birthdate anniversary in month may", 1, 32, {"a number"}),
]


@pytest.mark.parametrize(("text", "line", "column", "expected"), SYNTAX_ERRORS, ids=range(len(SYNTAX_ERRORS)))
def test_a_syntax_error_says_where_and_what_could_have_stood_there(
    text: str, line: int, column: int, expected: set[str]
) -> None:
    with pytest.raises(RuleSyntaxError) as refused:
        _parse(text)
    error = refused.value
    assert (error.line, error.column) == (line, column)
    assert expected <= set(error.expected)
    assert error.message.startswith(f"Line {line}, column {column}: ")
    assert all(word in error.message for word in expected)
    error.message.encode()
    assert not any(character in "_$" for word in error.expected for character in word)


def test_only_what_the_field_has_is_named_as_what_could_stand_there() -> None:
    def expected(text: str) -> tuple[str, ...]:
        with pytest.raises(RuleSyntaxError) as refused:
            _parse(text)
        return refused.value.expected

    assert expected("score is x") == ("a number", "“any”", "“empty”", "“none”", "“not”")
    assert expected("birthdate after x") == ("a date or point in time",)
    assert expected('city is "a" x') == ("the end of the rule", "“and”", "“or”")
    assert expected('city is not "a" x') == (
        *("the end of the rule", "“and”", "“excluding”", "“including”", "“or”"),
    )
    assert expected('(interests has any of ("a") x') == ("“)”", "“and”", "“or”")


def test_every_refusal_of_a_part_has_its_line_and_column() -> None:
    for text, line, column in [
        ('score is 1\nand cty is "x"', 2, 5),
        ("role < 3", 1, 1),
        ("score is 1 and birthdate on 2023-02-29", 1, 29),
        ("city is “x”", 1, 9),
        ('in any of (group "VPI")', 1, 18),
    ]:
        refused = _refusal(text)
        assert refused is not None
        assert (refused.line, refused.column) == (line, column)
        assert refused.message.startswith(f"Line {line}, column {column}: ")


def test_what_is_said_wrongly_names_its_place_in_the_text() -> None:
    with pytest.raises(UnknownField, match=r"^Line 2, column 5: .*Did you mean “city”"):
        _parse('score is 1\nand cty is "x"')
    with pytest.raises(InvalidValue, match=r"^Line 1, column 26: .*“boss” is not among"):
        _parse('role is any of ("staff", "boss")')
    with pytest.raises(InvalidRule, match=r"^Line 1, column 1: .*type choice"):
        _parse("role < 3")
    with pytest.raises(InvalidRule, match="never includes missing values"):
        _parse('city is "x" including missing')
    with pytest.raises(UnknownField, match="There is no field “City”"):
        _parse("City is empty")
    with pytest.raises(
        UnknownAudience, match=r"^Line 2, column 38: There is no segment “Laps”. Did you mean “Lapsed”"
    ):
        _parse('score is 1\nand in none of (group "VIP", segment "Laps")')


@pytest.mark.parametrize(
    ("text", "refused", "message"),
    [
        (
            "birthdate in the last 3 hours",
            InvalidValue,
            "Line 1, column 23: “hours” is no unit of time here. Of a date there are days, weeks, months or years.",
        ),
        (
            "score is 1\n and last_seen in the last 3 quarters",
            InvalidValue,
            (
                "Line 2, column 28: “quarters” is no unit of time here."
                " Of a datetime there are minutes, hours, days, weeks, months or years."
            ),
        ),
        (
            "last_seen this hour",
            InvalidValue,
            "Line 1, column 16: A day, week, month, quarter or year is wanted here; “hour” is none.",
        ),
        (
            "last_seen last months",
            InvalidValue,
            "Line 1, column 16: A day, week, month, quarter or year is wanted here; “months” is none.",
        ),
        (
            "last_seen more than 0 days ago",
            InvalidValue,
            "Line 1, column 21: A whole number of days from 1 to 100,000 is wanted; 0 is none.",
        ),
        (
            "last_seen more than 1.5 weeks ago",
            InvalidValue,
            "Line 1, column 21: A whole number of weeks from 1 to 100,000 is wanted; 1.5 is none.",
        ),
        (
            "last_seen more than 100001 days ago",
            LimitExceeded,
            "Line 1, column 21: A length of time has 100,000 days at most; this one has 100,001.",
        ),
        (
            "birthdate anniversary in month 13",
            InvalidValue,
            "Line 1, column 32: A month of the year is wanted by its number, from 1 for January to 12 for December.",
        ),
        (
            "last_seen anniversary today",
            InvalidRule,
            "Line 1, column 1: “last_seen” is of type datetime, which does not have “anniversary today”. It has: "
            + ", ".join(operator.value.words for operator in operators_of(FieldType.DATETIME))
            + ".",
        ),
        (
            "last_seen this day including missing",
            InvalidRule,
            "Line 1, column 1: “this” never includes missing values; “or last_seen is empty” does.",
        ),
        (
            "last_seen this day excluding missing",
            InvalidRule,
            "Line 1, column 1: “this” already leaves out contacts without a value; take “excluding missing” away.",
        ),
    ],
)
def test_what_a_moving_condition_says_wrongly_is_refused_with_what_would_be_right(
    text: str, refused: type[ShoalError], message: str
) -> None:
    with pytest.raises(refused) as error:
        _parse(text)
    assert error.value.message == message


@pytest.mark.parametrize("word", sorted(KEY_WORDS))
def test_a_field_may_be_called_like_any_key_word(word: str) -> None:
    fields = FieldRegistry([Field(key=word, label="Label", type=FieldType.TEXT)])
    rule = parse(f"`{word}` is empty", fields, SETTINGS, LIMITS)
    assert to_text(rule) == f"`{word}` is empty"


@pytest.mark.parametrize(
    "key",
    [
        "not_yet",
        "nothing",
        "order",
        "android",
        "isle",
        "trueish",
        "inner",
        "group",
        "segment",
        "todays",
        "is2",
        "day",
        "year",
    ],
)
def test_a_key_that_only_begins_like_a_key_word_stands_bare(key: str) -> None:
    fields = FieldRegistry([Field(key=key, label="Label", type=FieldType.TEXT)])
    assert to_text(parse(f"not {key} is empty", fields, SETTINGS, LIMITS)) == f"not ({key} is empty)"


def test_a_text_is_bounded_in_length() -> None:
    with pytest.raises(LimitExceeded, match="100,000 characters"):
        _parse(" " * 100_001)
    with pytest.raises(LimitExceeded, match="10 characters"):
        _parse("city is empty", Limits(text=10))


def test_a_text_is_bounded_in_depth_and_conditions() -> None:
    deep = "city is empty"
    for level in range(12):
        deep = f"({deep}) {'and' if level % 2 else 'or'} score is 1"
    with pytest.raises(LimitExceeded, match="depth of 10"):
        _parse(deep)
    with pytest.raises(LimitExceeded, match="250 conditions"):
        _parse(" or ".join(["score is 1"] * 251))
    with pytest.raises(LimitExceeded, match="250 conditions"):
        _parse(" or ".join(['in any of (group "VIP")'] * 251))
    many = ", ".join(['group "VIP"'] * 1_001)
    with pytest.raises(LimitExceeded, match="1,000 groups and segments"):
        _parse(f"in any of ({many})")


@pytest.mark.parametrize(
    "text",
    [
        "(" * 99_999,
        ")" * 99_999,
        "(" * 40_000 + "city is empty" + ")" * 40_000,
        "not " * 24_000 + "city is empty",
        "not (" * 15_000 + "city is empty" + ")" * 15_000,
        "not (score is 1 or " * 4_000 + "city is empty" + ")" * 4_000,
        '"' * 100_000,
        "`" * 99_999,
        'city is "' + "\\u0041" * 16_000 + '"',
        'city is "' + "\\" * 99_000,
        "city is any of (" + '"a",' * 20_000,
        "score is " + "9" * 99_000,
        "score is 1e" + "9" * 99_000,
        "score is any of (" + "1," * 40_000 + "1)",
        "x" * 100_000 + " is empty",
        "in any of (" * 9_000,
        "in any of (" + 'group "VIP", ' * 7_000,
        'in any of (group "' + "x" * 99_000 + '")',
    ],
    ids=range(18),
)
def test_no_text_takes_the_parser_down(text: str) -> None:
    try:
        said = to_text(_parse(text))
    except ShoalError as error:
        said = error.message
    assert len(said) < 1_000


_PIECES = [
    "(",
    ")",
    '"',
    "`",
    "\\",
    " and ",
    " or ",
    "not ",
    " is ",
    "1",
    "-",
    "<",
    "empty",
    "\0",
    "\ud800",
    "é",
    ",",
    "\n",
    "\\u",
    "0",
]


@given(st.integers(0, 2**32))
def test_a_mutated_text_is_a_rule_or_one_of_our_errors(seed: int) -> None:
    random = Random(seed)
    text = _said(Generator(seed, refers=random.random() < 0.5).rule())
    for _ in range(random.randint(1, 4)):
        start = random.randint(0, len(text))
        end = start + random.choice([0, 0, 1, 5])
        text = text[:start] + random.choice(["", *_PIECES]) + text[end:]
    with suppress(ShoalError):
        rule = _parse(text)
        assert _parse(_said(rule)) == rule


def _refusal(text: str) -> ShoalError | None:
    try:
        _parse(text)
    except ShoalError as error:
        return error
    return None


def test_ten_thousand_mutated_texts_each_give_a_rule_or_a_located_error() -> None:
    """Characters dropped, doubled and swapped, as fingers do it."""
    generator = Generator(20260503, refers=True)
    random, rules = generator.random, 0
    texts = [_said(generator.rule(depth=random.randint(0, 2))) for _ in range(500)]
    for number in range(10_000):
        letters = list(texts[number % len(texts)])
        for _ in range(random.randint(1, 3)):
            if not letters:
                break
            place = random.randrange(len(letters))
            match random.randrange(3):
                case 0:
                    del letters[place]
                case 1:
                    letters.insert(place, letters[place])
                case _:
                    letters[place : place + 2] = letters[place : place + 2][::-1]
        text = "".join(letters)
        refused = _refusal(text)
        if refused is None:
            rules += 1
            rule = _parse(text)
            assert _parse(_said(rule)) == rule
            continue
        # Only what is about the whole rule, its depth and the number of its conditions, has no place.
        assert refused.message.startswith("Line ") or isinstance(refused, LimitExceeded)
        if isinstance(refused, RuleSyntaxError):
            assert min(refused.line, refused.column) >= 1
            assert refused.expected
    assert 500 < rules < 9_500


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=40))
def test_any_text_is_a_rule_or_one_of_our_errors_and_can_be_shown(text: str) -> None:
    message = ""
    try:
        _parse(text)
    except ShoalError as error:
        message = error.message
    message.encode()
