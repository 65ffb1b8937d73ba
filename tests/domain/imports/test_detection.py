"""What encoding a file is in, and what stands between its columns."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from domain.errors import UnreadableFile
from domain.imports.detection import FileFormat, detect, detect_delimiter


def file_of(directory: Path, content: bytes) -> Path:
    path = directory / "file.csv"
    path.write_bytes(content)
    return path


WEST = "Key,Name,Town\n1,José Núñez,Málaga\n2,Zoë Müller,Köln\n3,François Lefèvre,Orléans\n"
EAST = (
    "Key,Name,Town\n1,Małgorzata Dąbrowska,Gdańsk\n2,Paweł Wójcik,Kraków\n3,Świętosława Jabłońska,Przemyśl\n"
)
RUSSIAN = "Ключ,Имя,Город\n1,Иван Петров,Москва\n2,Мария Сидорова,Новосибирск\n"
JAPANESE = "キー,名前\n1,山田太郎\n2,鈴木花子\n3,さとう\n"

ENCODINGS = [
    ("utf-8", "utf-8-sig", WEST),
    ("utf-8-sig", "utf-8-sig", WEST),
    ("ascii", "utf-8-sig", "Key,Name\n1,Ann\n"),
    ("utf-16", "utf-16", WEST),
    ("utf-16-le", "utf-16-le", WEST),
    ("utf-16-be", "utf-16-be", RUSSIAN),
    ("utf-32", "utf-32", WEST),
    ("latin-1", "cp1252", WEST),
    ("cp1252", "cp1252", WEST + "4,“Bob” – €,Köln\n"),
    ("cp1250", "cp1250", EAST),
    ("cp1251", "cp1251", RUSSIAN),
    ("shift_jis", "cp932", JAPANESE),
]


@pytest.mark.parametrize(("encoding", "found", "text"), ENCODINGS, ids=[case[0] for case in ENCODINGS])
def test_the_encoding_is_found(tmp_path: Path, encoding: str, found: str, text: str) -> None:
    path = file_of(tmp_path, text.encode(encoding))
    assert detect(path) == FileFormat(encoding=found, delimiter=",")
    assert path.read_bytes().decode(found) == text


def test_a_strange_letter_at_the_end_of_a_long_file_is_seen(tmp_path: Path) -> None:
    rows = b"".join(b"%d,Ann Smith,Springfield\n" % number for number in range(100_000))
    assert detect(file_of(tmp_path, b"Key,Name,Town\n" + rows)).encoding == "utf-8-sig"
    assert (
        detect(file_of(tmp_path, b"Key,Name,Town\n" + rows + "x,José,Málaga\n".encode("cp1252"))).encoding
        == "cp1252"
    )


def test_a_letter_that_lies_across_two_chunks_is_still_utf_8(tmp_path: Path) -> None:
    for shift in range(4):
        content = b"Key,Name\n1," + b"x" * ((1 << 20) - 13 + shift) + "é€\n".encode()
        assert detect(file_of(tmp_path, content)).encoding == "utf-8-sig"


def test_utf_8_with_a_broken_byte_is_not_taken_for_something_else(tmp_path: Path) -> None:
    content = WEST.encode() + b"4,Jos\xe9,\n"
    with pytest.raises(UnreadableFile, match="UTF-8, but some of its bytes are not"):
        detect(file_of(tmp_path, content))
    assert detect(file_of(tmp_path, content), encoding="cp1252").encoding == "cp1252"


def test_an_encoding_that_is_said_is_taken(tmp_path: Path) -> None:
    path = file_of(tmp_path, WEST.encode("cp1250", errors="replace"))
    assert detect(path, encoding="Windows-1250").encoding == "cp1250"
    assert detect(path, encoding="UTF8").encoding == "utf-8-sig"


@pytest.mark.parametrize(
    "name", ["klingon", "base64", "idna", "Punycode", "unicode_escape", "", "utf-8\0", "x" * 1000, "é"]
)
def test_an_encoding_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableFile, match="no encoding that is known"):
        detect(file_of(tmp_path, b"Key\n1\n"), encoding=name)


NO_CSV = [
    ("nothing", b"", "empty"),
    ("white space", b" \r\n\n", "empty"),
    ("PDF", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "PDF"),
    ("ZIP", b"PK\x03\x04" + b"\0" * 500, "a ZIP archive; unpack it first"),
    (
        "XLS",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500,
        r"Excel workbook \(\.xls\) or one with a password",
    ),
    ("gzip", b"\x1f\x8b\x08\0\0\0\0\0", "compressed"),
    ("picture", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a picture"),
    ("program", b"\x7fELF\x02\x01\x01" + bytes(range(64)) * 50, "not those of a text"),
    ("noise", os.urandom(50_000), "no CSV file"),
    ("zeros", b"\0" * 5_000, "not those of a text"),
]


@pytest.mark.parametrize(
    ("content", "message"), [case[1:] for case in NO_CSV], ids=[case[0] for case in NO_CSV]
)
def test_what_is_no_text_is_refused_and_named(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UnreadableFile, match=message):
        detect(file_of(tmp_path, content))


DELIMITERS = [
    (",", "a,b,c\n1,2,3\n"),
    (";", "a;b;c\n1;2;3\n"),
    ("\t", "a\tb\n1\t2\n"),
    ("|", "a|b\n1|2\n"),
    (",", "a\n1\n2\n"),
    (",", ""),
    (",", "Name,Chambers\nAnn,House;Senate\nBob,Senate\n"),
    (";", "Name;Amount, net;Town\nAnn;1,5;Bonn\nBob;2,5;Ulm\n"),
    (",", 'Name,"Town; state"\n"Smith; Ann","Salem, OR"\n'),
    (";", '"Smith, Ann";"a, b"\n"Jones, Bob";"c, d"\n'),
    (",", 'a,b,c\n1,"Ann" Smith,x;y\n2,z,"3"\n'),
    (",", "Key,Tags (a;b)\n1,x;y\n2,z\n"),
    (",", "\n\na,b\n1,2\n"),
    ("|", "Key|Text\n1|one, two, three; four\n2|a, b\n"),
]


@pytest.mark.parametrize(("delimiter", "text"), DELIMITERS)
def test_the_delimiter_is_what_gives_rows_the_width_of_the_header(delimiter: str, text: str) -> None:
    assert detect_delimiter(text, whole=True) == delimiter


def test_a_row_that_is_cut_off_does_not_count() -> None:
    assert detect_delimiter("a;b;c,d\n1;2;3,4\n5;", whole=False) == ";"
    assert detect_delimiter('a;b;c,d\n1;2;3,4\n5;6;"begun, but', whole=False) == ";"


@pytest.mark.parametrize(
    ("delimiter", "content"),
    [(";", b"sep=;\nA,b\n1,2\n"), ("|", b"SEP=|\r\na,b\n1,2\n"), (",", b"sep=;,more\na,b\n1,2\n")],
)
def test_a_delimiter_that_the_first_line_says_is_taken(
    tmp_path: Path, delimiter: str, content: bytes
) -> None:
    assert detect(file_of(tmp_path, content)).delimiter == delimiter


def test_a_delimiter_that_is_said_is_taken(tmp_path: Path) -> None:
    path = file_of(tmp_path, b"a,b:c\n1,2:3\n")
    assert detect(path, delimiter=":").delimiter == ":"


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n"])
def test_a_delimiter_of_another_kind_is_refused(tmp_path: Path, delimiter: str) -> None:
    with pytest.raises(UnreadableFile, match="One character"):
        detect(file_of(tmp_path, b"a,b\n1,2\n"), delimiter=delimiter)
