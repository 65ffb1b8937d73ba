"""Criteria of single rules, for tests that are about something else than time."""

from datetime import UTC, datetime

from domain.fields import Settings
from domain.rules.criterion import Criterion
from domain.rules.tree import Rule

INSTANT = datetime(2026, 5, 3, 8, tzinfo=UTC)


def criterion(rule: Rule) -> Criterion:
    return Criterion(rule=rule, settings=Settings())
