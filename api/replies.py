"""Replies: the type, the queries that find them, and the mutations that take them in and decide what they mean."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from bson import ObjectId

from api.audiences import Node
from api.connections import After, Connection, First, by_identifier
from api.context import Info
from api.fields import Field, to_field
from api.ids import Kind, require_id, to_id
from api.mutations import CLIENT_MUTATION_ID, Act, Given, Payload, once
from api.values import AttributeValue
from domain.campaigns.reply import Reply as StoredReply
from domain.campaigns.reply import ReplyState as StoredState
from domain.campaigns.senders import Sender
from domain.errors import InvalidValue

if TYPE_CHECKING:
    from api.campaigns import Campaign
    from api.contacts import Contact


@strawberry.enum(description="What became of a reply.")
class ReplyState(Enum):
    RECEIVED = strawberry.enum_value(
        "received",
        description="It is being read. It stays so for longer only where a server ended meanwhile.",
    )
    CAPTURED = strawberry.enum_value("captured", description="Its value was written into the contact.")
    NEEDS_REVIEW = strawberry.enum_value(
        "needs_review",
        description="It may mean one of several values, or none was found, or the contact has another value by now: somebody is to "
        "decide.",
    )
    UNKNOWN_SENDER = strawberry.enum_value(
        "unknown_sender", description="Nobody, or more than one contact, has the address that it came from."
    )
    REJECTED = strawberry.enum_value("rejected", description="Somebody decided that it holds no value.")
    UNDONE = strawberry.enum_value("undone", description="Its value was taken back.")


@strawberry.type(
    description="What a contact replied. The text stays as it came. It is never guessed what it means: where that is not clear, it "
    "waits for a person."
)
class Reply(Node):
    stored: strawberry.Private[StoredReply]

    @strawberry.field(description="The text as it came.")
    def text(self) -> str:
        return self.stored.text

    @strawberry.field(description="What became of it.")
    def state(self) -> ReplyState:
        return ReplyState(self.stored.state.value)

    @strawberry.field(description="Why somebody is to decide; null where nobody is.")
    def because(self) -> str | None:
        return self.stored.because

    @strawberry.field(
        description="The values that it may mean, as `resolveReply` takes them; empty where none was found, or where it is clear."
    )
    def candidates(self) -> list[AttributeValue]:
        return [AttributeValue(value) for value in self.stored.candidates]

    @strawberry.field(description="The value that was written into the contact; null where none was.")
    def value(self) -> AttributeValue | None:
        return None if self.stored.value is None else AttributeValue(self.stored.value)

    @strawberry.field(description="The value that the contact had before; null where it had none.")
    def previous_value(self) -> AttributeValue | None:
        return None if self.stored.before is None else AttributeValue(self.stored.before)

    @strawberry.field(description="The field that it was read as a value of; null where that is not known.")
    async def field(self, info: Info) -> Field | None:
        found = (await info.context.catalogue()).fields.get(self.stored.field or "")
        return None if found is None else to_field(found)

    @strawberry.field(description="The address or key that it came from; null where a contact was named.")
    def sender(self) -> str | None:
        return self.stored.sender

    @strawberry.field(description="When it came.")
    def received_at(self) -> datetime:
        return self.stored.at

    @strawberry.field(description="When somebody last decided about it; null where nobody did.")
    def decided_at(self) -> datetime | None:
        return self.stored.decided

    @strawberry.field(
        description="Who replied, as the contact is now; null where that is not known, or it was deleted."
    )
    async def contact(self, info: Info) -> Annotated[Contact, strawberry.lazy("api.contacts")] | None:
        from api.contacts import load_contact  # noqa: PLC0415 # contacts have fields, and fields much else

        return await load_contact(info, self.stored.contact)

    @strawberry.field(
        description="The campaign that it is to; null where that is not known, or it was deleted."
    )
    async def campaign(self, info: Info) -> Annotated[Campaign, strawberry.lazy("api.campaigns")] | None:
        from api.campaigns import campaign_of  # noqa: PLC0415 # campaigns have replies

        return await campaign_of(info, self.stored.campaign)


def to_reply(reply: StoredReply) -> Reply:
    return Reply(id=to_id(Kind.REPLY, reply.id), stored=reply)


async def reply_of(info: Info, identifier: ObjectId | None) -> Reply | None:
    found = None if identifier is None else await info.context.account.replies.kept.get(identifier)
    return None if found is None else to_reply(found)


async def replies_page(
    info: Info, campaign: ObjectId | None, state: ReplyState | None, first: int | None, after: After
) -> Connection[Reply]:
    replies = info.context.account.replies.kept
    wanted = None if state is None else StoredState(str(state.value))
    return await by_identifier(
        "replies",
        lambda behind, limit: replies.page(campaign, wanted, after=behind, limit=limit),
        to_reply,
        lambda: replies.count(campaign, wanted),
        first=first,
        after=after,
    )


@strawberry.type
class ReplyQueries:
    @strawberry.field(description="Replies, to whichever campaign, in the order in which they came.")
    async def replies(
        self,
        info: Info,
        first: First = 50,
        after: After = None,
        state: Annotated[
            ReplyState | None,
            strawberry.argument(
                description="Only those in this state: `NEEDS_REVIEW` is what waits for people."
            ),
        ] = None,
    ) -> Connection[Reply]:
        return await replies_page(info, None, state, first, after)


@strawberry.input(
    description="A reply that came in. Who replied is said by one of `contact`, `key`, `email` and `phone`."
)
class RecordReplyInput:
    text: str = strawberry.field(description="What was replied, 10,000 characters at most.")
    contact: strawberry.ID | None = strawberry.field(default=None, description="The contact.")
    key: str | None = strawberry.field(default=None, description="The contact's key.")
    email: str | None = strawberry.field(
        default=None, description="The address that it came from: that of the field `email`."
    )
    phone: str | None = strawberry.field(
        default=None, description="The number that it came from: that of the field `phone`."
    )
    campaign: strawberry.ID | None = strawberry.field(
        default=None,
        description="The campaign that it is to. Left out: the last that was sent to the contact and asks for something.",
    )
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.input(
    description="What a reply means. With `value` that is written into the contact; with `reject` nothing is; with "
    "neither the reply is "
    "read again, as after saying whose it is."
)
class ResolveReplyInput:
    id: strawberry.ID = strawberry.field(description="The reply.")
    value: AttributeValue | None = strawberry.field(
        default=None, description="The value: one of `candidates`, or another one."
    )
    reject: bool = strawberry.field(default=False, description="That it holds no value.")
    contact: strawberry.ID | None = strawberry.field(
        default=None, description="Whose it is, where that was not known."
    )
    campaign: strawberry.ID | None = strawberry.field(
        default=None, description="To which campaign it is, where that was not known."
    )
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.input(description="A reply whose value is to be taken back.")
class UndoReplyInput:
    id: strawberry.ID = strawberry.field(description="The reply.")
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.type(description="What became of a reply.")
class ReplyPayload(Payload):
    reply: Reply | None = strawberry.field(description="The reply as it is now; null where nothing was done.")


@strawberry.type
class ReplyMutations:
    @strawberry.mutation(
        description="Take in a reply and read it. It is captured, or waits for somebody; it is never lost. Errors: "
        "`INVALID_VALUE`, "
        "`NOT_FOUND`."
    )
    async def record_reply(self, info: Info, input: Given[RecordReplyInput]) -> ReplyPayload:
        async def act(identifier: ObjectId) -> dict[str, Any]:
            given = (input.contact, input.key, input.email, input.phone)
            if sum(each is not None for each in given) != 1:
                raise InvalidValue(
                    "One of “contact”, “key”, “email” and “phone” is wanted.", path=("contact",)
                )
            contact = input.contact
            reply = await info.context.account.replies.record(
                identifier,
                text=input.text,
                sender=Sender(
                    contact=None if contact is None else require_id(contact, Kind.CONTACT, path=("contact",)),
                    key=input.key,
                    email=input.email,
                    phone=input.phone,
                ),
                campaign=_campaign(input.campaign),
            )
            return {"reply": reply.id}

        return await _outcome(info, input, act)

    @strawberry.mutation(
        description="Decide what a reply means that waits for somebody, or that was rejected or undone. Errors: `NOT_FOUND`, "
        "`INVALID_STATE`, `INVALID_VALUE`."
    )
    async def resolve_reply(self, info: Info, input: Given[ResolveReplyInput]) -> ReplyPayload:
        async def act(_: ObjectId) -> dict[str, Any]:
            if input.reject and input.value is not None:
                raise InvalidValue("A value, or that there is none: not both.", path=("value",))
            contact = input.contact
            reply = await info.context.account.replies.resolve(
                require_id(input.id, Kind.REPLY),
                value=input.value,
                contact=None if contact is None else require_id(contact, Kind.CONTACT, path=("contact",)),
                campaign=_campaign(input.campaign),
                reject=input.reject,
            )
            return {"reply": reply.id}

        return await _outcome(info, input, act)

    @strawberry.mutation(
        description="Take back what a reply wrote: the contact has the value again that it had before. Errors: `NOT_FOUND`, "
        "`INVALID_STATE`, `VALUE_CHANGED` where the value was changed since."
    )
    async def undo_reply(self, info: Info, input: Given[UndoReplyInput]) -> ReplyPayload:
        async def act(_: ObjectId) -> dict[str, Any]:
            return {"reply": (await info.context.account.replies.undo(require_id(input.id, Kind.REPLY))).id}

        return await _outcome(info, input, act)


async def _outcome(info: Info, input: Any, act: Act) -> ReplyPayload:
    outcome = await once(info, input, act)
    return ReplyPayload(reply=await reply_of(info, outcome.made.get("reply")), errors=outcome.errors)


def _campaign(text: strawberry.ID | None) -> ObjectId | None:
    return None if text is None else require_id(text, Kind.CAMPAIGN, path=("campaign",))
