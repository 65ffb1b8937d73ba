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
from domain.audiences import Audience, members_query
from domain.contact import Contact
from domain.membership.feed import Size

# Parts of one command. More audiences than one page holds come in several commands.
MAX_PAGES_AT_ONCE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class MembersPage:
    """A page of an audience's members to be loaded."""

    audience: Audience
    after: ObjectId | None
    limit: int


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
            cache_key_fn=lambda page: (page.audience.id, page.after, page.limit),
        )

    @cached_property
    def sizes(self) -> DataLoader[ObjectId, Size | None]:
        return DataLoader(self._sizes)

    async def _contacts(self, identifiers: list[ObjectId]) -> list[Contact | None]:
        if len(identifiers) == 1:
            return [await self._account.contacts.get(identifiers[0])]
        found = await self._account.contacts.get_many(identifiers)
        return [found.get(identifier) for identifier in identifiers]

    async def _members(self, pages: list[MembersPage]) -> list[list[Contact]]:
        return await self._account.contacts.pages(
            [(members_query(page.audience), page.after, page.limit) for page in pages]
        )

    async def _sizes(self, audiences: list[ObjectId]) -> list[Size | None]:
        found = await self._account.feed.sizes(audiences)
        return [found.get(audience) for audience in audiences]
