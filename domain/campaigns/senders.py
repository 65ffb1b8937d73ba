"""Senders: whose a reply is, and what they were asked.

Owns the way from an address, a key or a delivery to one contact and one campaign; where several come into question, those that the
campaign has reached are meant. Held by `tests/domain/campaigns/test_replies.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parseaddr

from bson import ObjectId

from domain.campaigns.deliveries import Deliveries
from domain.catalogue import Catalogue
from domain.contact import Contact
from domain.contacts import Contacts
from domain.errors import InvalidValue
from domain.fields import Field
from domain.fields.normal import normal_email, normal_phone

MOST_ALIKE = 50
"""Contacts of one address that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who replied, by one of these; `delivery` is the one that the reply is to."""

    contact: ObjectId | None = None
    key: str | None = None
    email: str | None = None
    phone: str | None = None
    delivery: ObjectId | None = None

    def said(self) -> str | None:
        """As it is kept where nobody is found."""
        return self.email or self.phone or self.key


class Senders:
    """Those of one account."""

    def __init__(self, contacts: Contacts, deliveries: Deliveries) -> None:
        self._contacts = contacts
        self._deliveries = deliveries

    async def whose(
        self, catalogue: Catalogue, sender: Sender, campaign: ObjectId | None
    ) -> tuple[ObjectId | None, ObjectId | None, str | None]:
        """The contact, the campaign, and why there is no contact."""
        if sender.delivery is not None:
            delivery = await self._deliveries.get(sender.delivery)
            if delivery is None:
                # Of a campaign that was deleted, say: the reply is kept all the same.
                return None, campaign, "Nothing that was sent has this reference."
            return delivery.contact, delivery.campaign, None
        alike = await self._alike(catalogue, sender)
        sent = await self._deliveries.of_contact([contact.id for contact in alike])
        asking = [each for each in sent if asked_by(catalogue, each.campaign) is not None]
        if campaign is None and asking:
            campaign = asking[0].campaign
        if len(alike) > 1:
            reached = {each.contact for each in sent if each.campaign == campaign}
            alike = [contact for contact in alike if contact.id in reached] or alike
        if len(alike) == 1:
            return alike[0].id, campaign, None
        because = f"{len(alike)} contacts have this address." if alike else "Nobody has this address."
        return None, campaign, because

    async def _alike(self, catalogue: Catalogue, sender: Sender) -> list[Contact]:
        """Whoever it may be."""
        if sender.contact is not None:
            return [await self._contacts.require(sender.contact)]
        if sender.key is not None:
            found = await self._contacts.get_by_key(sender.key.strip())
            return [] if found is None else [found]
        try:
            if sender.email is not None:
                query = {"normal.email": normal_email(parseaddr(sender.email)[1] or sender.email)}
            else:
                query = {"normal.phone": normal_phone(sender.phone or "", catalogue.settings)}
        except InvalidValue:
            # An address that nobody can have.
            return []
        return await self._contacts.page(query, after=None, limit=MOST_ALIKE)


def asked_by(catalogue: Catalogue, campaign: ObjectId | None) -> Field | None:
    """What a campaign asks for; None where it is not there, or asks for nothing that is."""
    known = None if campaign is None else catalogue.campaigns.get(campaign)
    return None if known is None or known.content.asks is None else catalogue.fields.get(known.content.asks)
