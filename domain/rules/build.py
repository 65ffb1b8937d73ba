"""From untrusted input to a rule: the one place where that happens.

Owns the meaning of what the text form and the GraphQL tree say: which field a condition is about, whether the field's type
has the operator, the operands in normal form, and which audiences are referred to. Everything behind this trusts its rules and
checks nothing again. Refuses by `UnknownField`, `UnknownAudience`, `InvalidRule`, `InvalidValue` and `LimitExceeded`, each with
the path into the input, and, where the input is a text, its line and column in the message.

Invariant: a rule that was built says the same when it is written as text and built again. Held by
`tests/domain/rules/test_text.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, assert_never

from email_validator import EmailNotValidError, validate_email

from domain.errors import (
    InvalidRule,
    InvalidValue,
    LimitExceeded,
    PathPart,
    ShoalError,
    UnknownAudience,
    UnknownField,
)
from domain.fields import FieldRegistry, FieldType, Settings, normalize
from domain.fields.definitions import Field, unknown_field_message
from domain.fields.normal import normal_text
from domain.rules.canonical import key_text
from domain.rules.naming import NOBODY, Audiences, unknown_audience_message
from domain.rules.operators import Operator, Reads, Shape, operators_of
from domain.rules.readings import Operand
from domain.rules.slips import meant
from domain.rules.spans import month_operand, period_operand, span_operand
from domain.rules.tree import (
    CREATED,
    UPDATED,
    AudienceKind,
    AudienceRef,
    Condition,
    Limits,
    MemberOf,
    Quantifier,
    Rule,
    Subject,
    all_of,
    any_of,
    field_subject,
    negate,
    within,
)

# The longest part of a text that can be looked for. Escaped, it stays below 1,000 characters, the longest pattern that
# every known server takes (MongoDB itself takes more).
LONGEST_PART = 400

# How deep input may be nested before it is normalised: above any depth that a rule may have, below Python's own limit.
DEEPEST_INPUT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in the input something stands: a path into a structure, or line and column (from 1) of a text."""

    path: tuple[PathPart, ...] = ()
    line: int | None = None
    column: int | None = None

    def __truediv__(self, part: PathPart) -> Place:
        """The place of a part, where there is a structure that has parts."""
        return self if self.line is not None else replace(self, path=(*self.path, part))

    def say(self, message: str) -> str:
        return message if self.line is None else f"Line {self.line}, column {self.column}: {message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnboundCondition:
    """A condition as it was said: the field's key (or `created`, `updated`), and operands as JSON-like values."""

    field: str
    operator: Operator
    operands: Sequence[Any] = ()
    include_missing: bool | None = None
    place: Place = Place()
    operand_places: Sequence[Place] = ()
    """Where each operand stands, if that does not follow from `place`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedAudience:
    """An audience by its name."""

    kind: AudienceKind
    name: str
    place: Place = Place()


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifiedAudience:
    """An audience by its identifier; None for one that was unreadable."""

    audience: AudienceRef | None
    place: Place = Place()


@dataclass(frozen=True, slots=True, kw_only=True)
class UnboundMembership:
    quantifier: Quantifier
    audiences: Sequence[NamedAudience | IdentifiedAudience]
    place: Place = Place()


@dataclass(frozen=True, slots=True, kw_only=True)
class UnboundAll:
    children: Sequence[Unbound]
    place: Place = Place()


@dataclass(frozen=True, slots=True, kw_only=True)
class UnboundAny:
    children: Sequence[Unbound]
    place: Place = Place()


@dataclass(frozen=True, slots=True, kw_only=True)
class UnboundNot:
    child: Unbound


Unbound = UnboundAll | UnboundAny | UnboundNot | UnboundCondition | UnboundMembership


def build(
    unbound: Unbound,
    fields: FieldRegistry,
    settings: Settings,
    limits: Limits,
    audiences: Audiences = NOBODY,
) -> Rule:
    """The rule that `unbound` says, within `limits`."""
    binding = _Binding(fields=fields, settings=settings, limits=limits, audiences=audiences)
    return within(binding.rule(unbound, 0), limits)


_TIMES = {"created": CREATED, "updated": UPDATED}


@dataclass(slots=True, kw_only=True)
class _Binding:
    """One building: what names and operands mean, and how many conditions have been met so far."""

    fields: FieldRegistry
    settings: Settings
    limits: Limits
    audiences: Audiences
    met: int = 0

    def rule(self, unbound: Unbound, depth: int) -> Rule:
        if depth > DEEPEST_INPUT:
            raise LimitExceeded(
                f"A rule is nested to a depth of {self.limits.depth} at most; this one goes deeper."
            )
        match unbound:
            case UnboundCondition():
                return self.condition(unbound)
            case UnboundMembership():
                return self.membership(unbound)
            case UnboundNot(child=child):
                return negate(self.rule(child, depth + 1))
            case UnboundAll(children=children) | UnboundAny(children=children):
                if not children:
                    raise _refused(unbound.place, InvalidRule("At least one rule is wanted in this list."))
                parts = [self.rule(child, depth + 1) for child in children]
                return all_of(parts) if isinstance(unbound, UnboundAll) else any_of(parts)
            case _:
                assert_never(unbound)

    def meet(self) -> None:
        self.met += 1
        if self.met > self.limits.conditions:
            raise LimitExceeded(
                f"A rule has {self.limits.conditions:,} conditions at most; this one has more."
            )

    def membership(self, unbound: UnboundMembership) -> MemberOf:
        self.meet()
        given = unbound.audiences
        if not given:
            message = "At least one group or segment is wanted; an empty list means nothing."
            raise _refused(unbound.place, InvalidRule(message))
        if len(given) > self.limits.operands:
            message = f"A list has {self.limits.operands:,} groups and segments at most; this one has {len(given):,}."
            raise _refused(unbound.place, LimitExceeded(message))
        # One that is said twice is said once, where it was said first.
        audiences = tuple(dict.fromkeys(map(self.audience, given)))
        return MemberOf(quantifier=unbound.quantifier, audiences=audiences)

    def audience(self, unbound: NamedAudience | IdentifiedAudience) -> AudienceRef:
        match unbound:
            case NamedAudience(kind=kind, name=name):
                identifier = self.audiences.named(kind, name)
                if identifier is not None:
                    return AudienceRef(kind=kind, id=identifier)
                message = unknown_audience_message(kind, name, self.audiences)
                sought = name if kind is AudienceKind.SEGMENT else None
            case IdentifiedAudience(audience=audience):
                if audience is not None and self.audiences.kind_of(audience.id) is audience.kind:
                    return audience
                message, sought = "There is no such group or segment. It may have been deleted.", None
            case _:
                assert_never(unbound)
        raise _refused(unbound.place, UnknownAudience(message, sought=sought))

    def condition(self, unbound: UnboundCondition) -> Condition:
        self.meet()
        field, subject = self.subject(unbound)
        row = unbound.operator.value
        if subject.type not in row.types:
            those = ", ".join(operator.value.words for operator in operators_of(subject.type))
            said = f"{key_text(unbound.field)} {row.words}"
            instead = meant(said, 0, subject.type, len(said))
            message = (
                f"“{unbound.field}” is of type {subject.type}, which does not have “{row.words}”."
                f"{'' if instead is None else f' {instead}'} It has: {those}."
            )
            raise _refused(unbound.place / "operator", InvalidRule(message))
        if unbound.include_missing is not None and not row.negative:
            message = (
                f"“{row.words}” never includes missing values; “or {key_text(unbound.field)} is empty” does."
                if unbound.include_missing
                else f"“{row.words}” already leaves out contacts without a value; take “excluding missing” away."
            )
            raise _refused(unbound.place / "includeMissing", InvalidRule(message))
        return Condition(
            subject=subject,
            operator=unbound.operator,
            operands=self.operands(unbound, field),
            include_missing=(unbound.include_missing is not False) if row.negative else None,
        )

    def subject(self, unbound: UnboundCondition) -> tuple[Field | None, Subject]:
        if (time := _TIMES.get(unbound.field)) is not None:
            return None, time
        field = self.fields.get(unbound.field)
        if field is None:
            message = unknown_field_message(unbound.field, [*self.fields, *_TIMES])
            raise _refused(unbound.place / "field", UnknownField(message))
        return field, field_subject(field.key, field.type)

    def operands(self, unbound: UnboundCondition, field: Field | None) -> tuple[Operand, ...]:
        given, row = unbound.operands, unbound.operator.value
        place = unbound.place / "operands"
        if row.shape is Shape.MANY and not given:
            raise _refused(
                place, InvalidRule(f"“{row.words}” wants at least one value; an empty list means nothing.")
            )
        if len(given) > self.limits.operands:
            message = f"A list has {self.limits.operands:,} values at most; this one has {len(given):,}."
            raise _refused(place, LimitExceeded(message))
        if row.shape is not Shape.MANY and len(given) != _COUNTS[row.shape]:
            wanted = ("no value", "one value", "two values")[_COUNTS[row.shape]]
            raise _refused(place, InvalidRule(f"“{row.words}” wants {wanted}; {len(given)} are here."))
        # One value that is said twice is said once, where it was said first.
        places = unbound.operand_places or [place / position for position in range(len(given))]
        bound = tuple(
            dict.fromkeys(
                self.operand(unbound, operand, field, where)
                for operand, where in zip(given, places, strict=True)
            )
        )
        if row.shape is Shape.TWO:
            return self.span(unbound, bound if len(bound) == 2 else bound * 2)
        return bound

    def operand(self, unbound: UnboundCondition, given: Any, field: Field | None, place: Place) -> Operand:
        reads, type_ = unbound.operator.value.reads, _ANY_DATETIME.type if field is None else field.type
        try:
            match reads:
                case Reads.VALUE:
                    return self.value(given, field)
                case Reads.PART:
                    return _part(given, field)
                case Reads.DOMAIN:
                    return _domain(given)
                case Reads.SPAN:
                    return span_operand(given, type_)
                case Reads.PERIOD:
                    return period_operand(given, type_)
                case Reads.MONTH:
                    return month_operand(given)
                case _:
                    assert_never(reads)
        except ShoalError as error:
            raise _refused(place, error) from None

    def value(self, given: Any, field: Field | None) -> Operand:
        if field is None:
            field = _ANY_DATETIME
        elif field.type is FieldType.TAGS:
            field = replace(field, type=FieldType.TEXT)
        if field.type is FieldType.NUMBER and isinstance(given, str) and given.strip():
            raise InvalidValue(_quoted_number(given))
        entry = normalize(field, given, self.settings)
        if entry is None:
            raise InvalidValue(
                "A value is wanted here; for the lack of one there are “is empty” and “is not empty”."
            )
        if isinstance(entry.normal, list):
            raise TypeError("a single operand has a single normal form")
        return entry.normal

    def span(self, unbound: UnboundCondition, ends: tuple[Operand, ...]) -> tuple[Operand, ...]:
        start, end = ends
        half_open = unbound.field in _TIMES or self.fields[unbound.field].type is FieldType.DATETIME
        # Both are of one type: they went through the same field.
        if start > end or (half_open and start == end):  # type: ignore[operator]
            message = "Nothing lies between these two: the first must come before the second."
            raise _refused(unbound.place / "operands", InvalidRule(message))
        return ends


_COUNTS = {Shape.NONE: 0, Shape.ONE: 1, Shape.TWO: 2}

_ANY_DATETIME = Field(key="datetime", label="A point in time", type=FieldType.DATETIME)


def _refused(place: Place, error: ShoalError) -> ShoalError:
    """The error with the place at which the input is at fault."""
    error.message = place.say(error.message)
    error.args = (error.message,)
    error.line, error.column = place.line, place.column
    return error.at(*place.path)


def _part(given: Any, field: Field | None) -> str:
    """A part of a text, folded as the whole is.

    Of a phone number only digits and a leading `+` are kept: what is looked for is a part of the international form.
    """
    if not isinstance(given, str):
        raise InvalidValue("A text is wanted here.")
    part = normal_text(given)
    if field is not None and field.type is FieldType.PHONE:
        part = re.sub(r"[\s().\-/]", "", part)
        if not re.fullmatch(r"\+?[0-9]*", part):
            raise InvalidValue(
                "A part of a phone number such as +1202 or 3441 is wanted: digits, with “+” before the first."
            )
    if not part:
        raise InvalidValue("A text that is not empty is wanted here.")
    if len(part) > LONGEST_PART:
        raise LimitExceeded(
            f"A part of a text has {LONGEST_PART} characters at most; this one has {len(part):,}."
        )
    return part


def _quoted_number(given: str) -> str:
    shown = given.strip()[:60].encode(errors="replace").decode()
    if re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", shown):
        return f"“{shown}” is a text, not a number. Write {shown} without quotes."
    return f"“{shown}” is not a number; one such as 3 or -0.5 is wanted, without quotes."


def _domain(given: Any) -> str:
    if not isinstance(given, str):
        raise InvalidValue("A domain such as example.org is wanted here.")
    domain = normal_text(given).removeprefix("@")
    if domain and "." not in domain:
        raise InvalidValue(
            f"“{given[:60]}” is not a domain of email addresses. A domain has a period, as gmail.com."
        )
    try:
        validate_email(f"a@{domain}", check_deliverability=False)
    except EmailNotValidError as error:
        raise InvalidValue(f"“{given[:60]}” is not a domain of email addresses. {error}") from None
    return domain
