"""Contacts: the type, and the mutations that make, change and delete them.

Owns the shape in which contacts are read and written; what may be written is the service's to say
(`domain.contacts`). A contact's groups and segments are worked out in memory, from the contact as it was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Annotated, Any

import strawberry
from bson import ObjectId

from api.audiences import Node
from api.contact_memberships import ContactMembership, to_contact_membership
from api.context import Info
from api.errors import UserError, to_plain, user_errors
from api.explanations import Explanation, explain
from api.fields import Field, to_field
from api.groups import Group, to_group
from api.ids import AUDIENCES, Kind, require_id, to_id
from api.loaders import MembershipOf
from api.mutations import CLIENT_MUTATION_ID, Given, Payload, once
from api.segments import Segment, to_segment
from api.values import AttributeValue
from domain.audiences import FROZEN, Audience
from domain.catalogue import Catalogue
from domain.contact import Contact as StoredContact
from domain.contact import checked_key, read_attributes
from domain.contacts import MAX_AT_ONCE, Row
from domain.contacts import Outcome as StoredOutcome
from domain.errors import LimitExceeded, NotFound, ShoalError
from domain.store.log import Reason


@strawberry.type(description="A contact's value in one field.")
class Attribute:
    key: str = strawberry.field(description="The field's key.")
    field: Field = strawberry.field(description="The field.")
    value: AttributeValue = strawberry.field(description="The value as it was entered.")


@strawberry.type(description="A person or organisation that the account knows.")
class Contact(Node):
    stored: strawberry.Private[StoredContact]
    catalogue: strawberry.Private[Catalogue]

    @strawberry.field(description="The identifier that the account's own systems use.")
    def key(self) -> str | None:
        return self.stored.key

    @strawberry.field(description="When it was created.")
    def created_at(self) -> datetime | None:
        return self.stored.created

    @strawberry.field(description="When a value of it was last changed.")
    def updated_at(self) -> datetime | None:
        return self.stored.updated

    @strawberry.field(
        description="The value in one field; null where it has none. `UNKNOWN_FIELD` where there is no such field."
    )
    def attribute(
        self, key: Annotated[str, strawberry.argument(description="The field's key.")]
    ) -> Attribute | None:
        return self._attribute(self.catalogue.fields.require(key).key)

    @strawberry.field(
        description="The values, in the order of the account's fields. A field without a value is not listed."
    )
    def attributes(
        self,
        keys: Annotated[
            list[str] | None, strawberry.argument(description="Only those of these fields, in this order.")
        ] = None,
    ) -> list[Attribute]:
        fields = self.catalogue.fields
        wanted = fields if keys is None else [fields.require(key).key for key in dict.fromkeys(keys)]
        return [attribute for key in wanted if (attribute := self._attribute(key)) is not None]

    @strawberry.field(description="The static groups that it is in, by name.")
    def groups(self, info: Info) -> list[Group]:
        found = self.catalogue.groups_of(self.stored.document)
        info.context.spend(len(found))
        return [to_group(group, self.catalogue) for group in found]

    @strawberry.field(description="The segments that it is in, by name.")
    async def segments(self, info: Info) -> list[Segment]:
        contact = await self._marked(info) if self.catalogue.broken else self.stored
        found = self.catalogue.segments_of(contact.document, info.context.instant)
        info.context.spend(len(found))
        return [to_segment(segment, self.catalogue) for segment in found]

    @strawberry.field(
        description="Why this contact is in the audience or not: each condition's verdict, the value seen, and what would have "
        "to change."
    )
    async def explain(
        self,
        info: Info,
        audience: Annotated[strawberry.ID, strawberry.argument(description="The group or segment.")],
    ) -> Explanation:
        found = self._audience(audience)
        return explain(found, await self._judged(info, found), self.catalogue, info.context.instant)

    @strawberry.field(
        description="Whether this contact is in the audience, since when and why, and how it came and went."
    )
    async def membership(
        self,
        info: Info,
        audience: Annotated[strawberry.ID, strawberry.argument(description="The group or segment.")],
    ) -> ContactMembership:
        found = self._audience(audience)
        decides = self.catalogue.criterion(found.id).predicate(info.context.instant)
        wanted = MembershipOf(
            audience=found.id,
            contact=self.stored.id,
            by_rule=decides((await self._judged(info, found)).document),
        )
        return to_contact_membership(found.id, await info.context.load.memberships.load(wanted))

    def _audience(self, identifier: str) -> Audience:
        """Raises `NotFound`."""
        found = self.catalogue.audience(require_id(identifier, *AUDIENCES, path=("audience",)))
        if found is None:
            raise NotFound("There is no such group or segment. It may have been deleted.", path=("audience",))
        return found

    async def _judged(self, info: Info, audience: Audience) -> StoredContact:
        """The contact as the audience is to judge it."""
        return await self._marked(info) if audience.id in self.catalogue.broken else self.stored

    async def _marked(self, info: Info) -> StoredContact:
        """The contact as it was read, with the marks that say in which broken segments it is: all of them are there by now."""
        marked = await info.context.load.marked.load(self.stored.id)
        if marked is None:
            return self.stored
        return StoredContact({**self.stored.document, FROZEN: marked.document.get(FROZEN)})

    def _attribute(self, key: str) -> Attribute | None:
        value = self.stored.values.get(key)
        if value is None:
            return None
        return Attribute(key=key, field=to_field(self.catalogue.fields[key]), value=AttributeValue(value))


def to_contact(contact: StoredContact, catalogue: Catalogue) -> Contact:
    return Contact(id=to_id(Kind.CONTACT, contact.id), stored=contact, catalogue=catalogue)


async def load_contact(info: Info, identifier: ObjectId | None) -> Contact | None:
    """The contact, read together with others that are asked for at the same time."""
    found = None if identifier is None else await info.context.load.contacts.load(identifier)
    return None if found is None else to_contact(found, await info.context.catalogue())


@strawberry.input(description="What is to stand in one field.")
class AttributeInput:
    key: str = strawberry.field(description="The field's key.")
    value: AttributeValue | None = strawberry.field(
        default=strawberry.UNSET,
        description="The value; null, like a blank text or an empty list, removes it. Left out, it stays as it is.",
    )


@strawberry.input(description="A contact to be made.")
class CreateContactInput:
    key: str | None = strawberry.field(
        default=None, description="The identifier that the account's own systems use, unique in the account."
    )
    attributes: list[AttributeInput] = strawberry.field(
        default_factory=list, description="Its values, each field once at most."
    )
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.type(description="What became of `createContact`.")
class CreateContactPayload(Payload):
    contact: Contact | None = strawberry.field(description="The contact; null where it could not be made.")


@strawberry.input(description="What is to change about a contact. A field that is left out stays as it is.")
class UpdateContactInput:
    id: strawberry.ID = strawberry.field(description="The contact.")
    attributes: list[AttributeInput] = strawberry.field(
        description="The values to write, each field once at most."
    )
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.type(description="What became of `updateContact`.")
class UpdateContactPayload(Payload):
    contact: Contact | None = strawberry.field(
        description="The contact as it is now; null where nothing was done."
    )


@strawberry.input(description="A contact to be deleted, with all its values.")
class DeleteContactInput:
    id: strawberry.ID = strawberry.field(description="The contact.")
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.type(description="What became of `deleteContact`.")
class DeleteContactPayload(Payload):
    deleted_id: strawberry.ID | None = strawberry.field(
        description="The identifier of the contact that was deleted; null where nothing was done."
    )


@strawberry.input(description="A contact to be made, or changed where its key is known.")
class UpsertContactInput:
    key: str = strawberry.field(description="The identifier that the account's own systems use.")
    attributes: list[AttributeInput] = strawberry.field(
        default_factory=list, description="The values to write, each field once at most."
    )


@strawberry.input(description="Contacts to be made or changed, by their keys.")
class UpsertContactsInput:
    contacts: list[UpsertContactInput] = strawberry.field(
        description=f"The contacts, {MAX_AT_ONCE:,} at most. Of several with one key, a later one is written over an earlier."
    )
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.enum(description="What became of one contact of many.")
class UpsertOutcome(Enum):
    CREATED = strawberry.enum_value("created", description="It was made.")
    UPDATED = strawberry.enum_value("updated", description="It was there, and was changed.")
    UNCHANGED = strawberry.enum_value(
        "unchanged", description="It was there, and held what was given already."
    )
    REFUSED = strawberry.enum_value(
        "refused", description="Something about it was wrong; nothing of it was written."
    )


@strawberry.type(description="One contact of those that were sent.")
class UpsertedContact:
    key: str = strawberry.field(description="The key that was sent.")
    outcome: UpsertOutcome = strawberry.field(description="What became of it.")
    errors: list[UserError] = strawberry.field(description="Why it was refused; else empty.")
    contact_object_id: strawberry.Private[ObjectId | None]

    @strawberry.field(description="Its identifier; null where it was refused.")
    def contact_id(self) -> strawberry.ID | None:
        return None if self.contact_object_id is None else to_id(Kind.CONTACT, self.contact_object_id)

    @strawberry.field(description="The contact as it is now; null where it was refused.")
    async def contact(self, info: Info) -> Contact | None:
        return await load_contact(info, self.contact_object_id)


@strawberry.type(description="What became of `upsertContacts`.")
class UpsertContactsPayload(Payload):
    contacts: list[UpsertedContact] = strawberry.field(
        description="What became of each contact, in the order in which they were sent. Empty where nothing was done."
    )
    created: int = strawberry.field(description="How many were made.")
    updated: int = strawberry.field(description="How many were changed.")
    unchanged: int = strawberry.field(description="How many held what was given already.")
    refused: int = strawberry.field(description="How many were refused.")


def _given(attributes: Sequence[AttributeInput]) -> list[tuple[str, Any]]:
    return [(given.key, given.value) for given in attributes if given.value is not strawberry.UNSET]


@strawberry.type
class ContactMutations:
    @strawberry.mutation(
        description="Make a contact. Errors: `DUPLICATE_KEY`, `UNKNOWN_FIELD`, `INVALID_VALUE`."
    )
    async def create_contact(self, info: Info, input: Given[CreateContactInput]) -> CreateContactPayload:
        async def act(identifier: ObjectId) -> dict[str, Any]:
            contact = await info.context.account.contacts.create(
                identifier, key=input.key, attributes=_given(input.attributes)
            )
            info.context.wrote(contact)
            return {"contact": contact.id}

        outcome = await once(info, input, act)
        return CreateContactPayload(
            contact=await load_contact(info, outcome.made.get("contact")), errors=outcome.errors
        )

    @strawberry.mutation(
        description="Make contacts, or change those whose key is known, up to 1,000 at once. Each has its own outcome: what is "
        "wrong with one holds up no other. Errors: `LIMIT_EXCEEDED`; of single contacts `UNKNOWN_FIELD`, `INVALID_VALUE`."
    )
    async def upsert_contacts(self, info: Info, input: Given[UpsertContactsInput]) -> UpsertContactsPayload:
        async def act(_: ObjectId) -> dict[str, Any]:
            return {"contacts": await _upsert(info, input.contacts)}

        outcome = await once(info, input, act)
        contacts = [
            UpsertedContact(
                key=one["key"],
                outcome=UpsertOutcome(one["outcome"]),
                errors=user_errors(one["errors"]),
                contact_object_id=one["contact"],
            )
            for one in outcome.made.get("contacts", [])
        ]
        counts = dict.fromkeys(UpsertOutcome, 0)
        for contact in contacts:
            counts[contact.outcome] += 1
        return UpsertContactsPayload(
            contacts=contacts,
            created=counts[UpsertOutcome.CREATED],
            updated=counts[UpsertOutcome.UPDATED],
            unchanged=counts[UpsertOutcome.UNCHANGED],
            refused=counts[UpsertOutcome.REFUSED],
            errors=outcome.errors,
        )

    @strawberry.mutation(
        description="Change a contact's values. Errors: `NOT_FOUND`, `UNKNOWN_FIELD`, `INVALID_VALUE`."
    )
    async def update_contact(self, info: Info, input: Given[UpdateContactInput]) -> UpdateContactPayload:
        async def act(_: ObjectId) -> dict[str, Any]:
            contact = await info.context.account.contacts.update(
                require_id(input.id, Kind.CONTACT), attributes=_given(input.attributes)
            )
            info.context.wrote(contact)
            return {"contact": contact.id}

        outcome = await once(info, input, act)
        return UpdateContactPayload(
            contact=await load_contact(info, outcome.made.get("contact")), errors=outcome.errors
        )

    @strawberry.mutation(description="Delete a contact. Errors: `NOT_FOUND`.")
    async def delete_contact(self, info: Info, input: Given[DeleteContactInput]) -> DeleteContactPayload:
        async def act(_: ObjectId) -> dict[str, Any]:
            identifier = require_id(input.id, Kind.CONTACT)
            await info.context.account.contacts.delete(identifier)
            return {"contact": identifier}

        outcome = await once(info, input, act)
        deleted = outcome.made.get("contact")
        return DeleteContactPayload(
            deleted_id=None if deleted is None else to_id(Kind.CONTACT, deleted), errors=outcome.errors
        )


async def _upsert(info: Info, contacts: Sequence[UpsertContactInput]) -> list[dict[str, Any]]:
    """What became of each, in plain values."""
    if len(contacts) > MAX_AT_ONCE:
        raise LimitExceeded(
            f"{len(contacts):,} contacts are too many at once: send {MAX_AT_ONCE:,} at most.",
            path=("contacts",),
        )
    catalogue = await info.context.catalogue()
    outcomes: list[dict[str, Any]] = []
    rows: list[Row] = []
    for index, given in enumerate(contacts):
        outcome: dict[str, Any] = {
            "key": given.key,
            "outcome": UpsertOutcome.REFUSED.value,
            "errors": [],
            "contact": None,
        }
        try:
            row = Row(
                key=checked_key(given.key), entries=read_attributes(catalogue, _given(given.attributes))
            )
        except ShoalError as error:
            outcome["errors"] = [to_plain(error.at("contacts", index))]
        else:
            rows.append(row)
        outcomes.append(outcome)
    written = iter(await info.context.account.contacts.upsert(rows, reason=Reason.CONTACT_UPDATED))
    for outcome in outcomes:
        if not outcome["errors"]:
            outcome["contact"], became = next(written)
            outcome["outcome"] = _BECAME[became].value
    return outcomes


_BECAME = {
    StoredOutcome.CREATED: UpsertOutcome.CREATED,
    StoredOutcome.UPDATED: UpsertOutcome.UPDATED,
    StoredOutcome.UNCHANGED: UpsertOutcome.UNCHANGED,
}
