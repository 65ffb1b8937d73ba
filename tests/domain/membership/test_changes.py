from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId, Timestamp
from pymongo.asynchronous.database import AsyncDatabase

from domain.membership.changes import Unclear, apply_update, transitions
from domain.store.log import Reason

CONTACT = ObjectId("650000000000000000000001")
OTHER = ObjectId("650000000000000000000002")
AT = datetime(2026, 5, 3, 10, tzinfo=UTC)


def event(kind: str, contact: ObjectId = CONTACT, **parts: Any) -> dict[str, Any]:
    return {
        "operationType": kind,
        "documentKey": {"_id": contact},
        "clusterTime": Timestamp(1, 1),
        "wallTime": AT,
        **parts,
    }


def document(**parts: Any) -> dict[str, Any]:
    return {"_id": CONTACT, "account": "a", "normal": {}, **parts}


def updated(before: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return event(
        "update",
        fullDocumentBeforeChange=before,
        updateDescription={"updatedFields": fields, "removedFields": [], "truncatedArrays": []},
    )


def test_an_insert_is_a_contact_from_nothing() -> None:
    (found,), _ = transitions([event("insert", fullDocument=document())])
    assert (found.before, found.after, found.reason) == (None, document(), Reason.CONTACT_CREATED)
    assert found.at == AT


def test_a_deletion_leaves_nothing() -> None:
    (found,), _ = transitions([event("delete", fullDocumentBeforeChange=document())])
    assert (found.before, found.after, found.reason) == (document(), None, Reason.CONTACT_DELETED)


def test_several_events_of_one_moment_are_one_change() -> None:
    first = document(score=1)
    (found,), _ = transitions([updated(first, score=2), updated(document(score=2), score=3)])
    assert (found.before, found.after) == (first, document(score=3))


def test_there_and_back_within_a_moment_is_no_change() -> None:
    assert transitions([updated(document(score=1), score=2), updated(document(score=2), score=1)]) == ([], [])


def test_made_and_deleted_within_a_moment_is_no_change() -> None:
    events = [
        event("insert", fullDocument=document()),
        event("delete", fullDocumentBeforeChange=document()),
    ]
    assert transitions(events) == ([], [])


def test_changes_of_a_moment_come_in_the_order_of_contacts() -> None:
    events = [
        event("insert", OTHER, fullDocument={**document(), "_id": OTHER}),
        event("insert", fullDocument=document()),
    ]
    assert [found.contact for found in transitions(events)[0]] == [CONTACT, OTHER]


def test_a_cause_counts_only_where_this_change_renewed_its_nonce() -> None:
    written = {"reason": "IMPORTED", "nonce": "n1"}
    (by_import,), _ = transitions([updated(document(), written=written, score=1)])
    (by_hand,), _ = transitions([updated(document(written=written), score=2)])
    assert (by_import.reason, by_hand.reason) == (Reason.IMPORTED, Reason.CONTACT_UPDATED)


def test_an_unknown_cause_is_an_update() -> None:
    (found,), _ = transitions([updated(document(), written={"reason": "MAGIC", "nonce": "n"})])
    assert found.reason is Reason.CONTACT_UPDATED


def test_a_contact_that_changes_accounts_is_deleted_there_and_created_here() -> None:
    found, _ = transitions([updated(document(), account="b")])
    assert [(change.account, change.before is None, change.after is None) for change in found] == [
        ("a", False, True),
        ("b", True, False),
    ]


def test_documents_that_are_no_contacts_are_passed_over() -> None:
    odd = event("insert", fullDocument={"_id": 7})
    odd["documentKey"] = {"_id": 7}
    assert transitions([odd, event("insert", fullDocument={"_id": CONTACT})]) == ([], [])


def test_a_contact_without_a_pre_image_is_unclear_and_the_others_of_the_moment_are_not() -> None:
    description = {"updatedFields": {"normal.role": "x", "updated": AT}, "removedFields": ["values.role"]}
    unknown = event("update", OTHER, fullDocumentBeforeChange=None, updateDescription=description)
    found, unclear = transitions([unknown, updated(document(score=1), score=2)])
    assert [change.contact for change in found] == [CONTACT]
    assert unclear == [Unclear(contact=OTHER, paths=frozenset({"normal.role", "updated", "values.role"}))]


@pytest.mark.parametrize("kind", ["delete", "replace"])
def test_of_a_deletion_or_replacement_without_a_pre_image_anything_may_have_changed(kind: str) -> None:
    found, unclear = transitions([event(kind, fullDocumentBeforeChange=None, fullDocument={"account": "a"})])
    assert (found, unclear) == ([], [Unclear(contact=CONTACT, paths=None)])


UPDATES: list[dict[str, Any]] = [
    {"$set": {"normal.role": "staff", "values.role": "Staff"}},
    {"$unset": {"normal.role": "", "values.role": ""}},
    {"$set": {"deep.er.still": 1}},
    {"$push": {"groups": 7}},
    {"$push": {"groups": {"$each": [8, 9], "$position": 0}}},
    {"$pull": {"groups": 1}},
    {"$pull": {"groups": {"$gt": 1}}},
    {"$pop": {"groups": 1}},
    {"$set": {"groups.1": 20}},
    {"$set": {"groups.6": 20}},
    {"$unset": {"groups.0": ""}},
    {"$set": {"list.0.name": "n", "list.1.name": "m"}},
    {"$set": {"groups": []}},
    {"$rename": {"values": "entered"}},
    {"$inc": {"score": 2}, "$set": {"normal": {"only": 1}}},
]


@pytest.mark.parametrize("update", UPDATES, ids=str)
async def test_a_description_applied_to_the_pre_image_is_the_document_that_the_server_has(
    database: AsyncDatabase[dict[str, Any]], update: dict[str, Any]
) -> None:
    await database.create_collection("contacts", changeStreamPreAndPostImages={"enabled": True})
    before = {
        "_id": CONTACT,
        "normal": {"role": "customer", "score": 3},
        "values": {"role": "Customer"},
        "groups": [1, 2, 3],
        "list": [{"name": "a", "x": 1}, {"name": "b"}],
        "score": 1,
    }
    await database["contacts"].insert_one(dict(before))
    async with await database["contacts"].watch(full_document_before_change="required") as stream:
        await database["contacts"].update_one({"_id": CONTACT}, update)
        seen = await stream.next()
    assert seen["fullDocumentBeforeChange"] == before
    after = await database["contacts"].find_one({"_id": CONTACT})
    assert apply_update(before, seen["updateDescription"]) == after
