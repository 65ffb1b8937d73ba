"""What a contact can say: field types, an account's fields, its settings, and the normal form that rules read.

Owns the way from what somebody entered to what a rule may look at (RULES.md, section 1). Refuses a value with
`InvalidValue`, whose message says what is wanted. Knows nothing of rules and nothing of storage.

Invariant: a normal form is its own normal form, and the entered value comes back as it was entered. Held by
`tests/domain/fields/test_normal.py`.
"""

from __future__ import annotations

from domain.fields.cells import parse_cell
from domain.fields.definitions import (
    BUILT_IN_FIELDS,
    RESERVED_KEYS,
    Field,
    FieldRegistry,
    FieldType,
    field_key,
)
from domain.fields.folding import NORMAL_FORM_VERSION, fold
from domain.fields.normal import Entry, Normal, normalize
from domain.fields.retyping import reread
from domain.fields.settings import LeapDay, Settings, Weekday

__all__ = [
    "BUILT_IN_FIELDS",
    "NORMAL_FORM_VERSION",
    "RESERVED_KEYS",
    "Entry",
    "Field",
    "FieldRegistry",
    "FieldType",
    "LeapDay",
    "Normal",
    "Settings",
    "Weekday",
    "field_key",
    "fold",
    "normalize",
    "parse_cell",
    "reread",
]
