"""Frames: what two processes of an import say to each other, each a length and a pickle.

Owns how it is written down. Only what a process of our own has written is ever read so. Held by
`tests/domain/imports/test_readers.py`.

Cost: some 30 µs for a row of eight cells, both ways together.
"""

from __future__ import annotations

import pickle
import struct
from typing import Any, BinaryIO

_LENGTH = struct.Struct("!I")
HEAD = _LENGTH.size
"""Bytes before each, which say how long it is."""


def packed(what: object) -> bytes:
    body = pickle.dumps(what, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


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
