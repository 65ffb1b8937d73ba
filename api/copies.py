"""Static copies: the members of an audience put into a group, in the background. What is done, `domain.copying` does."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from enum import Enum
from typing import Annotated, Any

import strawberry
from bson import ObjectId

from api.audiences import Node
from api.context import Info
from api.errors import UserError
from api.groups import Group, group_of
from api.ids import AUDIENCES, Kind, find_id, require_id, to_id
from api.mutations import CLIENT_MUTATION_ID, Given, Payload, once
from domain.copying import KIND
from domain.errors import InvalidValue
from domain.store.client import Document


@strawberry.enum(description="How far a copy has come.")
class GroupCopyState(Enum):
    RUNNING = strawberry.enum_value("running", description="Contacts are being put into the group.")
    DONE = strawberry.enum_value("done", description="All of them are in it, but for those refused.")
    FAILED = strawberry.enum_value("failed", description="It could not go on; `error` says why.")


@strawberry.type(description="The members that an audience had at one moment, being put into a static group.")
class GroupCopy(Node):
    stored: strawberry.Private[Document]

    @strawberry.field(description="How far it has come.")
    def state(self) -> GroupCopyState:
        return GroupCopyState(self.stored["state"])

    @strawberry.field(description="How far it has come, per cent.")
    def percent(self) -> int:
        return int(self.stored["percent"])

    @strawberry.field(description="The group; null where it has been deleted since.")
    async def group(self, info: Info) -> Group | None:
        return await group_of(info, self.stored["group"])

    @strawberry.field(description="How many members the audience had; 0 until they were counted.")
    def total(self) -> int:
        return int(self.stored["total"])

    @strawberry.field(description="How many were put into the group so far.")
    def moved(self) -> int:
        return int(self.stored["moved"])

    @strawberry.field(description="How many were in it already.")
    def unchanged(self) -> int:
        return int(self.stored["unchanged"])

    @strawberry.field(
        description="How many are in as many groups as a contact can be, and were not put into this one."
    )
    def refused(self) -> int:
        return int(self.stored["refused"])

    @strawberry.field(description="Why it could not go on; null where nothing was wrong.")
    def error(self) -> UserError | None:
        found = self.stored.get("error")
        return None if found is None else UserError(code=found["code"], message=found["message"], path=[])


def to_copy(job: Document) -> GroupCopy:
    return GroupCopy(id=to_id(Kind.COPY, job["_id"]), stored=job)


async def copy_of(info: Info, identifier: ObjectId | None) -> GroupCopy | None:
    job = None if identifier is None else await info.context.account.jobs.get(KIND, identifier)
    return None if job is None else to_copy(job)


@strawberry.input(description="Members that are to be kept, whatever becomes of the audience.")
class CopyToGroupInput:
    audience: strawberry.ID = strawberry.field(description="The segment or group whose members they are now.")
    group: strawberry.ID | None = strawberry.field(
        default=None, description="The group to put them into; those who are in it already stay."
    )
    name: str | None = strawberry.field(
        default=None, description="In place of a group: the name of a new one."
    )
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.type(description="What became of `copyToGroup`.")
class CopyToGroupPayload(Payload):
    copy: GroupCopy | None = strawberry.field(
        description="The copy that was begun; null where nothing was done."
    )


@strawberry.type
class CopyQueries:
    @strawberry.field(description="One copy of an audience's members; null where there is none.")
    async def group_copy(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Its identifier.")]
    ) -> GroupCopy | None:
        return await copy_of(info, find_id(id, Kind.COPY))


@strawberry.type
class CopyMutations:
    @strawberry.mutation(
        description="Begin to put the members that an audience has now into a static group, in the background. Errors: "
        "`NOT_FOUND`, `INVALID_VALUE`, `NAME_TAKEN`, `LIMIT_EXCEEDED`."
    )
    async def copy_to_group(self, info: Info, input: Given[CopyToGroupInput]) -> CopyToGroupPayload:
        async def act(identifier: ObjectId) -> dict[str, Any]:
            if (input.group is None) == (input.name is None):
                raise InvalidValue("Either “group” or “name” is wanted.", path=("group",))
            group = input.name or ""
            await info.context.account.copies.begin(
                identifier,
                audience=require_id(input.audience, *AUDIENCES, path=("audience",)),
                group=group if input.group is None else require_id(input.group, Kind.GROUP, path=("group",)),
            )
            return {"copy": identifier}

        outcome = await once(info, input, act)
        return CopyToGroupPayload(copy=await copy_of(info, outcome.made.get("copy")), errors=outcome.errors)


@strawberry.type
class CopySubscriptions:
    @strawberry.subscription(
        description="A copy as it goes on: at once, then whenever it has changed, at most twice a second, until it is at its end."
    )
    async def group_copy_progress(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The copy.")]
    ) -> AsyncGenerator[GroupCopy, None]:
        account = info.context.account
        job = await account.copies.require(require_id(id, Kind.COPY))
        return _followed(account.jobs.follow(KIND, job["_id"]))


async def _followed(jobs: AsyncGenerator[Document, None]) -> AsyncGenerator[GroupCopy, None]:
    async with aclosing(jobs):
        async for job in jobs:
            yield to_copy(job)
