"""Copying: the members that an audience has at one moment, put into a static group, which keeps them whatever becomes of it.

Owns the job. Who is a member is written down first, as fast as identifiers can be read; only then contacts are put into the group,
some at a time, so that live changes pass between them. A process that ended in the middle is gone on for: what was written down
stays, and putting a contact into a group twice is putting it there once. Held by
`tests/domain/test_jobs.py` and `tests/api/test_copies.py`.

Cost: one pass over the members' identifiers, and one write for each of them.
"""

from __future__ import annotations

from typing import Any

from bson import ObjectId

from domain.catalogue import Catalogue
from domain.definitions import Definitions, now
from domain.errors import NotFound, TooManyGroups
from domain.groups import Groups, require_group
from domain.jobs import KEPT, Jobs, Run
from domain.membership.feed import Feed
from domain.rules.criterion import Criterion
from domain.store.client import Document
from domain.store.scope import Scoped

KIND = "copy"
PART = 5_000
BATCH = 200


class Copies:
    """One account's."""

    def __init__(
        self,
        contacts: Scoped,
        parts: Scoped,
        *,
        jobs: Jobs,
        definitions: Definitions,
        groups: Groups,
        feed: Feed,
    ) -> None:
        self._contacts = contacts
        self._parts = parts
        self._jobs = jobs
        self._definitions = definitions
        self._groups = groups
        self._feed = feed
        jobs.carried_out_by(KIND, self._carry_out)

    async def begin(self, identifier: ObjectId, *, audience: ObjectId, group: ObjectId | str) -> None:
        """Begin to put the members into a group: one that is there, or a new one of this name.

        Raises `NotFound`, and what `Groups.create` raises.
        """
        if await self._jobs.get(KIND, identifier) is not None:
            return
        catalogue = await self._definitions.current()
        _require(catalogue, audience)
        if isinstance(group, str):
            group = (await self._groups.create(identifier, name=group, description=None)).id
        else:
            require_group(catalogue, group)
        await self._jobs.make(
            KIND,
            identifier,
            "running",
            audience=audience,
            group=group,
            collected=False,
            **dict.fromkeys(("total", "done", "moved", "unchanged", "refused", "percent"), 0),
        )

    async def require(self, identifier: ObjectId) -> Document:
        """Raises `NotFound`."""
        job = await self._jobs.get(KIND, identifier)
        if job is None:
            raise NotFound("There is no such copy. It is remembered for 90 days.", path=("id",))
        return job

    async def _carry_out(self, run: Run) -> str:
        if not run.document["collected"]:
            await self._collect(run)
        counts = {name: run.document[name] for name in ("done", "moved", "unchanged", "refused")}
        total = run.document["total"]
        query = {"job": run.id, "since": {"$gte": counts["done"] - counts["done"] % PART}}
        async for part in self._parts.stream(query, sort=[("since", 1)], batch=1):
            members = part["members"][counts["done"] - part["since"] :]
            for start in range(0, len(members), BATCH):
                some = members[start : start + BATCH]
                regrouped = await self._groups.add(run.document["group"], ids=some)
                # Who was deleted meanwhile is no member of anything any more.
                refused = sum(isinstance(error, TooManyGroups) for error in regrouped.errors)
                counts = {
                    "done": counts["done"] + len(some),
                    "moved": counts["moved"] + regrouped.moved,
                    "unchanged": counts["unchanged"] + regrouped.unchanged,
                    "refused": counts["refused"] + refused,
                }
                await run.note(**counts, percent=counts["done"] * 100 // total)
        await self._parts.delete_many({"job": run.id})
        await run.note(percent=100)
        return "done"

    async def _collect(self, run: Run) -> None:
        await self._parts.delete_many({"job": run.id})
        criterion = _require(await self._definitions.current(), run.document["audience"])
        members: list[ObjectId] = []
        since = 0
        found = self._contacts.stream(
            criterion.query(self._feed.instant), projection={"_id": 1}, sort=[("_id", 1)], batch=10_000
        )
        async for contact in found:
            members.append(contact["_id"])
            if len(members) == PART:
                since = await self._keep(run, since, members)
                members = []
        total = await self._keep(run, since, members) if members else since
        await run.note(collected=True, total=total)

    async def _keep(self, run: Run, since: int, members: list[ObjectId]) -> int:
        part: dict[str, Any] = {"job": run.id, "since": since, "members": members, "expires": now() + KEPT}
        await self._parts.insert_one(part)
        return since + len(members)


def _require(catalogue: Catalogue, audience: ObjectId) -> Criterion:
    try:
        return catalogue.criterion(audience)
    except NotFound as error:
        raise NotFound(error.message, path=("audience",)) from None
