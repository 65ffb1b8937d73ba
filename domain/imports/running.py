"""Running: a spreadsheet into an account's contacts, in two passes.

Owns the order of things. The first pass reads the file to its end; only then fields are made, and the second pass writes in
batches. So a file that cannot be read leaves nothing behind. A cell that its field refuses is left out while its row goes in
(`strict`: the row is rejected); a row without a key, or with another number of cells than the header, is rejected; of several
rows with one key the last one counts, even where it is rejected. Reading goes on in a thread while a batch is being written.

Invariant: created, updated, unchanged, superseded and rejected rows are all rows, and the same file a second time changes
nothing. Held by `tests/domain/imports/test_running.py`. Memory: two batches, whatever the length of the file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from domain.contacts import Contacts, Outcome
from domain.definitions import Definitions
from domain.errors import LimitExceeded, VersionConflict
from domain.fields import Field
from domain.imports.batching import Batch, Batches
from domain.imports.detection import FileFormat
from domain.imports.mapping import Target, map_columns
from domain.imports.options import Options
from domain.imports.rejects import Rejection
from domain.imports.repeats import LastRows
from domain.imports.sources import to_table
from domain.imports.surveying import Survey
from domain.registry import MAX_FIELDS, Fields
from domain.store.log import Reason

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run has come: bytes of the file, which is read twice. `writing`: this is the second time."""

    writing: bool
    position: int
    size: int


@dataclass(slots=True, kw_only=True)
class Report:
    """What became of the rows so far. `superseded`: those whose key comes again further down."""

    file_format: FileFormat | None = None
    targets: tuple[Target, ...] = ()
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    superseded: int = 0
    rejected: int = 0
    cells_left_out: int = 0

    @property
    def rows(self) -> int:
        return self.created + self.updated + self.unchanged + self.superseded + self.rejected

    @property
    def made(self) -> tuple[Field, ...]:
        """The fields that were made for this file."""
        return tuple(target.field for target in self.targets if target.made)


class Importer:
    """Imports into one account. `reject` is told of every refused cell and row, in the order of the file."""

    def __init__(
        self,
        *,
        definitions: Definitions,
        fields: Fields,
        contacts: Contacts,
        reject: Callable[[Rejection], None],
        progress: Callable[[Progress], None],
    ) -> None:
        self._definitions = definitions
        self._fields = fields
        self._contacts = contacts
        self._reject = reject
        self._progress = progress

    async def run(self, path: Path, options: Options, report: Report) -> None:
        """Import the file. `report` is kept up to date, so that it tells how far a run came that failed.

        Raises `UnreadableFile`, `InvalidMapping`, `InvalidField` and `LimitExceeded` before anything is written, `VersionConflict`
        where a field was deleted or got another type meanwhile, and `OSError` from the file system.
        """
        with TemporaryDirectory(prefix="shoal-import-") as directory:
            path, report.file_format = await to_table(path, options, Path(directory))
            await self._run(path, report.file_format, options, report)

    async def _run(self, path: Path, file_format: FileFormat, options: Options, report: Report) -> None:
        size = (await asyncio.to_thread(path.stat)).st_size
        catalogue = await self._definitions.current()
        settings, known = catalogue.settings, catalogue.fields
        with LastRows() as last_rows:
            survey = Survey(last_rows)
            with closing(survey.steps(path, file_format, options, settings, known)) as steps:
                while (position := await _step(steps)) is not None:
                    self._progress(Progress(writing=False, position=position, size=size))
            report.targets = map_columns(survey.headers, survey.guesses, known, survey.choices)
            await self._make_fields(report.made, room=MAX_FIELDS - len(known))
            reading = Batches(
                report.targets,
                key_position=survey.key_position,
                settings=settings,
                options=options,
                last_rows=last_rows,
            )
            with closing(reading.read(path, file_format)) as batches:
                await self._write(batches, report, size)

    async def _make_fields(self, wanted: Sequence[Field], *, room: int) -> None:
        if len(wanted) > room:
            raise LimitExceeded(
                f"The file needs {len(wanted):,} new fields, and an account has {MAX_FIELDS:,} at most. Leave columns out."
            )
        for field in wanted:
            await self._fields.create(key=field.key, label=field.label, type=field.type)

    async def _write(self, batches: Generator[Batch, None, None], report: Report, size: int) -> None:
        batch = await _step(batches)
        while batch is not None:
            upcoming = asyncio.create_task(_step(batches))
            try:
                await self._check_fields(report.targets)
                outcomes = await self._contacts.upsert(batch.rows, reason=Reason.IMPORTED)
            except BaseException:
                # Only when the thread has done its step, file and table can be closed.
                await asyncio.gather(upcoming, return_exceptions=True)
                raise
            kinds = [outcome for _, outcome in outcomes]
            report.created += kinds.count(Outcome.CREATED)
            report.updated += kinds.count(Outcome.UPDATED)
            report.unchanged += kinds.count(Outcome.UNCHANGED)
            report.superseded += batch.superseded
            report.rejected += batch.rejected
            report.cells_left_out += batch.cells_left_out
            for rejection in batch.rejections:
                self._reject(rejection)
            self._progress(Progress(writing=True, position=batch.position, size=size))
            batch = await upcoming

    async def _check_fields(self, targets: Sequence[Target]) -> None:
        """What was read by a type that the field has no more must not be written."""
        known = (await self._definitions.current()).fields
        for target in targets:
            field = known.get(target.field.key)
            if field is None or field.type is not target.field.type:
                raise VersionConflict(
                    f"The field “{target.field.key}” was deleted, or got another type, while the file was being imported. Import it"
                    " again: what is written already stays as it is."
                )


async def _step(steps: Generator[T, None, None]) -> T | None:
    """The next one, from a thread; None at the end. Cancelled, it waits until the thread has done this step."""
    step = asyncio.ensure_future(asyncio.to_thread(next, steps, None))
    try:
        return await asyncio.shield(step)
    except asyncio.CancelledError:
        await asyncio.gather(step, return_exceptions=True)
        raise
