"""Dynamic segments: the type, and the mutations that save, edit and delete them."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

import strawberry
from bson import ObjectId

from api.audiences import Audience, Node
from api.context import Info
from api.groups import required_name
from api.ids import Kind, require_id, to_id
from api.mutations import CLIENT_MUTATION_ID, Given, Payload, once
from api.rules import Rule, RuleInput, rule_builder, to_rule
from domain.audiences import Segment as StoredSegment
from domain.breaking import why_broken
from domain.catalogue import Catalogue
from domain.errors import InvalidValue
from domain.referring import KnownAudiences
from domain.rules.text import to_text


@strawberry.enum(description="Whether a segment follows its rule.")
class SegmentStatus(Enum):
    LIVE = strawberry.enum_value("live", description="Contacts join and leave as the rule says.")
    BROKEN = strawberry.enum_value(
        "broken",
        description="The rule lost something that it needs; the members are frozen until it is mended.",
    )


@strawberry.type(
    description="Why a segment follows its rule no more, and what is to be done. Until then its members are those that it had when "
    "it broke: nobody joins, and nobody leaves but by the deletion of the contact."
)
class BrokenSegment:
    code: str = strawberry.field(description="`BROKEN_SEGMENT`, as of the error of a rule that refers to it.")
    message: str = strawberry.field(
        description="What the cause is and what is to be done about it, fit to be shown to a person."
    )
    fields: list[str] = strawberry.field(
        description="The keys of the fields that its rule uses, and that were deleted or got another type."
    )
    segments: list[Annotated[Segment, strawberry.lazy("api.segments")]] = strawberry.field(
        description="The broken segments that its rule refers to. It is live again when they are, unless fields are missing, too."
    )


def to_broken(segment: StoredSegment, catalogue: Catalogue) -> BrokenSegment | None:
    if segment.broken is None:
        return None
    error = why_broken(catalogue, segment, segment.broken)
    return BrokenSegment(
        code=error.code,
        message=error.message,
        fields=list(segment.broken.fields),
        segments=[to_segment(each, catalogue) for each in catalogue.broken_among(segment.rule)],
    )


@strawberry.type(description="A dynamic segment: whoever its rule matches, at every moment.")
class Segment(Audience, Node):
    @strawberry.field(
        description="The rule in its canonical text form, with the names that groups and segments have now."
    )
    def expression(self) -> str:
        return to_text(self._segment().rule, KnownAudiences(self.catalogue).name)

    @strawberry.field(description="The rule as a tree.")
    def rule(self) -> Rule:
        return to_rule(self._segment().rule, self.catalogue)

    @strawberry.field(description="Whether it follows its rule.")
    def status(self) -> SegmentStatus:
        return SegmentStatus.LIVE if self._segment().broken is None else SegmentStatus.BROKEN

    @strawberry.field(description="Why it does not follow its rule; null for a live one.")
    def broken(self) -> BrokenSegment | None:
        return to_broken(self._segment(), self.catalogue)

    @strawberry.field(description="Rises with each edit; `expectedVersion` of `updateSegment`.")
    def version(self) -> int:
        return self._segment().version

    def _segment(self) -> StoredSegment:
        assert isinstance(self.stored, StoredSegment)
        return self.stored


def to_segment(segment: StoredSegment, catalogue: Catalogue) -> Segment:
    return Segment(id=to_id(Kind.SEGMENT, segment.id), stored=segment, catalogue=catalogue)


async def segment_of(info: Info, identifier: ObjectId | None) -> Segment | None:
    catalogue = await info.context.catalogue()
    segment = None if identifier is None else catalogue.segments.get(identifier)
    return None if segment is None else to_segment(segment, catalogue)


@strawberry.input(description="A segment to be saved.")
class CreateSegmentInput:
    name: str = strawberry.field(description="Its name, unique among segments without regard to case.")
    rule: RuleInput = strawberry.field(description="Who is in it.")
    description: str | None = strawberry.field(default=None, description="What it is for.")
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.type(description="What became of `createSegment`.")
class CreateSegmentPayload(Payload):
    segment: Segment | None = strawberry.field(description="The segment; null where it could not be saved.")


@strawberry.input(description="What is to change about a segment. What is left out stays as it is.")
class UpdateSegmentInput:
    id: strawberry.ID = strawberry.field(description="The segment.")
    name: str | None = strawberry.field(default=strawberry.UNSET, description="Its new name.")
    description: str | None = strawberry.field(
        default=strawberry.UNSET, description="What it is for; null removes the description."
    )
    rule: RuleInput | None = strawberry.field(
        default=strawberry.UNSET, description="Who is in it from now on."
    )
    expected_version: int | None = strawberry.field(
        default=None,
        description="The version that was read before; the edit is refused where it was edited since. Left out: whichever.",
    )
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.type(description="What became of `updateSegment`.")
class UpdateSegmentPayload(Payload):
    segment: Segment | None = strawberry.field(
        description="The segment as it is now; null where nothing was done."
    )


@strawberry.input(description="A segment to be deleted. Its contacts stay.")
class DeleteSegmentInput:
    id: strawberry.ID = strawberry.field(description="The segment.")
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.type(description="What became of `deleteSegment`.")
class DeleteSegmentPayload(Payload):
    deleted_id: strawberry.ID | None = strawberry.field(
        description="The identifier of the segment that was deleted; null where nothing was done."
    )


@strawberry.type
class SegmentMutations:
    @strawberry.mutation(
        description="Save a segment. It is live at once, whatever the number of contacts. Errors: `RULE_SYNTAX`, `INVALID_RULE`, "
        "`UNKNOWN_FIELD`, `UNKNOWN_AUDIENCE`, `BROKEN_SEGMENT`, `INVALID_VALUE`, `NAME_TAKEN`, `LIMIT_EXCEEDED`."
    )
    async def create_segment(self, info: Info, input: Given[CreateSegmentInput]) -> CreateSegmentPayload:
        async def act(identifier: ObjectId) -> dict[str, Any]:
            segment = await info.context.account.segments.create(
                identifier, name=input.name, description=input.description, rule=rule_builder(input.rule)
            )
            return {"segment": segment.id}

        outcome = await once(info, input, act)
        return CreateSegmentPayload(
            segment=await segment_of(info, outcome.made.get("segment")), errors=outcome.errors
        )

    @strawberry.mutation(
        description="Edit a segment. Watchers are told of a new rule, and of everybody who joins or leaves by it. A rule cannot "
        "lead back to its own segment, nor make another one too large that refers to it. Saving a rule mends a broken segment, be "
        "it the very rule that it has. Errors: as `createSegment`, `NOT_FOUND`, `VERSION_CONFLICT`."
    )
    async def update_segment(self, info: Info, input: Given[UpdateSegmentInput]) -> UpdateSegmentPayload:
        async def act(_: ObjectId) -> dict[str, Any]:
            if input.rule is None:
                raise InvalidValue("A segment has a rule; it cannot be removed.", path=("rule",))
            left_out = input.description is strawberry.UNSET
            segment = await info.context.account.segments.update(
                require_id(input.id, Kind.SEGMENT),
                name=required_name(input.name),
                description=None if left_out else input.description,
                keep_description=left_out,
                rule=None if input.rule is strawberry.UNSET else rule_builder(input.rule),
                expected_version=input.expected_version,
            )
            return {"segment": segment.id}

        outcome = await once(info, input, act)
        return UpdateSegmentPayload(
            segment=await segment_of(info, outcome.made.get("segment")), errors=outcome.errors
        )

    @strawberry.mutation(
        description="Delete a segment. Its watchers are told that it ended, and nobody is told to have left. Errors: `NOT_FOUND`, "
        "`AUDIENCE_IN_USE` where a segment's rule refers to it."
    )
    async def delete_segment(self, info: Info, input: Given[DeleteSegmentInput]) -> DeleteSegmentPayload:
        async def act(_: ObjectId) -> dict[str, Any]:
            identifier = require_id(input.id, Kind.SEGMENT)
            await info.context.account.segments.delete(identifier)
            return {"segment": identifier}

        outcome = await once(info, input, act)
        deleted = outcome.made.get("segment")
        return DeleteSegmentPayload(
            deleted_id=None if deleted is None else to_id(Kind.SEGMENT, deleted), errors=outcome.errors
        )
