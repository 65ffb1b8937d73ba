import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pytest

from api.demo.people import CUSTOMER, people
from domain.fields import Settings, normalize
from domain.fields.definitions import BUILT_IN_FIELDS

DEADLINE = 120.0


def test_the_same_seed_gives_the_same_people_and_another_gives_others() -> None:
    first = list(islice(people(7), 500))
    assert list(islice(people(7), 500)) == first
    assert list(islice(people(7), 50)) == first[:50]
    assert list(islice(people(8), 500)) != first
    assert len({person.key for person in first}) == 500


def test_the_people_have_gaps_and_values_that_their_fields_take() -> None:
    everybody = list(islice(people(7), 500))
    customers = [person for person in everybody if person.attributes["role"] == CUSTOMER]
    assert 300 < len(customers) < 500
    for field in BUILT_IN_FIELDS:
        given = [person.attributes[field.key] for person in everybody if field.key in person.attributes]
        assert field.key in {"first_name", "last_name"} or 100 < len(given) < 500
        for value in given:
            assert normalize(field, value, Settings()) is not None


@contextmanager
def demonstration(directory: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The command, with a directory for temporary files of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "api", "demo", "--contacts", "60"],
        env=os.environ | {"TMPDIR": str(directory)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def processes_of(directory: Path) -> list[str]:
    """What still runs on files in the directory: the database, and so the server that holds it."""
    listed = subprocess.run(["ps", "-eww", "-o", "args="], check=True, capture_output=True, text=True)
    return [line for line in listed.stdout.splitlines() if str(directory) in line]


def test_a_short_demonstration_sees_what_a_fresh_query_says_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with demonstration(tmp_path, DEMO_SECONDS="2") as process:
        told, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, told
    assert "left No birthdate" in told
    assert "Every size seen live is what a fresh query says." in told
    assert "Traceback" not in told
    assert processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.soak
def test_a_signal_ends_the_demonstration_with_its_result(tmp_path: Path) -> None:
    with demonstration(tmp_path) as process:
        assert process.stdout is not None
        told = ""
        for line in process.stdout:
            told += line
            if "left No birthdate" in line:
                process.send_signal(signal.SIGINT)
                break
        told += process.stdout.read()
        assert process.wait(DEADLINE) == 0, told
    assert "Every size seen live is what a fresh query says." in told
    assert "Traceback" not in told
    assert processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
