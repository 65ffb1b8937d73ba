"""The command `doctor`, as somebody types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from bson import ObjectId

from api.app import Shoal, admin, running
from api.settings import Settings
from domain.accounts import DEFAULT_ACCOUNT
from domain.membership.feed import Reset, Started
from domain.rules.text import parse
from domain.rules.tree import Limits

ROOT = Path(__file__).parents[2]
DEADLINE = 120.0


async def run_doctor(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "SHOAL_DATA_DIR": str(data_dir)}
    with anyio.fail_after(DEADLINE):
        return await anyio.run_process(
            [sys.executable, "-m", "api", "doctor", *arguments], env=environment, check=False
        )


async def segment_of(shoal: Shoal, text: str) -> ObjectId:
    segment = await shoal.accounts.get(DEFAULT_ACCOUNT).segments.create(
        ObjectId(),
        name="Named",
        description=None,
        rule=lambda catalogue: parse(text, catalogue.fields, catalogue.settings, Limits()),
    )
    return segment.id


async def test_an_installation_without_anything_is_sound(tmp_path: Path) -> None:
    said = await run_doctor(tmp_path / "data")
    assert said.returncode == 0
    first, *differences, last = said.stdout.decode().splitlines()
    assert first.startswith("SecantusDB ")
    assert first.endswith(", 0 accounts with 0 audiences.")
    assert "wildcard" in differences[0]
    assert last == "Everything is sound."


async def test_beside_a_server_a_damaged_log_is_found_and_mended_and_its_watchers_begin_anew(
    tmp_path: Path,
) -> None:
    settings = Settings(data_dir=tmp_path / "data", port=0)
    async with running(settings, admin("a-key-of-the-tests")) as shoal:
        account = shoal.accounts.get(DEFAULT_ACCOUNT)
        segment = await segment_of(shoal, "first_name is not empty")
        bursts = account.feed.watch(segment, None)
        events: list[Any] = [*await anext(bursts)]
        for name in ("Ann", "Ben", "Cleo"):
            await account.contacts.create(ObjectId(), key=name, attributes=[("first_name", name)])
        await account.feed.sizes([segment])
        await shoal.hub.until_logged()
        sound = await run_doctor(settings.data_dir, "--deep")
        assert (sound.returncode, sound.stdout.decode().splitlines()[-1]) == (0, "Everything is sound.")

        changes = shoal.store._database["changes"]
        assert "engine" not in sound.stdout.decode()
        second = await changes.find_one({"audience": segment, "size": 2})
        assert second is not None
        await changes.delete_one({"_id": second["_id"]})
        found = await run_doctor(settings.data_dir)
        assert found.returncode == 1
        wrong, hint = found.stdout.decode().splitlines()[-2:]
        assert wrong.startswith("Wrong: The segment “Named” has a log that does not add up, at one place of ")
        assert hint == "doctor --repair mends what can be mended."

        mended = await run_doctor(settings.data_dir, "--repair", "--json")
        assert mended.returncode == 0
        told = json.loads(mended.stdout)
        assert (told["sound"], told["findings"], told["accounts"], told["audiences"]) == (True, [], 1, 1)
        assert [(each["what"], each["name"], each["audience"]) for each in told["mended"]] == [
            ("log_broken", "Named", str(segment))
        ]
        with anyio.fail_after(DEADLINE):
            while not isinstance(events[-1], Reset):
                events += await anext(bursts)
        await bursts.aclose()
        assert isinstance(events[0], Started)
        assert events[-1].size == 3
        again = await run_doctor(settings.data_dir)
        assert (again.returncode, again.stdout.decode().splitlines()[-1]) == (0, "Everything is sound.")


@pytest.mark.soak
async def test_a_database_that_does_not_answer_is_said() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}
    environment |= {
        "PYTHONPATH": str(ROOT),
        "SHOAL_MONGODB_URI": "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100",
    }
    with anyio.fail_after(DEADLINE):
        said = await anyio.run_process([sys.executable, "-m", "api", "doctor"], env=environment, check=False)
    assert said.returncode == 1
    assert said.stdout == b""
    assert "The database cannot be used" in said.stderr.decode()
