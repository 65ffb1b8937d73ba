import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.fields import NORMAL_FORM_VERSION, fold


@pytest.mark.parametrize(
    ("entered", "folded"),
    [
        ("  Acme  GmbH ", "acme gmbh"),
        ("a\t\n b", "a b"),
        ("a\u00a0b\u3000c", "a b c"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("ﬁn", "fin"),
        ("ſ", "s"),
        ("ｆｕｌｌ", "full"),
        ("ΣΑΣ", "σασ"),
        ("σας", "σασ"),
        ("e\u0301", "é"),
        ("\u2002", ""),
        ("", ""),
    ],
)
def test_equal_texts_fold_to_one(entered: str, folded: str) -> None:
    assert fold(entered) == folded


def test_folding_a_folded_text_changes_nothing_whatever_the_character() -> None:
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        once = fold(f"a{character}B")
        assert fold(once) == once, hex(code)


@given(st.text())
def test_folding_a_folded_text_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text())
def test_folding_hears_no_difference_of_case(text: str) -> None:
    assert fold(text.casefold()) == fold(text)


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_the_short_way_for_ascii_agrees_with_the_long_one(text: str) -> None:
    assert fold(text) == " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def test_once_is_not_enough() -> None:
    # Folded, the first letter becomes two, and the accent then makes one character with the second of them.
    text = "\u00df\u0301"
    once = unicodedata.normalize("NFKC", text).casefold()
    assert once == "ss\u0301"
    assert fold(text) == fold(once) == "s\u015b"


def test_the_version_names_the_unicode_tables_that_folding_depends_on() -> None:
    assert unicodedata.unidata_version in NORMAL_FORM_VERSION
