"""Campaigns for tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bson import ObjectId

from domain.campaign import Campaign, Channel, Content
from domain.catalogue import Catalogue
from domain.rules.tree import AudienceKind, AudienceRef
from tests.domain.conftest import World

PLAIN = Content(
    name="Birthdays",
    description=None,
    include=(),
    exclude=(),
    channel=Channel.OUTBOX,
    address=None,
    subject=None,
    message="Dear {{first_name|friend}}, when were you born?",
    asks=None,
    ongoing=False,
)


def ref(catalogue: Catalogue, identifier: ObjectId) -> AudienceRef:
    kind = AudienceKind.GROUP if identifier in catalogue.groups else AudienceKind.SEGMENT
    return AudienceRef(kind=kind, id=identifier)


async def content(
    world: World, *include: ObjectId, exclude: tuple[ObjectId, ...] = (), **more: Any
) -> Content:
    catalogue = await world.account.definitions.current()
    return replace(
        PLAIN,
        include=tuple(ref(catalogue, each) for each in include),
        exclude=tuple(ref(catalogue, each) for each in exclude),
        **more,
    )


async def draft(
    world: World, *include: ObjectId, exclude: tuple[ObjectId, ...] = (), **more: Any
) -> Campaign:
    wanted = await content(world, *include, exclude=exclude, **more)
    return await world.account.campaigns.create(ObjectId(), wanted)


async def group(world: World, name: str, *contacts: ObjectId) -> ObjectId:
    made = await world.account.groups.create(ObjectId(), name=name, description=None)
    await world.account.groups.add(made.id, ids=contacts)
    return made.id
