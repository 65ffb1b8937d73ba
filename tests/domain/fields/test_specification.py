"""RULES.md, section 1, line by line: each test quotes the line or cell that it holds."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from domain.contact import new_document, update_of
from domain.errors import InvalidValue
from domain.fields import NORMAL_FORM_VERSION, Entry, Field, FieldType, Settings, fold, normalize, parse_cell
from domain.store.log import Reason

US = Settings()


def _entry(type_: FieldType, value: Any, *, options: tuple[str, ...] = ()) -> Entry | None:
    return normalize(Field(key="x", label="X", type=type_, options=options), value, US)


def _normal(type_: FieldType, value: Any, *, options: tuple[str, ...] = ()) -> Any:
    entry = _entry(type_, value, options=options)
    return None if entry is None else entry.normal


def _document(**entries: Entry | None) -> dict[str, Any]:
    """A contact as it is stored with these entries."""
    return new_document(ObjectId(), None, entries, Reason.CONTACT_CREATED)


@pytest.mark.parametrize(
    ("line", "type_", "entered", "normal"),
    [
        ('text: "  Acme  GmbH " … "acme gmbh"', FieldType.TEXT, "  Acme  GmbH ", "acme gmbh"),
        (
            "text: NFKC and case-folding … trimmed, inner white space collapsed",
            FieldType.TEXT,
            "Ｓtraße\t A",
            "strasse a",
        ),
        ("email: as text, validated", FieldType.EMAIL, "Ann@Example.ORG", "ann@example.org"),
        (
            'phone: E.164 by the account\'s default region … "+12022243441"',
            FieldType.PHONE,
            "(202) 224-3441",
            "+12022243441",
        ),
        ("number: `1250.5` through the API", FieldType.NUMBER, 1250.5, 1250.5),
        ("boolean: `true` or `false`", FieldType.BOOLEAN, True, True),
        ('date: civil date, ISO text "1965-01-01"', FieldType.DATE, "1965-01-01", "1965-01-01"),
        (
            "datetime: UTC instant, milliseconds",
            FieldType.DATETIME,
            "2026-05-03T10:00:00.0019+02:00",
            datetime(2026, 5, 3, 8, 0, 0, 1_000, tzinfo=UTC),
        ),
        ('choice: "Senator" … as text', FieldType.CHOICE, "Senator", "senator"),
        (
            'tags: sorted set of folded text: ["hats", "shoes"]',
            FieldType.TAGS,
            ["Shoes", "shoes ", "Hats"],
            ["hats", "shoes"],
        ),
    ],
)
def test_the_normal_form_of_each_field_type(line: str, type_: FieldType, entered: Any, normal: Any) -> None:
    """The table of section 1, one row of it: field type, entered, normal form."""
    assert _normal(type_, entered) == normal, line


def test_folding_is_repeated_until_nothing_changes() -> None:
    """“NFKC and case-folding repeated until nothing changes (once is not enough)”"""
    for text in ("ϓ", "İ", "ﬁ", "ẞ", "\u1e9e", "ΐ", "\u0345\u0399"):
        assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize(
    ("line", "type_", "entered"),
    [
        ("text: NUL characters", FieldType.TEXT, "a\0b"),
        ("text: more than 10,000 characters", FieldType.TEXT, "x" * 10_001),
        ("email: not an address", FieldType.EMAIL, "ann at example.org"),
        ("phone: not a possible number", FieldType.PHONE, "12"),
        ("number: NaN", FieldType.NUMBER, math.nan),
        ("number: infinity", FieldType.NUMBER, math.inf),
        ("number: beyond int64", FieldType.NUMBER, 2**63),
        ("boolean: anything else", FieldType.BOOLEAN, "maybe"),
        ("date: impossible dates", FieldType.DATE, "2023-02-29"),
        ("date: years outside 1 to 9999", FieldType.DATE, "0000-01-01"),
        ("datetime: no offset where none can be inferred", FieldType.DATETIME, "2026-05-03T10:00:00"),
        ("tags: more than 1,000 tags", FieldType.TAGS, [str(number) for number in range(1_001)]),
    ],
    ids=range(12),
)
def test_what_each_field_type_rejects_with_a_clear_error(line: str, type_: FieldType, entered: Any) -> None:
    """The table of section 1, its last column: “rejected with a clear error”."""
    with pytest.raises(InvalidValue) as refused:
        _entry(type_, entered)
    assert len(refused.value.message) > 20, line


def test_a_choice_is_among_the_field_s_options_where_it_has_any() -> None:
    """“not among the field's options, where it has any”"""
    assert _normal(FieldType.CHOICE, " SENATOR ", options=("Senator",)) == "senator"
    assert _normal(FieldType.CHOICE, "anything") == "anything"
    with pytest.raises(InvalidValue):
        _normal(FieldType.CHOICE, "Consul", options=("Senator",))


def test_an_import_takes_more_than_the_api() -> None:
    """“"1,250.50" on import”; “on import yes/no, true/false, 1/0, y/n”"""
    number, boolean = (
        Field(key="x", label="X", type=type_) for type_ in (FieldType.NUMBER, FieldType.BOOLEAN)
    )
    imported = parse_cell(number, "1,250.50", US)
    assert imported is not None
    assert imported.normal == 1250.5
    for text, truth in {
        "yes": True,
        "No": False,
        "TRUE": True,
        "false": False,
        "1": True,
        "0": False,
        "y": True,
        "N": False,
    }.items():
        entry = parse_cell(boolean, text, US)
        assert entry is not None
        assert entry.normal is truth
        with pytest.raises(InvalidValue):
            _entry(FieldType.BOOLEAN, text)


def test_beside_a_date_stands_its_day_of_the_year() -> None:
    """“no time zone, sorts as it reads; beside it "01-01" for anniversaries”"""
    document = _document(birthdate=_entry(FieldType.DATE, "1965-01-01"))
    assert document["normal"] == {"birthdate": "1965-01-01"}
    assert document["anniversaries"] == {"birthdate": "01-01"}
    days = ["0001-01-01", "0999-12-31", "1965-01-01", "9999-12-31"]
    assert days == sorted(str(_normal(FieldType.DATE, day)) for day in reversed(days))


def test_a_phone_number_is_read_in_the_account_s_region() -> None:
    """“by the account's default region (`US` unless set; `phonenumbers`)”"""
    field = Field(key="x", label="X", type=FieldType.PHONE)
    entry = normalize(field, "030 901820", Settings(region="DE"))
    assert entry is not None
    assert entry.normal == "+4930901820"


@pytest.mark.parametrize("type_", FieldType)
def test_empty_on_entry_means_no_value(type_: FieldType) -> None:
    """“Empty on entry means no value: `null`, `""`, white space, `[]`. Never `0`, never `false`.”"""
    empty: list[Any] = [None, "", " \t\n", []]
    assert [_entry(type_, value) for value in empty] == [None] * 4
    assert [_normal(kind, value) for kind, value in ((FieldType.NUMBER, 0), (FieldType.BOOLEAN, False))] == [
        0,
        False,
    ]


def test_an_update_that_sets_a_field_to_an_empty_value_removes_it() -> None:
    """“An update that sets a field to an empty value removes it.”"""
    update = update_of(
        _document(birthdate=_entry(FieldType.DATE, "1965-01-01")),
        {"birthdate": _entry(FieldType.DATE, "")},
        Reason.CONTACT_UPDATED,
    )
    assert update is not None
    assert set(update["$unset"]) == {"values.birthdate", "normal.birthdate", "anniversaries.birthdate"}


def test_the_value_is_given_back_as_entered() -> None:
    """“The value as entered is always given back as entered (first spelling for tags).”"""
    name = _entry(FieldType.TEXT, "  Acme  GmbH ")
    interests = _entry(FieldType.TAGS, ["Shoes", "shoes ", "Hats"])
    values = _document(name=name, interests=interests)["values"]
    assert values == {"name": "  Acme  GmbH ", "interests": ["Shoes", "Hats"]}


def test_emptiness_is_that_the_key_is_absent() -> None:
    """“Rules read the normal form only … and one kind of emptiness: the key is absent.”"""
    assert _document(name=_entry(FieldType.TEXT, " "), score=_entry(FieldType.NUMBER, None))["normal"] == {}


def test_the_normal_form_has_a_version() -> None:
    """“The normal form has a version”"""
    assert NORMAL_FORM_VERSION
