"""The store as a whole: one database, opened, inspected and prepared, and the ways into it.

Owns who gets which collection: callers get theirs scoped to their account, the engine gets the log, the checkpoint, the lease
and the stream.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any

from bson import ObjectId

from domain.store import indexes, stream
from domain.store.checkpoint import Checkpoints
from domain.store.client import Database
from domain.store.definitions import Definition, DefinitionLog, definitions_in_force
from domain.store.fences import Fences
from domain.store.lease import Leases
from domain.store.log import MembershipLog
from domain.store.mailbox import Mailbox
from domain.store.past import Past
from domain.store.requests import Requests
from domain.store.scope import Scoped
from domain.store.secret import load_secret
from domain.store.server import ServerTraits, inspect
from domain.store.soundness import Soundness


class Store:
    """An opened database. Made by `open_store`."""

    def __init__(self, database: Database, traits: ServerTraits) -> None:
        self._database = database
        self.traits = traits
        self._prepared: set[str] = set()
        self.log = MembershipLog(database)
        self.checkpoints = Checkpoints(database)
        self.leases = Leases(database)
        self.mailbox = Mailbox(database)
        self.requests = Requests(database)
        self.soundness = Soundness(database, traits)

    def contacts(self, account: str) -> Scoped:
        return Scoped(self._database[indexes.CONTACTS], account, longest_in=self.traits.longest_in)

    def definitions(self, account: str) -> DefinitionLog:
        return DefinitionLog(Scoped(self._database[indexes.DEFINITIONS], account))

    def past(self, account: str) -> Past:
        changes, cuts = self._database[indexes.CHANGES], self._database[indexes.CUTS]
        longest_in = self.traits.longest_in
        return Past(
            Scoped(changes, account, longest_in=longest_in),
            Scoped(cuts, account),
            seeks=self.traits.seeks,
        )

    def outcomes(self, account: str) -> Scoped:
        return Scoped(self._database[indexes.OUTCOMES], account)

    def conversions(self, account: str) -> Scoped:
        return Scoped(self._database[indexes.CONVERSIONS], account)

    def uploads(self, account: str) -> Scoped:
        return Scoped(self._database[indexes.UPLOADS], account)

    def jobs(self, account: str) -> Scoped:
        return Scoped(self._database[indexes.JOBS], account)

    def steps(self, account: str) -> Scoped:
        return Scoped(self._database[indexes.STEPS], account)

    def links(self, account: str) -> Scoped:
        return Scoped(self._database[indexes.LINKS], account)

    def runs(self, account: str) -> Scoped:
        return Scoped(self._database[indexes.RUNS], account)

    def deliveries(self, account: str) -> Scoped:
        return Scoped(self._database[indexes.DELIVERIES], account, longest_in=self.traits.longest_in)

    def channels(self, account: str) -> Scoped:
        return Scoped(self._database[indexes.CHANNELS], account)

    def replies(self, account: str) -> Scoped:
        return Scoped(self._database[indexes.REPLIES], account)

    async def open_runs(self) -> list[tuple[str, ObjectId]]:
        """(account, campaign) of every campaign, of all accounts, that there may be anything to do for: for who sends."""
        found = (
            await self._database[indexes.RUNS]
            .find({"open": True}, {"account": 1}, sort=[("_id", 1)])
            .to_list()
        )
        return [(document["account"], document["_id"]) for document in found]

    def lease(self, name: str) -> Leases:
        """The lease of a work that one process at a time does, beside the engine's."""
        return Leases(self._database, name)

    def fences(self) -> Fences:
        """The fences of a new writer."""
        return Fences(self._database)

    async def prepare(self) -> None:
        """Make what is not there of collections and indexes, as after somebody has dropped it. See `indexes.prepare`."""
        self._prepared.clear()
        await indexes.prepare(self._database, self.traits)

    async def prepare_attributes(self, paths: Iterable[str]) -> None:
        """Make what a rule that reads these paths of a contact needs. See `indexes.prepare_attributes`."""
        if new := set(paths) - self._prepared:
            await indexes.prepare_attributes(self._database, self.traits, sorted(new))
            self._prepared |= new

    async def prepare_freezing(self) -> None:
        """Make what broken segments need, before the first of them is frozen."""
        await indexes.prepare_freezing(self._database)

    async def secret(self) -> bytes:
        """What is signed with it, somebody signed who could read this database."""
        return await load_secret(self._database)

    async def ping(self) -> None:
        """Raises a `pymongo.errors.PyMongoError` where the database does not answer."""
        await self._database.client.admin.command("ping")

    def follow(self, token: Mapping[str, Any] | None) -> AsyncGenerator[stream.StreamBatch, None]:
        """The change stream over all accounts, for the engine."""
        return stream.follow(self._database, self.traits, token)

    async def definitions_in_force(self, revisions: Mapping[str, int] | None) -> dict[str, list[Definition]]:
        """All accounts' definitions, for the engine."""
        return await definitions_in_force(self._database, revisions)


async def open_store(database: Database) -> Store:
    """Inspect the server and make collections and indexes. Raises `pymongo.errors.PyMongoError` where it cannot."""
    store = await look_at(database)
    await store.prepare()
    return store


async def look_at(database: Database) -> Store:
    """Inspect the server, and make nothing: for whoever wants to see what is there. Raises as `open_store` does."""
    return Store(database, await inspect(database))
