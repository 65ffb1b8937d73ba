"""Memberships of other audiences within rules: as clients write them, and as they read them back.

Clients refer to groups and segments by their identifiers. Held by `tests/api/test_references.py`.
"""

from __future__ import annotations

from enum import Enum

import strawberry

from api.audiences import Audience
from api.context import Info
from api.groups import to_group
from api.ids import Kind, read_id
from domain.catalogue import Catalogue
from domain.errors import InvalidRule, PathPart
from domain.referring import KnownAudiences
from domain.rules.build import IdentifiedAudience, Place, UnboundMembership
from domain.rules.text import to_text
from domain.rules.tree import AudienceKind, AudienceRef, MemberOf, Quantifier


@strawberry.input(
    one_of=True,
    description="Membership of other audiences, as a condition: exactly one of these lists, of one group or segment at least.",
)
class MembershipInput:
    any_of: list[strawberry.ID] | None = strawberry.field(
        default=strawberry.UNSET, description="In at least one of these groups and segments."
    )
    all_of: list[strawberry.ID] | None = strawberry.field(
        default=strawberry.UNSET, description="In every one of these groups and segments."
    )
    none_of: list[strawberry.ID] | None = strawberry.field(
        default=strawberry.UNSET, description="In none of these groups and segments."
    )


def unbound_membership(given: MembershipInput, path: tuple[PathPart, ...]) -> UnboundMembership:
    for name, quantifier, audiences in (
        ("anyOf", Quantifier.ANY, given.any_of),
        ("allOf", Quantifier.ALL, given.all_of),
        ("noneOf", Quantifier.NONE, given.none_of),
    ):
        if isinstance(audiences, list):
            place = Place(path=(*path, name))
            return UnboundMembership(
                quantifier=quantifier,
                audiences=[
                    IdentifiedAudience(audience=_reference(identifier), place=place / index)
                    for index, identifier in enumerate(audiences)
                ],
                place=place,
            )
    raise InvalidRule("Exactly one of “anyOf”, “allOf” and “noneOf” is wanted.", path=path)


def _reference(identifier: str) -> AudienceRef | None:
    match read_id(identifier):
        case (Kind.GROUP, found):
            return AudienceRef(kind=AudienceKind.GROUP, id=found)
        case (Kind.SEGMENT, found):
            return AudienceRef(kind=AudienceKind.SEGMENT, id=found)
        case _:
            return None


@strawberry.enum(description="Of how many of several audiences a contact is a member.")
class MembershipQuantifier(Enum):
    ANY = strawberry.enum_value("any", description="Of at least one.")
    ALL = strawberry.enum_value("all", description="Of every one.")
    NONE = strawberry.enum_value("none", description="Of none.")


@strawberry.type(
    description="Being in other audiences, or in none of them. A segment among them means what its own rule means at that moment."
)
class Membership:
    stored: strawberry.Private[MemberOf]
    catalogue: strawberry.Private[Catalogue]

    @strawberry.field(description="Of how many of the audiences.")
    def quantifier(self) -> MembershipQuantifier:
        return MembershipQuantifier(self.stored.quantifier.value)

    @strawberry.field(description="The groups and segments, in the rule's order.")
    def audiences(self, info: Info) -> list[Audience]:
        from api.segments import to_segment  # noqa: PLC0415 # segments have rules, and rules segments

        info.context.spend(len(self.stored.audiences))
        found: list[Audience] = []
        for audience in self.stored.audiences:
            if (group := self.catalogue.groups.get(audience.id)) is not None:
                found.append(to_group(group, self.catalogue))
            elif (segment := self.catalogue.segments.get(audience.id)) is not None:
                found.append(to_segment(segment, self.catalogue))
        return found

    @strawberry.field(description="The membership as text.")
    def expression(self) -> str:
        return to_text(self.stored, KnownAudiences(self.catalogue).name)
