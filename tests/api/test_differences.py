"""What an edit would change, told by `previewRule` before it is saved."""

from tests.api.client import Client

PREVIEW = """
query ($rule: RuleInput!, $segment: ID) {
  previewRule(rule: $rule, segment: $segment) {
    size
    difference { ...difference }
    otherSegments { ...difference }
  }
}
fragment difference on SegmentDifference {
  segment { name }
  joining leaving
  joiningSample(first: 2) { key }
  leavingSample { key }
}
"""


async def test_a_preview_tells_what_saving_the_rule_would_change_here_and_elsewhere(client: Client) -> None:
    await client.field("Role")
    await client.upsert(
        {f"C{number}": {"role": "customer" if number % 2 else "staff"} for number in range(6)}
    )
    inner = await client.segment("Inner", 'role is "customer"')
    await client.segment("Outer", 'in none of (segment "Inner")')
    await client.segment("Elsewhere", 'role is "customer"')
    rule = {"expression": 'role is "staff"'}
    told = await client.data(PREVIEW, rule=rule, segment=inner)
    staff, customers = (
        [{"key": f"C{each}"} for each in (0, 2, 4)],
        [{"key": f"C{each}"} for each in (1, 3, 5)],
    )
    assert told == {
        "size": 3,
        "difference": {
            "segment": {"name": "Inner"},
            "joining": 3,
            "leaving": 3,
            "joiningSample": staff[:2],
            "leavingSample": customers,
        },
        "otherSegments": [
            {
                "segment": {"name": "Outer"},
                "joining": 3,
                "leaving": 3,
                "joiningSample": customers[:2],
                "leavingSample": staff,
            }
        ],
    }
    told = await client.data(PREVIEW, rule=rule)
    assert told == {"size": 3, "difference": None, "otherSegments": []}


async def test_what_could_not_be_saved_as_the_segments_rule_is_not_previewed_as_it(client: Client) -> None:
    inner = await client.segment("Inner", "email is empty")
    await client.segment("Outer", 'in any of (segment "Inner")')
    circle = {"expression": 'in any of (segment "Outer")'}
    assert await client.code(PREVIEW, rule=circle, segment=inner) == "INVALID_RULE"
    assert await client.code(PREVIEW, rule={"expression": "email is empty"}, segment="none") == "NOT_FOUND"
