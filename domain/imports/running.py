"""Running: a spreadsheet into an account's contacts, in two passes.

Owns the order of things. The first pass reads the file to its end; only then fields are made, and the second pass writes in
batches. So a file that cannot be read leaves nothing behind. A cell that its field refuses is left out while its row goes in
(`strict`: the row is rejected); a row without a key, or with another number of cells than the header, is rejected; of several
rows with one key the last one counts, even where it is rejected. While a batch is being written, the next one is read in a
thread and planned.

Invariant: created, updated, unchanged, skipped, superseded and rejected rows are all rows, and the same file a second time changes
nothing. Held by `tests/domain/imports/test_running.py`. Memory: two batches, whatever the length of the file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from domain.definitions import Definitions
from domain.errors import InvalidMapping, LimitExceeded, NotFound, VersionConflict
from domain.fields import Field, FieldType
from domain.imports.batching import Batch
from domain.imports.detection import FileFormat
from domain.imports.mapping import Target
from domain.imports.options import Match, Options
from domain.imports.passes import Onward, ReadRequest, Surveyed
from domain.imports.planning import Planner, Plans, path_of, rows_of
from domain.imports.readers import Reader, reading
from domain.imports.rejects import Rejection
from domain.imports.sources import to_table
from domain.imports.steps import Counts, Step
from domain.imports.writing import Carries, Writer
from domain.registry import MAX_FIELDS, Fields
from domain.store.scope import Scoped


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run has come: bytes of the file, which is read twice. `writing`: this is the second time."""

    writing: bool
    position: int
    size: int


@dataclass(slots=True, kw_only=True)
class Report:
    """What became of the rows so far, and of the columns."""

    file_format: FileFormat | None = None
    targets: tuple[Target, ...] = ()
    counts: Counts = field(default_factory=Counts)
    total: int = 0
    """How many rows there are; known after the first pass."""

    @property
    def made(self) -> tuple[Field, ...]:
        """The fields that were made for this file."""
        return tuple(target.field for target in self.targets if target.made)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What a run is for. `carries` makes what batches are given to; `writes`: fields are made for new columns.

    `surveyed` is called between the passes, with the path of what rows are matched by; `begun` is the step that it goes on with.
    """

    carries: Callable[[Planner, str], Carries]
    surveyed: Callable[[str], Awaitable[None]]
    writes: bool = True
    begun: Step | None = None


class Importer:
    """Imports into one account. `reject` is told of every refused cell and row, in the order of the file.

    `progress` may raise, which ends the run between two batches.
    """

    def __init__(
        self,
        contacts: Scoped,
        definitions: Definitions,
        fields: Fields,
        *,
        reject: Callable[[Rejection], None],
        progress: Callable[[Progress], None],
    ) -> None:
        self._contacts = contacts
        self._definitions = definitions
        self._fields = fields
        self._reject = reject
        self._progress = progress

    async def run(self, path: Path, options: Options, report: Report, way: Way | None = None) -> None:
        """Import the file. `report` is kept up to date, so that it tells how far a run came that failed.

        Raises `UnreadableFile`, `InvalidMapping`, `InvalidField` and `LimitExceeded` before anything is written, `VersionConflict`
        and `NotFound` where a field or the group went away meanwhile, and `OSError` from the file system.
        """
        way = way or Way(
            carries=lambda planner, column: Writer(self._contacts, planner, column), surveyed=_nothing
        )
        with TemporaryDirectory(prefix="shoal-import-") as directory:
            source = await to_table(path, options, Path(directory))
            report.file_format = source.format
            await self._run(source.path, source.format, options, report, way)

    async def _run(
        self, path: Path, file_format: FileFormat, options: Options, report: Report, way: Way
    ) -> None:
        size = (await asyncio.to_thread(path.stat)).st_size
        catalogue = await self._definitions.current()
        known = catalogue.fields
        request = ReadRequest(
            path=path, format=file_format, options=options, settings=catalogue.settings, known=known
        )
        async with reading(request, size=size) as reader:
            while isinstance(found := await reader.next(), int):
                self._progress(Progress(writing=False, position=found, size=size))
            assert isinstance(found, Surveyed)
            # A run that goes on has its columns already: the fields that it made are no news now.
            report.targets = report.targets or found.targets
            report.total = found.rows
            _check_match(report.targets, found.key_position, options.match)
            matched_by = path_of(options.match, report.targets, found.key_position)
            made = report.made
            _check_room([field_ for field_ in made if field_.key not in known], room=MAX_FIELDS - len(known))
            await way.surveyed(matched_by)
            if way.writes:
                for field_ in made:
                    await self._fields.create(key=field_.key, label=field_.label, type=field_.type)
            after, through = (0, 0) if way.begun is None else (way.begun.since, way.begun.through)
            planner = Planner(self._contacts, options, matched_by)
            carrier = way.carries(planner, found.key_column)
            onward = Onward(targets=report.targets, after=after, through=through)
            planned = _Planned(reader, onward, planner, found.key_column)
            await self._write(planned, options, report, size, carrier, writes=way.writes)

    async def _write(
        self,
        batches: _Planned,
        options: Options,
        report: Report,
        size: int,
        carrier: Carries,
        *,
        writes: bool,
    ) -> None:
        there = [target for target in report.targets if writes or not target.made]
        found = await batches.next()
        while found is not None:
            batch, planned = found
            upcoming = asyncio.create_task(batches.next())
            try:
                await self._check(there, options)
                report.counts = await carrier.carry_out(batch, report.counts, planned)
                for rejection in batch.rejections:
                    self._reject(rejection)
                self._progress(Progress(writing=True, position=batch.position, size=size))
            except BaseException:
                upcoming.cancel()
                await asyncio.gather(upcoming, return_exceptions=True)
                raise
            found = await upcoming

    async def _check(self, targets: Sequence[Target], options: Options) -> None:
        """What was read by a type that the field has no more must not be written, nor a group that is gone."""
        catalogue = await self._definitions.current()
        for target in targets:
            field_ = catalogue.fields.get(target.field.key)
            if field_ is None or field_.type is not target.field.type:
                raise VersionConflict(
                    f"The field “{target.field.key}” was deleted, or got another type, while the file was being imported. Import it"
                    " again: what is written already stays as it is."
                )
        if options.group is not None and options.group not in catalogue.groups:
            raise NotFound("There is no such group. It may have been deleted.", path=("group",))


class _Planned:
    """Batches with what is planned for each, one after the other."""

    def __init__(self, reader: Reader, onward: Onward, planner: Planner, column: str) -> None:
        self._reader = reader
        self._onward: Onward | None = onward
        self._planner = planner
        self._column = column

    async def next(self) -> tuple[Batch, Plans] | None:
        onward, self._onward = self._onward, None
        found = await self._reader.next(onward)
        if not isinstance(found, Batch):
            return None
        return found, await self._planner.plan(rows_of(found), self._column)


async def _nothing(_: str) -> None:
    pass


def _check_room(made: Sequence[Field], *, room: int) -> None:
    if len(made) > room:
        raise LimitExceeded(
            f"The file needs {len(made):,} new fields, and an account has {MAX_FIELDS:,} at most. Leave columns out."
        )


def _check_match(targets: Sequence[Target], position: int, match: Match) -> None:
    if match is Match.KEY:
        return
    wanted = {Match.EMAIL: FieldType.EMAIL, Match.PHONE: FieldType.PHONE}[match]
    found = next((target for target in targets if target.position == position), None)
    if found is None or found.field.type is not wanted:
        named = "goes to no field" if found is None else f"goes to a field of type {found.field.type}"
        raise InvalidMapping(
            f"Rows are to be matched by {wanted}, and their column {named}. Lead it to one of type {wanted}."
        )
