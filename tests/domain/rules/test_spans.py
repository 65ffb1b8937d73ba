from typing import Any

import pytest

from domain.errors import InvalidValue, LimitExceeded
from domain.fields import FieldType
from domain.rules.calendar import LARGEST_COUNT, Span, Unit
from domain.rules.operators import Reads, units_of
from domain.rules.spans import month_operand, period_operand, span_operand


@pytest.mark.parametrize("type_", [FieldType.DATE, FieldType.DATETIME])
def test_what_is_taken_is_taken_again_as_its_own_text(type_: FieldType) -> None:
    for unit in units_of(Reads.SPAN, type_):
        for count in (1, 2, LARGEST_COUNT):
            span = Span(count, unit)
            assert span_operand(str(span), type_) == span
    for unit in units_of(Reads.PERIOD, type_):
        assert period_operand(str(unit), type_) is unit


@pytest.mark.parametrize(
    ("given", "span"),
    [
        ("7 days", Span(7, Unit.DAY)),
        ("7 DAY", Span(7, Unit.DAY)),
        (" 1 Weeks ", Span(1, Unit.WEEK)),
        ("007 Months", Span(7, Unit.MONTH)),
        ("2years", Span(2, Unit.YEAR)),
        ("3  \t hours", Span(3, Unit.HOUR)),
    ],
)
def test_a_span_is_a_number_and_a_unit(given: str, span: Span) -> None:
    assert span_operand(given, FieldType.DATETIME) == span


# fmt: off
NO_SPANS: list[Any] = [
    None, True, 7, 7.5, [], {}, "", "7", "days", "days 7", "7 days ago", "0 days", "-1 days", "+1 days", "1.5 days", "1e3 days",
    "1_0 days", "7 dayss", "7 quarters", "7 daſ", "٧ days", "7 days\0", "9" * 200 + " days",
]
# fmt: on


@pytest.mark.parametrize("given", NO_SPANS, ids=range(len(NO_SPANS)))
def test_what_is_no_span_is_refused(given: Any) -> None:
    with pytest.raises(InvalidValue) as refused:
        span_operand(given, FieldType.DATETIME)
    assert refused.value.message.endswith(".")


@pytest.mark.parametrize("given", ["100001 days", "9" * 80 + " days"], ids=range(2))
def test_a_longer_span_than_there_is_is_refused_with_the_limit(given: str) -> None:
    with pytest.raises(LimitExceeded, match="100,000 days at most"):
        span_operand(given, FieldType.DATETIME)


@pytest.mark.parametrize("given", [None, 1, "", "hour", "minute", "months", "fortnight", ["day"]])
def test_what_is_no_period_is_refused(given: Any) -> None:
    with pytest.raises(InvalidValue, match=r"^A day, week, month, quarter or year is wanted here"):
        period_operand(given, FieldType.DATETIME)


def test_a_month_is_a_whole_number_from_1_to_12() -> None:
    assert [month_operand(given) for given in (1, 12, 5.0)] == [1, 12, 5]
    for given in (0, 13, -1, 1.5, True, "5", None, [5], float("nan"), 10**400):
        with pytest.raises(InvalidValue, match="by its number"):
            month_operand(given)
