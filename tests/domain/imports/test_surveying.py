"""The first pass over a file."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import pytest

from domain.errors import UnreadableFile
from domain.fields import FieldRegistry, FieldType, Settings
from domain.imports.batching import Batches
from domain.imports.detection import FileFormat, detect
from domain.imports.mapping import map_columns
from domain.imports.options import Options
from domain.imports.repeats import LastRows
from domain.imports.surveying import Survey

UTF8 = FileFormat(encoding="utf-8-sig", delimiter=",")
OPTIONS = Options(key_column="No")


def generated(directory: Path, rows: int) -> Path:
    """Rows of several kinds; one key in fifty comes twice."""
    rng = random.Random(rows)
    path = directory / f"{rows}.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("No,Name,Score,Born,Kinds\n")
        for number in range(rows):
            key = number if rng.random() > 0.02 else rng.randrange(number + 1)
            born = f"19{rng.randrange(100):02}-01-31" if rng.random() > 0.3 else ""
            file.write(f'K{key},"Ann, the {number}th",{rng.random():.4f},{born},a;b{rng.randrange(9)}\n')
    return path


def read_twice(path: Path) -> tuple[list[FieldType], int, int]:
    """Both passes without a database: the types, and how many rows were taken and passed over."""
    with LastRows() as last_rows:
        survey = Survey(last_rows)
        for _ in survey.steps(path, detect(path), OPTIONS, Settings(), FieldRegistry()):
            pass
        targets = map_columns(survey.headers, survey.guesses, FieldRegistry(), survey.choices)
        reading = Batches(
            targets,
            key_position=survey.key_position,
            settings=Settings(),
            options=OPTIONS,
            last_rows=last_rows,
        )
        taken = passed_over = 0
        for batch in reading.read(path, UTF8):
            taken += len(batch.rows)
            passed_over += batch.superseded
    return [target.field.type for target in targets], taken, passed_over


def peak_of(path: Path) -> int:
    tracemalloc.start()
    try:
        read_twice(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    short, long = generated(tmp_path, 20_000), generated(tmp_path, 200_000)
    peak_of(short)  # what is loaded once
    assert peak_of(long) < peak_of(short) + 1_000_000


def test_every_row_is_taken_or_passed_over(tmp_path: Path) -> None:
    types, taken, passed_over = read_twice(generated(tmp_path, 5_000))
    assert types == [FieldType.TEXT, FieldType.TEXT, FieldType.NUMBER, FieldType.DATE, FieldType.TAGS]
    assert taken + passed_over == 5_000
    assert passed_over > 50


def test_what_stands_at_the_very_end_of_a_long_file_counts(tmp_path: Path) -> None:
    path = generated(tmp_path, 5_000)
    with path.open("a") as file:
        file.write("last,Ann,none,,\n")
    types, _, _ = read_twice(path)
    assert types[2] is FieldType.TEXT


def test_a_header_alone_is_no_list(tmp_path: Path) -> None:
    path = tmp_path / "header.csv"
    path.write_text("No,Name\n\n,\n")
    with pytest.raises(UnreadableFile, match="not a single row"):
        read_twice(path)
