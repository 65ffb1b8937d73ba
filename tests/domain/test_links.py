"""Signed links."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest
from bson import ObjectId

from domain import links
from domain.errors import NotFound
from domain.links import Links, Opened, Thing
from tests.domain.conftest import World

THING = ObjectId()


async def test_a_link_leads_to_its_thing_in_every_process(world: World) -> None:
    link = await Links(world.store).make("default", Thing.EXPORT, THING)
    assert await Links(world.store).open(link.token) == Opened(
        account="default", thing=Thing.EXPORT, id=THING
    )


async def test_a_link_that_was_changed_in_any_way_leads_nowhere(world: World) -> None:
    found = Links(world.store)
    link = await found.make("default", Thing.EXPORT, THING)
    text, _, signature = link.token.partition(".")
    said = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    others = base64.urlsafe_b64encode(json.dumps(["other", *said[1:]]).encode()).decode()
    for wrong in (
        "",
        ".",
        text,
        f"{text}.",
        f"{others}.{signature}",
        f"{text}.{signature}x",
        f"é.{signature}",
        "x" * 5_000,
    ):
        with pytest.raises(NotFound):
            await found.open(wrong)


async def test_a_link_comes_to_its_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "LIFETIME", timedelta(seconds=-1))
    found = Links(world.store)
    link = await found.make("default", Thing.REJECTS, THING)
    with pytest.raises(NotFound, match="come to its end"):
        await found.open(link.token)


async def test_the_secret_is_made_once_and_never_told(world: World) -> None:
    secret = await world.store.secret()
    assert len(secret) == 32
    assert await world.store.secret() == secret
    assert secret.hex() not in repr(await Links(world.store).make("default", Thing.EXPORT, THING))
