from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from bson import ObjectId

from domain.errors import (
    InvalidRule,
    InvalidValue,
    LimitExceeded,
    ShoalError,
    UnknownAudience,
    UnknownField,
)
from domain.rules.build import (
    IdentifiedAudience,
    NamedAudience,
    Place,
    Unbound,
    UnboundAll,
    UnboundAny,
    UnboundCondition,
    UnboundMembership,
    UnboundNot,
    build,
)
from domain.rules.calendar import Span, Unit
from domain.rules.operators import Operator
from domain.rules.tree import AudienceKind, AudienceRef, Condition, Limits, MemberOf, Quantifier, Rule
from tests import pace
from tests.domain.rules.generate import AUDIENCES, FIELDS, LIMITS, SETTINGS

HERE = Place(path=("rule", "all", 0, "where"))


def _build(unbound: Unbound, limits: Limits = LIMITS) -> Rule:
    return build(unbound, FIELDS, SETTINGS, limits, AUDIENCES)


def _condition(
    field: str, operator: Operator, *operands: Any, include_missing: bool | None = None
) -> UnboundCondition:
    return UnboundCondition(
        field=field, operator=operator, operands=operands, include_missing=include_missing, place=HERE
    )


@pytest.mark.parametrize(
    ("field", "operator", "given", "operands"),
    [
        ("city", Operator.IS, ["  Straße "], ("strasse",)),
        ("city", Operator.IS_ANY_OF, ["b", "A", "a", "B"], ("b", "a")),
        ("email", Operator.IS, ["Ann@Example.org"], ("ann@example.org",)),
        ("email", Operator.CONTAINS, [" @EXAMPLE"], ("@example",)),
        ("email", Operator.DOMAIN_IS_ANY_OF, ["@Example.ORG", "münchen.de"], ("example.org", "münchen.de")),
        ("phone", Operator.IS, ["(202) 224-3441"], ("+12022243441",)),
        ("phone", Operator.CONTAINS, ["(202) 224"], ("202224",)),
        ("phone", Operator.STARTS_WITH, ["+1 202"], ("+1202",)),
        ("score", Operator.IS, [3.0], (3,)),
        ("score", Operator.BETWEEN, [3, 7.5], (3, 7.5)),
        ("score", Operator.BETWEEN, [3, 3.0], (3, 3)),
        ("newsletter", Operator.IS, [False], (False,)),
        ("birthdate", Operator.ON, ["2020-02-29"], ("2020-02-29",)),
        ("last_seen", Operator.AFTER, ["2026-05-03T10:00+02:00"], (datetime(2026, 5, 3, 8, tzinfo=UTC),)),
        ("created", Operator.BEFORE, ["2026-05-03T10:00Z"], (datetime(2026, 5, 3, 10, tzinfo=UTC),)),
        ("role", Operator.IS, ["STAFF"], ("staff",)),
        ("interests", Operator.HAS_ALL_OF, ["Hats", "shoes"], ("hats", "shoes")),
        ("city", Operator.IS_EMPTY, [], ()),
        ("last_seen", Operator.IN_THE_LAST, ["7 Days"], (Span(7, Unit.DAY),)),
        ("created", Operator.MORE_THAN_AGO, ["90 minutes"], (Span(90, Unit.MINUTE),)),
        ("birthdate", Operator.IN_THE_NEXT, ["1 week"], (Span(1, Unit.WEEK),)),
        ("updated", Operator.THIS, ["MONTH"], (Unit.MONTH,)),
        ("birthdate", Operator.ANNIVERSARY_TODAY, [], ()),
        ("birthdate", Operator.ANNIVERSARY_IN_MONTH, [5.0], (5,)),
    ],
)
def test_operands_become_what_values_of_the_field_become(
    field: str, operator: Operator, given: list[Any], operands: tuple[Any, ...]
) -> None:
    built = _build(_condition(field, operator, *given))
    assert isinstance(built, Condition)
    assert built.operands == operands
    assert [type(operand) for operand in built.operands] == [type(operand) for operand in operands]


@pytest.mark.parametrize(("said", "meant"), [(None, True), (True, True), (False, False)])
def test_a_negative_condition_includes_missing_values_unless_told_otherwise(
    *, said: bool | None, meant: bool
) -> None:
    built = _build(_condition("city", Operator.IS_NOT, "x", include_missing=said))
    assert isinstance(built, Condition)
    assert built.include_missing is meant


REFUSED: list[tuple[UnboundCondition, type[ShoalError], str, tuple[str | int, ...]]] = [
    (_condition("cty", Operator.IS, "x"), UnknownField, "Did you mean “city”", ("field",)),
    (_condition("create", Operator.IS, "x"), UnknownField, "Did you mean “created”", ("field",)),
    (_condition("groups", Operator.IS, "x"), UnknownField, "no field “groups”", ("field",)),
    (
        _condition("role", Operator.CONTAINS, "x"),
        InvalidRule,
        "It has: is empty, is not empty, is, is not",
        ("operator",),
    ),
    (_condition("created", Operator.ON, "2020-01-01"), InvalidRule, "type datetime", ("operator",)),
    (
        _condition("city", Operator.IS, "x", include_missing=True),
        InvalidRule,
        "never includes missing values",
        ("includeMissing",),
    ),
    (_condition("city", Operator.IS_ANY_OF), InvalidRule, "at least one value", ("operands",)),
    (_condition("city", Operator.IS_NONE_OF), InvalidRule, "at least one value", ("operands",)),
    (_condition("city", Operator.IS), InvalidRule, "wants one value; 0", ("operands",)),
    (_condition("city", Operator.IS, "x", "y"), InvalidRule, "wants one value; 2", ("operands",)),
    (_condition("city", Operator.IS_EMPTY, "x"), InvalidRule, "wants no value; 1", ("operands",)),
    (_condition("score", Operator.BETWEEN, 1), InvalidRule, "wants two values; 1", ("operands",)),
    (_condition("score", Operator.BETWEEN, 3, 1), InvalidRule, "must come before", ("operands",)),
    (
        _condition("birthdate", Operator.BETWEEN, "2020-01-02", "2020-01-01"),
        InvalidRule,
        "before",
        ("operands",),
    ),
    (
        _condition("created", Operator.BETWEEN, "2020-01-01T00:00Z", "2020-01-01T01:00+01:00"),
        InvalidRule,
        "Nothing lies between",
        ("operands",),
    ),
    (_condition("city", Operator.IS, ""), InvalidValue, "is empty", ("operands", 0)),
    (_condition("city", Operator.IS, None), InvalidValue, "is empty", ("operands", 0)),
    (_condition("city", Operator.IS_ANY_OF, "a", " "), InvalidValue, "is empty", ("operands", 1)),
    (_condition("city", Operator.CONTAINS, " "), InvalidValue, "not empty", ("operands", 0)),
    (_condition("city", Operator.CONTAINS, 5), InvalidValue, "text", ("operands", 0)),
    (_condition("city", Operator.CONTAINS, "x" * 401), LimitExceeded, "400", ("operands", 0)),
    (_condition("city", Operator.IS, "\0"), InvalidValue, "NUL", ("operands", 0)),
    (_condition("city", Operator.STARTS_WITH, "a\0"), InvalidValue, "NUL", ("operands", 0)),
    (_condition("city", Operator.IS, 5), InvalidValue, "not a text", ("operands", 0)),
    (_condition("city", Operator.IS, {"$ne": 1}), InvalidValue, "not a text", ("operands", 0)),
    (_condition("email", Operator.IS, "ann"), InvalidValue, "not an email address", ("operands", 0)),
    (
        _condition("email", Operator.DOMAIN_IS_ANY_OF, "a@x.org"),
        InvalidValue,
        "not a domain",
        ("operands", 0),
    ),
    (
        _condition("email", Operator.DOMAIN_IS_ANY_OF, "x.org", "x"),
        InvalidValue,
        "not a domain",
        ("operands", 1),
    ),
    (_condition("email", Operator.DOMAIN_IS_ANY_OF, 5), InvalidValue, "domain such as", ("operands", 0)),
    (_condition("phone", Operator.CONTAINS, "call"), InvalidValue, "digits", ("operands", 0)),
    (_condition("phone", Operator.CONTAINS, "12+3"), InvalidValue, "digits", ("operands", 0)),
    (_condition("score", Operator.IS, *[True]), InvalidValue, "not a number", ("operands", 0)),
    (_condition("score", Operator.IS, "3"), InvalidValue, "Write 3 without quotes", ("operands", 0)),
    (_condition("score", Operator.IS, "many"), InvalidValue, "not a number", ("operands", 0)),
    (
        _condition("email", Operator.DOMAIN_IS_ANY_OF, "gmail"),
        InvalidValue,
        "A domain has a period, as gmail.com",
        ("operands", 0),
    ),
    (_condition("score", Operator.LESS_THAN, float("nan")), InvalidValue, "finite", ("operands", 0)),
    (_condition("newsletter", Operator.IS, 1), InvalidValue, "neither true nor false", ("operands", 0)),
    (_condition("birthdate", Operator.ON, "2021-02-29"), InvalidValue, "not a date", ("operands", 0)),
    (_condition("last_seen", Operator.AFTER, "2021-02-28T10:00"), InvalidValue, "offset", ("operands", 0)),
    (_condition("role", Operator.IS, "Boss"), InvalidValue, "not among the options", ("operands", 0)),
    (_condition("interests", Operator.HAS_ANY_OF, ["a"]), InvalidValue, "not a text", ("operands", 0)),
]


@pytest.mark.parametrize(("unbound", "error", "says", "path"), REFUSED, ids=range(len(REFUSED)))
def test_what_means_nothing_is_refused_with_its_path(
    unbound: UnboundCondition, error: type[ShoalError], says: str, path: tuple[str | int, ...]
) -> None:
    with pytest.raises(error, match=says) as refused:
        _build(unbound)
    assert refused.value.path == (*HERE.path, *path)
    assert type(refused.value) is error


A = _condition("city", Operator.IS, "a")

VIPS, LAPSED = AUDIENCES.of(AudienceKind.GROUP)[0], AUDIENCES.of(AudienceKind.SEGMENT)[1]


def _by_name(kind: AudienceKind, name: str) -> NamedAudience:
    return NamedAudience(kind=kind, name=name, place=HERE / "anyOf" / 0)


def _by_id(audience: AudienceRef | None) -> IdentifiedAudience:
    return IdentifiedAudience(audience=audience, place=HERE / "anyOf" / 0)


def _membership(*audiences: NamedAudience | IdentifiedAudience) -> UnboundMembership:
    return UnboundMembership(quantifier=Quantifier.ANY, audiences=audiences, place=HERE / "anyOf")


def test_audiences_are_found_by_name_or_identifier_and_each_stands_once_where_it_was_said_first() -> None:
    said: list[NamedAudience | IdentifiedAudience] = [
        _by_name(AudienceKind.SEGMENT, "  LAPSED "),
        _by_id(VIPS),
        _by_id(LAPSED),
        _by_name(AudienceKind.GROUP, "Vip"),
    ]
    assert _build(_membership(*said)) == MemberOf(quantifier=Quantifier.ANY, audiences=(LAPSED, VIPS))


UNKNOWN: list[tuple[NamedAudience | IdentifiedAudience, str]] = [
    (_by_name(AudienceKind.GROUP, "VPI"), "There is no group “VPI”. Did you mean “VIP”?"),
    (
        _by_name(AudienceKind.GROUP, "staff active"),
        "There is no group “staff active”. Did you mean “Staff - Active”?",
    ),
    (
        _by_name(AudienceKind.GROUP, "lapsed"),
        "There is no group “lapsed”, but a segment of this name. Did you mean that?",
    ),
    (_by_name(AudienceKind.SEGMENT, "Nothing at all"), "There is no segment “Nothing at all”."),
    (_by_name(AudienceKind.SEGMENT, ""), "There is no segment “”."),
    (_by_name(AudienceKind.SEGMENT, "x" * 1_000), f"There is no segment “{'x' * 100}…”."),
    (_by_id(None), "There is no such group or segment. It may have been deleted."),
    (
        _by_id(AudienceRef(kind=AudienceKind.SEGMENT, id=VIPS.id)),
        "There is no such group or segment. It may have been deleted.",
    ),
    (
        _by_id(AudienceRef(kind=AudienceKind.GROUP, id=ObjectId())),
        "There is no such group or segment. It may have been deleted.",
    ),
]


@pytest.mark.parametrize(("audience", "message"), UNKNOWN, ids=range(len(UNKNOWN)))
def test_an_unknown_audience_is_refused_with_its_path_and_the_nearest_known_ones(
    audience: NamedAudience | IdentifiedAudience, message: str
) -> None:
    with pytest.raises(UnknownAudience) as refused:
        _build(UnboundAll(children=[A, _membership(_by_id(VIPS), audience)]))
    assert refused.value.message == message
    assert refused.value.path == (*HERE.path, "anyOf", 0)


class _Thousands:
    def __init__(self) -> None:
        random = Random(1)
        self.all = ["".join(random.choices("abcdefgh ", k=90)) for _ in range(10_000)]

    def named(self, _kind: AudienceKind, _name: str) -> ObjectId | None:
        return None

    def kind_of(self, _identifier: ObjectId) -> AudienceKind | None:
        raise NotImplementedError

    def names(self, _kind: AudienceKind) -> list[str]:
        return self.all


def test_among_thousands_of_long_names_the_nearest_is_found_soon() -> None:
    known = _Thousands()
    nearest = known.all[5_000]
    with pace.at_most(400), pytest.raises(UnknownAudience, match=f"Did you mean “{nearest}”"):
        build(
            _membership(_by_name(AudienceKind.GROUP, nearest[10:50] + "x" + nearest[50:])),
            FIELDS,
            SETTINGS,
            LIMITS,
            known,
        )


def test_an_account_without_audiences_has_none_to_refer_to() -> None:
    with pytest.raises(UnknownAudience, match="There is no group “VIP”"):
        build(_membership(_by_name(AudienceKind.GROUP, "VIP")), FIELDS, SETTINGS, LIMITS)


def test_a_membership_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidRule, match="an empty list means nothing") as refused:
        _build(_membership())
    assert refused.value.path == (*HERE.path, "anyOf")


@pytest.mark.parametrize("list_", [UnboundAll, UnboundAny])
def test_an_empty_list_of_rules_is_refused(list_: type[UnboundAll] | type[UnboundAny]) -> None:
    with pytest.raises(InvalidRule, match="At least one") as refused:
        _build(list_(children=[], place=Place(path=("rule", "all"))))
    assert refused.value.path == ("rule", "all")


def test_limits_are_named() -> None:
    with pytest.raises(LimitExceeded, match="250 conditions"):
        _build(UnboundAll(children=[A] * 251))
    with pytest.raises(LimitExceeded, match="1,000 values"):
        _build(_condition("score", Operator.IS_ANY_OF, *range(1_001)))
    with pytest.raises(LimitExceeded, match="2 conditions"):
        _build(UnboundAll(children=[A] * 3), Limits(conditions=2))
    with pytest.raises(LimitExceeded, match="1,000 groups and segments"):
        _build(_membership(*[_by_id(VIPS)] * 1_001))
    with pytest.raises(LimitExceeded, match="2 conditions"):
        _build(UnboundAll(children=[A, _membership(_by_id(VIPS)), A]), Limits(conditions=2))


def test_depth_is_judged_after_normalisation() -> None:
    wrapped: Unbound = A
    for _ in range(50):
        wrapped = UnboundAll(children=[UnboundNot(child=wrapped)])
    assert _build(wrapped) == _build(A)


def test_input_of_any_depth_is_refused_and_not_fallen_over() -> None:
    nested: Unbound = A
    for _ in range(100_000):
        nested = UnboundNot(child=nested)
    with pytest.raises(LimitExceeded, match="depth of 10"):
        _build(nested)


def test_an_error_in_a_text_says_its_line_and_column() -> None:
    at = Place(line=3, column=7)
    with pytest.raises(UnknownField, match=r"^Line 3, column 7: There is no field “x”") as refused:
        _build(
            UnboundCondition(field="x", operator=Operator.IS, operands=["a"], place=at, operand_places=[at])
        )
    assert refused.value.path == ()
