"""Who reads a file for an import: a thread, or a process of its own."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from asyncio.subprocess import Process
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from domain.accounts import Account
from domain.errors import InvalidMapping, LimitExceeded, ShoalError, Unavailable, UnreadableFile
from domain.fields import Field, FieldType, Settings
from domain.imports import frames, readers
from domain.imports.batching import Batch
from domain.imports.detection import detect
from domain.imports.mapping import FieldChoice
from domain.imports.options import Options
from domain.imports.passes import Found, Onward, ReadRequest, Surveyed
from domain.imports.readers import APART_FROM, COMMAND, Reader, environment, reading
from domain.imports.wanted import Wanted
from tests.domain.conftest import DEADLINE, World
from tests.domain.imports.test_imports import counts, ended, looked_at, values

SIZES = {"a thread": 0, "a process": APART_FROM}
ROWS = 700


@pytest.fixture
def account(world: World) -> Account:
    return world.account


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> list[Process]:
    """Every file is read by a process of its own: these, one after the other."""
    started: list[Process] = []
    start = asyncio.create_subprocess_exec

    async def noted(*arguments: Any, **options: Any) -> Process:
        started.append(await start(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(readers, "APART_FROM", 0)
    monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
    return started


def people(rows: int = ROWS) -> str:
    """With tags, dates, an address that is none, a row that is too short, a key that comes twice, and more than a pipe holds."""
    lines = ["No,Name,E-mail,Born,Kinds,Note"]
    lines += [
        f"{number},Ann {number},a{number}@x.org,1990-05-03,a;b,{number:0>1500}" for number in range(rows)
    ]
    lines[5], lines[7], lines[9] = "4,Bob,no address,,,", "6,Cleo", "2,Dora,,,c,"
    return "\n".join(lines) + "\n"


def request_of(path: Path, **options: Any) -> ReadRequest:
    known = {"email": Field(key="email", label="Email", type=FieldType.EMAIL)}
    chosen = (FieldChoice(header="E-mail", key="email"),) if "choices" not in options else ()
    wanted = Options(**{"key_column": "No", "choices": chosen, **options})
    return ReadRequest(path=path, format=detect(path), options=wanted, settings=Settings(), known=known)


async def to_the_end(reader: Reader) -> None:
    while await reader.next() is not None:
        pass


async def read(request: ReadRequest, *, size: int, after: int = 0, through: int = 0) -> list[Found]:
    found: list[Found] = []
    async with asyncio.timeout(DEADLINE), reading(request, size=size) as reader:
        onward = None
        while (each := await reader.next(onward)) is not None:
            found.append(each)
            onward = None
            if isinstance(each, Surveyed):
                onward = Onward(targets=each.targets, after=after, through=through)
    return found


@pytest.mark.parametrize(("after", "through"), [(0, 0), (150, 350), (ROWS + 1, 0)])
async def test_whoever_reads_the_same_is_found(tmp_path: Path, after: int, through: int) -> None:
    path = tmp_path / "people.csv"
    path.write_text(people())
    thread, process = [
        await read(request_of(path), size=size, after=after, through=through) for size in SIZES.values()
    ]
    assert thread == process
    (surveyed,) = (each for each in thread if isinstance(each, Surveyed))
    assert (surveyed.rows, surveyed.key_column, len(surveyed.targets)) == (ROWS, "No", 6)
    batches = [each for each in thread if isinstance(each, Batch)]
    rows = sum(len(batch.rows) + batch.rejected + batch.superseded for batch in batches)
    assert rows == ROWS + 1 - max(after, 1)
    assert bool(batches) is (after <= ROWS)
    assert not through or batches[0].last == through


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize(
    ("text", "options", "error", "said"),
    [
        ('No,E-mail\n1,"Ann\n', {}, UnreadableFile, "never closed"),
        ("No," + ",".join(map(str, range(1_001))) + "\n1\n", {"choices": ()}, LimitExceeded, "columns"),
        ("Nr,E-mail\n1,\n", {}, InvalidMapping, "Did you mean “Nr”"),
    ],
)
async def test_what_cannot_be_read_is_refused_by_either(
    tmp_path: Path, size: int, text: str, options: dict[str, Any], error: type[ShoalError], said: str
) -> None:
    path = tmp_path / "people.csv"
    path.write_text(text)
    with pytest.raises(error, match=said):
        await read(request_of(path, **options), size=size)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
async def test_a_file_that_is_gone_is_an_error_of_the_system(tmp_path: Path, size: int) -> None:
    path = tmp_path / "people.csv"
    path.write_text(people(10))
    request = request_of(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        await read(request, size=size)


async def test_a_process_ends_with_its_reader(tmp_path: Path, apart: list[Process]) -> None:
    path = tmp_path / "people.csv"
    path.write_text(people())
    async with reading(request_of(path), size=0) as reader:
        assert isinstance(await reader.next(), int)
        assert apart[0].returncode is None
    assert apart[0].returncode == -signal.SIGKILL


async def test_a_process_that_was_killed_is_told_from_one_that_failed(
    tmp_path: Path, apart: list[Process]
) -> None:
    path = tmp_path / "people.csv"
    path.write_text(people())
    async with reading(request_of(path), size=0) as reader:
        apart[0].kill()
        with pytest.raises(Unavailable, match="Try again"):
            await to_the_end(reader)
    request = replace(request_of(path), options=None)  # type: ignore[arg-type]
    async with reading(request, size=0) as reader:
        with pytest.raises(RuntimeError, match=r"failed \(1\)"):
            await to_the_end(reader)


@pytest.mark.parametrize("during", ["the first pass", "the second"])
def test_a_process_that_nobody_listens_to_ends_without_a_word(tmp_path: Path, during: str) -> None:
    path = tmp_path / "people.csv"
    path.write_text(people(5_000))
    with subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(frames.packed(request_of(path)))
        process.stdin.flush()
        while isinstance(found := frames.read(process.stdout), int):  # type: ignore[arg-type]
            pass
        if during == "the second":
            with closing(process.stdin):
                process.stdin.write(frames.packed(Onward(targets=found.targets)))
            assert isinstance(frames.read(process.stdout), Batch)  # type: ignore[arg-type]
            process.stdout.close()
        else:
            process.stdin.close()
        assert process.wait(DEADLINE) == 1
        assert process.stderr.read() == b""


async def test_an_import_whose_reader_was_killed_goes_on_and_no_row_is_lost_or_doubled(
    account: Account, apart: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    following = readers._Apart.next
    killed = asyncio.Event()

    async def killed_behind_the_first_batch(self: Any, onward: Onward | None = None) -> Found | None:
        found = await following(self, onward)
        if isinstance(found, Batch) and not killed.is_set():
            killed.set()
            apart[0].kill()
        return found

    monkeypatch.setattr(readers._Apart, "next", killed_behind_the_first_batch)
    identifier = await looked_at(account, people())
    await account.imports.start(identifier, Wanted())
    job = await ended(account, identifier)
    assert (job["state"], killed.is_set(), len(apart)) == ("done", True, 2)
    assert counts(job)["created"] == len(await values(account)) == ROWS - 2
    assert sum(count for name, count in counts(job).items() if name != "cells_left_out") == ROWS


def test_a_process_finds_its_libraries_where_this_one_was_told_to_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_library_of_this_test.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    both = [COMMAND[0], "-P", "-c", "import a_library_of_this_test, domain.imports"]
    assert subprocess.run(both, env=environment(), cwd=tmp_path, check=False).returncode == 0
