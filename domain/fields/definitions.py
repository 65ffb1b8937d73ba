"""Field types, fields, and the fields of one account.

Owns which keys a field can have, which of them are built in, and how a spreadsheet's header becomes a key. Invariant: a
`Field` that exists is well formed, and no two fields of a registry share a key. Held by
`tests/domain/fields/test_definitions.py`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum

from domain.errors import InvalidField, UnknownField
from domain.fields.folding import fold

# A contact's own parts; no field may hide them.
RESERVED_KEYS = frozenset({"id", "key", "created", "updated", "groups"})

LONGEST_KEY = 100
LONGEST_LABEL = 200
_KEY = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*")


class FieldType(StrEnum):
    TEXT = "text"
    EMAIL = "email"
    PHONE = "phone"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    CHOICE = "choice"
    TAGS = "tags"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of an account. `options` restrict a choice; a choice without options takes any text."""

    key: str
    label: str
    type: FieldType
    options: tuple[str, ...] = ()
    built_in: bool = False

    def __post_init__(self) -> None:
        if len(self.key) > LONGEST_KEY or not _KEY.fullmatch(self.key):
            raise InvalidField(
                f"“{self.key[:LONGEST_KEY]}” is no field key: lower-case ASCII words joined by “_” are wanted, such as"
                f" contact_form, {LONGEST_KEY} characters at most.",
                path=("key",),
            )
        if self.key in RESERVED_KEYS:
            raise InvalidField(
                f"“{self.key}” is reserved for the contact itself; choose another key.", path=("key",)
            )
        if not fold(self.label) or len(self.label) > LONGEST_LABEL:
            raise InvalidField(f"A label of 1 to {LONGEST_LABEL} characters is wanted.", path=("label",))
        if self.options and self.type is not FieldType.CHOICE:
            raise InvalidField(
                f"Only a choice has options; “{self.key}” is of type {self.type}.", path=("options",)
            )
        folded = [fold(option) for option in self.options]
        if "" in folded:
            raise InvalidField("An option cannot be empty.", path=("options", folded.index("")))
        for position, option in enumerate(folded):
            if option in folded[:position]:
                raise InvalidField(
                    f"The option “{self.options[position]}” is there twice.", path=("options", position)
                )


BUILT_IN_FIELDS = (
    Field(key="first_name", label="First name", type=FieldType.TEXT, built_in=True),
    Field(key="last_name", label="Last name", type=FieldType.TEXT, built_in=True),
    Field(key="email", label="Email", type=FieldType.EMAIL, built_in=True),
    Field(key="phone", label="Phone", type=FieldType.PHONE, built_in=True),
    Field(key="birthdate", label="Birthdate", type=FieldType.DATE, built_in=True),
)


class FieldRegistry(Mapping[str, Field]):
    """The fields of one account by their keys: the built-in ones first, then `custom` in the order given.

    A custom field with a built-in one's key takes its place.
    """

    __slots__ = ("_fields",)

    def __init__(self, custom: Iterable[Field] = ()) -> None:
        fields = {field.key: field for field in BUILT_IN_FIELDS}
        given: set[str] = set()
        for field in custom:
            if field.key in given:
                raise InvalidField(f"There are two fields of the key “{field.key}”.", path=("key",))
            given.add(field.key)
            fields[field.key] = field
        self._fields = fields

    def __getitem__(self, key: str) -> Field:
        return self._fields[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def require(self, key: str) -> Field:
        """The field of this key; `UnknownField` names the nearest known keys."""
        try:
            return self._fields[key]
        except KeyError:
            raise UnknownField(unknown_field_message(key, self._fields)) from None


def unknown_field_message(key: str, known: Iterable[str]) -> str:
    """Says that `key` is unknown, and which known keys are near."""
    if len(key) > LONGEST_KEY:
        return f"There is no field “{key[:20]}…”; a field key has {LONGEST_KEY} characters at most."
    near = difflib.get_close_matches(key.lower(), known, n=3, cutoff=0.5)
    if not near:
        return f"There is no field “{key}”."
    return f"There is no field “{key}”. Did you mean {' or '.join(f'“{name}”' for name in near)}?"


def field_key(header: str, taken: AbstractSet[str] = frozenset()) -> str:
    """The key that a column of this header gets beside the keys already `taken`: `Contact Form` -> `contact_form`.

    A taken or reserved key gets the first free number from `_2` on. A header without any ASCII letter or digit becomes
    `field`.
    """
    stem = re.sub(r"[^a-z0-9]+", "_", header[: 2 * LONGEST_KEY].lower()).strip("_")
    stem = stem[: LONGEST_KEY - 10].rstrip("_") or "field"
    key, number = stem, 1
    while key in RESERVED_KEYS or key in taken:
        number += 1
        key = f"{stem}_{number}"
    return key
