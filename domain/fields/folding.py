"""Folding: when two texts are the same text.

Owns the one function by which text is compared anywhere in Shoal: values, operands, names. Invariant: folding a folded text
changes nothing. Held by `tests/domain/fields/test_folding.py`, over every code point.
"""

from __future__ import annotations

import unicodedata

# Folding depends on the Unicode tables of the Python that runs it, so the version of the normal form names them: contacts
# that were stored under other tables are rewritten before a rule looks at them.
NORMAL_FORM_VERSION = f"1-unicode-{unicodedata.unidata_version}"


def fold(text: str) -> str:
    """NFKC and case-folding until nothing changes; outer white space trimmed, inner white space one blank."""
    if text.isascii():
        return " ".join(text.lower().split())
    while True:
        folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
        if folded == text:
            return folded
        text = folded
