"""How phone numbers begin.

Owns what a beginning must look like to be one of the normal form, and what people mean who write it as they dial it at home. Says
so only where a region's way of dialling leaves no doubt. Held by `tests/domain/fields/test_phones.py`.
"""

from __future__ import annotations

import re

import phonenumbers

# The way abroad that most countries have; where a country has another one, nothing else begins like that.
_WAY_ABROAD = "00"


def begins_a_number(part: str) -> bool:
    """Whether a number in international form can begin with this."""
    return re.fullmatch(r"\+([1-9][0-9]*)?", part) is not None


def international_beginning(part: str, region: str) -> str | None:
    """The beginning of the international form of numbers that are dialled with `part` first; None where that is not certain."""
    dialling = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if dialling is None:
        return None
    abroad = re.match(f"{dialling.international_prefix}|{_WAY_ABROAD}", part)
    national = dialling.national_prefix
    if abroad is not None:
        code, left = "", part[abroad.end() :]
    elif national and part.startswith(national) and not part.startswith(national * 2):
        code, left = str(dialling.country_code), part.removeprefix(national)
    else:
        return None
    return f"+{code}{left}" if left and begins_a_number(f"+{code}{left}") else None
