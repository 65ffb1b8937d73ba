"""Accounts: everything that one account can do, put together over its scoped part of the store.

Owns which services there are. Whoever holds an `Account` can reach that account's data and no other's.
"""

from __future__ import annotations

import asyncio

from bson import ObjectId

from domain.campaigns.channels import Channels
from domain.campaigns.deliveries import Deliveries
from domain.campaigns.editing import Campaigns
from domain.campaigns.previewing import Previews
from domain.campaigns.progress import Progresses
from domain.campaigns.replies import Replies
from domain.campaigns.running import Runs
from domain.contacts import Contacts
from domain.converting import Converter
from domain.copying import Copies
from domain.definitions import Definitions
from domain.exports import Exports
from domain.groups import Groups
from domain.imports.imports import Imports
from domain.jobs import Jobs
from domain.links import Link, Links, Thing
from domain.membership.feed import Feed
from domain.membership.freshness import Freshness
from domain.membership.history import History
from domain.membership.hub import Hub
from domain.membership.pages import Pages, Shelf
from domain.outcomes import Outcomes
from domain.registry import Fields
from domain.segments import Segments
from domain.settings import AccountSettings
from domain.store.store import Store
from domain.sweeping import Sweeper
from domain.uploads import Uploads

DEFAULT_ACCOUNT = "default"


class Account:
    """One account's services."""

    def __init__(
        self,
        name: str,
        store: Store,
        hub: Hub,
        freshness: Freshness,
        shelf: Shelf,
        links: Links,
        *,
        campaigning: asyncio.Event,
        private_targets: bool,
    ) -> None:
        self.name = name
        self._links = links
        contacts = store.contacts(name)
        conversions = store.conversions(name)
        self.definitions = Definitions(store.definitions(name))
        log, past = store.log.of(name), store.past(name)
        self.feed = Feed(name, log, past, hub, freshness, Pages(name, log, past, shelf))
        self.sweeper = Sweeper(contacts, conversions, store.definitions(name), self.definitions, self.feed)
        self.converter = Converter(contacts, conversions, self.definitions, self.feed)
        self.settings = AccountSettings(self.definitions)
        self.fields = Fields(store, self.definitions, self.sweeper, self.converter)
        self.contacts = Contacts(contacts, self.definitions)
        self.groups = Groups(contacts, self.definitions, self.sweeper)
        self.segments = Segments(store, self.definitions, self.sweeper)
        self.channels = Channels(store.channels(name), private=private_targets)
        self.campaigns = Campaigns(store, self.definitions, self.channels, campaigning.set)
        self.previews = Previews(self.contacts)
        self.deliveries = Deliveries(store.deliveries(name))
        self.replies = Replies(store.replies(name), self.definitions, self.contacts, self.deliveries)
        self.runs = Runs(
            store.runs(name),
            self.definitions,
            self.feed,
            self.contacts,
            self.campaigns,
            self.deliveries,
            self.channels,
            private=private_targets,
        )
        self.history = History(self.feed, past)
        self.progresses = Progresses(
            self.definitions, self.contacts, self.deliveries, self.replies.kept, self.feed, self.history
        )
        self.outcomes = Outcomes(store.outcomes(name))
        self.jobs = Jobs(store.jobs(name))
        self.uploads = Uploads(store.uploads(name))
        self.copies = Copies(
            contacts,
            store.steps(name),
            jobs=self.jobs,
            definitions=self.definitions,
            groups=self.groups,
            feed=self.feed,
        )
        self.exports = Exports(contacts, store.links(name), self.definitions, self.feed)
        self.imports = Imports(
            name,
            store,
            jobs=self.jobs,
            uploads=self.uploads,
            definitions=self.definitions,
            fields=self.fields,
            feed=self.feed,
        )

    async def link(self, thing: Thing, identifier: ObjectId) -> Link:
        """A link to something of this account's."""
        return await self._links.make(self.name, thing, identifier)

    async def resume(self) -> None:
        """Begin again with what an earlier process has left undone in the background."""
        await self.sweeper.resume()
        await self.converter.resume()
        await self.jobs.resume()
        self.replies.resume()

    async def close(self) -> None:
        """Stop what goes on in the background."""
        await self.sweeper.close()
        await self.converter.close()
        await self.jobs.close()
        await self.replies.close()


class Accounts:
    """The accounts that this process serves, each put together when it is first asked for."""

    def __init__(self, store: Store, hub: Hub, *, private_targets: bool = False) -> None:
        self._store = store
        self._private_targets = private_targets
        self._hub = hub
        self._freshness = Freshness(store.fences(), hub)
        self._shelf = Shelf()
        self.links = Links(store)
        self._accounts: dict[str, Account] = {}
        self.campaigning = asyncio.Event()
        """Set when there is something to do for a campaign, so that whoever sends need not look for it."""

    def get(self, name: str) -> Account:
        account = self._accounts.get(name)
        if account is None:
            account = Account(
                name,
                self._store,
                self._hub,
                self._freshness,
                self._shelf,
                self.links,
                campaigning=self.campaigning,
                private_targets=self._private_targets,
            )
            self._accounts[name] = account
        return account

    async def replies_secret(self, name: str) -> str | None:
        """What replies to an account are signed with; None where it takes none, or is none.

        Nothing is kept of a name that is asked for: anybody may ask.
        """
        return await Channels(self._store.channels(name), private=self._private_targets).replies_secret()

    async def catch_up(self) -> None:
        """After the bus was away: have the engine speak, so that what was lost meanwhile is noticed at once."""
        await self._freshness.nudge()

    async def close(self) -> None:
        """Stop what goes on in the background and leave no fence behind."""
        for account in self._accounts.values():
            await account.close()
        await self._freshness.close()
