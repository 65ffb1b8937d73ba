from typing import Any

import pytest
from bson import ObjectId

from domain.campaigns.template import (
    LONGEST_TEMPLATE,
    MOST_PLACEHOLDERS,
    Placeholder,
    fill_in,
    keys_needed,
    keys_read,
    missing,
    parse_template,
)
from domain.contact import Contact
from domain.errors import InvalidTemplate, LimitExceeded, ShoalError, UnknownField
from domain.fields import Field, FieldRegistry, FieldType, Settings, normalize

FIELDS = FieldRegistry(
    [
        Field(key="score", label="Score", type=FieldType.NUMBER),
        Field(key="active", label="Active", type=FieldType.BOOLEAN),
        Field(key="tags", label="Tags", type=FieldType.TAGS),
    ]
)


def contact(**values: Any) -> Contact:
    entries = {key: normalize(FIELDS[key], value, Settings()) for key, value in values.items()}
    return Contact(
        {
            "_id": ObjectId(),
            "values": {key: entry.entered for key, entry in entries.items() if entry},
            "normal": {key: entry.normal for key, entry in entries.items() if entry},
        }
    )


@pytest.mark.parametrize(
    ("text", "values", "filled"),
    [
        ("Hello", {}, "Hello"),
        ("Dear {{first_name}}!", {"first_name": " Ann "}, "Dear Ann!"),
        ("Dear {{ first_name |there}}!", {}, "Dear there!"),
        ("Dear {{first_name|there}}!", {"first_name": "Ann"}, "Dear Ann!"),
        ("Dear{{first_name|}}!", {}, "Dear!"),
        ("{{first_name|a|b}}", {}, "a|b"),
        ("{{score}} {{score}}", {"score": 3.0}, "3 3"),
        ("{{score}}", {"score": 1250.5}, "1250.5"),
        ("{{active}}", {"active": False}, "no"),
        ("{{tags}}", {"tags": ["Shoes", "Hats"]}, "Shoes, Hats"),
        ("{a} {{birthdate}} }", {"birthdate": "1990-05-03"}, "{a} 1990-05-03 }"),
        # A value is text, whatever stands in it.
        ("{{first_name}}", {"first_name": "{{last_name}}"}, "{{last_name}}"),
    ],
)
def test_a_message_is_filled_in_with_the_values_of_the_contact(
    text: str, values: dict[str, Any], filled: str
) -> None:
    template = parse_template(text, FIELDS)
    assert missing(template, contact(**values)) == []
    assert fill_in(template, contact(**values)) == filled


@pytest.mark.parametrize(
    ("text", "error", "line", "column"),
    [
        ("Dear {{frist_name}}", UnknownField, 1, 6),
        ("One\nTwo {{score}}\n  {{nobody|x}}", UnknownField, 3, 3),
        ("Dear {{}}", UnknownField, 1, 6),
        ("Dear {{first_name", InvalidTemplate, 1, 6),
        ("Dear\nfirst_name}}", InvalidTemplate, 2, 11),
        ("{{first_name|{{last_name}}}}", InvalidTemplate, 1, 1),
        ("a\0b", InvalidTemplate, None, None),
    ],
)
def test_what_leads_to_no_value_is_refused_with_its_place(
    text: str, error: type[ShoalError], line: int | None, column: int | None
) -> None:
    with pytest.raises(error) as refused:
        parse_template(text, FIELDS)
    assert (refused.value.line, refused.value.column) == (line, column)


def test_an_unknown_field_is_told_with_the_nearest_known_ones() -> None:
    with pytest.raises(
        UnknownField, match=r"There is no field “frist_name”\. Did you mean “first_name”"
    ) as refused:
        parse_template("Dear {{frist_name}}", FIELDS)
    assert refused.value.message.endswith("(line 1, column 6)")


def test_without_a_value_and_without_other_words_the_message_cannot_be_made() -> None:
    template = parse_template("{{first_name}} {{last_name|?}} {{score}}", FIELDS)
    assert keys_read(template) == {"first_name", "last_name", "score"}
    assert keys_needed(template) == {"first_name", "score"}
    assert missing(template, contact(score=0)) == ["first_name"]
    assert missing(template, contact(first_name="Ann", score=0)) == []
    # What was entered and is no value to rules, as after a change of type, is none here.
    assert missing(template, Contact({"values": {"score": "many"}, "normal": {}})) == ["first_name", "score"]


def test_what_is_too_much_is_refused() -> None:
    for text in ("x" * (LONGEST_TEMPLATE + 1), "{{score}}" * (MOST_PLACEHOLDERS + 1)):
        with pytest.raises(LimitExceeded):
            parse_template(text, FIELDS)
    long = parse_template("{{first_name}}" * MOST_PLACEHOLDERS, FIELDS)
    with pytest.raises(LimitExceeded):
        fill_in(long, contact(first_name="x" * 9_000))


def test_placeholders_and_text_stand_in_their_order() -> None:
    assert parse_template("a{{score|0}}b", FIELDS) == ("a", Placeholder(key="score", otherwise="0"), "b")
