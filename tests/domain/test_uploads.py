"""Files that callers send, kept in the database."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from bson import ObjectId

from domain import uploads as module
from domain.definitions import now
from domain.errors import LimitExceeded, NotFound
from domain.uploads import PART, Uploads
from tests.domain.conftest import World


@pytest.fixture
def uploads(world: World) -> Uploads:
    return world.account.uploads


async def parts(content: bytes, size: int = 70_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 3 * PART + 17])
async def test_a_file_comes_back_as_it_was_sent(
    world: World, uploads: Uploads, tmp_path: Path, size: int
) -> None:
    content = random.Random(size).randbytes(size)
    upload = await uploads.take(parts(content), name="a.csv", most=size)
    assert (upload.name, upload.size) == ("a.csv", size)
    await uploads.write_to(upload.id, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == content
    with pytest.raises(NotFound):
        await world.accounts.get("other").uploads.write_to(upload.id, tmp_path / "other")
    await uploads.drop(upload.id)
    with pytest.raises(NotFound):
        await uploads.require(upload.id)


async def broken_off() -> AsyncIterator[bytes]:
    yield b"x" * 2 * PART
    raise ConnectionError


async def test_of_what_is_too_big_or_broken_off_nothing_is_kept(world: World, uploads: Uploads) -> None:
    with pytest.raises(LimitExceeded, match="2,000,000 bytes at most"):
        await uploads.take(parts(b"x" * 2_000_001), name="", most=2_000_000)
    with pytest.raises(ConnectionError):
        await uploads.take(broken_off(), name="", most=10 * PART)
    assert await world.store.uploads("default").count({}) == 0


async def test_an_account_keeps_so_many_at_most(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FILES", 2)
    for _ in range(2):
        await uploads.take(parts(b"a"), name="", most=1)
    with pytest.raises(LimitExceeded, match="2 uploaded files wait"):
        await uploads.take(parts(b"a"), name="", most=1)


async def test_what_will_be_used_is_kept_longer(world: World, uploads: Uploads) -> None:
    upload = await uploads.take(parts(b"x" * 2 * PART), name="", most=2 * PART)
    moment = now() + timedelta(days=9)
    await uploads.keep_until(upload.id, moment)
    found = await world.store.uploads("default").find({"upload": upload.id})
    assert {each["expires"] for each in found} == {moment}


async def test_a_file_that_has_lost_a_part_is_none(world: World, uploads: Uploads, tmp_path: Path) -> None:
    upload = await uploads.take(parts(b"x" * 2 * PART), name="", most=2 * PART)
    await world.store.uploads("default").delete_one({"upload": upload.id, "part": 2})
    with pytest.raises(NotFound, match="Upload it again"):
        await uploads.write_to(upload.id, tmp_path / "file")
    with pytest.raises(NotFound):
        await uploads.write_to(ObjectId(), tmp_path / "file")


async def test_memory_does_not_grow_with_the_file(uploads: Uploads, tmp_path: Path) -> None:
    async def many() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * PART

    tracemalloc.start()
    try:
        upload = await uploads.take(many(), name="", most=40 * PART)
        await uploads.write_to(upload.id, tmp_path / "file")
        assert tracemalloc.get_traced_memory()[1] < 20 * PART
    finally:
        tracemalloc.stop()
