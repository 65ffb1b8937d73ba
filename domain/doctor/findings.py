"""Findings: what is not as it should be, in words and in codes.

Owns the codes, which do not change once published.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum

from bson import ObjectId

Told = Callable[[str, int, int], None]
"""Told how far a long piece of work has come: which, how much of it, of how much."""

Mend = Callable[[], Awaitable[None]]


class What(StrEnum):
    COLLECTION_MISSING = "collection_missing"
    INDEX_MISSING = "index_missing"
    INDEX_DIFFERENT = "index_different"
    IMAGES_OFF = "images_off"
    DEFINITIONS_INCOMPLETE = "definitions_incomplete"
    CHECKPOINT_MISSING = "checkpoint_missing"
    CHECKPOINT_AHEAD = "checkpoint_ahead"
    HISTORY_LOST = "history_lost"
    LOG_AHEAD = "log_ahead"
    LOG_BROKEN = "log_broken"
    MEMBERS_DIFFER = "members_differ"
    NOT_OPENED = "not_opened"
    NOT_DEFINED = "not_defined"
    NOT_EXAMINED = "not_examined"
    GROUP_LEFT_OVER = "group_left_over"
    MARK_LEFT_OVER = "mark_left_over"
    NORMAL_FORM = "normal_form"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong. `name` is that of the audience or field that it is about; `mend` puts it right."""

    what: What
    says: str
    account: str | None = None
    audience: ObjectId | None = None
    name: str | None = None
    mend: Mend | None = field(default=None, compare=False, repr=False)
