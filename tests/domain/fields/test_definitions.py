import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidField, UnknownField
from domain.fields import BUILT_IN_FIELDS, RESERVED_KEYS, Field, FieldRegistry, FieldType, field_key


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("Contact Form", "contact_form"),
        ("YouTube", "youtube"),
        ("  E-Mail (work) ", "e_mail_work"),
        ("a__b", "a_b"),
        ("2nd Name", "2nd_name"),
        ("Café", "caf"),
        ("id", "id_2"),
        ("ID", "id_2"),
        ("Updated!", "updated_2"),
        ("生日", "field"),
        ("", "field"),
    ],
)
def test_a_header_becomes_a_key(header: str, key: str) -> None:
    assert field_key(header) == key


def test_a_taken_key_gets_the_first_free_number() -> None:
    assert field_key("City", {"city"}) == "city_2"
    assert field_key("City", {"city", "city_2"}) == "city_3"
    assert field_key("City 2", {"city_2"}) == "city_2_2"


@given(st.text(), st.sets(st.sampled_from(["field", "field_2", "a", "b", "id_2"])))
def test_every_header_becomes_a_free_and_valid_key(header: str, taken: set[str]) -> None:
    key = field_key(header, taken)
    assert key not in taken
    Field(key=key, label="Label", type=FieldType.TEXT)


def test_a_header_of_any_length_becomes_a_valid_key() -> None:
    Field(key=field_key("x" * 100_000, {"x" * 90}), label="Label", type=FieldType.TEXT)


@pytest.mark.parametrize(
    "key", ["", "A", "a b", "_a", "a_", "a__b", "é", "a.b", "$a", "a\n", "x" * 101, *sorted(RESERVED_KEYS)]
)
def test_a_key_that_cannot_be_is_refused(key: str) -> None:
    with pytest.raises(InvalidField) as refused:
        Field(key=key, label="Label", type=FieldType.TEXT)
    assert refused.value.path == ("key",)


@pytest.mark.parametrize("label", ["", "   ", "x" * 201])
def test_a_label_that_says_nothing_or_too_much_is_refused(label: str) -> None:
    with pytest.raises(InvalidField) as refused:
        Field(key="a", label=label, type=FieldType.TEXT)
    assert refused.value.path == ("label",)


@pytest.mark.parametrize(
    ("type_", "options", "path"),
    [
        (FieldType.TEXT, ("a",), ("options",)),
        (FieldType.CHOICE, ("a", " "), ("options", 1)),
        (FieldType.CHOICE, ("Straße", "b", "STRASSE"), ("options", 2)),
    ],
)
def test_options_that_cannot_be_are_refused(
    type_: FieldType, options: tuple[str, ...], path: tuple[str | int, ...]
) -> None:
    with pytest.raises(InvalidField) as refused:
        Field(key="a", label="Label", type=type_, options=options)
    assert refused.value.path == path


def test_every_account_has_the_built_in_fields() -> None:
    custom = Field(key="role", label="Role", type=FieldType.CHOICE)
    fields = FieldRegistry([custom])
    assert [*fields.values()] == [*BUILT_IN_FIELDS, custom]
    assert fields.require("role") is custom


def test_an_account_can_relabel_a_built_in_field() -> None:
    renamed = Field(key="email", label="Mail", type=FieldType.EMAIL, built_in=True)
    assert FieldRegistry([renamed])["email"] is renamed


def test_two_fields_of_one_key_are_refused() -> None:
    field = Field(key="role", label="Role", type=FieldType.TEXT)
    with pytest.raises(InvalidField):
        FieldRegistry([field, field])


def test_an_unknown_field_names_the_nearest() -> None:
    with pytest.raises(UnknownField, match="Did you mean “email”"):
        FieldRegistry().require("emial")
    with pytest.raises(UnknownField, match="There is no field “zzzz”"):
        FieldRegistry().require("zzzz")
    with pytest.raises(UnknownField, match="characters at most"):
        FieldRegistry().require("x" * 1_000_000)
