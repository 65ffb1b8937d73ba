"""The schema: what is promised is there, everything says what it is, and the printed copy is current."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLUnionType,
    is_required_argument,
)

from api.schema import printed, schema

FILE = Path(__file__).parents[2] / "schema.graphql"
CORE = schema._schema

AUDIENCE = {
    "id": "ID!",
    "name": "String!",
    "description": "String",
    "size": "Int!",
    "cursor": "String!",
    "members(first: Int, after: String)": "ContactConnection!",
    "changes(first: Int, after: String, since: DateTime)": "MembershipChangeConnection!",
    "changesSince(cursor: String!, first: Int)": "MembershipChangeConnection!",
}
MOVE = {
    "cursor": "String!",
    "at": "DateTime!",
    "reason": "ChangeReason!",
    "contactId": "ID!",
    "contact": "Contact",
    "size": "Int!",
}
CONNECTION = {"totalCount": "Int!", "pageInfo": "PageInfo!"}

# What clients may rely on. Whoever must change a line here breaks them.
PROMISED: dict[str, dict[str, str]] = {
    "Node": {"id": "ID!"},
    "Audience": AUDIENCE,
    "Group": AUDIENCE,
    "Segment": {
        **AUDIENCE,
        "expression": "String!",
        "rule": "Rule!",
        "status": "SegmentStatus!",
        "broken": "BrokenSegment",
        "version": "Int!",
    },
    "BrokenSegment": {
        "code": "String!",
        "message": "String!",
        "fields": "[String!]!",
        "segments": "[Segment!]!",
    },
    "Field": {"conversion": "FieldConversion"},
    "FieldConversion": {
        "from": "FieldType!",
        "to": "FieldType!",
        "state": "FieldConversionState!",
        "progress": "Int!",
        **dict.fromkeys(("total", "done", "converted", "failed"), "Int!"),
        "startedAt": "DateTime!",
        "finishedAt": "DateTime",
        "failures(first: Int, after: ID)": "[FieldConversionFailure!]!",
    },
    "Contact": {
        "id": "ID!",
        "key": "String",
        "attribute(key: String!)": "Attribute",
        "attributes(keys: [String!])": "[Attribute!]!",
        "groups": "[Group!]!",
        "segments": "[Segment!]!",
        "explain(audience: ID!)": "Explanation!",
    },
    "Query": {
        "node(id: ID!)": "Node",
        "fields": "[Field!]!",
        "contact(id: ID, key: String)": "Contact",
        "contacts(first: Int, after: String, rule: RuleInput, search: String)": "ContactConnection!",
        "group(id: ID!)": "Group",
        "groups(first: Int, after: String, search: String)": "GroupConnection!",
        "segment(id: ID!)": "Segment",
        "segments(first: Int, after: String, search: String)": "SegmentConnection!",
        "previewRule(rule: RuleInput!)": "RulePreview!",
    },
    "Attribute": {"field": "Field!", "key": "String!", "value": "AttributeValue!"},
    "ContactConnection": {**CONNECTION, "edges": "[ContactEdge!]!", "nodes": "[Contact!]!"},
    "ContactEdge": {"cursor": "String!", "node": "Contact!"},
    "GroupConnection": {**CONNECTION, "edges": "[GroupEdge!]!", "nodes": "[Group!]!"},
    "SegmentConnection": {**CONNECTION, "edges": "[SegmentEdge!]!", "nodes": "[Segment!]!"},
    "MembershipChangeConnection": {
        **CONNECTION,
        "edges": "[MembershipChangeEdge!]!",
        "nodes": "[MembershipChange!]!",
    },
    "PageInfo": {
        "hasNextPage": "Boolean!",
        "hasPreviousPage": "Boolean!",
        "startCursor": "String",
        "endCursor": "String",
    },
    "UserError": {"code": "String!", "message": "String!", "path": "[String!]!"},
    "Mutation": {
        f"{name}(input: {kind}Input!)": f"{kind}Payload!"
        for name, kind in (
            ("createField", "CreateField"),
            ("updateField", "UpdateField"),
            ("deleteField", "DeleteField"),
            ("updateSettings", "UpdateSettings"),
            ("createContact", "CreateContact"),
            ("upsertContacts", "UpsertContacts"),
            ("updateContact", "UpdateContact"),
            ("deleteContact", "DeleteContact"),
            ("createGroup", "CreateGroup"),
            ("updateGroup", "UpdateGroup"),
            ("deleteGroup", "DeleteGroup"),
            ("addContactsToGroup", "GroupMembers"),
            ("removeContactsFromGroup", "GroupMembers"),
            ("createSegment", "CreateSegment"),
            ("updateSegment", "UpdateSegment"),
            ("deleteSegment", "DeleteSegment"),
            ("createExport", "CreateExport"),
            ("copyToGroup", "CopyToGroup"),
        )
    },
    "CreateContactPayload": {"contact": "Contact", "errors": "[UserError!]!"},
    "CreateGroupPayload": {"group": "Group", "errors": "[UserError!]!"},
    "CreateSegmentPayload": {"segment": "Segment", "errors": "[UserError!]!"},
    "Subscription": {
        "membershipChanges(audience: ID!, after: String)": "MembershipEvent!",
        "audienceSize(audience: ID!, atMostEveryMs: Int)": "AudienceSize!",
        "importProgress(id: ID!)": "Import!",
        "groupCopyProgress(id: ID!)": "GroupCopy!",
    },
    "Import": {
        "id": "ID!",
        "state": "ImportState!",
        "percent": "Int!",
        "rowsPerSecond": "Float!",
        "columns": "[ImportColumn!]!",
        "report": "ImportReport",
        "forecast": "ImportForecast",
        "rejectsUrl": "String",
        "error": "UserError",
    },
    "ImportReport": dict.fromkeys(("created", "updated", "unchanged", "rejected"), "Int!"),
    "Export": {"url": "String!", "expiresAt": "DateTime!"},
    "GroupCopy": {"id": "ID!", "state": "GroupCopyState!", "percent": "Int!", "group": "Group"},
    "FeedStarted": {"cursor": "String!", "size": "Int!"},
    "ContactJoined": MOVE,
    "ContactLeft": MOVE,
    "AudienceRedefined": {"cursor": "String!", "at": "DateTime!", "version": "Int!"},
    "FeedReset": {"cursor": "String!", "size": "Int!", "because": "String!"},
    "FeedEnded": {"cursor": "String!", "because": "String!"},
    "AudienceSize": {"audience": "Audience!", "size": "Int!", "at": "DateTime!"},
}
PROMISED_INPUTS: dict[str, dict[str, str]] = {
    "RuleInput": {
        "expression": "String",
        "all": "[RuleInput!]",
        "any": "[RuleInput!]",
        "not": "RuleInput",
        "where": "ConditionInput",
        "memberOf": "MembershipInput",
    },
    "AttributeInput": {"key": "String!", "value": "AttributeValue"},
    "CreateContactInput": {"key": "String", "attributes": "[AttributeInput!]!"},
    "UpdateContactInput": {"id": "ID!", "attributes": "[AttributeInput!]!"},
    "UpdateFieldInput": {"key": "String!", "type": "FieldType", "breakSegments": "Boolean!"},
    "DeleteFieldInput": {"key": "String!", "breakSegments": "Boolean!"},
    "CreateSegmentInput": {"name": "String!", "description": "String", "rule": "RuleInput!"},
    "UpdateSegmentInput": {
        "id": "ID!",
        "name": "String",
        "description": "String",
        "rule": "RuleInput",
        "expectedVersion": "Int",
    },
}
PROMISED_VALUES = {
    "SegmentStatus": {"LIVE", "BROKEN"},
    "FieldConversionState": {"WAITING", "RUNNING", "DONE"},
    "ImportState": {"READY", "CHECKING", "RUNNING", "DONE", "CANCELLED", "FAILED", "UNDOING", "UNDONE"},
    "ChangeReason": {
        "CONTACT_CREATED",
        "CONTACT_UPDATED",
        "CONTACT_DELETED",
        "IMPORTED",
        "REPLIED",
        "GROUP_EDITED",
        "RULE_EDITED",
        "SETTINGS_CHANGED",
        "TIME_PASSED",
        "RECONCILED",
    },
}


def test_the_printed_schema_is_current() -> None:
    assert FILE.read_text(encoding="utf-8") == printed(), (
        "print it anew: python -m api schema > schema.graphql"
    )


@pytest.mark.parametrize("name", PROMISED)
def test_every_promised_field_is_there(name: str) -> None:
    type_ = CORE.type_map[name]
    assert isinstance(type_, GraphQLObjectType | GraphQLInterfaceType)
    signatures = {signature.partition("(")[0]: signature for signature in PROMISED[name]}
    actual = {}
    for field_name, field in type_.fields.items():
        # An argument that may be left out can be added without breaking anybody.
        arguments = ", ".join(
            f"{argument}: {given.type}"
            for argument, given in field.args.items()
            if is_required_argument(given) or f"{argument}: " in signatures.get(field_name, "")
        )
        actual[f"{field_name}({arguments})" if arguments else field_name] = str(field.type)
    assert actual.items() >= PROMISED[name].items()


@pytest.mark.parametrize("name", PROMISED_INPUTS)
def test_every_promised_input_is_there(name: str) -> None:
    type_ = CORE.type_map[name]
    assert isinstance(type_, GraphQLInputObjectType)
    assert {key: str(field.type) for key, field in type_.fields.items()}.items() >= PROMISED_INPUTS[
        name
    ].items()


@pytest.mark.parametrize("name", PROMISED_VALUES)
def test_every_promised_value_is_there(name: str) -> None:
    type_ = CORE.type_map[name]
    assert isinstance(type_, GraphQLEnumType)
    assert set(type_.values) == PROMISED_VALUES[name]


def test_a_rule_is_exactly_one_of_its_forms() -> None:
    assert "input RuleInput @oneOf {" in printed()


def test_groups_and_segments_are_audiences_and_nodes_and_every_event_is_in_the_union() -> None:
    for name, interfaces in (
        ("Group", {"Node", "Audience"}),
        ("Segment", {"Node", "Audience"}),
        ("Contact", {"Node"}),
    ):
        type_ = CORE.type_map[name]
        assert isinstance(type_, GraphQLObjectType)
        assert {interface.name for interface in type_.interfaces} == interfaces
    union = CORE.type_map["MembershipEvent"]
    assert isinstance(union, GraphQLUnionType)
    assert {type_.name for type_ in union.types} == {
        *("FeedStarted", "ContactJoined", "ContactLeft", "AudienceRedefined", "FeedReset", "FeedEnded")
    }


def test_every_mutation_can_be_repeated_under_an_identifier_and_tells_its_errors() -> None:
    assert CORE.mutation_type is not None
    for mutation in CORE.mutation_type.fields.values():
        given = CORE.type_map[str(mutation.args["input"].type).rstrip("!")]
        assert isinstance(given, GraphQLInputObjectType)
        assert str(given.fields["clientMutationId"].type) == "String"
        payload = CORE.type_map[str(mutation.type).rstrip("!")]
        assert isinstance(payload, GraphQLObjectType)
        assert str(payload.fields["errors"].type) == "[UserError!]!"


def test_every_type_field_argument_and_value_is_described() -> None:
    assert list(_undescribed()) == []


def _undescribed() -> Iterator[str]:
    for name, type_ in CORE.type_map.items():
        if name.startswith("__"):
            continue
        if not type_.description:
            yield name
        match type_:
            case GraphQLObjectType() | GraphQLInterfaceType():
                for field_name, field in type_.fields.items():
                    if not field.description:
                        yield f"{name}.{field_name}"
                    for argument_name, argument in field.args.items():
                        if not argument.description:
                            yield f"{name}.{field_name}({argument_name})"
            case GraphQLInputObjectType():
                yield from (f"{name}.{key}" for key, field in type_.fields.items() if not field.description)
            case GraphQLEnumType():
                yield from (f"{name}.{key}" for key, value in type_.values.items() if not value.description)
            case _:
                continue  # scalars and unions have no parts
