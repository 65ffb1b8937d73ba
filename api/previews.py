"""Previews: what a rule would select, before anybody saves it."""

from __future__ import annotations

import strawberry

from api.connections import First, checked_first
from api.contacts import Contact, to_contact
from api.context import Info
from api.rules import Condition, Rule, to_rule
from domain.audiences import difference
from domain.catalogue import Catalogue
from domain.rules.query import to_query
from domain.rules.text import to_text
from domain.rules.tree import Rule as StoredRule
from domain.rules.words import sentence
from domain.segments import including_missing


@strawberry.type(
    description="Contacts that a rule takes in only because a negative condition includes those without a value."
)
class TakenIn:
    condition: Condition = strawberry.field(description="The condition, which includes missing values.")
    contacts: int = strawberry.field(
        description="How many contacts would not be selected if the condition excluded missing values."
    )


@strawberry.type(description="What a rule would select at this moment.")
class RulePreview:
    stored: strawberry.Private[StoredRule]
    catalogue: strawberry.Private[Catalogue]

    @strawberry.field(description="How many contacts: exact.")
    async def size(self, info: Info) -> int:
        return await info.context.account.contacts.count(to_query(self.stored))

    @strawberry.field(description="Some of the contacts.")
    async def sample(
        self,
        info: Info,
        first: First = 10,
    ) -> list[Contact]:
        limit = checked_first(first, 10)
        if not limit:
            return []
        found = await info.context.account.contacts.page(to_query(self.stored), after=None, limit=limit)
        return [to_contact(contact, self.catalogue) for contact in found]

    @strawberry.field(description="The rule in its canonical text form.")
    def expression(self) -> str:
        return to_text(self.stored)

    @strawberry.field(description="The rule as one plain English sentence, for people who write none.")
    def words(self) -> str:
        return sentence(self.stored, self.catalogue.fields)

    @strawberry.field(description="The rule as a tree, in its canonical form.")
    def rule(self) -> Rule:
        return to_rule(self.stored, self.catalogue)

    @strawberry.field(
        description="For each negative condition that includes contacts without a value: how many contacts that takes in. A "
        "surprising number is a reason to say `excluding missing`."
    )
    async def taken_in_for_lack_of_a_value(self, info: Info) -> list[TakenIn]:
        selected = to_query(self.stored)
        found = []
        for condition, excluding in including_missing(self.stored):
            contacts = await info.context.account.contacts.count(difference(selected, to_query(excluding)))
            found.append(
                TakenIn(condition=Condition(stored=condition, catalogue=self.catalogue), contacts=contacts)
            )
        return found
