"""THE table of operators: every operator once, with its words, its types and both its readings.

Owns what an operator means: both readings, or, where it depends on the time, the window from which at an instant both
come. A row cannot be made without, so an operator that lacks a reading does not type-check; the grammar, the canonical text, the
builder and the GraphQL enumeration all come from here. Operands are in normal form (`build.py` sees to that) and of the number
that the row's shape says.

Invariant: `query` and `predicate` accept the same contacts. Held by `tests/domain/rules/test_two_readings.py`, which insists on
every row.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import assert_never

from domain.fields import FieldType
from domain.rules import readings, windows
from domain.rules.calendar import EXACT, Unit
from domain.rules.readings import PredicateReading, QueryReading
from domain.rules.windows import ArcReading, WindowReading


class Shape(Enum):
    """How many operands stand behind an operator: `one`, `two` (x and y), `many` (in parentheses, at least one)."""

    NONE = auto()
    ONE = auto()
    TWO = auto()
    MANY = auto()


class Reads(Enum):
    """What an operand is: a value of the field, a part of its text, the domain of an address; for moving operators a length of
    time, a period of the calendar, or the number of a month.
    """

    VALUE = auto()
    PART = auto()
    DOMAIN = auto()
    SPAN = auto()
    PERIOD = auto()
    MONTH = auto()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fixed:
    """What an operator means at any time.

    `query` gives the document that stands under the condition's path, `predicate` the test of the value stored there. Both
    read a negative operator as including missing values; excluding them is the back ends' addition.
    """

    query: QueryReading
    predicate: PredicateReading


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moving:
    """What an operator means at an instant: the values in its window. Both readings are those of that window."""

    window: WindowReading


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Yearly:
    """The same of the days of the year, which the contact keeps apart from the dates."""

    arc: ArcReading


Meaning = Fixed | Moving | Yearly

MOVING = "a moving condition has readings at an instant only: moving.at comes first"

# Where the operand stands in the words of an operator that has words behind it, too.
GAP = "…"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """One operator."""

    words: str
    types: frozenset[FieldType]
    shape: Shape
    reads: Reads = Reads.VALUE
    negative: bool = False
    means: Meaning
    doc: str

    @property
    def opening(self) -> list[str]:
        """The words before the operands."""
        return self.words.partition(GAP)[0].split()

    @property
    def closing(self) -> list[str]:
        """The words behind them."""
        return self.words.partition(GAP)[2].split()


_ALL = frozenset(FieldType)
_PLAIN = frozenset({FieldType.TEXT, FieldType.EMAIL, FieldType.PHONE})
_LISTED = _PLAIN | {FieldType.CHOICE, FieldType.NUMBER}
_COMPARED = _LISTED | {FieldType.BOOLEAN}
_EMAIL = frozenset({FieldType.EMAIL})
_NUMBER = frozenset({FieldType.NUMBER})
_DATE = frozenset({FieldType.DATE})
_DATETIME = frozenset({FieldType.DATETIME})
_TAGS = frozenset({FieldType.TAGS})
_MOVING = _DATE | _DATETIME


class Operator(Enum):
    """The operators by name; each one's value is its row."""

    IS_EMPTY = Row(
        words="is empty",
        types=_ALL,
        shape=Shape.NONE,
        means=Fixed(query=readings.null_under("$eq"), predicate=readings.is_missing),
        doc="The contact has no value in this field.",
    )
    IS_NOT_EMPTY = Row(
        words="is not empty",
        types=_ALL,
        shape=Shape.NONE,
        means=Fixed(query=readings.null_under("$ne"), predicate=readings.is_there),
        doc="The contact has a value in this field.",
    )
    IS = Row(
        words="is",
        types=_COMPARED,
        shape=Shape.ONE,
        means=Fixed(query=readings.first_under("$eq"), predicate=readings.equal_to_any),
        doc="The value is this one.",
    )
    IS_NOT = Row(
        words="is not",
        types=_COMPARED,
        shape=Shape.ONE,
        negative=True,
        means=Fixed(query=readings.first_under("$ne"), predicate=readings.denied(readings.equal_to_any)),
        doc="The value is another one, or missing.",
    )
    IS_ANY_OF = Row(
        words="is any of",
        types=_LISTED,
        shape=Shape.MANY,
        means=Fixed(query=readings.all_under("$in"), predicate=readings.equal_to_any),
        doc="The value is one of these.",
    )
    IS_NONE_OF = Row(
        words="is none of",
        types=_LISTED,
        shape=Shape.MANY,
        negative=True,
        means=Fixed(query=readings.all_under("$nin"), predicate=readings.denied(readings.equal_to_any)),
        doc="The value is none of these, or missing.",
    )
    CONTAINS = Row(
        words="contains",
        types=_PLAIN,
        shape=Shape.ONE,
        reads=Reads.PART,
        means=Fixed(query=readings.contains_query, predicate=readings.contains),
        doc="The value has this text in it.",
    )
    DOES_NOT_CONTAIN = Row(
        words="does not contain",
        types=_PLAIN,
        shape=Shape.ONE,
        reads=Reads.PART,
        negative=True,
        means=Fixed(
            query=readings.negated(readings.contains_query), predicate=readings.denied(readings.contains)
        ),
        doc="The value does not have this text in it, or is missing.",
    )
    STARTS_WITH = Row(
        words="starts with",
        types=_PLAIN,
        shape=Shape.ONE,
        reads=Reads.PART,
        means=Fixed(query=readings.starts_query, predicate=readings.starts),
        doc="The value begins with this text.",
    )
    DOES_NOT_START_WITH = Row(
        words="does not start with",
        types=_PLAIN,
        shape=Shape.ONE,
        reads=Reads.PART,
        negative=True,
        means=Fixed(
            query=readings.negated(readings.starts_query), predicate=readings.denied(readings.starts)
        ),
        doc="The value does not begin with this text, or is missing.",
    )
    ENDS_WITH = Row(
        words="ends with",
        types=_PLAIN,
        shape=Shape.ONE,
        reads=Reads.PART,
        means=Fixed(query=readings.ends_query, predicate=readings.ends),
        doc="The value ends with this text.",
    )
    DOES_NOT_END_WITH = Row(
        words="does not end with",
        types=_PLAIN,
        shape=Shape.ONE,
        reads=Reads.PART,
        negative=True,
        means=Fixed(query=readings.negated(readings.ends_query), predicate=readings.denied(readings.ends)),
        doc="The value does not end with this text, or is missing.",
    )
    DOMAIN_IS_ANY_OF = Row(
        words="domain is any of",
        types=_EMAIL,
        shape=Shape.MANY,
        reads=Reads.DOMAIN,
        means=Fixed(query=readings.negated(readings.other_domain_query), predicate=readings.ends_in_domain),
        doc="What stands behind the address's @ is one of these domains. A subdomain is another domain.",
    )
    DOMAIN_IS_NONE_OF = Row(
        words="domain is none of",
        types=_EMAIL,
        shape=Shape.MANY,
        reads=Reads.DOMAIN,
        negative=True,
        means=Fixed(query=readings.other_domain_query, predicate=readings.denied(readings.ends_in_domain)),
        doc="What stands behind the address's @ is none of these domains, or the address is missing.",
    )
    LESS_THAN = Row(
        words="<",
        types=_NUMBER,
        shape=Shape.ONE,
        means=Fixed(query=readings.first_under("$lt"), predicate=readings.below),
        doc="The number is less than this.",
    )
    AT_MOST = Row(
        words="<=",
        types=_NUMBER,
        shape=Shape.ONE,
        means=Fixed(query=readings.first_under("$lte"), predicate=readings.at_most),
        doc="The number is this or less.",
    )
    MORE_THAN = Row(
        words=">",
        types=_NUMBER,
        shape=Shape.ONE,
        means=Fixed(query=readings.first_under("$gt"), predicate=readings.above),
        doc="The number is more than this.",
    )
    AT_LEAST = Row(
        words=">=",
        types=_NUMBER,
        shape=Shape.ONE,
        means=Fixed(query=readings.first_under("$gte"), predicate=readings.at_least),
        doc="The number is this or more.",
    )
    BETWEEN = Row(
        words="between",
        types=_NUMBER | _DATE | _DATETIME,
        shape=Shape.TWO,
        means=Fixed(query=readings.between_query, predicate=readings.between),
        doc="From the first to the second: both are in for numbers and dates, the second is out for points in time.",
    )
    ON = Row(
        words="on",
        types=_DATE,
        shape=Shape.ONE,
        means=Fixed(query=readings.first_under("$eq"), predicate=readings.equal_to_any),
        doc="The date is this one.",
    )
    NOT_ON = Row(
        words="not on",
        types=_DATE,
        shape=Shape.ONE,
        negative=True,
        means=Fixed(query=readings.first_under("$ne"), predicate=readings.denied(readings.equal_to_any)),
        doc="The date is another one, or missing.",
    )
    BEFORE = Row(
        words="before",
        types=_DATE | _DATETIME,
        shape=Shape.ONE,
        means=Fixed(query=readings.first_under("$lt"), predicate=readings.below),
        doc="The value lies before this.",
    )
    AFTER = Row(
        words="after",
        types=_DATE | _DATETIME,
        shape=Shape.ONE,
        means=Fixed(query=readings.first_under("$gt"), predicate=readings.above),
        doc="The value lies after this.",
    )
    ON_OR_BEFORE = Row(
        words="on or before",
        types=_DATE,
        shape=Shape.ONE,
        means=Fixed(query=readings.first_under("$lte"), predicate=readings.at_most),
        doc="The date is this one or an earlier one.",
    )
    ON_OR_AFTER = Row(
        words="on or after",
        types=_DATE,
        shape=Shape.ONE,
        means=Fixed(query=readings.first_under("$gte"), predicate=readings.at_least),
        doc="The date is this one or a later one.",
    )
    AT_OR_BEFORE = Row(
        words="at or before",
        types=_DATETIME,
        shape=Shape.ONE,
        means=Fixed(query=readings.first_under("$lte"), predicate=readings.at_most),
        doc="The point in time is this one or an earlier one.",
    )
    AT_OR_AFTER = Row(
        words="at or after",
        types=_DATETIME,
        shape=Shape.ONE,
        means=Fixed(query=readings.first_under("$gte"), predicate=readings.at_least),
        doc="The point in time is this one or a later one.",
    )
    HAS_ANY_OF = Row(
        words="has any of",
        types=_TAGS,
        shape=Shape.MANY,
        means=Fixed(query=readings.all_under("$in"), predicate=readings.equal_to_any),
        doc="At least one of these tags is there.",
    )
    HAS_ALL_OF = Row(
        words="has all of",
        types=_TAGS,
        shape=Shape.MANY,
        means=Fixed(query=readings.all_under("$all"), predicate=readings.has_every),
        doc="Every one of these tags is there.",
    )
    HAS_NONE_OF = Row(
        words="has none of",
        types=_TAGS,
        shape=Shape.MANY,
        negative=True,
        means=Fixed(query=readings.all_under("$nin"), predicate=readings.denied(readings.equal_to_any)),
        doc="Not one of these tags is there, or there are no tags at all.",
    )
    LACKS_ANY_OF = Row(
        words="lacks any of",
        types=_TAGS,
        shape=Shape.MANY,
        negative=True,
        means=Fixed(
            query=readings.negated(readings.all_under("$all")), predicate=readings.denied(readings.has_every)
        ),
        doc="At least one of these tags is not there, or there are no tags at all.",
    )
    IN_THE_LAST = Row(
        words="in the last",
        types=_MOVING,
        shape=Shape.ONE,
        reads=Reads.SPAN,
        means=Moving(window=windows.in_the_last),
        doc="The value lies within this time up to now. Today counts as one of the days, the whole of it.",
    )
    IN_THE_NEXT = Row(
        words="in the next",
        types=_MOVING,
        shape=Shape.ONE,
        reads=Reads.SPAN,
        means=Moving(window=windows.in_the_next),
        doc="The value lies within this time from now on. Today counts as one of the days, the whole of it.",
    )
    MORE_THAN_AGO = Row(
        words=f"more than {GAP} ago",
        types=_MOVING,
        shape=Shape.ONE,
        reads=Reads.SPAN,
        means=Moving(window=windows.more_than_ago),
        doc="The value lies further back than this. The day that is exactly so far back is not meant.",
    )
    MORE_THAN_AHEAD = Row(
        words=f"more than {GAP} ahead",
        types=_MOVING,
        shape=Shape.ONE,
        reads=Reads.SPAN,
        means=Moving(window=windows.more_than_ahead),
        doc="The value lies further ahead than this. The day that is exactly so far ahead is not meant.",
    )
    THIS = Row(
        words="this",
        types=_MOVING,
        shape=Shape.ONE,
        reads=Reads.PERIOD,
        means=Moving(window=windows.this),
        doc="The value lies in the day, week, month, quarter or year that today lies in, be it past or ahead.",
    )
    LAST = Row(
        words="last",
        types=_MOVING,
        shape=Shape.ONE,
        reads=Reads.PERIOD,
        means=Moving(window=windows.last),
        doc="The value lies in the day, week, month, quarter or year before the one that today lies in.",
    )
    NEXT = Row(
        words="next",
        types=_MOVING,
        shape=Shape.ONE,
        reads=Reads.PERIOD,
        means=Moving(window=windows.next_),
        doc="The value lies in the day, week, month, quarter or year after the one that today lies in.",
    )
    ANNIVERSARY_TODAY = Row(
        words="anniversary today",
        types=_DATE,
        shape=Shape.NONE,
        means=Yearly(arc=windows.anniversary_today),
        doc="The date's day of the year is today's: it is their birthday.",
    )
    ANNIVERSARY_IN_THE_NEXT = Row(
        words="anniversary in the next",
        types=_DATE,
        shape=Shape.ONE,
        reads=Reads.SPAN,
        means=Yearly(arc=windows.anniversary_in_the_next),
        doc="The date's day of the year comes within this time. Today counts as one of the days.",
    )
    ANNIVERSARY_IN_THE_LAST = Row(
        words="anniversary in the last",
        types=_DATE,
        shape=Shape.ONE,
        reads=Reads.SPAN,
        means=Yearly(arc=windows.anniversary_in_the_last),
        doc="The date's day of the year was within this time. Today counts as one of the days.",
    )
    ANNIVERSARY_IN_MONTH = Row(
        words="anniversary in month",
        types=_DATE,
        shape=Shape.ONE,
        reads=Reads.MONTH,
        means=Yearly(arc=windows.anniversary_in_month),
        doc="The date's day of the year lies in this month, 1 to 12, of whatever year.",
    )


def operators_of(type_: FieldType) -> tuple[Operator, ...]:
    """The operators that serve fields of this type, in the table's order."""
    return tuple(operator for operator in Operator if type_ in operator.value.types)


_DAYS = (Unit.DAY, Unit.WEEK, Unit.MONTH, Unit.YEAR)


def units_of(reads: Reads, type_: FieldType) -> tuple[Unit, ...]:
    """The units in which an operand of a field of this type can be said, the smallest first; none where it has no unit."""
    match reads:
        case Reads.SPAN:
            return (*EXACT, *_DAYS) if type_ is FieldType.DATETIME else _DAYS
        case Reads.PERIOD:
            return (Unit.DAY, Unit.WEEK, Unit.MONTH, Unit.QUARTER, Unit.YEAR)
        case Reads.VALUE | Reads.PART | Reads.DOMAIN | Reads.MONTH:
            return ()
        case _:
            assert_never(reads)
