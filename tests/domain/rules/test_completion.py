from random import Random
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.fields import FieldRegistry
from domain.rules.completion import Completion, Kind, complete
from domain.rules.text import begun, to_text
from domain.rules.tree import Limits
from tests.domain.rules.generate import FIELDS, LIMITS, Generator


def _at(marked: str, fields: FieldRegistry = FIELDS) -> Completion:
    """What completes the text at its “|”."""
    before, _, after = marked.partition("|")
    return complete(before + after, len(before), fields, LIMITS)


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

PLACES: list[tuple[str, list[str]]] = [
    ("|", [*FIELD_KEYS, "not", "("]),
    ("city is empty and |", [*FIELD_KEYS, "not", "("]),
    ("not |", [*FIELD_KEYS, "not", "("]),
    ("(|", [*FIELD_KEYS, "not", "("]),
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
]


@pytest.mark.parametrize(("marked", "texts"), PLACES, ids=[marked for marked, _ in PLACES])
def test_what_may_stand_here_is_suggested(marked: str, texts: list[str]) -> None:
    assert _texts(marked) == texts


@pytest.mark.parametrize(
    ("marked", "operand"),
    [
        ("city is |", 'a text in double quotes, such as "Bonn"'),
        ("city contains |", 'a part of the text in double quotes, such as "ann"'),
        ("email domain is any of (|", 'a domain in double quotes, such as "example.org"'),
        ("score between |", "a number, such as 3 or -0.5"),
        ("score between 3 and |", "a number, such as 3 or -0.5"),
        ("birthdate on |", "a date, such as 1965-01-31"),
        ("updated before |", "a point in time, such as 2026-05-03T10:00:00+02:00"),
        ("newsletter is |", "true or false"),
        ("role is |", "an option in double quotes"),
        ('interests has any of ("a", |', 'a tag in double quotes, such as "shoes"'),
        ("birthdate is |", None),
        ("city |", None),
        ("|", None),
        ("city is empty |", None),
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
    assert all(each.doc.endswith(".") for each in _at("score |").suggestions)


@given(st.integers(0, 2**32))
def test_what_stands_in_a_rule_is_among_the_suggestions_for_its_place(seed: int) -> None:
    text = to_text(Generator(seed).rule())
    said = begun(text)
    assert said is not None
    for token in said[0]:
        # Behind a blank, so that it is not the word before that is to be completed.
        before = text[: token.start_pos] + " "
        completion = complete(before, len(before), FIELDS, LIMITS)
        if token.type in ("STRING", "NUMBER", "MOMENT", "TRUE", "FALSE"):
            assert completion.operand is not None
        else:
            assert any(each.text.split()[0] == str(token).lower() for each in completion.suggestions), before


@given(st.integers(0, 2**32))
def test_a_suggestion_that_is_taken_leaves_what_a_rule_can_begin_with(seed: int) -> None:
    random = Random(seed)
    text = to_text(Generator(seed).rule())
    position = random.randint(0, len(text))
    completion = complete(text, position, FIELDS, LIMITS)
    assert completion.start <= position
    for suggestion in completion.suggestions:
        assert begun(f"{text[: completion.start]}{suggestion.text} ") is not None


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=40), st.integers(-5, 50))
def test_any_text_and_place_have_an_answer(text: str, position: int) -> None:
    assert complete(text, position, FIELDS, LIMITS).start <= len(text)


@given(st.integers(0, 2**32))
def test_a_mutated_text_has_an_answer(seed: int) -> None:
    random = Random(seed)
    text = to_text(Generator(seed).rule())
    for _ in range(3):
        place = random.randint(0, len(text))
        text = (
            text[:place]
            + random.choice(['"', "`", "(", ")", "\\", " ", "<", "\0", "é", "1"])
            + text[place + random.choice([0, 1]) :]
        )
    for _ in range(5):
        complete(text, random.randint(0, len(text)), FIELDS, LIMITS)


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
    began = process_time()
    complete(text, len(text), FIELDS, LIMITS)
    assert process_time() - began < 5


def test_beyond_the_limit_of_a_text_nothing_is_suggested() -> None:
    assert complete("city ", 5, FIELDS, Limits(text=4)).suggestions == ()
