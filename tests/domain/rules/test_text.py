from contextlib import suppress
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.errors import InvalidRule, InvalidValue, LimitExceeded, RuleSyntaxError, ShoalError, UnknownField
from domain.fields import Field, FieldRegistry, FieldType
from domain.rules.canonical import KEY_WORDS
from domain.rules.text import parse, to_text
from domain.rules.tree import Limits, Rule
from tests.domain.rules.generate import FIELDS, LIMITS, SETTINGS, Generator


def _parse(text: str, limits: Limits = LIMITS) -> Rule:
    return parse(text, FIELDS, SETTINGS, limits)


@given(st.integers(0, 2**32))
def test_a_rule_s_text_says_the_same_rule(seed: int) -> None:
    rule = Generator(seed).rule(depth=4)
    assert _parse(to_text(rule)) == rule


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
]


@pytest.mark.parametrize(("text", "canonical"), CANONICAL, ids=range(len(CANONICAL)))
def test_a_text_has_its_canonical_form(text: str, canonical: str) -> None:
    assert to_text(_parse(text)) == canonical
    assert to_text(_parse(canonical)) == canonical


SYNTAX_ERRORS: list[tuple[str, int, int, set[str]]] = [
    ("", 1, 1, {"a field's key", "“(”", "“not”"}),
    ("   ", 1, 4, {"a field's key"}),
    ("city", 1, 5, {"“is”", "“contains”", "“<”"}),
    ("city is", 1, 8, {"a text in double quotes", "“not”", "“empty”", "“any”"}),
    ("city is x", 1, 9, {"a text in double quotes"}),
    ("city = 1", 1, 6, {"“is”"}),
    ("city is empty city", 1, 15, {"“and”", "“or”", "the end of the rule"}),
    ("city is empty and", 1, 18, {"a field's key", "“not”", "“(”"}),
    ("(city is empty", 1, 15, {"“)”", "“and”"}),
    ("city is empty)", 1, 14, {"the end of the rule"}),
    ("city is any of ()", 1, 17, {"a text in double quotes", "a number"}),
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
    ("\ud800", 1, 1, {"a field's key"}),
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


def test_what_is_said_wrongly_names_its_place_in_the_text() -> None:
    with pytest.raises(UnknownField, match=r"^Line 2, column 5: .*Did you mean “city”"):
        _parse('score is 1\nand cty is "x"')
    with pytest.raises(InvalidValue, match=r"^Line 1, column 26: .*“boss” is not among"):
        _parse('role is any of ("staff", "boss")')
    with pytest.raises(InvalidRule, match=r"^Line 1, column 1: .*type choice"):
        _parse("role < 3")
    with pytest.raises(InvalidRule, match="negative"):
        _parse('city is "x" including missing')
    with pytest.raises(UnknownField, match="There is no field “City”"):
        _parse("City is empty")


@pytest.mark.parametrize("word", sorted(KEY_WORDS))
def test_a_field_may_be_called_like_any_key_word(word: str) -> None:
    fields = FieldRegistry([Field(key=word, label="Label", type=FieldType.TEXT)])
    rule = parse(f"`{word}` is empty", fields, SETTINGS, LIMITS)
    assert to_text(rule) == f"`{word}` is empty"


@pytest.mark.parametrize(
    "key", ["not_yet", "nothing", "order", "android", "isle", "trueish", "in", "today", "is2"]
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
    ],
    ids=range(15),
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
    text = to_text(Generator(seed).rule())
    for _ in range(random.randint(1, 4)):
        start = random.randint(0, len(text))
        end = start + random.choice([0, 0, 1, 5])
        text = text[:start] + random.choice(["", *_PIECES]) + text[end:]
    with suppress(ShoalError):
        rule = _parse(text)
        assert _parse(to_text(rule)) == rule


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=40))
def test_any_text_is_a_rule_or_one_of_our_errors_and_can_be_shown(text: str) -> None:
    message = ""
    try:
        _parse(text)
    except ShoalError as error:
        message = error.message
    message.encode()
