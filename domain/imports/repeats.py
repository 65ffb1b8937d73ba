"""Repeats: which row of a key is its last one, for a file of any length.

Owns a temporary table on disk, gone when it is closed, so that memory does not grow with the file. With it an earlier row of a
key is passed over instead of being written and written over: nobody is told to have joined by a row that does not count, and
importing a list with repeated keys a second time changes nothing.

Held by `tests/domain/imports/test_repeats.py`. Cost: a few microseconds and some 40 bytes of disk for a row.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from types import TracebackType
from typing import Self


class LastRows:
    """The last row of each key. Keys are kept as digests of 16 bytes."""

    def __init__(self) -> None:
        # The empty name makes a private database that moves to disk when it outgrows its cache. It goes from one thread to
        # another, one at a time.
        self._table = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._table.execute("PRAGMA journal_mode = OFF")
        self._table.execute("CREATE TABLE last (key BLOB PRIMARY KEY, row INTEGER) WITHOUT ROWID")
        self._rows = 0
        self._repeated: bool | None = None

    def note(self, rows: Iterable[tuple[str, int]]) -> None:
        """Take in further (key, row) in the order of the file."""
        noted = [(_digest(key), row) for key, row in rows]
        self._rows += len(noted)
        self._repeated = None
        self._table.execute("BEGIN")
        self._table.executemany(
            "INSERT INTO last VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET row = excluded.row", noted
        )
        self._table.execute("COMMIT")

    def superseded(self, key: str, row: int) -> bool:
        """Whether a later row has the same key."""
        if self._repeated is None:
            ((keys,),) = self._table.execute("SELECT count(*) FROM last")
            self._repeated = keys < self._rows
        if not self._repeated:
            return False
        found = self._table.execute("SELECT row FROM last WHERE key = ?", (_digest(key),)).fetchone()
        return found is not None and found[0] > row

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._table.close()


def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=16).digest()
