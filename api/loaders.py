"""Loaders: what many parts of one answer ask for, fetched together.

Owns the batching, so that nested reading costs a number of database commands that does not grow with the number of rows. A
loader remembers what it has loaded, so each operation gets fresh ones, and so does each event of a subscription: what is
remembered longer is yesterday's data. Held by `tests/api/test_commands.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from bson import ObjectId
from strawberry.dataloader import DataLoader

from domain.accounts import Account
from domain.contact import Contact
from domain.converting import Conversion
from domain.membership.feed import Size
from domain.membership.history import Membership
from domain.rules.query import Query

# Parts of one command. More audiences than one page holds come in several commands.
MAX_PAGES_AT_ONCE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class MembersPage:
    """A page of an audience's members to be loaded."""

    audience: ObjectId
    query: Query
    after: ObjectId | None
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipOf:
    """A contact's place in an audience to be looked up. `by_rule`: whether the rule says that it is a member."""

    audience: ObjectId
    contact: ObjectId
    by_rule: bool


class Loaders:
    """One set, for one operation or event. Each is made when it is first asked for: most events need none."""

    def __init__(self, account: Account) -> None:
        self._account = account

    @cached_property
    def contacts(self) -> DataLoader[ObjectId, Contact | None]:
        return DataLoader(self._contacts)

    @cached_property
    def members(self) -> DataLoader[MembersPage, list[Contact]]:
        return DataLoader(
            self._members,
            max_batch_size=MAX_PAGES_AT_ONCE,
            cache_key_fn=lambda page: (page.audience, page.after, page.limit),
        )

    @cached_property
    def sizes(self) -> DataLoader[ObjectId, Size | None]:
        return DataLoader(self._sizes)

    @cached_property
    def marked(self) -> DataLoader[ObjectId, Contact | None]:
        return DataLoader(self._marked)

    @cached_property
    def conversions(self) -> DataLoader[str, Conversion | None]:
        return DataLoader(self._conversions)

    @cached_property
    def memberships(self) -> DataLoader[MembershipOf, Membership]:
        return DataLoader(self._memberships)

    async def _contacts(self, identifiers: list[ObjectId]) -> list[Contact | None]:
        if len(identifiers) == 1:
            return [await self._account.contacts.get(identifiers[0])]
        found = await self._account.contacts.get_many(identifiers)
        return [found.get(identifier) for identifier in identifiers]

    async def _members(self, pages: list[MembersPage]) -> list[list[Contact]]:
        return await self._account.contacts.pages([(page.query, page.after, page.limit) for page in pages])

    async def _marked(self, identifiers: list[ObjectId]) -> list[Contact | None]:
        """Contacts as they are when whoever is in a broken segment is marked."""
        await self._account.feed.settled((await self._account.definitions.current()).broken)
        return await self._contacts(identifiers)

    async def _conversions(self, keys: list[str]) -> list[Conversion | None]:
        catalogue = await self._account.definitions.current()
        found = await self._account.converter.of(catalogue, keys)
        return [found.get(key) for key in keys]

    async def _sizes(self, audiences: list[ObjectId]) -> list[Size | None]:
        found = await self._account.feed.sizes(audiences)
        return [found.get(audience) for audience in audiences]

    async def _memberships(self, wanted: list[MembershipOf]) -> list[Membership]:
        by_audience: dict[ObjectId, dict[ObjectId, bool]] = {}
        for each in wanted:
            by_audience.setdefault(each.audience, {})[each.contact] = each.by_rule
        found = {
            audience: await self._account.history.memberships(audience, contacts)
            for audience, contacts in by_audience.items()
        }
        return [found[each.audience][each.contact] for each in wanted]
