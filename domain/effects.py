"""What a definition does to audiences, as the catalogue finds it when it is applied, for the engine to carry out."""

from __future__ import annotations

from dataclasses import dataclass

from domain.audiences import Audience, Segment
from domain.rules.criterion import Criterion
from domain.rules.tree import Carries
from domain.store.log import Reason


@dataclass(frozen=True, slots=True)
class Opened:
    """An audience came to be."""

    audience: Audience
    criterion: Criterion


@dataclass(frozen=True, slots=True, kw_only=True)
class Redefined:
    """Another criterion decides from here on.

    `edited`: the rule itself was saved; else what it rests on was: a segment that it refers to, or the settings.
    """

    segment: Segment
    before: Criterion
    after: Criterion
    reason: Reason
    edited: bool


@dataclass(frozen=True, slots=True)
class Broke:
    """A segment lost what its rule needs: whoever is in by `before` stays in."""

    segment: Segment
    before: Criterion
    mark: Carries


@dataclass(frozen=True, slots=True)
class Ended:
    """An audience was deleted."""

    audience: Audience


Effect = Opened | Redefined | Broke | Ended
