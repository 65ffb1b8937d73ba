"""Global identifiers."""

from __future__ import annotations

import base64

import pytest
from bson import ObjectId

from api.ids import AUDIENCES, Kind, find_id, read_id, require_id, to_id
from domain.errors import NotFound

IDENTIFIER = ObjectId("656f6d6f6f6d6f6f6d6f6f6d")


@pytest.mark.parametrize("kind", Kind)
def test_an_identifier_is_read_back_as_it_was_made(kind: Kind) -> None:
    assert read_id(to_id(kind, IDENTIFIER)) == (kind, IDENTIFIER)
    assert find_id(to_id(kind, IDENTIFIER), *AUDIENCES) == (IDENTIFIER if kind in AUDIENCES else None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "é",
        str(IDENTIFIER),
        base64.urlsafe_b64encode(b"Contact:").decode(),
        base64.urlsafe_b64encode(b"Contact:xyz").decode(),
        base64.urlsafe_b64encode(f"Field:{IDENTIFIER}".encode()).decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)
def test_any_other_text_names_nothing(text: str) -> None:
    assert read_id(text) is None
    with pytest.raises(NotFound):
        require_id(text, Kind.CONTACT)
