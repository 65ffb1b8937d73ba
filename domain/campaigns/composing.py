"""Composing: the message of a campaign for one contact, or why there is none.

Pure. Owns what makes a contact unreachable: no address in the campaign's field, or no value for a placeholder that has no other
words. Held by `tests/domain/campaigns/test_previewing.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from domain.campaign import Campaign
from domain.campaigns.editing import templates
from domain.campaigns.template import Template, fill_in, missing
from domain.catalogue import Catalogue
from domain.contact import Contact
from domain.errors import LimitExceeded


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is sent. `address` is None where the channel needs none."""

    address: str | None
    subject: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    because: str


class Composer:
    """Of one campaign, by the account's fields as they are. Making one raises what is wrong with the message by now."""

    def __init__(self, catalogue: Catalogue, campaign: Campaign) -> None:
        self._subject: Template
        self._subject, self._message = templates(catalogue, campaign.content)
        self._address = campaign.content.address

    def compose(self, contact: Contact) -> Letter | Unreachable:
        address = None
        if self._address is not None:
            normal = contact.document.get("normal")
            address = normal.get(self._address) if isinstance(normal, dict) else None
            if not isinstance(address, str):
                return Unreachable(f"The contact has no address in “{self._address}”.")
        lacking = sorted({*missing(self._subject, contact), *missing(self._message, contact)})
        if lacking:
            named = ", ".join(f"“{key}”" for key in lacking)
            return Unreachable(f"The message names {named}, where the contact has no value.")
        try:
            subject = " ".join(fill_in(self._subject, contact).split()) or None
            return Letter(address=address, subject=subject, text=fill_in(self._message, contact))
        except LimitExceeded as error:
            return Unreachable(error.message)
