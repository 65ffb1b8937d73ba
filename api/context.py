"""The context of one operation, or of one event of a subscription: whose it is, and what it has read so far.

Owns freshness: the catalogue is read once for each, and the loaders remember nothing across them. A websocket lives for
hours; what its operations share is a `Session`, which holds no data. Owns the budget of list items, too, which bounds what
no estimate can foresee: how many groups and segments the contacts of a page happen to be in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime

import strawberry

from api.identity import Caller
from api.loaders import Loaders
from domain.accounts import Account, Accounts
from domain.catalogue import Catalogue
from domain.contact import Contact
from domain.errors import LimitExceeded, Unauthenticated

MAX_LISTED = 100_000


class Session:
    """An HTTP request, or a websocket with all its operations. `caller` is known once a websocket has introduced itself."""

    def __init__(self, accounts: Accounts, caller: Caller | None = None) -> None:
        self._accounts = accounts
        self.caller = caller
        self.connection_params: Mapping[str, object] = {}

    def context(self) -> Context:
        """A fresh context. Raises `Unauthenticated`."""
        if self.caller is None:
            raise Unauthenticated("A key is wanted.")
        return Context(self._accounts.get(self.caller.account), self.caller)


class Context:
    """What resolvers work with. It holds one account's services, so it reaches no other account's data."""

    def __init__(self, account: Account, caller: Caller) -> None:
        self.account = account
        self.caller = caller
        self.renew()

    def renew(self) -> None:
        """Forget what was read: before each mutation of an operation."""
        self.load = Loaders(self.account)
        self._catalogue: asyncio.Future[Catalogue] | None = None
        self._listed = 0

    def fresh(self) -> Context:
        """One for the next event."""
        return Context(self.account, self.caller)

    @property
    def instant(self) -> datetime:
        """The second as of which rules are read (`Feed.instant`)."""
        return self.account.feed.instant

    async def catalogue(self) -> Catalogue:
        """The account's definitions as of this operation or event, read when they are first asked for."""
        if self._catalogue is None:
            self._catalogue = asyncio.ensure_future(self.account.definitions.current())
        return await asyncio.shield(self._catalogue)

    def wrote(self, contact: Contact) -> None:
        """Take a contact that was just written, and the definitions that this was decided on, as read."""
        self.load.contacts.prime(contact.id, contact)
        self._catalogue = asyncio.get_running_loop().create_future()
        self._catalogue.set_result(self.account.definitions.known)

    def spend(self, listed: int) -> None:
        """Count items of lists that no `first` bounds. Raises `LimitExceeded`."""
        self._listed += listed
        if self._listed > MAX_LISTED:
            raise LimitExceeded(
                f"This would list more than {MAX_LISTED:,} groups and segments. Ask for fewer contacts or rules at once."
            )


Info = strawberry.Info[Context, None]
