"""The audiences that a rule may refer to, as far as building and completing one has to know them.

Owns what is asked of whoever knows them, and what is said of one that there is not. Names are compared after folding and are unique
in their kind.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from heapq import nlargest
from itertools import pairwise
from typing import Protocol

from bson import ObjectId

from domain.fields import fold
from domain.rules.tree import AudienceKind

_LONGEST_SHOWN = 100
_MOST_COMPARED = 50


class Audiences(Protocol):
    """The groups and segments of an account."""

    def named(self, kind: AudienceKind, name: str) -> ObjectId | None:
        """Whose name this is among its kind, after folding."""

    def kind_of(self, identifier: ObjectId) -> AudienceKind | None:
        """What the identifier is of; None where it is of neither."""

    def names(self, kind: AudienceKind) -> Iterable[str]:
        """Every name of the kind."""


class _Nobody:
    def named(self, _kind: AudienceKind, _name: str) -> ObjectId | None:
        return None

    def kind_of(self, _identifier: ObjectId) -> AudienceKind | None:
        return None

    def names(self, _kind: AudienceKind) -> Iterable[str]:
        return ()


NOBODY: Audiences = _Nobody()
"""Of an account that has neither groups nor segments."""


def unknown_audience_message(kind: AudienceKind, name: str, audiences: Audiences) -> str:
    """Says that there is none of this name, and which ones are near: of its kind, or of the other one."""
    if len(name) > _LONGEST_SHOWN:
        return f"There is no {kind} “{name[:_LONGEST_SHOWN]}…”."
    said = f"There is no {kind} “{name}”"
    for other in AudienceKind:
        if other is not kind and audiences.named(other, name) is not None:
            return f"{said}, but a {other} of this name. Did you mean that?"
    near = _nearest(name, audiences.names(kind))
    return f"{said}. Did you mean {' or '.join(f'“{each}”' for each in near)}?" if near else f"{said}."


def _nearest(name: str, names: Iterable[str]) -> list[str]:
    wanted = fold(name)
    pieces = _pieces(wanted)

    def alike(known: str) -> float:
        others = _pieces(known)
        return len(pieces & others) / (1 + len(pieces) + len(others))

    folded = {fold(each): each for each in names}
    # Comparing texts takes long: of thousands only those are compared that have most letters and pairs of letters in common.
    likely = nlargest(_MOST_COMPARED, folded, key=alike)
    return [folded[each] for each in difflib.get_close_matches(wanted, likely, n=3, cutoff=0.5)]


def _pieces(text: str) -> set[str]:
    return {*text, *map("".join, pairwise(text))}
