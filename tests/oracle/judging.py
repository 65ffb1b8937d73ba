"""The oracle's judgement: whether the log, what each watcher was told, and the query say the same."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId

from domain.membership.position import Position, to_cursor
from domain.store.log import EntryKind, LogEntry

KINDS = {
    EntryKind.JOINED: "ContactJoined",
    EntryKind.LEFT: "ContactLeft",
    EntryKind.REDEFINED: "AudienceRedefined",
    EntryKind.ENDED: "FeedEnded",
    EntryKind.RESET: "FeedReset",
}
_STARTS = ("FeedStarted", "FeedReset")


class Disagreement(Exception):
    """What does not hold, and of whom."""

    def __init__(self, audience: ObjectId, said: str) -> None:
        super().__init__(f"{audience}: {said}")


def judge_log(audience: ObjectId, entries: Sequence[LogEntry], members: set[ObjectId] | None) -> None:
    """Replaying the log gives the members; positions rise; nobody moves twice; every size is right at its place.

    Of an audience that has ended nobody can say who the members were: None.
    """

    def claim(holds: bool, said: str) -> None:  # noqa: FBT001
        if not holds:
            raise Disagreement(audience, said)

    claim(bool(entries), "nothing in the log")
    positions = [entry.position for entry in entries]
    claim(positions == sorted(set(positions)), "positions do not rise")
    # Only the last stretch can be replayed to the end: a reset says that what lay before cannot be told.
    begins = max(i for i, each in enumerate(entries) if each.kind in (EntryKind.OPENED, EntryKind.RESET))
    first, rest = entries[begins], entries[begins + 1 :]
    moved: dict[ObjectId, EntryKind] = {}
    at_first: set[ObjectId] = set()
    size = first.size
    for entry in rest:
        if entry.kind in (EntryKind.JOINED, EntryKind.LEFT):
            assert entry.contact is not None
            claim(
                moved.get(entry.contact) is not entry.kind,
                f"{entry.contact} {entry.kind} twice, at {entry.position}",
            )
            if entry.contact not in moved and entry.kind is EntryKind.LEFT:
                at_first.add(entry.contact)
            moved[entry.contact] = entry.kind
            size += 1 if entry.kind is EntryKind.JOINED else -1
        claim(entry.size == size, f"size {entry.size} instead of {size} at {entry.position}")
    if members is None:
        claim(rest[-1].kind is EntryKind.ENDED, "it was deleted, and has not ended")
        return
    at_first |= {contact for contact in members if contact not in moved}
    claim(len(at_first) == first.size, f"it opened with {first.size}, but {len(at_first)} were in")
    inside = {contact for contact, kind in moved.items() if kind is EntryKind.JOINED} | (
        at_first - moved.keys()
    )
    for contact in inside ^ members:
        said = (
            "in by the log and not by the query"
            if contact in inside
            else "in by the query and not by the log"
        )
        raise Disagreement(audience, f"{contact} is {said}")


def judge_watcher(audience: ObjectId, entries: Sequence[LogEntry], told: Sequence[Mapping[str, Any]]) -> int:
    """What a watcher was told is the log from where it began; how many events that were."""
    log = [entry for entry in entries if entry.kind in KINDS]
    cursors = [to_cursor(audience, Position(entry.position)) for entry in log]
    all_cursors = [to_cursor(audience, Position(entry.position)) for entry in entries]
    resets = {cursor for cursor, entry in zip(cursors, log, strict=True) if entry.kind is EntryKind.RESET}
    last: str | None = None
    count = 0
    for event in told:
        cursor = event["cursor"]
        if event["kind"] == "FeedStarted" and last is not None:
            if cursor != last:
                raise Disagreement(audience, f"resumed at {cursor} instead of {last}")
            continue
        if event["kind"] in _STARTS and (last is None or event["kind"] == "FeedReset"):
            at = bisect_right(all_cursors, cursor)
            if event["kind"] == "FeedReset" and cursor not in resets:
                raise Disagreement(audience, f"a reset was told at {cursor}, where the log has none")
            if at and entries[at - 1].size != event["size"]:
                raise Disagreement(
                    audience, f"size {event['size']} instead of {entries[at - 1].size} at {cursor}"
                )
            last = cursor
            continue
        assert last is not None
        following = bisect_right(cursors, last)
        if following == len(cursors) or cursors[following] != cursor:
            expected = None if following == len(cursors) else cursors[following]
            raise Disagreement(audience, f"after {last} came {cursor} instead of {expected}")
        entry = log[following]
        if KINDS[entry.kind] != event["kind"] or event.get("size", entry.size) != entry.size:
            raise Disagreement(audience, f"{event} was told of {entry}")
        last = cursor
        count += 1
    return count
