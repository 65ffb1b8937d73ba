"""Deliveries: what a campaign sent to whom. The type, and the mutation that has them sent again."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import strawberry
from bson import ObjectId

from api.audiences import Node
from api.connections import After, Connection, by_identifier
from api.context import Info
from api.ids import Kind, to_id
from domain.campaigns.deliveries import Delivery as StoredDelivery
from domain.campaigns.deliveries import DeliveryState as StoredState

if TYPE_CHECKING:
    from api.campaigns import Campaign
    from api.contacts import Contact


@strawberry.enum(description="What became of a delivery.")
class DeliveryState(Enum):
    PENDING = strawberry.enum_value("pending", description="It is still to be sent, or to be tried again.")
    SENDING = strawberry.enum_value(
        "sending", description="It is on its way, and nobody has said yet that it arrived."
    )
    SENT = strawberry.enum_value(
        "sent",
        description="The receiver, or the mail server, has taken it; in the outbox, it is there to be read.",
    )
    UNREACHABLE = strawberry.enum_value(
        "unreachable", description="The contact has no address, or no value for a placeholder that needs one."
    )
    LEFT = strawberry.enum_value(
        "left", description="The contact had left the campaign's audience before it was sent, so it was not."
    )
    FAILED = strawberry.enum_value("failed", description="It was given up. It can be sent again.")


@strawberry.type(
    description="A campaign's message to one contact: of each campaign there is one at most for each contact."
)
class Delivery(Node):
    stored: strawberry.Private[StoredDelivery]

    @strawberry.field(
        description="What the receiver knows it by: `webhook-id` is `msg_` and this, and a mail's Message-ID begins "
        "with it. The same in "
        "every attempt, so that whoever receives it twice can tell."
    )
    def reference(self) -> str:
        return str(self.stored.id)

    @strawberry.field(description="What became of it.")
    def state(self) -> DeliveryState:
        return DeliveryState(self.stored.state.value)

    @strawberry.field(
        description="Why it was not sent, or why it is tried again; null where nothing went wrong."
    )
    def because(self) -> str | None:
        return self.stored.because

    @strawberry.field(
        description="Where it goes to; null until it is sent first, and where the channel needs none."
    )
    def address(self) -> str | None:
        return None if self.stored.letter is None else self.stored.letter.address

    @strawberry.field(description="The subject as it is sent; null until then, or where there is none.")
    def subject(self) -> str | None:
        return None if self.stored.letter is None else self.stored.letter.subject

    @strawberry.field(description="The text as it is sent; null until then.")
    def text(self) -> str | None:
        return None if self.stored.letter is None else self.stored.letter.text

    @strawberry.field(description="How often it was tried.")
    def attempts(self) -> int:
        return self.stored.attempts

    @strawberry.field(description="When it was made.")
    def created_at(self) -> datetime:
        return self.stored.made

    @strawberry.field(description="When it was taken; null where it was not.")
    def sent_at(self) -> datetime | None:
        return self.stored.sent

    @strawberry.field(description="When it is tried next; null where it is not.")
    def due_at(self) -> datetime | None:
        return self.stored.due if self.stored.state is StoredState.PENDING else None

    @strawberry.field(description="To whom, also where the contact has been deleted since.")
    def contact_id(self) -> strawberry.ID:
        return to_id(Kind.CONTACT, self.stored.contact)

    @strawberry.field(description="To whom, as the contact is now; null where it has been deleted since.")
    async def contact(self, info: Info) -> Annotated[Contact, strawberry.lazy("api.contacts")] | None:
        from api.contacts import load_contact  # noqa: PLC0415 # contacts have fields, and fields much else

        return await load_contact(info, self.stored.contact)

    @strawberry.field(description="Of which campaign; null where it has been deleted.")
    async def campaign(self, info: Info) -> Annotated[Campaign, strawberry.lazy("api.campaigns")] | None:
        from api.campaigns import campaign_of  # noqa: PLC0415 # campaigns have deliveries

        return await campaign_of(info, self.stored.campaign)


def to_delivery(delivery: StoredDelivery) -> Delivery:
    return Delivery(id=to_id(Kind.DELIVERY, delivery.id), stored=delivery)


async def delivery_of(info: Info, identifier: ObjectId | None) -> Delivery | None:
    found = None if identifier is None else await info.context.account.deliveries.get(identifier)
    return None if found is None else to_delivery(found)


async def deliveries_page(
    info: Info, campaign: ObjectId, state: DeliveryState | None, first: int | None, after: After
) -> Connection[Delivery]:
    deliveries = info.context.account.deliveries
    wanted = None if state is None else StoredState(str(state.value))
    return await by_identifier(
        "deliveries",
        lambda behind, limit: deliveries.page(campaign, wanted, after=behind, limit=limit),
        to_delivery,
        lambda: deliveries.count(campaign, wanted),
        first=first,
        after=after,
    )
