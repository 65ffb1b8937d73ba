"""Passes: a file read twice, the second time by what the first one found.

Owns the order of the two (`surveying`, `batching`) and what stands between them: whoever reads is told where the columns go, and
from which row on. Writes nothing, and knows no database, so it can be done elsewhere (`readers`). Held by
`tests/domain/imports/test_readers.py`.

Memory: one batch, and a temporary table on disk with an entry for each key.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from domain.fields import Field, Settings
from domain.imports.batching import Batch, Batches
from domain.imports.detection import FileFormat
from domain.imports.mapping import Target, column_names
from domain.imports.options import Options
from domain.imports.repeats import LastRows
from domain.imports.surveying import Survey


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRequest:
    """What is to be read, and how. `known` are the fields that are there."""

    path: Path
    format: FileFormat
    options: Options
    settings: Settings
    known: Mapping[str, Field]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """What the first pass found: `key_column` at `key_position` is what the rows are told apart by."""

    targets: tuple[Target, ...]
    key_position: int
    key_column: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Onward:
    """How the second pass goes: from the row behind `after` on, the first batch up to the row `through` where that is said."""

    targets: tuple[Target, ...]
    after: int = 0
    through: int = 0


Found = int | Surveyed | Batch
"""What is read, one after the other: how many bytes the first pass has read, what it found, the batches of the second."""

Steps = Generator[Found, Onward | None, None]


def passes(request: ReadRequest) -> Steps:
    """Reads on whenever it is asked for the next; behind `Surveyed` it is to be sent how to go on.

    Raises `UnreadableFile`, `LimitExceeded`, `InvalidMapping`, `InvalidField` and `OSError`.
    """
    with LastRows() as last_rows:
        survey = Survey(last_rows)
        yield from survey.steps(
            request.path, request.format, request.options, request.settings, request.known
        )
        onward = yield Surveyed(
            targets=survey.targets(request.known),
            key_position=survey.key_position,
            key_column=column_names(survey.headers)[survey.key_position],
            rows=survey.rows,
        )
        assert onward is not None
        batches = Batches(
            onward.targets,
            key_position=survey.key_position,
            settings=request.settings,
            options=request.options,
            last_rows=last_rows,
        )
        yield from batches.read(request.path, request.format, after=onward.after, through=onward.through)


def following(steps: Steps, onward: Onward | None = None) -> Found | None:
    """The next of them; None at the end."""
    try:
        return steps.send(onward)
    except StopIteration:
        return None
