"""Static groups: the type, their list, and the mutations that make, edit, delete and fill them."""

from __future__ import annotations

from typing import Any

import strawberry
from bson import ObjectId

from api.audiences import Audience, Node
from api.context import Info
from api.errors import to_plain, user_errors
from api.ids import Kind, find_id, require_id, to_id
from api.mutations import CLIENT_MUTATION_ID, Given, Payload, once
from domain.audiences import Group as StoredGroup
from domain.catalogue import Catalogue
from domain.errors import InvalidValue


@strawberry.type(description="A static group: its members are put in and taken out by people.")
class Group(Audience, Node):
    pass


def to_group(group: StoredGroup, catalogue: Catalogue) -> Group:
    return Group(id=to_id(Kind.GROUP, group.id), stored=group, catalogue=catalogue)


async def group_of(info: Info, identifier: ObjectId | None) -> Group | None:
    catalogue = await info.context.catalogue()
    group = None if identifier is None else catalogue.groups.get(identifier)
    return None if group is None else to_group(group, catalogue)


@strawberry.input(description="A group to be made, empty at first.")
class CreateGroupInput:
    name: str = strawberry.field(description="Its name, unique among groups without regard to case.")
    description: str | None = strawberry.field(default=None, description="What it is for.")
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.type(description="What became of `createGroup`.")
class CreateGroupPayload(Payload):
    group: Group | None = strawberry.field(description="The group; null where it could not be made.")


@strawberry.input(description="What is to change about a group. What is left out stays as it is.")
class UpdateGroupInput:
    id: strawberry.ID = strawberry.field(description="The group.")
    name: str | None = strawberry.field(default=strawberry.UNSET, description="Its new name.")
    description: str | None = strawberry.field(
        default=strawberry.UNSET, description="What it is for; null removes the description."
    )
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.type(description="What became of `updateGroup`.")
class UpdateGroupPayload(Payload):
    group: Group | None = strawberry.field(description="The group as it is now; null where nothing was done.")


@strawberry.input(description="A group to be deleted. Its contacts stay.")
class DeleteGroupInput:
    id: strawberry.ID = strawberry.field(description="The group.")
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.type(description="What became of `deleteGroup`.")
class DeleteGroupPayload(Payload):
    deleted_id: strawberry.ID | None = strawberry.field(
        description="The identifier of the group that was deleted; null where nothing was done."
    )


@strawberry.input(description="Contacts, by identifiers, by keys, or both.")
class ContactsInput:
    ids: list[strawberry.ID] | None = strawberry.field(default=None, description="By their identifiers.")
    keys: list[str] | None = strawberry.field(
        default=None, description="By the keys of the account's own systems."
    )


@strawberry.input(description="Contacts that are to be put into a group, or taken out of it.")
class GroupMembersInput:
    group: strawberry.ID = strawberry.field(description="The group.")
    contacts: ContactsInput = strawberry.field(description="The contacts, 1,000 at most.")
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.type(description="What became of `addContactsToGroup` or `removeContactsFromGroup`.")
class GroupMembersPayload(Payload):
    group: Group | None = strawberry.field(description="The group; null where nothing was done.")
    moved: int = strawberry.field(description="How many contacts were put in, or taken out.")
    unchanged: int = strawberry.field(description="How many were where they should be already.")


def required_name(name: str | None) -> str | None:
    """The new name; None where it was left out. Raises `InvalidValue` for an explicit null."""
    if name is None:
        raise InvalidValue("It has a name; that cannot be removed.", path=("name",))
    return None if name is strawberry.UNSET else name


@strawberry.type
class GroupMutations:
    @strawberry.mutation(description="Make a group. Errors: `INVALID_VALUE`, `NAME_TAKEN`, `LIMIT_EXCEEDED`.")
    async def create_group(self, info: Info, input: Given[CreateGroupInput]) -> CreateGroupPayload:
        async def act(identifier: ObjectId) -> dict[str, Any]:
            group = await info.context.account.groups.create(
                identifier, name=input.name, description=input.description
            )
            return {"group": group.id}

        outcome = await once(info, input, act)
        return CreateGroupPayload(
            group=await group_of(info, outcome.made.get("group")), errors=outcome.errors
        )

    @strawberry.mutation(
        description="Change a group's name or description. Errors: `NOT_FOUND`, `INVALID_VALUE`, `NAME_TAKEN`."
    )
    async def update_group(self, info: Info, input: Given[UpdateGroupInput]) -> UpdateGroupPayload:
        async def act(_: ObjectId) -> dict[str, Any]:
            left_out = input.description is strawberry.UNSET
            group = await info.context.account.groups.update(
                require_id(input.id, Kind.GROUP),
                name=required_name(input.name),
                description=None if left_out else input.description,
                keep_description=left_out,
            )
            return {"group": group.id}

        outcome = await once(info, input, act)
        return UpdateGroupPayload(
            group=await group_of(info, outcome.made.get("group")), errors=outcome.errors
        )

    @strawberry.mutation(
        description="Delete a group. Its watchers are told that it ended, and nobody is told to have left. Errors: `NOT_FOUND`, "
        "`AUDIENCE_IN_USE` where a segment's rule refers to it."
    )
    async def delete_group(self, info: Info, input: Given[DeleteGroupInput]) -> DeleteGroupPayload:
        async def act(_: ObjectId) -> dict[str, Any]:
            identifier = require_id(input.id, Kind.GROUP)
            await info.context.account.groups.delete(identifier)
            return {"group": identifier}

        outcome = await once(info, input, act)
        deleted = outcome.made.get("group")
        return DeleteGroupPayload(
            deleted_id=None if deleted is None else to_id(Kind.GROUP, deleted), errors=outcome.errors
        )

    @strawberry.mutation(
        description="Put contacts into a group. A contact that is not there, or in 200 groups already, is told of among the "
        "errors; the others go in. Errors: `NOT_FOUND`, `TOO_MANY_GROUPS`, `LIMIT_EXCEEDED`."
    )
    async def add_contacts_to_group(self, info: Info, input: Given[GroupMembersInput]) -> GroupMembersPayload:
        return await _regroup(info, input, add=True)

    @strawberry.mutation(
        description="Take contacts out of a group. A contact that is not there is told of among the errors; the others go out. "
        "Errors: `NOT_FOUND`, `LIMIT_EXCEEDED`."
    )
    async def remove_contacts_from_group(
        self, info: Info, input: Given[GroupMembersInput]
    ) -> GroupMembersPayload:
        return await _regroup(info, input, add=False)


async def _regroup(info: Info, input: GroupMembersInput, *, add: bool) -> GroupMembersPayload:
    async def act(_: ObjectId) -> dict[str, Any]:
        groups = info.context.account.groups
        identifier = require_id(input.group, Kind.GROUP, path=("group",))
        ids = [find_id(given, Kind.CONTACT) for given in input.contacts.ids or ()]
        regrouped = await (groups.add if add else groups.remove)(
            identifier, ids=ids, keys=input.contacts.keys or ()
        )
        return {
            "group": identifier,
            "moved": regrouped.moved,
            "unchanged": regrouped.unchanged,
            "refused": [to_plain(error) for error in regrouped.errors],
        }

    outcome = await once(info, input, act)
    return GroupMembersPayload(
        group=await group_of(info, outcome.made.get("group")),
        moved=outcome.made.get("moved", 0),
        unchanged=outcome.made.get("unchanged", 0),
        errors=[*outcome.errors, *user_errors(outcome.made.get("refused", []))],
    )
