"""Rules: as clients write them, and as they read them back.

Owns the way from a `RuleInput` to an unbound rule; what it means, and whether it may be, is decided in `domain.rules.build`.
Each part keeps its path, so that an error points into the tree that the client sent. Held by `tests/api/test_rules.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, assert_never

import strawberry

from api.fields import Field, to_field
from api.memberships import Membership, MembershipInput, unbound_membership
from api.operators import Operator
from api.values import AttributeValue
from domain.catalogue import Catalogue
from domain.errors import InvalidRule, PathPart, ShoalError
from domain.fields import FieldRegistry
from domain.referring import KnownAudiences
from domain.rules.build import (
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
from domain.rules.operators import Operator as StoredOperator
from domain.rules.text import parse_unbound, to_text
from domain.rules.tree import All, AnyOf, Limits, MemberOf, Not
from domain.rules.tree import Condition as StoredCondition
from domain.rules.tree import Rule as StoredRule
from domain.rules.words import sentence
from domain.segments import BuildRule

LIMITS = Limits()


@strawberry.input(
    description='One question about one value: `{ field: "role", operator: IS_NOT, value: "staff", includeMissing: false }`.'
)
class ConditionInput:
    field: str = strawberry.field(
        description="The field's key, or `created` or `updated` for the contact's own times."
    )
    operator: Operator = strawberry.field(
        description="What is asked. Which operators there are depends on the field's type."
    )
    value: AttributeValue | None = strawberry.field(
        default=strawberry.UNSET, description="The value to compare with, where the operator wants one."
    )
    values: list[AttributeValue] | None = strawberry.field(
        default=strawberry.UNSET, description="The values to compare with, where it wants two or a list."
    )
    include_missing: bool | None = strawberry.field(
        default=None,
        description="Of a negative operator: whether contacts without a value are meant, too. Left out: yes.",
    )


@strawberry.input(one_of=True, description="A rule as text, or as a tree: exactly one of these.")
class RuleInput:
    expression: str | None = strawberry.field(
        default=strawberry.UNSET,
        description='The rule as text: `role is "customer" and email is empty`. It can stand anywhere in a tree.',
    )
    all: list[RuleInput] | None = strawberry.field(
        default=strawberry.UNSET, description="Whoever every one of these matches; at least one is wanted."
    )
    any: list[RuleInput] | None = strawberry.field(
        default=strawberry.UNSET, description="Whoever at least one of these matches; at least one is wanted."
    )
    not_: RuleInput | None = strawberry.field(
        default=strawberry.UNSET, name="not", description="Whoever this does not match."
    )
    where: ConditionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Whoever has a value that this condition holds for."
    )
    member_of: MembershipInput | None = strawberry.field(
        default=strawberry.UNSET, description="Whoever is in, or not in, other audiences."
    )


def rule_builder(given: RuleInput, path: tuple[PathPart, ...] = ("rule",)) -> BuildRule:
    """Makes the rule on a catalogue. The builder raises what is wrong with it, each error with its path into the input."""

    def build_rule(catalogue: Catalogue) -> StoredRule:
        try:
            known = KnownAudiences(catalogue)
            return build(
                _unbound(given, path, catalogue.fields), catalogue.fields, catalogue.settings, LIMITS, known
            )
        except ShoalError as error:
            error.path = tuple("values" if part == "operands" else part for part in error.path) or path
            raise

    return build_rule


def _unbound(given: RuleInput, path: tuple[PathPart, ...], fields: FieldRegistry) -> Unbound:
    if isinstance(given.expression, str):
        inside = (*path, "expression")
        try:
            return _placed(parse_unbound(given.expression, LIMITS, fields), inside)
        except ShoalError as error:
            raise error.at(*inside) from None
    if given.all is not strawberry.UNSET and given.all is not None:
        inside = (*path, "all")
        children = [_unbound(child, (*inside, index), fields) for index, child in enumerate(given.all)]
        return UnboundAll(children=children, place=Place(path=inside))
    if given.any is not strawberry.UNSET and given.any is not None:
        inside = (*path, "any")
        children = [_unbound(child, (*inside, index), fields) for index, child in enumerate(given.any)]
        return UnboundAny(children=children, place=Place(path=inside))
    if given.not_:
        return UnboundNot(child=_unbound(given.not_, (*path, "not"), fields))
    if given.where:
        return _condition(given.where, (*path, "where"))
    if given.member_of:
        return unbound_membership(given.member_of, (*path, "memberOf"))
    raise InvalidRule("A rule is wanted here: its text, or exactly one of the tree's parts.", path=path)


def _condition(given: ConditionInput, path: tuple[PathPart, ...]) -> UnboundCondition:
    single = given.value not in (strawberry.UNSET, None)
    several = given.values is not strawberry.UNSET and given.values is not None
    if single and several:
        raise InvalidRule("Either “value” or “values” is wanted, not both.", path=(*path, "values"))
    operands: list[Any] = []
    places: list[Place] = []
    if single:
        operands, places = [given.value], [Place(path=(*path, "value"))]
    elif several:
        operands = list(given.values or ())
        places = [Place(path=(*path, "values", index)) for index in range(len(operands))]
    return UnboundCondition(
        field=given.field,
        operator=StoredOperator[given.operator.value],
        operands=operands,
        include_missing=given.include_missing,
        place=Place(path=path),
        operand_places=places,
    )


def _placed(unbound: Unbound, path: tuple[PathPart, ...]) -> Unbound:
    """What a text said, with the text's own place in the input beside line and column."""
    match unbound:
        case UnboundCondition():
            places = [replace(place, path=path) for place in unbound.operand_places]
            return replace(unbound, place=replace(unbound.place, path=path), operand_places=places)
        case UnboundMembership(audiences=named):
            audiences = [replace(each, place=replace(each.place, path=path)) for each in named]
            return replace(unbound, place=replace(unbound.place, path=path), audiences=audiences)
        case UnboundNot(child=child):
            return UnboundNot(child=_placed(child, path))
        case UnboundAll(children=children):
            return replace(unbound, children=[_placed(child, path) for child in children])
        case UnboundAny(children=children):
            return replace(unbound, children=[_placed(child, path) for child in children])
        case _:
            assert_never(unbound)


@strawberry.type(description="One question about one value.")
class Condition:
    stored: strawberry.Private[StoredCondition]
    catalogue: strawberry.Private[Catalogue]

    @strawberry.field(
        description="The key of the field asked, or `created` or `updated` for the contact's own times."
    )
    def key(self) -> str:
        return self.stored.subject.key

    @strawberry.field(description="The field asked; null for the contact's own times.")
    def field(self) -> Field | None:
        field = self.catalogue.fields.get(self.stored.subject.key) if self.stored.subject.is_field else None
        return None if field is None else to_field(field)

    @strawberry.field(description="What is asked.")
    def operator(self) -> Operator:
        return Operator(self.stored.operator.name)

    @strawberry.field(
        description="What is compared with, in normal form; a length of time or a period as its text, `7 days` or `month`."
    )
    def values(self) -> list[AttributeValue]:
        return [
            AttributeValue(str(operand) if isinstance(operand, (Span, Unit)) else operand)
            for operand in self.stored.operands
        ]

    @strawberry.field(
        description="Of a negative operator: whether contacts without a value are meant, too. Null for other operators."
    )
    def include_missing(self) -> bool | None:
        return self.stored.include_missing

    @strawberry.field(description="The condition as text.")
    def expression(self) -> str:
        return to_text(self.stored)


@strawberry.type(
    description="A rule as a tree in its canonical form. Exactly one of `all`, `any`, `not`, `where` and `memberOf` is not null."
)
class Rule:
    stored: strawberry.Private[StoredRule]
    catalogue: strawberry.Private[Catalogue]

    @strawberry.field(
        description="This rule as text, the groups and segments that it refers to by the names that they have now."
    )
    def expression(self) -> str:
        return to_text(self.stored, KnownAudiences(self.catalogue).name)

    @strawberry.field(description="This rule as one plain English sentence, for people who write none.")
    def words(self) -> str:
        return sentence(self.stored, self.catalogue.fields, KnownAudiences(self.catalogue).name)

    @strawberry.field(description="Every one of these matches.")
    def all(self) -> list[Rule] | None:
        return self._children(self.stored) if isinstance(self.stored, All) else None

    @strawberry.field(description="At least one of these matches.")
    def any(self) -> list[Rule] | None:
        return self._children(self.stored) if isinstance(self.stored, AnyOf) else None

    @strawberry.field(name="not", description="This does not match.")
    def not_(self) -> Rule | None:
        return to_rule(self.stored.child, self.catalogue) if isinstance(self.stored, Not) else None

    @strawberry.field(description="This condition holds.")
    def where(self) -> Condition | None:
        if not isinstance(self.stored, StoredCondition):
            return None
        return Condition(stored=self.stored, catalogue=self.catalogue)

    @strawberry.field(description="The contact is in other audiences, or in none of them.")
    def member_of(self) -> Membership | None:
        if not isinstance(self.stored, MemberOf):
            return None
        return Membership(stored=self.stored, catalogue=self.catalogue)

    def _children(self, rule: All | AnyOf) -> list[Rule]:
        return [to_rule(child, self.catalogue) for child in rule.children]


def to_rule(rule: StoredRule, catalogue: Catalogue) -> Rule:
    return Rule(stored=rule, catalogue=catalogue)
