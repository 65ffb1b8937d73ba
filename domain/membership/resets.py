"""Resets: whom they concern, of those who come back or read on.

Pure. A reset says that nobody can tell what happened between two places: from its own back to `since`, or, without that, from any
place before it. Who stands at or before `since` misses nothing by going on, and passes over it. Held by
`tests/domain/membership/test_resets.py`. Memory: of an audience those that concern somebody whom no later one does.
"""

from __future__ import annotations

from collections.abc import Iterable

from domain.store.log import LogEntry

Resets = tuple[LogEntry, ...]
"""An audience's, oldest first."""


def concerns(reset: LogEntry, place: str) -> bool:
    """Whether nobody can tell what happened between the place and the reset."""
    return place < reset.position and (reset.since is None or reset.since < place)


def newest_concerning(resets: Iterable[LogEntry], place: str) -> LogEntry | None:
    """Where whoever stands at the place has to begin anew, if anywhere."""
    concerning = (reset for reset in resets if concerns(reset, place))
    return max(concerning, key=lambda reset: reset.position, default=None)


def with_newest(resets: Resets, newest: LogEntry) -> Resets:
    """With one that came behind them, and without those that concern nobody beyond it."""
    if newest.since is None:
        return (newest,)
    since = newest.since
    return (*(reset for reset in resets if reset.since is None or reset.since < since), newest)
