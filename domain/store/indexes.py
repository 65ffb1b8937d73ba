"""Collections and indexes: made at start-up, each beside the query that it serves.

Owns what must exist before the first request. Making what is there already is free; an index of the same name and another
shape is an error that stops the start, never a silent difference. Contact queries always begin with the account, so
every index does, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pymongo import IndexModel
from pymongo.errors import OperationFailure

from domain.store.client import Database
from domain.store.server import ServerTraits

CONTACTS = "contacts"
DEFINITIONS = "definitions"
FENCES = "fences"
CHANGES = "changes"
CHECKPOINTS = "checkpoints"
MESSAGES = "messages"
CUTS = "cuts"
LEASES = "leases"
OUTCOMES = "outcomes"
CONVERSIONS = "conversions"
REQUESTS = "requests"
UPLOADS = "uploads"
JOBS = "jobs"
STEPS = "steps"
LINKS = "links"
RUNS = "campaign_runs"
DELIVERIES = "deliveries"
CHANNELS = "channels"
REPLIES = "replies"

COLLECTIONS = (
    CONTACTS,
    DEFINITIONS,
    FENCES,
    CHANGES,
    CHECKPOINTS,
    LEASES,
    MESSAGES,
    CUTS,
    OUTCOMES,
    CONVERSIONS,
    REQUESTS,
    UPLOADS,
    JOBS,
    STEPS,
    LINKS,
    RUNS,
    DELIVERIES,
    CHANNELS,
    REPLIES,
)

OUTCOME_LIFETIME_SECONDS = 24 * 3600
REQUEST_LIFETIME_SECONDS = 7 * 24 * 3600
MAX_CONTACT_INDEXES = 40
IMAGES: dict[str, Any] = {"changeStreamPreAndPostImages": {"enabled": True}}
NAMESPACE_EXISTS = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index, and the query that it serves."""

    collection: str
    keys: tuple[tuple[str, Any], ...]
    serves: str
    options: dict[str, Any] = field(default_factory=dict)

    def model(self) -> IndexModel:
        return IndexModel(list(self.keys), **self.options)


INDEXES = (
    Index(
        collection=CONTACTS,
        keys=(("account", 1), ("_id", 1)),
        serves="a page of an account's contacts, and the keyset cursor behind it: account, _id > last, sorted by _id",
    ),
    Index(
        collection=CONTACTS,
        keys=(("account", 1), ("key", 1)),
        options={"unique": True, "partialFilterExpression": {"key": {"$exists": True}}},
        serves="a contact by its key, upserts by key, and the promise that a key is unique in its account",
    ),
    Index(
        collection=CONTACTS,
        keys=(("account", 1), ("groups", 1)),
        serves="members and size of a static group; stripping a deleted group from its contacts",
    ),
    Index(
        collection=DEFINITIONS,
        keys=(("account", 1), ("revision", 1)),
        options={"unique": True},
        serves="what has been defined since a revision; two writers cannot take one revision",
    ),
    Index(
        collection=CHANGES,
        keys=(("account", 1), ("audience", 1), ("position", 1)),
        serves="the log of one audience from a cursor on, its history into the past, its newest entry",
    ),
    Index(
        collection=CHANGES,
        keys=(("account", 1), ("audience", 1), ("contact", 1), ("position", 1)),
        serves="one contact's joins and leaves; of no contact, what befell the audience itself, such as its resets",
    ),
    Index(
        collection=OUTCOMES,
        keys=(("at", 1),),
        options={"expireAfterSeconds": OUTCOME_LIFETIME_SECONDS},
        serves="forgetting the outcome of a repeated mutation after a day",
    ),
    Index(
        collection=CONVERSIONS,
        keys=(("account", 1), ("field", 1)),
        options={"unique": True},
        serves="how far the conversion of each field has come; two processes cannot book one twice",
    ),
    Index(
        collection=REQUESTS,
        keys=(("at", 1),),
        options={"expireAfterSeconds": REQUEST_LIFETIME_SECONDS},
        serves="forgetting what the engine was asked a week ago",
    ),
    Index(
        collection=UPLOADS,
        keys=(("account", 1), ("upload", 1), ("part", 1)),
        options={"unique": True},
        serves="the parts of an uploaded file, in their order",
    ),
    Index(
        collection=JOBS,
        keys=(("account", 1), ("kind", 1), ("_id", 1)),
        serves="the imports of an account, newest first, and those that nobody is at work on",
    ),
    Index(
        collection=STEPS,
        keys=(("account", 1), ("job", 1), ("since", 1)),
        options={"unique": True},
        serves="the journal of a job, its newest step first; two processes cannot go on from one place",
    ),
    *(
        Index(
            collection=collection,
            keys=(("expires", 1),),
            options={"expireAfterSeconds": 0},
            serves="forgetting it when its time has come",
        )
        for collection in (UPLOADS, JOBS, STEPS, LINKS)
    ),
    Index(
        collection=RUNS,
        keys=(("open", 1), ("_id", 1)),
        serves="which campaigns, of all accounts, there is anything to do for",
    ),
    Index(
        collection=DELIVERIES,
        keys=(("account", 1), ("campaign", 1), ("state", 1), ("due", 1)),
        serves="the deliveries of a campaign that are due, the next of them, and how many are in each state",
    ),
    Index(
        collection=DELIVERIES,
        keys=(("account", 1), ("campaign", 1), ("_id", 1)),
        serves="a page of a campaign's deliveries",
    ),
    Index(
        collection=DELIVERIES,
        keys=(("account", 1), ("contact", 1)),
        serves="what was sent to a contact: which campaign a reply is to",
    ),
    Index(
        collection=CHANNELS,
        keys=(("account", 1), ("kind", 1)),
        options={"unique": True},
        serves="how an account's messages leave and how replies come in, one of each kind",
    ),
    Index(
        collection=REPLIES,
        keys=(("account", 1), ("campaign", 1), ("state", 1), ("_id", 1)),
        serves="the replies to a campaign, those that wait for a person among them, and how many there are",
    ),
    Index(
        collection=REPLIES,
        keys=(("account", 1), ("state", 1), ("_id", 1)),
        serves="the replies that wait for a person, whichever campaign they are to",
    ),
    Index(
        collection=REPLIES,
        keys=(("account", 1), ("message", 1)),
        options={"unique": True, "partialFilterExpression": {"message": {"$exists": True}}},
        serves="a reply that comes in twice under one identifier is one",
    ),
)

ATTRIBUTE_WILDCARDS = (
    Index(
        collection=CONTACTS,
        keys=(("account", 1), ("normal.$**", 1)),
        options={"name": "account_normal_wildcard"},
        serves="a rule's condition on any one field, without an index for each field",
    ),
    Index(
        collection=CONTACTS,
        keys=(("account", 1), ("anniversaries.$**", 1)),
        options={"name": "account_anniversaries_wildcard"},
        serves="a rule's condition on the day of the year of any one date",
    ),
)

FROZEN_MEMBERS = Index(
    collection=CONTACTS,
    keys=(("account", 1), ("frozen", 1)),
    serves="members and size of a broken segment; taking marks off again",
)

# What stands under these the wildcards serve.
_WILD = ("normal.", "anniversaries.")

PLAIN_KEY = Index(
    collection=CONTACTS,
    keys=(("account", 1), ("key", 1), ("_id", 1)),
    serves="a contact by its key, where the server answers no query from the partial index that makes keys unique",
)


def attribute_index(path: str) -> Index:
    """The index for what rules read under one path, such as `normal.city`, where the server has no wildcard index."""
    return Index(
        collection=CONTACTS,
        keys=(("account", 1), (path, 1)),
        serves=f"a rule's condition that reads {path}",
    )


def expected(traits: ServerTraits) -> list[Index]:
    """What must be there, whatever rules read."""
    found = list(INDEXES)
    if traits.wildcard_indexes:
        found += ATTRIBUTE_WILDCARDS
    if not traits.partial_indexes_serve_queries:
        found.append(PLAIN_KEY)
    return found


def attribute_indexes(traits: ServerTraits, paths: Iterable[str]) -> list[Index]:
    """What rules that read these paths of a contact need beside it, as far as there is room."""
    served = _WILD if traits.wildcard_indexes else ()
    known = [index.keys for index in INDEXES]
    found = [attribute_index(path) for path in sorted(paths) if not path.startswith(served)]
    return [index for index in found if index.keys not in known]


async def prepare(database: Database, traits: ServerTraits) -> None:
    """Make the collections (contacts with pre-images) and the indexes that are not there yet; an index makes its collection."""
    wanted = expected(traits)
    indexed = {index.collection for index in wanted} - {CONTACTS}
    existing = set(await database.list_collection_names())
    for name in COLLECTIONS:
        new = name not in existing and (name in indexed or await _made(database, name))
        if name == CONTACTS and not new:
            await database.command("collMod", name, **IMAGES)
    await _create(database, wanted)


async def _made(database: Database, name: str) -> bool:
    """Whether it was not there: another process of the same start may have made it meanwhile."""
    try:
        await database.create_collection(name, check_exists=False, **(IMAGES if name == CONTACTS else {}))
    except OperationFailure as error:
        if error.code != NAMESPACE_EXISTS:
            raise
        return False
    return True


async def prepare_attributes(database: Database, traits: ServerTraits, paths: Iterable[str]) -> None:
    """Make what a rule that reads these paths of a contact needs: no more for a field where wildcard indexes serve them all.

    Each index makes every write of a contact dearer, so only what rules read gets one. MongoDB allows 64 on a collection; the
    fallback stops at `MAX_CONTACT_INDEXES`, and rules over later fields scan the account's contacts.
    """
    present = [index["key"] for index in (await database[CONTACTS].index_information()).values()]
    wanted = [index for index in attribute_indexes(traits, paths) if list(index.keys) not in present]
    await _create(database, wanted[: max(0, MAX_CONTACT_INDEXES - len(present))])


async def prepare_freezing(database: Database) -> None:
    """Make what broken segments need: most accounts never have one, and each index makes every write of a contact dearer."""
    await _create(database, (FROZEN_MEMBERS,))


async def _create(database: Database, indexes: Iterable[Index]) -> None:
    by_collection: dict[str, list[IndexModel]] = {}
    for index in indexes:
        by_collection.setdefault(index.collection, []).append(index.model())
    for collection, models in by_collection.items():
        await database[collection].create_indexes(models)
