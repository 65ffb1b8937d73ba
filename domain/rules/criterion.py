"""What decides who is in an audience: a rule with its references followed, and the settings that say what a day is.

Owns nothing but the bringing together: each reading of a criterion is that of its rule at an instant. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.fields import Settings
from domain.rules import moving
from domain.rules.calendar import Now
from domain.rules.predicate import Predicate, to_predicate
from domain.rules.query import Query, to_query
from domain.rules.tree import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """`rule` is followed: no reference to an audience is left in it. Instants are whole seconds, in UTC."""

    rule: Rule
    settings: Settings

    @property
    def is_moving(self) -> bool:
        """Whether the passing of time alone can change who is in."""
        return moving.is_moving(self.rule)

    def at(self, instant: datetime) -> Rule:
        """The rule with its moving conditions as they are at the instant."""
        return moving.at(self.rule, self._now(instant))

    def query(self, instant: datetime) -> Query:
        """Who is in at the instant, as a query document over contacts, without the account."""
        return to_query(self.at(instant))

    def predicate(self, instant: datetime) -> Predicate:
        """Whether one contact is in at the instant."""
        return to_predicate(self.at(instant))

    def next_turn(self, instant: datetime) -> datetime | None:
        """The first second after the instant at which the rule says something else."""
        return moving.next_turn(self.rule, self._now(instant))

    def slivers(self, since: datetime, until: datetime) -> list[Query]:
        """Queries that together find whoever the passing of time moves from `since` to `until`."""
        return moving.slivers(self.rule, self._now(since), self._now(until))

    def flips(
        self, contact: Mapping[str, Any], since: datetime, until: datetime
    ) -> list[tuple[datetime, bool]]:
        """When, after `since` and up to `until`, the passing of time moves this contact, and whether it is in from then on."""
        return moving.flips(self.rule, contact, self._now(since), self._now(until))

    def _now(self, instant: datetime) -> Now:
        return Now(instant=instant, settings=self.settings)
