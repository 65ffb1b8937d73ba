"""THE table of operators: every operator once, with its words, its types and both its readings.

Owns what an operator means. A row cannot be made without each of its readings, so an operator that lacks one does not
type-check; the grammar, the canonical text, the builder and the GraphQL enumeration all come from here. Operands are in normal
form (`build.py` sees to that) and of the number that the row's shape says.

Invariant: `query` and `predicate` accept the same contacts. Held by `tests/domain/rules/test_two_readings.py`, which insists on
every row.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from domain.fields import FieldType
from domain.rules import readings
from domain.rules.readings import PredicateReading, QueryReading


class Shape(Enum):
    """How many operands stand behind an operator: `one`, `two` (x and y), `many` (in parentheses, at least one)."""

    NONE = auto()
    ONE = auto()
    TWO = auto()
    MANY = auto()


class Reads(Enum):
    """What an operand is: a value of the field, a part of its text, or the domain of an address."""

    VALUE = auto()
    PART = auto()
    DOMAIN = auto()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """One operator.

    `query` gives the document that stands under the condition's path, `predicate` the test of the value stored there. Both
    read a negative operator as including missing values; excluding them is the back ends' addition.
    """

    words: str
    types: frozenset[FieldType]
    shape: Shape
    reads: Reads = Reads.VALUE
    negative: bool = False
    query: QueryReading
    predicate: PredicateReading
    doc: str


_ALL = frozenset(FieldType)
_PLAIN = frozenset({FieldType.TEXT, FieldType.EMAIL, FieldType.PHONE})
_LISTED = _PLAIN | {FieldType.CHOICE, FieldType.NUMBER}
_COMPARED = _LISTED | {FieldType.BOOLEAN}
_EMAIL = frozenset({FieldType.EMAIL})
_NUMBER = frozenset({FieldType.NUMBER})
_DATE = frozenset({FieldType.DATE})
_DATETIME = frozenset({FieldType.DATETIME})
_TAGS = frozenset({FieldType.TAGS})


class Operator(Enum):
    """The operators by name; each one's value is its row."""

    IS_EMPTY = Row(
        words="is empty",
        types=_ALL,
        shape=Shape.NONE,
        query=readings.null_under("$eq"),
        predicate=readings.is_missing,
        doc="The contact has no value in this field.",
    )
    IS_NOT_EMPTY = Row(
        words="is not empty",
        types=_ALL,
        shape=Shape.NONE,
        query=readings.null_under("$ne"),
        predicate=readings.is_there,
        doc="The contact has a value in this field.",
    )
    IS = Row(
        words="is",
        types=_COMPARED,
        shape=Shape.ONE,
        query=readings.first_under("$eq"),
        predicate=readings.equal_to_any,
        doc="The value is this one.",
    )
    IS_NOT = Row(
        words="is not",
        types=_COMPARED,
        shape=Shape.ONE,
        negative=True,
        query=readings.first_under("$ne"),
        predicate=readings.denied(readings.equal_to_any),
        doc="The value is another one, or missing.",
    )
    IS_ANY_OF = Row(
        words="is any of",
        types=_LISTED,
        shape=Shape.MANY,
        query=readings.all_under("$in"),
        predicate=readings.equal_to_any,
        doc="The value is one of these.",
    )
    IS_NONE_OF = Row(
        words="is none of",
        types=_LISTED,
        shape=Shape.MANY,
        negative=True,
        query=readings.all_under("$nin"),
        predicate=readings.denied(readings.equal_to_any),
        doc="The value is none of these, or missing.",
    )
    CONTAINS = Row(
        words="contains",
        types=_PLAIN,
        shape=Shape.ONE,
        reads=Reads.PART,
        query=readings.contains_query,
        predicate=readings.contains,
        doc="The value has this text in it.",
    )
    DOES_NOT_CONTAIN = Row(
        words="does not contain",
        types=_PLAIN,
        shape=Shape.ONE,
        reads=Reads.PART,
        negative=True,
        query=readings.negated(readings.contains_query),
        predicate=readings.denied(readings.contains),
        doc="The value does not have this text in it, or is missing.",
    )
    STARTS_WITH = Row(
        words="starts with",
        types=_PLAIN,
        shape=Shape.ONE,
        reads=Reads.PART,
        query=readings.starts_query,
        predicate=readings.starts,
        doc="The value begins with this text.",
    )
    DOES_NOT_START_WITH = Row(
        words="does not start with",
        types=_PLAIN,
        shape=Shape.ONE,
        reads=Reads.PART,
        negative=True,
        query=readings.negated(readings.starts_query),
        predicate=readings.denied(readings.starts),
        doc="The value does not begin with this text, or is missing.",
    )
    ENDS_WITH = Row(
        words="ends with",
        types=_PLAIN,
        shape=Shape.ONE,
        reads=Reads.PART,
        query=readings.ends_query,
        predicate=readings.ends,
        doc="The value ends with this text.",
    )
    DOES_NOT_END_WITH = Row(
        words="does not end with",
        types=_PLAIN,
        shape=Shape.ONE,
        reads=Reads.PART,
        negative=True,
        query=readings.negated(readings.ends_query),
        predicate=readings.denied(readings.ends),
        doc="The value does not end with this text, or is missing.",
    )
    DOMAIN_IS_ANY_OF = Row(
        words="domain is any of",
        types=_EMAIL,
        shape=Shape.MANY,
        reads=Reads.DOMAIN,
        query=readings.negated(readings.other_domain_query),
        predicate=readings.ends_in_domain,
        doc="What stands behind the address's @ is one of these domains. A subdomain is another domain.",
    )
    DOMAIN_IS_NONE_OF = Row(
        words="domain is none of",
        types=_EMAIL,
        shape=Shape.MANY,
        reads=Reads.DOMAIN,
        negative=True,
        query=readings.other_domain_query,
        predicate=readings.denied(readings.ends_in_domain),
        doc="What stands behind the address's @ is none of these domains, or the address is missing.",
    )
    LESS_THAN = Row(
        words="<",
        types=_NUMBER,
        shape=Shape.ONE,
        query=readings.first_under("$lt"),
        predicate=readings.below,
        doc="The number is less than this.",
    )
    AT_MOST = Row(
        words="<=",
        types=_NUMBER,
        shape=Shape.ONE,
        query=readings.first_under("$lte"),
        predicate=readings.at_most,
        doc="The number is this or less.",
    )
    MORE_THAN = Row(
        words=">",
        types=_NUMBER,
        shape=Shape.ONE,
        query=readings.first_under("$gt"),
        predicate=readings.above,
        doc="The number is more than this.",
    )
    AT_LEAST = Row(
        words=">=",
        types=_NUMBER,
        shape=Shape.ONE,
        query=readings.first_under("$gte"),
        predicate=readings.at_least,
        doc="The number is this or more.",
    )
    BETWEEN = Row(
        words="between",
        types=_NUMBER | _DATE | _DATETIME,
        shape=Shape.TWO,
        query=readings.between_query,
        predicate=readings.between,
        doc="From the first to the second: both are in for numbers and dates, the second is out for points in time.",
    )
    ON = Row(
        words="on",
        types=_DATE,
        shape=Shape.ONE,
        query=readings.first_under("$eq"),
        predicate=readings.equal_to_any,
        doc="The date is this one.",
    )
    NOT_ON = Row(
        words="not on",
        types=_DATE,
        shape=Shape.ONE,
        negative=True,
        query=readings.first_under("$ne"),
        predicate=readings.denied(readings.equal_to_any),
        doc="The date is another one, or missing.",
    )
    BEFORE = Row(
        words="before",
        types=_DATE | _DATETIME,
        shape=Shape.ONE,
        query=readings.first_under("$lt"),
        predicate=readings.below,
        doc="The value lies before this.",
    )
    AFTER = Row(
        words="after",
        types=_DATE | _DATETIME,
        shape=Shape.ONE,
        query=readings.first_under("$gt"),
        predicate=readings.above,
        doc="The value lies after this.",
    )
    ON_OR_BEFORE = Row(
        words="on or before",
        types=_DATE,
        shape=Shape.ONE,
        query=readings.first_under("$lte"),
        predicate=readings.at_most,
        doc="The date is this one or an earlier one.",
    )
    ON_OR_AFTER = Row(
        words="on or after",
        types=_DATE,
        shape=Shape.ONE,
        query=readings.first_under("$gte"),
        predicate=readings.at_least,
        doc="The date is this one or a later one.",
    )
    AT_OR_BEFORE = Row(
        words="at or before",
        types=_DATETIME,
        shape=Shape.ONE,
        query=readings.first_under("$lte"),
        predicate=readings.at_most,
        doc="The point in time is this one or an earlier one.",
    )
    AT_OR_AFTER = Row(
        words="at or after",
        types=_DATETIME,
        shape=Shape.ONE,
        query=readings.first_under("$gte"),
        predicate=readings.at_least,
        doc="The point in time is this one or a later one.",
    )
    HAS_ANY_OF = Row(
        words="has any of",
        types=_TAGS,
        shape=Shape.MANY,
        query=readings.all_under("$in"),
        predicate=readings.equal_to_any,
        doc="At least one of these tags is there.",
    )
    HAS_ALL_OF = Row(
        words="has all of",
        types=_TAGS,
        shape=Shape.MANY,
        query=readings.all_under("$all"),
        predicate=readings.has_every,
        doc="Every one of these tags is there.",
    )
    HAS_NONE_OF = Row(
        words="has none of",
        types=_TAGS,
        shape=Shape.MANY,
        negative=True,
        query=readings.all_under("$nin"),
        predicate=readings.denied(readings.equal_to_any),
        doc="Not one of these tags is there, or there are no tags at all.",
    )
    LACKS_ANY_OF = Row(
        words="lacks any of",
        types=_TAGS,
        shape=Shape.MANY,
        negative=True,
        query=readings.negated(readings.all_under("$all")),
        predicate=readings.denied(readings.has_every),
        doc="At least one of these tags is not there, or there are no tags at all.",
    )


def operators_of(type_: FieldType) -> tuple[Operator, ...]:
    """The operators that serve fields of this type, in the table's order."""
    return tuple(operator for operator in Operator if type_ in operator.value.types)
