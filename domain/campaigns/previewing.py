"""Previewing: whom a campaign would reach at this moment, and whom not and why, counted by the database.

Owns the rules behind the figures. Each is a rule like any other, so that the figures say exactly what sending would do. Held by
`tests/domain/campaigns/test_previewing.py`. Cost: one count for each figure, each as dear as a rule's preview.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.campaign import Campaign, included, lacking
from domain.campaigns.composing import Composer, Letter
from domain.campaigns.editing import asked_field, templates
from domain.campaigns.template import keys_needed
from domain.catalogue import Catalogue
from domain.contact import Contact
from domain.contacts import Contacts
from domain.rules.tree import MemberOf, Quantifier, Rule, all_of, any_of, negate


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """Every contact in `include` is counted once: `included` is the sum of the others."""

    included: int
    reached: int
    excluded: int
    answered: int
    """In none that are excluded, and with a value in the field that is asked for."""
    without_address: int
    without_values: int
    """With an address, and without a value that the message needs."""


class Previews:
    """One account's."""

    def __init__(self, contacts: Contacts) -> None:
        self._contacts = contacts

    async def counts(self, catalogue: Catalogue, campaign: Campaign, instant: datetime) -> Preview:
        """Raises `BrokenSegment`, and what is wrong with the message by now."""
        rules = _rules(catalogue, campaign)
        figures = await asyncio.gather(*[self._count(catalogue, rule, instant) for rule in rules])
        excluded, answered, without_address, without_values, reached = figures
        return Preview(
            included=sum(figures),
            reached=reached,
            excluded=excluded,
            answered=answered,
            without_address=without_address,
            without_values=without_values,
        )

    async def sample(
        self, catalogue: Catalogue, campaign: Campaign, instant: datetime, *, limit: int
    ) -> list[tuple[Contact, Letter]]:
        """What some of those who are reached would be sent. Raises as `counts` does."""
        rule = _rules(catalogue, campaign)[-1]
        assert rule is not None
        composer = Composer(catalogue, campaign)
        query = catalogue.criterion_of(rule).query(instant)
        contacts = await self._contacts.page(query, after=None, limit=limit)
        composed = [(contact, composer.compose(contact)) for contact in contacts]
        return [(contact, letter) for contact, letter in composed if isinstance(letter, Letter)]

    async def _count(self, catalogue: Catalogue, rule: Rule | None, instant: datetime) -> int:
        if rule is None:
            return 0
        return await self._contacts.count(catalogue.criterion_of(rule).query(instant))


def _rules(catalogue: Catalogue, campaign: Campaign) -> Sequence[Rule | None]:
    """Excluded, answered, without an address, without a value, reached. None where nobody can be."""
    content = campaign.content
    rest: list[Rule] = [included(content)]
    excluded: Rule | None = None
    if content.exclude:
        excluded = all_of([*rest, MemberOf(quantifier=Quantifier.ANY, audiences=content.exclude)])
        rest.append(MemberOf(quantifier=Quantifier.NONE, audiences=content.exclude))
    asked = asked_field(catalogue, content)
    answered: Rule | None = None
    if asked is not None:
        answered = all_of([*rest, negate(lacking(asked))])
        rest.append(lacking(asked))
    without_address: Rule | None = None
    if content.address is not None:
        unreached = lacking(catalogue.fields.require(content.address))
        without_address = all_of([*rest, unreached])
        rest.append(negate(unreached))
    needed = sorted(frozenset().union(*map(keys_needed, templates(catalogue, content))))
    without_values: Rule | None = None
    if needed:
        short = any_of([lacking(catalogue.fields[key]) for key in needed])
        without_values = all_of([*rest, short])
        rest.append(negate(short))
    return excluded, answered, without_address, without_values, all_of(rest)
