from datetime import UTC, datetime
from typing import Any

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from domain.errors import InvalidValue
from domain.fields import Field, FieldType, Settings, normalize
from domain.fields.normal import LONGEST_TEXT, MOST_TAGS, normal_email

SETTINGS = Settings()
CHOICE = Field(key="f", label="Field", type=FieldType.CHOICE, options=("Senator", "Straße"))


def _field(type_: FieldType) -> Field:
    return Field(key="f", label="Field", type=type_)


def _utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc] # year to microsecond


NORMAL_FORMS: list[tuple[FieldType, Any, Any]] = [
    (FieldType.TEXT, "  Acme  GmbH ", "acme gmbh"),
    (FieldType.TEXT, "a\nb", "a b"),
    (FieldType.TEXT, "x" * LONGEST_TEXT, "x" * LONGEST_TEXT),
    (FieldType.EMAIL, "Ann@Example.ORG", "ann@example.org"),
    (FieldType.EMAIL, " ann@example.org ", "ann@example.org"),
    (FieldType.EMAIL, "ann@Straße.de", "ann@strasse.de"),
    (FieldType.PHONE, "(202) 224-3441", "+12022243441"),
    (FieldType.PHONE, "+49 30 / 90 18 20", "+4930901820"),
    (FieldType.PHONE, "２０２ ２２４ ３４４１", "+12022243441"),
    (FieldType.NUMBER, 0, 0),
    (FieldType.NUMBER, 1250.5, 1250.5),
    (FieldType.NUMBER, 3.0, 3),
    (FieldType.NUMBER, -0.0, 0),
    (FieldType.NUMBER, 2**63 - 1, 2**63 - 1),
    (FieldType.NUMBER, -(2**63), -(2**63)),
    (FieldType.NUMBER, 2.0**63, 2.0**63),
    (FieldType.NUMBER, 1e300, 1e300),
    (FieldType.BOOLEAN, True, True),
    (FieldType.BOOLEAN, False, False),
    (FieldType.DATE, "1965-01-01", "1965-01-01"),
    (FieldType.DATE, "2020-02-29", "2020-02-29"),
    (FieldType.DATE, "0001-01-01", "0001-01-01"),
    (FieldType.DATE, "9999-12-31", "9999-12-31"),
    (FieldType.DATETIME, "2026-05-03T10:00:00+02:00", _utc(2026, 5, 3, 8)),
    (FieldType.DATETIME, "2026-05-03 10:00Z", _utc(2026, 5, 3, 10)),
    (FieldType.DATETIME, "2026-05-03t10:00:00.123999-0530", _utc(2026, 5, 3, 15, 30, 0, 123000)),
    (FieldType.DATETIME, "2026-05-03T10:00:00,5+02", _utc(2026, 5, 3, 8, 0, 0, 500000)),
    (FieldType.DATETIME, "0001-01-01T00:00:00Z", _utc(1, 1, 1)),
    (FieldType.DATETIME, "9999-12-31T23:59:59.9999Z", _utc(9999, 12, 31, 23, 59, 59, 999000)),
    (FieldType.CHOICE, " SENATOR", "senator"),
    (FieldType.CHOICE, "strasse", "strasse"),
    (FieldType.TAGS, ["Shoes", "shoes ", "Hats"], ["hats", "shoes"]),
    (FieldType.TAGS, ["", " ", "a"], ["a"]),
]


@pytest.mark.parametrize(("type_", "value", "normal"), NORMAL_FORMS)
def test_a_value_has_its_normal_form(type_: FieldType, value: Any, normal: Any) -> None:
    field = CHOICE if type_ is FieldType.CHOICE else _field(type_)
    entry = normalize(field, value, SETTINGS)
    assert entry is not None
    assert entry.normal == normal
    assert type(entry.normal) is type(normal)


@pytest.mark.parametrize(("type_", "value"), [(type_, value) for type_, value, _ in NORMAL_FORMS])
def test_a_value_comes_back_as_entered(type_: FieldType, value: Any) -> None:
    if type_ is FieldType.TAGS:
        return
    entry = normalize(CHOICE if type_ is FieldType.CHOICE else _field(type_), value, SETTINGS)
    assert entry is not None
    assert entry.entered == value
    assert type(entry.entered) is type(value)


def test_tags_come_back_in_their_first_spelling() -> None:
    entry = normalize(_field(FieldType.TAGS), ["Shoes", "shoes ", "Hats", " "], SETTINGS)
    assert entry is not None
    assert entry.entered == ["Shoes", "Hats"]


def test_a_date_keeps_the_day_of_the_year_beside_it() -> None:
    entry = normalize(_field(FieldType.DATE), "1965-01-31", SETTINGS)
    assert entry is not None
    assert entry.anniversary == "01-31"


@pytest.mark.parametrize("type_", FieldType)
@pytest.mark.parametrize("value", [None, "", "  \t\n", "\u3000", []])
def test_nothing_is_no_value_whatever_the_type(type_: FieldType, value: Any) -> None:
    assert normalize(_field(type_), value, SETTINGS) is None


def test_tags_of_white_space_are_no_value() -> None:
    assert normalize(_field(FieldType.TAGS), ["", "  "], SETTINGS) is None


REFUSED: list[tuple[FieldType, Any, str]] = [
    (FieldType.TEXT, "a\0b", "NUL"),
    (FieldType.TEXT, "\0", "NUL"),
    (FieldType.TEXT, "x" * (LONGEST_TEXT + 1), "10,000 at most"),
    (FieldType.TEXT, "\ufdfa" * 1_000, "more than 10,000"),
    (FieldType.TEXT, "\ud800", "surrogate"),
    (FieldType.TEXT, 5, "not a text"),
    (FieldType.TEXT, True, "not a text"),
    (FieldType.TEXT, ["a"], "not a text"),
    (FieldType.TEXT, {"a": 1}, "not a text"),
    (FieldType.EMAIL, "ann", "not an email address"),
    (FieldType.EMAIL, "ann@", "not an email address"),
    (FieldType.EMAIL, "a b@example.org", "not an email address"),
    (FieldType.EMAIL, "Ann <ann@example.org>", "not an email address"),
    (FieldType.EMAIL, "ann@example.org\0", "NUL"),
    (FieldType.PHONE, "12", "possible phone number"),
    (FieldType.PHONE, "hello", "possible phone number"),
    (FieldType.PHONE, "9" * 1_000, "possible phone number"),
    (FieldType.PHONE, 2022243441, "not a text"),
    (FieldType.NUMBER, float("nan"), "finite"),
    (FieldType.NUMBER, float("-inf"), "finite"),
    (FieldType.NUMBER, 2**63, "9223372036854775807"),
    (FieldType.NUMBER, 10**10_000, "9223372036854775807"),
    (FieldType.NUMBER, True, "not a number"),
    (FieldType.NUMBER, "3", "not a number"),
    (FieldType.BOOLEAN, 1, "neither true nor false"),
    (FieldType.BOOLEAN, "true", "neither true nor false"),
    (FieldType.DATE, "1965-02-29", "not a date"),
    (FieldType.DATE, "0000-01-01", "not a date"),
    (FieldType.DATE, "10000-01-01", "not a date"),
    (FieldType.DATE, "19650101", "not a date"),
    (FieldType.DATE, "1965-W01-1", "not a date"),
    (FieldType.DATE, "1965-1-1", "not a date"),
    (FieldType.DATE, "１９６５-01-01", "not a date"),
    (FieldType.DATE, "1965-01-01T00:00:00Z", "not a date"),
    (FieldType.DATE, 1965, "not a date"),
    (FieldType.DATETIME, "2026-05-03T10:00:00", "offset"),
    (FieldType.DATETIME, "2026-05-03", "not a point in time"),
    (FieldType.DATETIME, "2026-05-03T24:00:00Z", "not a point in time"),
    (FieldType.DATETIME, "2026-05-03T10:00:60Z", "not a point in time"),
    (FieldType.DATETIME, "2026-05-03T10:00:00+25:00", "not a point in time"),
    (FieldType.DATETIME, "2026-05-03T10:00:00+01:60", "not a point in time"),
    (FieldType.DATETIME, "0001-01-01T00:00:00+01:00", "between the years"),
    (FieldType.DATETIME, "9999-12-31T23:59:59-01:00", "between the years"),
    (FieldType.DATETIME, 1_777_777_777, "not a point in time"),
    (FieldType.CHOICE, "Boss", "“Senator”, “Straße”"),
    (FieldType.TAGS, "a", "list of texts"),
    (FieldType.TAGS, [1], "each tag"),
    (FieldType.TAGS, [None], "each tag"),
    (FieldType.TAGS, [str(number) for number in range(MOST_TAGS + 1)], "1,000 at most"),
]


@pytest.mark.parametrize(
    ("type_", "value", "says"),
    REFUSED,
    ids=[f"{type_}-{number}" for number, (type_, *_) in enumerate(REFUSED)],
)
def test_a_value_that_cannot_be_is_refused_with_what_is_wanted(
    type_: FieldType, value: Any, says: str
) -> None:
    field = CHOICE if type_ is FieldType.CHOICE else _field(type_)
    with pytest.raises(InvalidValue, match=says) as refused:
        normalize(field, value, SETTINGS)
    refused.value.message.encode()
    assert len(refused.value.message) < 400


def test_a_refused_tag_is_named_by_its_place() -> None:
    with pytest.raises(InvalidValue) as refused:
        normalize(_field(FieldType.TAGS), ["a", 1], SETTINGS)
    assert refused.value.path == (1,)


def test_as_many_tags_as_may_be_are_taken_however_often_they_are_said() -> None:
    entry = normalize(_field(FieldType.TAGS), [str(number) for number in range(MOST_TAGS)] * 2, SETTINGS)
    assert entry is not None
    assert isinstance(entry.normal, list)
    assert len(entry.normal) == MOST_TAGS


def test_a_phone_number_is_read_in_the_account_s_region() -> None:
    entry = normalize(_field(FieldType.PHONE), "030 901820", Settings(region="DE"))
    assert entry is not None
    assert entry.normal == "+4930901820"


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(alphabet=st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
_LIKELY = st.sampled_from([value for _, value, _ in [*NORMAL_FORMS, *REFUSED]])


_LOCAL = st.text("ab1._+-'\"", max_size=8) | st.sampled_from(["postmaster", "x" * 58, "x" * 65])
_DOMAIN = st.text("ab1.-", max_size=8) | st.sampled_from(
    [
        *(
            "example.org",
            "xn--strae-oqa.de",
            "xn--a.de",
            "ab--c.de",
            "localhost",
            "x.local",
            "sub.invalid",
            "b.c1",
        ),
        *("1.2.3.4", "[1.2.3.4]", "b.d.", ".b.de", "-b.de", f"{'x' * 62}.de", f"{'x' * 64}.de"),
    ]
)


@given(_LOCAL, _DOMAIN)
@example("a", "a.de")
@example("a.", "a.de")
@example("a..b", "a.de")
def test_an_email_address_is_one_where_the_library_says_so(local: str, domain: str) -> None:
    address = f"{local}@{domain}"
    try:
        validate_email(address, check_deliverability=False)
    except EmailNotValidError:
        with pytest.raises(InvalidValue):
            normal_email(address)
    else:
        assert normal_email(address) == address


@given(st.sampled_from(FieldType), _JSON | _LIKELY)
def test_any_value_is_taken_or_refused_and_a_normal_form_is_its_own(type_: FieldType, value: Any) -> None:
    field = _field(type_)
    try:
        entry = normalize(field, value, SETTINGS)
    except InvalidValue as error:
        error.message.encode()
        return
    if entry is None:
        return
    said = entry.normal.isoformat() if isinstance(entry.normal, datetime) else entry.normal
    again = normalize(field, said, SETTINGS)
    assert again is not None
    assert again.normal == entry.normal
    assert again.anniversary == entry.anniversary


@example("000000", "DE")
@given(
    st.from_regex(r"\A\+?[0-9 ()-]{5,18}\Z"),
    st.sampled_from(["US", "DE", "IT", "GB", "MX", "AR", "BR", "CI"]),
)
def test_a_phone_number_s_normal_form_is_its_own_in_every_region(text: str, region: str) -> None:
    field = _field(FieldType.PHONE)
    try:
        entry = normalize(field, text, Settings(region=region))
    except InvalidValue:
        return
    if entry is None:
        return
    for other in ("US", "IT", "MX"):
        again = normalize(field, entry.normal, Settings(region=other))
        assert again is not None
        assert again.normal == entry.normal
