import pytest

from domain.fields.phones import begins_a_number, international_beginning


@pytest.mark.parametrize(
    ("part", "begins"),
    [
        ("+", True),
        ("+4", True),
        ("+4420", True),
        ("44", False),
        ("020", False),
        ("+0", False),
        ("++4", False),
    ],
)
def test_numbers_in_international_form_begin_with_a_plus_and_a_country(part: str, begins: bool) -> None:  # noqa: FBT001
    assert begins_a_number(part) is begins


@pytest.mark.parametrize(
    ("part", "region", "meant"),
    [
        ("020", "GB", "+4420"),
        ("0044", "GB", "+44"),
        ("030", "DE", "+4930"),
        ("01149", "US", "+49"),
        ("0049", "US", "+49"),
        ("1202", "US", "+1202"),
        ("001144", "AU", "+44"),
        ("202", "US", None),
        ("44", "GB", None),
        ("0", "GB", None),
        ("00", "GB", None),
        ("000", "GB", None),
        ("06", "IT", None),
    ],
)
def test_a_beginning_as_it_is_dialled_is_told_internationally_only_where_that_is_certain(
    part: str, region: str, meant: str | None
) -> None:
    assert international_beginning(part, region) == meant
