"""Rules over groups and segments: written by name and by identifier, read back as text, tree and sentence."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from api.ids import Kind, to_id
from tests.api.client import Client

PREVIEW = "query ($rule: RuleInput!) { previewRule(rule: $rule) { %s } }"


async def _renamed(client: Client, mutation: str, identifier: str, name: str) -> None:
    await client.do(mutation, {"id": identifier, "name": name}, "")


async def _edit(client: Client, segment: str, rule: str) -> dict[str, Any]:
    payload: dict[str, Any] = await client.attempt(
        "updateSegment", {"id": segment, "rule": {"expression": rule}}, "segment { version }"
    )
    return payload


@pytest.mark.parametrize("part", ["anyOf", "allOf", "noneOf"])
async def test_a_tree_refers_by_identifiers_and_its_text_by_names(client: Client, part: str) -> None:
    vips = await client.group("VIP")
    lapsed = await client.segment("Lapsed", "email is empty")
    tree = {"all": [{"expression": "phone is empty"}, {"memberOf": {part: [vips, lapsed, vips]}}]}
    text = f'phone is empty and in {part[:-2]} of (group "VIP", segment "Lapsed")'
    wanted = """
    expression words rule { all { expression memberOf {
      quantifier expression audiences { __typename id name ... on Segment { rule { expression } } }
    } } }
    """
    by_tree = await client.data(PREVIEW % wanted, rule=tree)
    by_text = await client.data(PREVIEW % wanted, rule={"expression": text.upper().replace("PHONE", "phone")})
    assert by_tree == by_text
    assert by_tree["expression"] == text
    assert "the group “VIP”" in by_tree["words"]
    first, second = by_tree["rule"]["all"]
    assert first["memberOf"] is None
    assert second["memberOf"] == {
        "quantifier": part[:-2].upper(),
        "expression": f'in {part[:-2]} of (group "VIP", segment "Lapsed")',
        "audiences": [
            {"__typename": "Group", "id": vips, "name": "VIP"},
            {
                "__typename": "Segment",
                "id": lapsed,
                "name": "Lapsed",
                "rule": {"expression": "email is empty"},
            },
        ],
    }


async def test_a_rule_over_groups_and_segments_selects_whom_they_hold(client: Client) -> None:
    contacts = await client.upsert(
        {"A": {"email": "a@x.org"}, "B": {}, "C": {"email": "c@x.org"}, "D": {"first_name": "Dee"}}
    )
    vips = await client.group("VIP")
    await client.regroup(vips, contacts["A"], contacts["B"])
    await client.segment("No email", "email is empty")
    await client.segment("Quiet", 'in any of (segment "No email") and in none of (group "VIP")')
    cases = {
        'in any of (group "VIP")': {"A", "B"},
        'in all of (group "VIP", segment "No email")': {"B"},
        'in any of (group "VIP", segment "No email")': {"A", "B", "D"},
        'in none of (group "VIP", segment "No email")': {"C"},
        'in any of (segment "Quiet")': {"D"},
        'not (in any of (segment "Quiet")) and email is not empty': {"A", "C"},
    }
    for text, keys in cases.items():
        rule = {"expression": text}
        found = await client.data(
            "query ($rule: RuleInput!) { contacts(rule: $rule) { nodes { key } totalCount } }", rule=rule
        )
        assert {contact["key"] for contact in found["nodes"]} == keys, text
        shown = await client.data(PREVIEW % "size sample { key } warnings { kind }", rule=rule)
        assert (shown["size"], {contact["key"] for contact in shown["sample"]}) == (len(keys), keys), text


async def test_what_is_taken_in_for_lack_of_a_value_is_counted_with_what_is_referred_to(
    client: Client,
) -> None:
    contacts = await client.upsert({"A": {}, "B": {}, "C": {"first_name": "Ann"}})
    await client.regroup(await client.group("VIP"), contacts["A"], contacts["C"])
    rule = {"expression": 'first_name is not "Bob" and in any of (group "VIP")'}
    shown = await client.data(
        PREVIEW % "takenInForLackOfAValue { contacts } warnings { kind about }", rule=rule
    )
    assert shown == {
        "takenInForLackOfAValue": [{"contacts": 1}],
        "warnings": [{"kind": "LACK_OF_A_VALUE", "about": None}],
    }
    rule = {"expression": 'in any of (group "VIP") and first_name is "a" and first_name is "b"'}
    (warning, *_) = (await client.data(PREVIEW % "warnings { kind parts }", rule=rule))["warnings"]
    assert warning == {"kind": "NEVER_MATCHES", "parts": ['first_name is "a"', 'first_name is "b"']}


async def test_renaming_breaks_no_rule_and_its_text_shows_the_new_name(client: Client) -> None:
    group, inner = await client.group("VIP"), await client.segment("Inner", "email is empty")
    outer = await client.segment("Outer", 'in none of (group "VIP", segment "Inner")')
    await _renamed(client, "updateGroup", group, "Very best")
    await _renamed(client, "updateSegment", inner, "No email")
    query = "query ($id: ID!) { segment(id: $id) { expression version rule { expression words } } }"
    text = 'in none of (group "Very best", segment "No email")'
    assert await client.data(query, id=outer) == {
        "expression": text,
        "version": 1,
        "rule": {
            "expression": text,
            "words": "Contacts who are in neither the group “Very best” nor the segment “No email”.",
        },
    }


async def test_a_circle_is_refused_with_the_way_round_spelled_out(client: Client) -> None:
    a = await client.segment("A", "email is empty")
    await client.segment("B", 'in any of (segment "A")')
    payload = await _edit(client, a, 'phone is empty or in any of (segment "B")')
    (error,) = payload["errors"]
    assert (error["code"], error["path"]) == ("INVALID_RULE", ["rule"])
    assert "“A” -> “B” -> “A”" in error["message"]
    assert payload["segment"] is None


async def test_a_rule_too_large_with_what_it_refers_to_is_refused(client: Client) -> None:
    fifty = " or ".join(f'first_name is "{number}"' for number in range(50))
    await client.segment("Inner", fifty)
    rule = {"expression": " or ".join(['in any of (segment "Inner") and email is empty'] * 60)}
    (error,) = (await client.attempt("createSegment", {"name": "A", "rule": rule}))["errors"]
    assert (error["code"], error["path"]) == ("LIMIT_EXCEEDED", ["rule"])
    assert "2,500 conditions" in error["message"]
    assert await client.code(PREVIEW % "words", rule=rule) == "LIMIT_EXCEEDED"


async def test_what_rules_refer_to_is_not_deleted(client: Client) -> None:
    group, inner = await client.group("VIP"), await client.segment("Inner", "email is empty")
    outer = await client.segment("Outer", 'in any of (group "VIP") or in any of (segment "Inner")')
    for mutation, identifier in (("deleteGroup", group), ("deleteSegment", inner)):
        payload = await client.attempt(mutation, {"id": identifier}, "deletedId")
        (error,) = payload["errors"]
        assert (error["code"], error["path"], payload["deletedId"]) == ("AUDIENCE_IN_USE", ["id"], None)
        assert "“Outer”" in error["message"]
    await client.do("deleteSegment", {"id": outer}, "deletedId")
    for mutation, identifier in (("deleteGroup", group), ("deleteSegment", inner)):
        assert (await client.do(mutation, {"id": identifier}, "deletedId"))["deletedId"] == identifier


UNKNOWN: list[tuple[dict[str, Any], list[str], str]] = [
    (
        {"expression": 'email is empty\nand in any of (group "VPI")'},
        ["rule", "expression"],
        "Line 2, column 22: There is no group “VPI”. Did you mean “VIP”?",
    ),
    (
        {"not": {"memberOf": {"noneOf": [to_id(Kind.GROUP, ObjectId())]}}},
        ["rule", "not", "memberOf", "noneOf", "0"],
        "There is no such group or segment. It may have been deleted.",
    ),
    (
        {"memberOf": {"allOf": [to_id(Kind.CONTACT, ObjectId())]}},
        ["rule", "memberOf", "allOf", "0"],
        "There is no such group or segment. It may have been deleted.",
    ),
]


@pytest.mark.parametrize(("rule", "path", "message"), UNKNOWN, ids=range(len(UNKNOWN)))
async def test_an_unknown_group_or_segment_is_refused_with_its_place(
    client: Client, rule: dict[str, Any], path: list[str], message: str
) -> None:
    await client.group("VIP")
    (error,) = (await client.attempt("createSegment", {"name": "A", "rule": rule}))["errors"]
    assert (error["code"], error["path"], error["message"]) == ("UNKNOWN_AUDIENCE", path, message)


async def test_another_accounts_audiences_are_unknown(client: Client, other_client: Client) -> None:
    group, segment = await other_client.group("VIP"), await other_client.segment("S", "email is empty")
    for given in ({"memberOf": {"anyOf": [group]}}, {"memberOf": {"anyOf": [segment]}}):
        assert await client.code(PREVIEW % "size", rule=given) == "UNKNOWN_AUDIENCE"
    (error,) = (await client.ask(PREVIEW % "size", rule={"expression": 'in any of (group "VIP")'}))["errors"]
    assert error["message"] == "Line 1, column 18: There is no group “VIP”."


@pytest.mark.parametrize(
    "given", [{}, {"anyOf": None}, {"anyOf": []}, {"anyOf": ["a"], "allOf": ["b"]}], ids=range(4)
)
async def test_a_membership_of_nothing_or_of_two_kinds_is_refused(
    client: Client, given: dict[str, Any]
) -> None:
    assert await client.code(PREVIEW % "size", rule={"memberOf": given}) in (
        "INVALID_RULE",
        "INVALID_REQUEST",
    )


async def test_a_text_is_completed_with_the_names_of_groups_and_segments(client: Client) -> None:
    await client.group("VIP")
    await client.segment("Very quiet", "email is empty")
    complete = """
    query ($expression: String!) {
      completeRule(expression: $expression) { start operand suggestions { text kind } }
    }
    """
    completion = await client.data(complete, expression="email is empty and in any of (v")
    assert completion == {
        "start": 30,
        "operand": None,
        "suggestions": [
            {"text": 'segment "Very quiet"', "kind": "AUDIENCE"},
            {"text": 'group "VIP"', "kind": "AUDIENCE"},
        ],
    }
    completion = await client.data(complete, expression='in any of (segment "')
    assert completion == {
        "start": 19,
        "operand": 'the name of a segment in double quotes, such as "VIP"',
        "suggestions": [{"text": '"Very quiet"', "kind": "AUDIENCE"}],
    }


async def test_an_explanation_looks_into_what_the_rule_refers_to(client: Client) -> None:
    contact = await client.contact("A", first_name="Ann")
    await client.group("VIP")
    await client.segment("Best", 'first_name is "Ann" and in any of (group "VIP")')
    outer = await client.segment("Outer", 'email is empty and in any of (segment "Best", group "VIP")')
    below = "condition { expression } membership { expression } holds value"
    query = f"""
    query ($id: ID!, $audience: ID!) {{ contact(id: $id) {{ explain(audience: $audience) {{
      member turning {{ expression }} turningGroups {{ name }}
      verdicts {{ {below} verdicts {{ {below} verdicts {{ {below} verdicts {{ {below} }} }} }} }}
    }} }} }}
    """
    explained = (await client.data(query, id=contact, audience=outer))["explain"]
    assert (explained["member"], explained["turning"], explained["turningGroups"]) == (
        False,
        [],
        [{"name": "VIP"}],
    )

    def shown(verdicts: list[dict[str, Any]]) -> list[tuple[str, bool, Any]]:
        return [
            (
                (verdict["condition"] or verdict["membership"])["expression"],
                verdict["holds"],
                shown(verdict.get("verdicts", [])) or verdict["value"],
            )
            for verdict in verdicts
        ]

    best = [('first_name is "ann"', True, "ann"), ('in any of (group "VIP")', False, None)]
    assert shown(explained["verdicts"]) == [
        ("email is empty", True, None),
        (
            'in any of (segment "Best", group "VIP")',
            False,
            [('in any of (segment "Best")', False, best), ('in any of (group "VIP")', False, None)],
        ),
    ]


async def test_an_explanation_says_when_time_alone_turns_what_the_rule_refers_to(client: Client) -> None:
    contact = await client.contact("A", first_name="Ann", birthdate="1990-01-01")
    await client.segment("Old", "birthdate more than 100 years ago")
    rest = await client.segment("Rest", 'in none of (segment "Old") and first_name is "Ann"')
    query = """
    query ($id: ID!, $audience: ID!) { contact(id: $id) { explain(audience: $audience) {
      member flips verdicts { holds turns verdicts { holds value turns } }
    } } }
    """
    leaves_at = "2090-01-02T00:00:00+00:00"
    assert (await client.data(query, id=contact, audience=rest))["explain"] == {
        "member": True,
        "flips": leaves_at,
        "verdicts": [
            {
                "holds": True,
                "turns": None,
                "verdicts": [{"holds": False, "value": "1990-01-01", "turns": leaves_at}],
            },
            {"holds": True, "turns": None, "verdicts": []},
        ],
    }
    await client.attempt("updateSettings", {"timeZone": "Europe/Berlin"}, "settings { timeZone }")
    moved = (await client.data(query, id=contact, audience=rest))["explain"]
    assert moved["flips"] == moved["verdicts"][0]["verdicts"][0]["turns"] == "2090-01-02T00:00:00+01:00"
