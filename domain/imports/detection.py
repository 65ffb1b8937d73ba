"""Detection: what encoding a CSV file is in, and what stands between its columns.

Owns the look at a file before it is read as a table; a workbook has become a CSV file before that (`workbooks`). Refuses
what is no text with `UnreadableFile`, whose message says what
the file seems to be. UTF-8 is proved over the whole file, in constant memory; any other encoding is a guess by a bounded sample
of what is not ASCII, so that one strange letter at the end of a long file is seen, too.

Held by `tests/domain/imports/test_detection.py`.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from charset_normalizer import from_bytes

from domain.errors import UnreadableFile

DELIMITERS = (",", ";", "\t", "|")
DELIMITER_SAID = re.compile(r'sep=([^"\r\n])(?:\r\n?|\n|$)', re.IGNORECASE)
"""The first line of a file by which some programs tell spreadsheets what stands between its columns."""

_CHUNK = 1 << 20
_HEAD = 1 << 16
_SAMPLE = 1 << 15
_SAMPLE_ROWS = 200

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHER_KINDS = (
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive; unpack it first"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls) or one with a password; save the sheet as CSV"),
    (b"\x1f\x8b", "compressed; unpack it first"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"SQLite format 3\0", "a database"),
)
# Between text and bytes, but made for names of computers and for source code, and not for files.
_NO_CHARSETS = {"idna", "punycode", "unicode-escape", "raw-unicode-escape"}
# The guess is made among these: rarer ones would be mistaken for them far more often than meant.
_GUESSED = [
    *(
        "cp1252",
        "cp1250",
        "cp1251",
        "cp1253",
        "cp1254",
        "cp1255",
        "cp1256",
        "cp1257",
        "cp874",
        "koi8_r",
        "mac_roman",
    ),
    *("cp932", "euc_jp", "gb18030", "big5", "cp949"),
]
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\f"))


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    """How to read a file. `encoding` is the name of a Python codec, `delimiter` one character.

    `sheet` is the one that it was, where it came from a workbook.
    """

    encoding: str
    delimiter: str
    sheet: str | None = None


def detect(path: Path, *, encoding: str | None = None, delimiter: str | None = None) -> FileFormat:
    """The format of a file; what is given is taken as said. Raises `UnreadableFile`, and `OSError` from the file system."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    _refuse_other_kinds(head)
    encoding = _known(encoding) if encoding is not None else _marked(head) or _unmarked(path, head)
    if delimiter is None:
        text = codecs.getincrementaldecoder(encoding)(errors="replace").decode(head)
        said = DELIMITER_SAID.match(text)
        delimiter = said[1] if said else detect_delimiter(text, whole=len(head) < _HEAD)
    elif len(delimiter) != 1 or delimiter in '"\r\n':
        raise UnreadableFile("One character is wanted as what stands between columns, such as “;”.")
    return FileFormat(encoding=encoding, delimiter=delimiter)


def detect_delimiter(text: str, *, whole: bool) -> str:
    """What stands between the columns: that which gives most rows as many cells as the header has, at least two.

    `text` is the beginning of a file, or the whole of it. A comma where there is one column only.
    """
    # What stands between the columns stands around quotation marks as well, so a strict reading tells more; some files write
    # marks as they like, and are read as they come.
    for strict in (True, False):
        best, best_score = None, (0.0, 1)
        for delimiter in DELIMITERS:
            widths = _widths(text, delimiter, whole=whole, strict=strict)
            if not widths or widths[0] < 2:
                continue
            score = (widths.count(widths[0]) / len(widths), widths[0])
            if score > best_score:
                best, best_score = delimiter, score
        if best is not None:
            return best
    return DELIMITERS[0]


def _widths(text: str, delimiter: str, *, whole: bool, strict: bool) -> list[int]:
    """How many cells each row has, of those at the beginning; nothing where the text cannot be read so."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict)
    widths: list[int] = []
    try:
        widths += (len(row) for row in islice(rows, _SAMPLE_ROWS) if row)
    except csv.Error:
        if whole or rows.line_num < len(text.splitlines()):
            return []
    else:
        if not whole and 1 < len(widths) < _SAMPLE_ROWS:
            widths.pop()  # it may be cut off
    return widths


def _refuse_other_kinds(head: bytes) -> None:
    if not head.strip():
        raise UnreadableFile("The file is empty.")
    for magic, kind in _OTHER_KINDS:
        if head.startswith(magic):
            raise UnreadableFile(f"This is no CSV file but {kind}.")


def _known(encoding: str) -> str:
    try:
        # Only codecs between text and bytes will do; “base64” is one, too, and is none of those.
        "".encode(encoding)
        name = codecs.lookup(encoding).name
        if name in _NO_CHARSETS:
            raise LookupError
    except (LookupError, ValueError):
        raise UnreadableFile(
            f"“{encoding[:60]}” is no encoding that is known here; such are utf-8, cp1252 and utf-16."
        ) from None
    return "utf-8-sig" if name == "utf-8" else name


def _marked(head: bytes) -> str | None:
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)


def _unmarked(path: Path, head: bytes) -> str:
    if (wide := _wide(head)) is not None:
        return wide
    control = len(head) - len(head.translate(None, _CONTROLS))
    if control * 10 > len(head):
        raise UnreadableFile("This is no CSV file: its bytes are not those of a text.")
    sample = bytearray()
    utf8 = codecs.getincrementaldecoder("utf-8")()
    valid = True
    for chunk, last in _chunks(path):
        if valid:
            try:
                utf8.decode(chunk, final=last)
            except UnicodeDecodeError:
                valid = False
        if not chunk.isascii():
            for line in chunk.splitlines():
                if len(sample) < _SAMPLE and not line.isascii():
                    sample += line[:_SAMPLE] + b"\n"
    if valid:
        return "utf-8-sig"
    return _guess(bytes(sample), binary=control * 50 > len(head))


def _wide(head: bytes) -> str | None:
    """UTF-16 without its mark, which the delimiters and line ends of a table give away: each has a zero beside it."""
    for encoding, signs in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        # All zeros on one side, and more of them than a text that has a few NUL characters in it would have there.
        if 10 * signs.count(0) > len(signs) and signs.count(0) == head.count(0):
            return encoding
    return None


def _chunks(path: Path) -> Iterator[tuple[bytes, bool]]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk, len(chunk) < _CHUNK
        yield b"", True


def _guess(sample: bytes, *, binary: bool) -> str:
    """The likeliest encoding of text that is not UTF-8; where several are alike, the one of Western Windows."""
    written = sample.decode(errors="replace")
    broken = written.count("\N{REPLACEMENT CHARACTER}")
    whole = sum(not letter.isascii() for letter in written) - broken
    if whole > broken:
        # Sequences of UTF-8 do not come about by chance: this is UTF-8, and broken. Any other reading would garble it all.
        raise UnreadableFile(
            "This file is in UTF-8, but some of its bytes are not. Mend it, or say the encoding if it is another"
            " (--encoding cp1252)."
        )
    matches = from_bytes(sample, cp_isolation=_GUESSED)
    best = matches.best()
    if best is None or binary:
        raise UnreadableFile(
            "This is no CSV file, or one in an encoding that cannot be told. Say it if you know it (--encoding cp1252)."
        )
    alike = {
        name
        for match in matches
        if (match.chaos, match.coherence) == (best.chaos, best.coherence)
        for name in match.could_be_from_charset
    }
    return "cp1252" if "cp1252" in alike else best.encoding
