"""The schema: its roots, and how it is put together and printed.

Owns what can be asked for at the top; one file for each subject beside it holds the rest. `schema.graphql` at the project's root is
printed from here (`python -m api schema`). Held by `tests/api/test_schema.py`, which compares the two and walks every
description.
"""

from __future__ import annotations

from typing import Annotated

import strawberry
from strawberry.schema.config import StrawberryConfig

from api.account_settings import Settings, SettingsMutations, to_settings
from api.audiences import Node
from api.campaigning import CampaignMutations
from api.campaigns import Campaign, CampaignQueries, campaign_of
from api.channels import ChannelMutations, ChannelQueries
from api.completions import RuleCompletion, completion_of
from api.connections import (
    After,
    Connection,
    First,
    Search,
    by_identifier,
)
from api.contacts import Contact, ContactMutations, load_contact, to_contact
from api.context import Info
from api.copies import CopyMutations, CopyQueries, GroupCopy, copy_of
from api.deliveries import Delivery, delivery_of
from api.documents import KnownDocuments
from api.executing import FreshForEachEvent, Schema
from api.exports import ExportMutations
from api.field_types import FieldType
from api.fields import Field, FieldMutations, FieldOperator, operators_for, to_field
from api.groups import Group, GroupMutations, group_of, to_group
from api.ids import Kind, find_id, read_id, require_id
from api.importing import ImportMutations
from api.imports import Import, ImportQueries, import_of
from api.limits import OperationLimits
from api.listing import by_name, named
from api.previews import RulePreview, to_preview
from api.replies import Reply, ReplyMutations, ReplyQueries, reply_of
from api.rules import RuleInput, rule_builder
from api.segments import Segment, SegmentMutations, segment_of, to_segment
from api.values import ATTRIBUTE_VALUE, AttributeValue
from api.watching import Subscription
from domain.errors import InvalidValue
from domain.searching import search_query


@strawberry.type(
    description="What can be read. Everything is of the caller's account, and as it is at this moment."
)
class Query(ImportQueries, CopyQueries, CampaignQueries, ChannelQueries, ReplyQueries):
    @strawberry.field(
        description="The thing of this identifier, of whichever type; null where there is none."
    )
    async def node(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The identifier.")]
    ) -> Node | None:
        match read_id(id):
            case (Kind.CONTACT, identifier):
                return await load_contact(info, identifier)
            case (Kind.GROUP, identifier):
                return await group_of(info, identifier)
            case (Kind.SEGMENT, identifier):
                return await segment_of(info, identifier)
            case (Kind.IMPORT, identifier):
                return await import_of(info, identifier)
            case (Kind.COPY, identifier):
                return await copy_of(info, identifier)
            case (Kind.CAMPAIGN, identifier):
                return await campaign_of(info, identifier)
            case (Kind.DELIVERY, identifier):
                return await delivery_of(info, identifier)
            case (Kind.REPLY, identifier):
                return await reply_of(info, identifier)
            case _:
                return None

    @strawberry.field(
        description="The account's fields: the built-in ones first, then in the order in which they were made."
    )
    async def fields(self, info: Info) -> list[Field]:
        return [to_field(field) for field in (await info.context.catalogue()).fields.values()]

    @strawberry.field(description="The account's settings.")
    async def settings(self, info: Info) -> Settings:
        return to_settings((await info.context.catalogue()).settings)

    @strawberry.field(description="One contact, by its identifier or by its key; null where there is none.")
    async def contact(
        self,
        info: Info,
        id: Annotated[strawberry.ID | None, strawberry.argument(description="Its identifier.")] = None,
        key: Annotated[
            str | None, strawberry.argument(description="The identifier that the account's own systems use.")
        ] = None,
    ) -> Contact | None:
        if (id is None) == (key is None):
            raise InvalidValue("Either “id” or “key” is wanted.", path=("id",))
        if id is not None:
            return await load_contact(info, find_id(id, Kind.CONTACT))
        found = await info.context.account.contacts.get_by_key((key or "").strip())
        return None if found is None else to_contact(found, await info.context.catalogue())

    @strawberry.field(description="Contacts, by a stable order that does not change while they do.")
    async def contacts(
        self,
        info: Info,
        first: First = 50,
        after: After = None,
        rule: Annotated[
            RuleInput | None, strawberry.argument(description="Only those that this rule matches.")
        ] = None,
        search: Annotated[
            str | None,
            strawberry.argument(
                description="Only those of whom each of these words stands in a name, the email address or the phone "
                "number, and the one whose key it is."
            ),
        ] = None,
    ) -> Connection[Contact]:
        contacts, catalogue = info.context.account.contacts, await info.context.catalogue()
        query = {}
        if rule is not None:
            query = catalogue.criterion_of(rule_builder(rule)(catalogue)).query(info.context.instant)
        if search is not None:
            query = (
                {"$and": [query, search_query(catalogue, search)]}
                if query
                else search_query(catalogue, search)
            )
        return await by_identifier(
            "contacts",
            lambda behind, limit: contacts.page(query, after=behind, limit=limit),
            lambda contact: to_contact(contact, catalogue),
            lambda: contacts.count(query),
            first=first,
            after=after,
        )

    @strawberry.field(description="One group; null where there is none.")
    async def group(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Its identifier.")]
    ) -> Group | None:
        return await group_of(info, find_id(id, Kind.GROUP))

    @strawberry.field(description="The static groups, by name.")
    async def groups(
        self, info: Info, first: First = 50, after: After = None, search: Search = None
    ) -> Connection[Group]:
        catalogue = await info.context.catalogue()
        found = by_name(catalogue.groups.values(), search)
        return named("groups", [to_group(group, catalogue) for group in found], first, after)

    @strawberry.field(description="One segment; null where there is none.")
    async def segment(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Its identifier.")]
    ) -> Segment | None:
        return await segment_of(info, find_id(id, Kind.SEGMENT))

    @strawberry.field(description="The dynamic segments, by name.")
    async def segments(
        self, info: Info, first: First = 50, after: After = None, search: Search = None
    ) -> Connection[Segment]:
        catalogue = await info.context.catalogue()
        found = by_name(catalogue.segments.values(), search)
        return named("segments", [to_segment(segment, catalogue) for segment in found], first, after)

    @strawberry.field(
        description="What a rule would select: size, a sample, its text, how many contacts its negative conditions take in for "
        "lack of a value, and what else its author should know. Nothing is saved."
    )
    async def preview_rule(
        self,
        info: Info,
        rule: Annotated[RuleInput, strawberry.argument(description="The rule.")],
        segment: Annotated[
            strawberry.ID | None,
            strawberry.argument(
                description="The segment whose rule it is to become, to be told what that would change."
            ),
        ] = None,
    ) -> RulePreview:
        catalogue = await info.context.catalogue()
        instead_of = None if segment is None else require_id(segment, Kind.SEGMENT, path=("segment",))
        return to_preview(rule_builder(rule)(catalogue), catalogue, instead_of)

    @strawberry.field(
        description="What may stand at a place in a rule's text: for editors that complete while people type. No text and no place "
        "is an error."
    )
    async def complete_rule(
        self,
        info: Info,
        expression: Annotated[str, strawberry.argument(description="The text so far.")],
        position: Annotated[
            int | None,
            strawberry.argument(
                description="The place: how many characters (Unicode code points) stand before it. Left out: the end."
            ),
        ] = None,
    ) -> RuleCompletion:
        return completion_of(expression, position, await info.context.catalogue())

    @strawberry.field(
        description="The operators for fields of a type. The contact's own times, `created` and `updated`, have those of "
        "`DATETIME`."
    )
    async def operators(
        self, type: Annotated[FieldType, strawberry.argument(description="The type of field.")]
    ) -> list[FieldOperator]:
        return operators_for(type)


@strawberry.type(
    description="What can be done. Everything is done in the caller's account, one after the other. What is refused is told in the "
    "payload, not as an error of the query."
)
class Mutation(
    FieldMutations,
    SettingsMutations,
    ContactMutations,
    GroupMutations,
    SegmentMutations,
    ImportMutations,
    ExportMutations,
    CopyMutations,
    CampaignMutations,
    ChannelMutations,
    ReplyMutations,
):
    pass


def make_schema() -> Schema:
    return Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[Contact, Group, Segment, Import, GroupCopy, Campaign, Delivery, Reply],
        extensions=[KnownDocuments, OperationLimits],
        execution_context_class=FreshForEachEvent,
        config=StrawberryConfig(scalar_map={AttributeValue: ATTRIBUTE_VALUE}),
    )


schema = make_schema()


def printed() -> str:
    """The schema as `schema.graphql` holds it."""
    return f"{schema.as_str()}\n"
