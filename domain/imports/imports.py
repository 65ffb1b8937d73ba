"""Imports: an uploaded file, looked at, tried, imported, and taken back; each a job that any process can go on with.

Owns what may be asked for when, and what is kept of an import beside its journal (`steps`). Looking at a file suggests where its
columns go; starting it takes the suggestion but for what the caller says otherwise. A run that was broken off goes on behind the
last step of its journal, by the columns that it began with. Held by `tests/domain/imports/test_imports.py`, and through a
server that is killed by `tests/api/test_imports_killed.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bson import ObjectId

from domain.definitions import Definitions, now
from domain.errors import LimitExceeded, NotFound, VersionConflict
from domain.groups import require_group
from domain.imports.mapping import find_column, resolve_choices
from domain.imports.options import Options
from domain.imports.planning import Planner
from domain.imports.rejects import COLUMNS, Rejection
from domain.imports.running import Importer, Progress, Report, Way
from domain.imports.sources import to_table
from domain.imports.steps import Counts, Steps
from domain.imports.stored import from_target, options_from, plain, targets_from
from domain.imports.suggesting import suggest
from domain.imports.telling import Telling
from domain.imports.trying import Trial
from domain.imports.undoing import undo
from domain.imports.wanted import Wanted, check_dates, complete_options, suggested_choices
from domain.imports.writing import Carries, Writer
from domain.jobs import Cancelled, Jobs, Lost, Run
from domain.membership.feed import Feed
from domain.registry import Fields
from domain.store.client import Document
from domain.store.store import Store
from domain.uploads import Uploads

KIND = "import"
MOST_AT_ONCE = 2
"""Of an account's imports in one process, and of files looked at: each has its file on disk. The others wait."""
TURN_SECONDS = 1.0
"""For which those that wait do not look whether they were cancelled."""
FILE_KEPT = timedelta(days=3)
"""From the start of an import on; it goes when that is done."""
LOOK_SECONDS = 20.0
"""For a file to be looked at, while somebody waits for it."""
MOST_AUDIENCES = 1_000
"""Of which a trial tells that they would change."""


class Imports:
    """One account's."""

    def __init__(
        self,
        account: str,
        store: Store,
        *,
        jobs: Jobs,
        uploads: Uploads,
        definitions: Definitions,
        fields: Fields,
        feed: Feed,
    ) -> None:
        self._store = store
        self._contacts = store.contacts(account)
        self._steps = store.steps(account)
        self._jobs = jobs
        self._uploads = uploads
        self._definitions = definitions
        self._fields = fields
        self._feed = feed
        self._looking = asyncio.Semaphore(MOST_AT_ONCE)
        self._running = asyncio.Semaphore(MOST_AT_ONCE)
        jobs.carried_out_by(KIND, self._carry_out)

    def importer(
        self, *, reject: Callable[[Rejection], None], progress: Callable[[Progress], None]
    ) -> Importer:
        """For whoever has the file and waits for it: without a job and a journal."""
        return Importer(self._contacts, self._definitions, self._fields, reject=reject, progress=progress)

    async def complete(self, path: Path, options: Options) -> Options:
        """What whoever has the file says of it, with what is suggested for the columns of which they say nothing.

        Raises as `create` does, and `OSError`.
        """
        catalogue = await self._definitions.current()
        with TemporaryDirectory(prefix="shoal-import-") as directory:
            source = await to_table(path, options, Path(directory))
            found = await asyncio.to_thread(
                suggest, source.path, source.format, catalogue.settings, catalogue.fields
            )
        suggested = suggested_choices(plain(found.columns), options.choices, options.left_out)
        return replace(options, choices=(*options.choices, *suggested))

    # ---- asked for -------------------------------------------------------------------------------------------------

    async def create(
        self,
        identifier: ObjectId,
        upload: ObjectId,
        *,
        encoding: str | None = None,
        delimiter: str | None = None,
        sheet: str | None = None,
    ) -> None:
        """Look at a file. What is given is taken as said, the rest is detected.

        Raises `NotFound`, `UnreadableFile`, `LimitExceeded`, also for what takes too long, and `InvalidMapping` for a sheet that is
        not there.
        """
        if await self._jobs.get(KIND, identifier) is not None:
            return
        file = await self._uploads.require(upload)
        catalogue = await self._definitions.current()
        options = Options(key_column="", encoding=encoding, delimiter=delimiter, sheet=sheet)
        try:
            async with asyncio.timeout(LOOK_SECONDS), self._looking, self._file(upload) as path:
                source = await to_table(path, options, path.parent)
                found = await asyncio.to_thread(
                    suggest, source.path, source.format, catalogue.settings, catalogue.fields
                )
        except TimeoutError:
            raise LimitExceeded(
                f"This file cannot be looked at within {LOOK_SECONDS:g} seconds: it is too large, or others are being looked at."
                " Try again later, save the sheet of a workbook as CSV, or split it.",
                path=("upload",),
            ) from None
        await self._jobs.make(
            KIND,
            identifier,
            "ready",
            upload=upload,
            name=file.name,
            bytes=file.size,
            format=plain(source.format),
            sheets=list(source.sheets),
            columns=plain(found.columns),
            match=found.match.value,
            key_column=found.key_column,
        )

    async def start(self, identifier: ObjectId, wanted: Wanted, *, trial: bool = False) -> None:
        """Begin with an import, or with a trial of it, which can be repeated.

        Raises `NotFound`, `InvalidMapping`, and `VersionConflict` where it was started before.
        """
        job = await self.require(identifier)
        if job["state"] not in ("ready", "failed"):
            raise _started_before()
        upload = await self._uploads.require(job["upload"])
        catalogue = await self._definitions.current()
        if wanted.group is not None:
            try:
                require_group(catalogue, wanted.group)
            except NotFound as error:
                raise NotFound(error.message, path=("group",)) from None
        options = complete_options(job, wanted)
        headers = [column["name"] for column in job["columns"]]
        find_column(headers, options.key_column)
        resolve_choices(headers, options.choices, catalogue.fields)
        for name in options.left_out:
            find_column(headers, name)
        await self._uploads.keep_until(upload.id, now() + FILE_KEPT)
        check_dates(job, options)
        states: tuple[str, ...] = ("ready",)
        if job["state"] == "failed" and await self.steps_of(identifier).last() is None:
            # Nothing was written: what was wrong can be said otherwise.
            states = ("ready", "failed")
        news: dict[str, Any] = {
            **dict.fromkeys(("targets", "counts", "finished", "trial")),
            "options": plain(options),
            "started": now(),
            "percent": 0,
            "rate": 0.0,
        }
        begun = await self._jobs.begin(identifier, states, "checking" if trial else "running", **news)
        if not begun:
            raise _started_before()

    async def cancel(self, identifier: ObjectId) -> None:
        """Have it end where it stands; what is written stays. Nothing where nobody is at work on it. Raises `NotFound`."""
        await self.require(identifier)
        await self._jobs.cancel(identifier)

    async def undo(self, identifier: ObjectId) -> None:
        """Take it back, for the contacts that nothing else has changed since.

        Raises `NotFound`, and `VersionConflict` where there is nothing to take back, or not any more.
        """
        job = await self.require(identifier)
        states = ("done", "cancelled", "failed")
        if job["state"] in states and await self.steps_of(identifier).last() is None:
            raise VersionConflict("Nothing of this import can be taken back any more.")
        if not await self._jobs.begin(
            identifier, states, "undoing", percent=0, rate=0.0, undone={"reverted": 0, "kept": 0}
        ):
            raise VersionConflict("Only an import that has come to its end can be taken back, once.")

    async def require(self, identifier: ObjectId) -> Document:
        """Raises `NotFound`."""
        job = await self._jobs.get(KIND, identifier)
        if job is None:
            raise NotFound("There is no such import. It is remembered for 90 days.", path=("id",))
        return job

    async def rejected_rows(self, identifier: ObjectId) -> AsyncIterator[Sequence[Any]]:
        """The table of what an import did not take, with its header."""
        yield COLUMNS
        async for rejection in self.steps_of(identifier).rejections():
            yield rejection.row, rejection.column, rejection.value, rejection.reason

    def steps_of(self, identifier: ObjectId) -> Steps:
        """The import's journal."""
        return Steps(self._steps, identifier)

    # ---- carried out -----------------------------------------------------------------------------------------------

    async def _carry_out(self, run: Run) -> str:
        match run.state:
            case "undoing":
                await undo(run, self._contacts, self.steps_of(run.id), self._definitions)
                return "undone"
            case "checking":
                with suppress(Cancelled):
                    await self._run(run, trial=True)
                return "ready"
            case _:
                try:
                    await self._run(run, trial=False)
                except Cancelled:
                    # It must not be gone on with, nor can it be started again: its file goes.
                    await run.note(state="cancelled", finished=now())
                    await self._uploads.drop(run.document["upload"])
                    raise
                return "done"

    async def _run(self, run: Run, *, trial: bool) -> None:
        options = options_from(run.document["options"])
        steps = self.steps_of(run.id)
        begun = None if trial else await steps.last()
        report = Report(counts=Counts() if begun is None else begun.counts)
        if not trial and run.document.get("targets"):
            known = (await self._definitions.current()).fields
            report.targets = targets_from(run.document["targets"], known)
        telling = Telling(run, report, trial=trial)
        trials: list[Trial] = []

        async def surveyed(matched_by: str) -> None:
            await self._store.prepare_attributes([matched_by] if matched_by != "key" else [])
            if not trial:
                await run.note(targets=[from_target(target) for target in report.targets])

        def carries(planner: Planner, column: str) -> Carries:
            if not trial:
                return Writer(self._contacts, planner, column, steps, begun)
            trials.append(Trial(planner, column, self._definitions, self._feed))
            return trials[0]

        importer = self.importer(reject=lambda _: None, progress=telling.progress)
        way = Way(carries=carries, surveyed=surveyed, writes=not trial, begun=begun)
        async with telling.going_on(), self._turn(run), self._file(run.document["upload"]) as path:
            await importer.run(path, options, report, way)
        if trial:
            await run.note(percent=100, trial=_foretold(trials[0], report))
        else:
            # First of all: one that is broken off from here on must not go on, for its file goes.
            await run.note(percent=100, state="done", finished=now())
            await self._uploads.drop(run.document["upload"])

    @asynccontextmanager
    async def _turn(self, run: Run) -> AsyncIterator[None]:
        """One of the few at a time. Raises `Cancelled` and `Lost` while others have theirs."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(TURN_SECONDS):
                    await self._running.acquire()
                break
            if run.lost:
                raise Lost
            if run.cancelled:
                raise Cancelled
        try:
            yield
        finally:
            self._running.release()

    @asynccontextmanager
    async def _file(self, upload: ObjectId) -> AsyncIterator[Path]:
        """The uploaded file on disk, alone in a directory. Raises `NotFound`."""
        with TemporaryDirectory(prefix="shoal-import-") as directory:
            path = Path(directory) / "upload"
            await self._uploads.write_to(upload, path)
            yield path


def _started_before() -> VersionConflict:
    return VersionConflict(
        "This import was started already, or is being tried. Upload the file again to import it once more."
    )


def _foretold(trial: Trial, report: Report) -> dict[str, Any]:
    moved = {*trial.joining, *trial.leaving}
    most = sorted(moved, key=lambda each: -(trial.joining[each] + trial.leaving[each]))[:MOST_AUDIENCES]
    return {
        "counts": asdict(report.counts),
        "audiences": [
            {"id": each, "joining": trial.joining[each], "leaving": trial.leaving[each]} for each in most
        ],
        "made": [{"key": field.key, "label": field.label, "type": field.type.value} for field in report.made],
    }
