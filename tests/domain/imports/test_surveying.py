"""The first pass over a file."""

from __future__ import annotations

import csv
import random
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from domain.errors import UnreadableFile
from domain.fields import FieldRegistry, FieldType, Settings
from domain.imports.batching import Batch
from domain.imports.detection import FileFormat, detect
from domain.imports.options import Options
from domain.imports.passes import Onward, ReadRequest, Surveyed, following, passes
from domain.imports.repeats import LastRows
from domain.imports.surveying import Survey

UTF8 = FileFormat(encoding="utf-8-sig", delimiter=",")
OPTIONS = Options(key_column="No")


def generated(directory: Path, rows: int, *, columns: int = 5) -> Path:
    """Rows of several kinds; one key in fifty comes twice."""
    rng = random.Random(rows)
    path = directory / f"{rows}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        write = csv.writer(file).writerow
        write(("No", "Name", "Score", "Born", "Kinds")[:columns])
        for number in range(rows):
            key = number if rng.random() > 0.02 else rng.randrange(number + 1)
            born = f"19{rng.randrange(100):02}-01-31" if rng.random() > 0.3 else ""
            cells = (f"K{key}", f"Ann, the {number}th", f"{rng.random():.4f}", born, f"a;b{rng.randrange(9)}")
            write(cells[:columns])
    return path


def surveyed(path: Path, last_rows: LastRows) -> Survey:
    survey = Survey(last_rows)
    for _ in survey.steps(path, detect(path), OPTIONS, Settings(), FieldRegistry()):
        pass
    return survey


def read_twice(path: Path) -> tuple[list[FieldType], int, int]:
    """Both passes without a database: the types, and how many rows were taken and passed over."""
    request = ReadRequest(path=path, format=UTF8, options=OPTIONS, settings=Settings(), known={})
    with closing(passes(request)) as steps:
        while not isinstance(found := following(steps), Surveyed):
            pass
        targets = found.targets
        taken = passed_over = 0
        batch = following(steps, Onward(targets=targets))
        while isinstance(batch, Batch):
            taken += len(batch.rows)
            passed_over += batch.superseded
            batch = following(steps)
    return [target.field.type for target in targets], taken, passed_over


def survey_alone(path: Path) -> None:
    with LastRows() as last_rows:
        surveyed(path, last_rows)


def peak(of: Callable[[Path], object], path: Path) -> int:
    tracemalloc.start()
    try:
        of(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# Tracing makes everything slower by far, so the long file has two columns.
@pytest.mark.parametrize(("of", "rows", "columns"), [(survey_alone, 5_000, 2), (read_twice, 400, 5)])
@pytest.mark.soak
def test_memory_does_not_grow_with_the_file(
    tmp_path: Path, of: Callable[[Path], object], rows: int, columns: int
) -> None:
    short, long = generated(tmp_path, rows, columns=columns), generated(tmp_path, 10 * rows, columns=columns)
    assert peak(of, long) < peak(of, short) + 1_000_000


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
