import pytest

from domain.fields import FieldType
from domain.rules.operators import Fixed, Operator, Reads, Row, Shape, operators_of, units_of

# RULES.md, section 2, word for word: what each type of field can be asked.
EVERY = {"is empty", "is not empty"}
CHOICES = {"is", "is not", "is any of", "is none of"}
TEXTS = CHOICES | {
    "contains",
    "does not contain",
    "starts with",
    "does not start with",
    "ends with",
    "does not end with",
}
MOVING = {"in the last", "in the next", "more than … ago", "more than … ahead", "this", "last", "next"}
YEARLY = {
    "anniversary today",
    "anniversary in the next",
    "anniversary in the last",
    "anniversary in month",
}
SPECIFIED = {
    FieldType.TEXT: TEXTS,
    FieldType.PHONE: TEXTS,
    FieldType.EMAIL: TEXTS | {"domain is any of", "domain is none of"},
    FieldType.CHOICE: CHOICES,
    FieldType.NUMBER: CHOICES | {"<", "<=", ">", ">=", "between"},
    FieldType.BOOLEAN: {"is", "is not"},
    FieldType.DATE: {"on", "not on", "before", "after", "on or before", "on or after", "between"}
    | MOVING
    | YEARLY,
    FieldType.DATETIME: {"before", "after", "at or before", "at or after", "between"} | MOVING,
    FieldType.TAGS: {"has any of", "has all of", "has none of", "lacks any of"},
}
NEGATIVE = {
    "is not",
    "is none of",
    "does not contain",
    "does not start with",
    "does not end with",
    "not on",
    "has none of",
    "lacks any of",
    "domain is none of",
}


@pytest.mark.parametrize("type_", FieldType)
def test_a_type_has_the_operators_that_are_specified(type_: FieldType) -> None:
    assert {operator.value.words for operator in operators_of(type_)} == SPECIFIED[type_] | EVERY


def test_the_negative_operators_are_those_that_are_specified() -> None:
    assert {operator.value.words for operator in Operator if operator.value.negative} == NEGATIVE


def test_no_two_operators_read_alike() -> None:
    assert len({(operator.value.words, operator.value.shape is Shape.TWO) for operator in Operator}) == len(
        Operator
    )


def test_every_operator_says_what_it_means() -> None:
    for operator in Operator:
        assert operator.value.doc.endswith(".")


def test_a_row_has_readings_or_a_window_and_those_with_a_window_are_the_moving_ones() -> None:
    moving = {operator.value.words for operator in Operator if not isinstance(operator.value.means, Fixed)}
    assert moving == MOVING | YEARLY
    with pytest.raises(TypeError, match="means"):
        Row(words="x", types=frozenset(), shape=Shape.NONE, doc="A row that says nothing.")  # type: ignore[call-arg]


SPANS = ["day", "week", "month", "year"]


@pytest.mark.parametrize(
    ("reads", "type_", "units"),
    [
        (Reads.SPAN, FieldType.DATE, SPANS),
        (Reads.SPAN, FieldType.DATETIME, ["minute", "hour", *SPANS]),
        (Reads.PERIOD, FieldType.DATE, ["day", "week", "month", "quarter", "year"]),
        (Reads.PERIOD, FieldType.DATETIME, ["day", "week", "month", "quarter", "year"]),
        (Reads.MONTH, FieldType.DATE, []),
        (Reads.VALUE, FieldType.DATETIME, []),
    ],
)
def test_an_operand_is_said_in_the_units_that_are_specified(
    reads: Reads, type_: FieldType, units: list[str]
) -> None:
    assert [unit.value for unit in units_of(reads, type_)] == units
