"""What the doctor finds in the database itself: collections, indexes, pre-images, definitions, the checkpoint.

Held by `tests/domain/doctor/test_database.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing
from functools import partial

from domain.doctor.findings import Finding, What
from domain.membership.examining import present
from domain.store.indexes import COLLECTIONS
from domain.store.soundness import IndexFault
from domain.store.store import Store
from domain.store.stream import HistoryLost

MOST_NAMED = 5


async def is_empty(store: Store) -> bool:
    """Whether nothing has been made here yet."""
    return len(await store.soundness.missing_collections()) == len(COLLECTIONS)


async def examine_setup(store: Store, paths: Iterable[str]) -> list[Finding]:
    """Collections, their options and indexes, where rules read these paths of a contact."""
    findings = [
        Finding(
            what=What.COLLECTION_MISSING, says=f"The collection “{name}” is not there.", mend=store.prepare
        )
        for name in await store.soundness.missing_collections()
    ]
    if findings:
        return findings
    if not await store.soundness.keeps_images():
        findings.append(
            Finding(
                what=What.IMAGES_OFF,
                says="Contacts are not kept as they were before a change (changeStreamPreAndPostImages is off), so that changes"
                " cannot be told.",
                mend=store.prepare,
            )
        )
    return findings + [_of_index(store, fault) for fault in await store.soundness.index_faults(paths)]


def _of_index(store: Store, fault: IndexFault) -> Finding:
    keys = ", ".join(path for path, _ in fault.index.keys)
    if fault.other is None:
        what, says = What.INDEX_MISSING, f"The index of “{fault.index.collection}” over {keys} is not there."
    else:
        what = What.INDEX_DIFFERENT
        says = (
            f"The index “{fault.other}” of “{fault.index.collection}” has other options than it should have."
        )
    return Finding(
        what=what,
        says=f"{says} It serves {fault.index.serves}.",
        name=fault.other,
        mend=partial(store.soundness.mend_index, fault),
    )


async def examine_definitions(store: Store) -> list[Finding]:
    """Whether all versions of all definitions are there. What is lost of them cannot be made again."""
    findings = []
    for fault in await store.soundness.revision_faults():
        parts = []
        if fault.missing:
            named = ", ".join(map(str, fault.missing[:MOST_NAMED]))
            more = ", …" if len(fault.missing) > MOST_NAMED else ""
            parts.append(f"lack {len(fault.missing):,} of their versions (revision {named}{more})")
        if fault.unreadable:
            parts.append(f"hold {fault.unreadable:,} documents that are none")
        findings.append(
            Finding(
                what=What.DEFINITIONS_INCOMPLETE,
                account=fault.account,
                says=f"The definitions of the account {' and '.join(parts)}.",
            )
        )
    return findings


async def examine_checkpoint(store: Store) -> list[Finding]:
    """Whether the engine, when it starts, can go on from where it stopped. Where not, its start puts it right."""
    checkpoint = await store.checkpoints.load()
    if checkpoint is None:
        if not await store.log.newest_of_all(upto="~"):
            return []
        says = "The engine's checkpoint is not there, and nothing says up to where its log can be believed."
        return [Finding(what=What.CHECKPOINT_MISSING, says=says, mend=_start)]
    here = await present(store)
    if checkpoint.position > here:
        says = "The engine's checkpoint is of a time to which the database has not come."
        return [Finding(what=What.CHECKPOINT_AHEAD, says=says, mend=_start)]
    try:
        async with aclosing(store.follow(checkpoint.token)) as batches:
            # Where the stream stands, and what it has to say.
            await anext(batches)
            await anext(batches)
    except HistoryLost as lost:
        says = f"What happened since the engine's checkpoint can no longer be told: {lost}."
        return [Finding(what=What.HISTORY_LOST, says=says, mend=_start)]
    return []


async def _start() -> None:
    """Nothing more than the engine, which is started for the audiences."""
