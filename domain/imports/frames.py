"""Frames: what two processes of an import say to each other, each a length and a pickle.

Owns how it is written down. Only what a process of our own has written is ever read so. Held by
`tests/domain/imports/test_readers.py`.

Cost: some 15 µs for a row of eight cells, both ways together.
"""

from __future__ import annotations

import io
import pickle
import struct
from typing import Any, BinaryIO

from domain.contact import Entries
from domain.contacts import Row
from domain.fields import Entry

_LENGTH = struct.Struct("!I")
HEAD = _LENGTH.size
"""Bytes before each, which say how long it is."""


def packed(what: object) -> bytes:
    body = io.BytesIO()
    _Pickler(body, pickle.HIGHEST_PROTOCOL).dump(what)
    return _LENGTH.pack(body.tell()) + body.getvalue()


def length_of(head: bytes) -> int:
    length: int = _LENGTH.unpack(head)[0]
    return length


def unpacked(body: bytes) -> Any:
    return pickle.loads(body)  # noqa: S301 # from a process of our own


def read(file: BinaryIO) -> Any:
    """Raises `EOFError` where the other is gone."""
    head = file.read(HEAD)
    if len(head) < HEAD:
        raise EOFError
    return unpacked(file.read(length_of(head)))


class _Pickler(pickle.Pickler):
    """What there are many of it takes apart itself: that dataclasses with slots do it takes several times as long."""

    def reducer_override(self, what: Any) -> Any:
        match what:
            case Entry():
                return _entry, (what.entered, what.normal, what.anniversary)
            case Row():
                return _row, (what.key, what.entries)
            case _:
                return NotImplemented


def _entry(entered: Any, normal: Any, anniversary: str | None) -> Entry:
    return Entry(entered=entered, normal=normal, anniversary=anniversary)


def _row(key: str, entries: Entries) -> Row:
    return Row(key=key, entries=entries)
