"""Many rules at once: which audiences does a change of a contact move?

Owns the index from what a rule reads to the rules that read it, so that a change is judged only by rules that look at what
changed. Pure. Cost: a change of one field evaluates the rules that read that field.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Generic, TypeVar

from domain.rules.predicate import to_predicate
from domain.rules.tree import Rule, paths_read

K = TypeVar("K", bound=Hashable)
Contact = Mapping[str, Any]


class Matcher(Generic[K]):
    def __init__(self) -> None:
        self._predicates: dict[K, Callable[[Contact], bool]] = {}
        self._paths: dict[K, frozenset[str]] = {}
        self._readers: dict[str, set[K]] = {}

    def put(self, audience: K, rule: Rule) -> None:
        self.drop(audience)
        self._predicates[audience] = to_predicate(rule)
        self._paths[audience] = frozenset(paths_read(rule))
        for path in self._paths[audience]:
            self._readers.setdefault(path, set()).add(audience)

    def drop(self, audience: K) -> None:
        if self._predicates.pop(audience, None) is not None:
            for path in self._paths.pop(audience):
                self._readers[path].discard(audience)

    def moved(self, before: Contact | None, after: Contact | None) -> list[tuple[K, bool]]:
        moves = []
        for audience, predicate in self._predicates.items():
            was = before is not None and predicate(before)
            now = after is not None and predicate(after)
            if was != now:
                moves.append((audience, now))
        return moves

    def matching(self, contact: Contact) -> list[K]:
        return [audience for audience, predicate in self._predicates.items() if predicate(contact)]
