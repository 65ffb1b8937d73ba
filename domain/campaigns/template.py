"""Templates: messages with placeholders, `{{first_name}}` or `{{first_name|there}}`, for the values of a contact.

Pure. Owns how they are read and filled in. Refuses a field that there is not, and braces that lead to no placeholder, each with
its place, so that nobody is sent what was not meant. A contact without a value gets the text behind the bar; where there is none,
the message cannot be made for this contact: better that nothing is sent than “Dear ,”. A value is there when rules see one.
Held by `tests/domain/campaigns/test_template.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.contact import Contact
from domain.errors import InvalidTemplate, LimitExceeded, ShoalError
from domain.fields import FieldRegistry

LONGEST_TEMPLATE = 10_000
LONGEST_MESSAGE = 100_000
MOST_PLACEHOLDERS = 100

_PLACEHOLDER = re.compile(r"\{\{([^{}|]*)(?:\|([^{}]*))?\}\}")
_LEFT_OVER = re.compile(r"\{\{|\}\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholder:
    """The field whose value goes here, and what else goes here: None where nothing else may."""

    key: str
    otherwise: str | None


Template = tuple[str | Placeholder, ...]


def parse_template(text: str, fields: FieldRegistry) -> Template:
    """Raises `InvalidTemplate`, `UnknownField` and `LimitExceeded`; the place stands in `line` and `column`."""
    if len(text) > LONGEST_TEMPLATE:
        raise LimitExceeded(f"A message has {LONGEST_TEMPLATE:,} characters at most.")
    if "\0" in text:
        raise InvalidTemplate("A message cannot contain the NUL character.")
    parts: list[str | Placeholder] = []
    behind = 0
    for found in _PLACEHOLDER.finditer(text):
        parts.append(_plain(text, behind, found.start()))
        key = found[1].strip()
        try:
            fields.require(key)
        except ShoalError as error:
            raise _at(error, text, found.start()) from None
        parts.append(Placeholder(key=key, otherwise=found[2]))
        behind = found.end()
    parts.append(_plain(text, behind, len(text)))
    if len(parts) > 2 * MOST_PLACEHOLDERS + 1:
        raise LimitExceeded(f"A message has {MOST_PLACEHOLDERS} placeholders at most.")
    return tuple(part for part in parts if part != "")


def keys_read(template: Template) -> frozenset[str]:
    """The fields that it names."""
    return frozenset(part.key for part in template if isinstance(part, Placeholder))


def keys_needed(template: Template) -> frozenset[str]:
    """The fields without a value in which it cannot be made."""
    return frozenset(
        part.key for part in template if isinstance(part, Placeholder) and part.otherwise is None
    )


def missing(template: Template, contact: Contact) -> list[str]:
    """The fields for lack of whose values it cannot be made for this contact."""
    return sorted(key for key in keys_needed(template) if _value(contact, key) is None)


def fill_in(template: Template, contact: Contact) -> str:
    """The message for a contact to whom nothing is `missing`. Raises `LimitExceeded` where its values make it too long."""
    text = "".join(part if isinstance(part, str) else _filled(part, contact) for part in template)
    if len(text) > LONGEST_MESSAGE:
        raise LimitExceeded(f"With this contact's values it has more than {LONGEST_MESSAGE:,} characters.")
    return text


def _plain(text: str, start: int, end: int) -> str:
    left_over = _LEFT_OVER.search(text, start, end)
    if left_over is not None:
        raise _at(
            InvalidTemplate(
                f"“{left_over[0]}” leads to no placeholder here. One looks like {{{{first_name}}}}, or {{{{first_name|there}}}}."
            ),
            text,
            left_over.start(),
        )
    return text[start:end]


def _at(error: ShoalError, text: str, place: int) -> ShoalError:
    error.line = text.count("\n", 0, place) + 1
    error.column = place - (text.rfind("\n", 0, place) + 1) + 1
    error.message += f" (line {error.line}, column {error.column})"
    return error


def _filled(placeholder: Placeholder, contact: Contact) -> str:
    value = _value(contact, placeholder.key)
    return placeholder.otherwise or "" if value is None else _said(value)


def _value(contact: Contact, key: str) -> Any:
    """As it was entered; None where rules see none."""
    normal = contact.document.get("normal")
    if not isinstance(normal, Mapping) or normal.get(key) is None:
        return None
    return contact.values.get(key)


def _said(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(str, value))
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value).strip()
