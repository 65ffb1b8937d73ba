import pytest

from domain.rules.build import Unbound, UnboundAll, UnboundAny, UnboundNot
from domain.rules.canonical import to_text
from domain.rules.operators import operators_of
from domain.rules.text import parse
from domain.rules.tree import Rule
from domain.rules.warnings import Kind, cautions
from tests.domain.rules.generate import FIELDS, LIMITS, SETTINGS, SUBJECTS, Generator


def _rule(text: str) -> Rule:
    return parse(text, FIELDS, SETTINGS, LIMITS)


def _found(text: str) -> list[tuple[str, str]]:
    return [(caution.kind.name, " ; ".join(map(to_text, caution.parts))) for caution in cautions(_rule(text))]


NEVER = [
    'city is "a" and city is "b"',
    'city is "a" and city is not "a"',
    'city is "a" and city is empty',
    "city is empty and city is not empty",
    'city is empty and city is not "a" excluding missing',
    'city is any of ("a", "b") and city is none of ("a", "b", "c")',
    'city is "abc" and city does not contain "b"',
    'city contains "abc" and city does not contain "b"',
    'city starts with "ab" and city starts with "ac"',
    'city starts with "ab" and city does not start with "a"',
    'city ends with "ab" and city ends with "bb"',
    'city ends with "ab" and not (city ends with "b")',
    'city contains "a" and city is empty',
    'email domain is any of ("x.org") and email domain is any of ("y.org", "z.org")',
    'email domain is any of ("x.org") and email domain is none of ("x.org", "y.org")',
    'email domain is any of ("x.org", "y.org") and email does not end with "org"',
    'email is "a@x.org" and email domain is any of ("y.org")',
    "score < 3 and score > 3",
    "score < 3 and score >= 3",
    "score > 3 and score < 3.0000000000000004",
    "score > 9223372036854775806 and score < 9223372036854775807",
    "score between 1 and 2 and score between 3 and 4",
    "score > 1 and score < 5 and score is none of (2, 3) and score is any of (2, 3)",
    "score is 1 and (score is 2 or score is 3)",
    "newsletter is true and newsletter is false",
    "newsletter is not true excluding missing and newsletter is not false excluding missing",
    "birthdate before 0001-01-01",
    "birthdate after 2020-01-01 and birthdate before 2020-01-02",
    "last_seen after 2020-01-01T00:00:00Z and last_seen before 2020-01-01T00:00:00.001Z",
    "created before 2020-01-01T00:00:00Z and created at or after 2020-01-01T00:00:00Z",
    'interests has all of ("a", "b") and interests lacks any of ("a", "b")',
    'interests has any of ("a", "b") and interests has none of ("a", "b")',
    'interests has all of ("a") and interests is empty',
    'role is "staff" and role is "customer"',
    "not (city is empty or city is not empty)",
    'city is empty and (score is 1 and score is 2 or role is "staff" and role is empty)',
]
POSSIBLE = [
    "score > 3 and score < 3.000000000000001",
    "score > 9007199254740992 and score < 9007199254740994",
    "score > 9223372036854775805 and score < 9223372036854775807",
    "birthdate after 2020-01-01 and birthdate before 2020-01-03",
    "last_seen after 2020-01-01T00:00:00Z and last_seen before 2020-01-01T00:00:00.002Z",
    'interests has any of ("a", "b") and interests lacks any of ("a", "b")',
    'interests has all of ("a") and interests has all of ("b")',
    'city starts with "ab" and city ends with "ba"',
    'city contains "a" and city does not contain "ab"',
    'city starts with "a" and city does not start with "ab"',
    'city is not "a" and city is not "b"',
    'city does not contain "a" and city is empty',
    'not (city is not "a" excluding missing) and city is empty',
    "newsletter is not true and newsletter is not false",
    'email domain is any of ("x.org", "y.org") and email domain is none of ("x.org")',
    'email domain is any of ("x.org") and email ends with "sub.x.org"',
    'city is "a" and email is "b@x.org"',
]


@pytest.mark.parametrize("text", NEVER)
def test_what_no_contact_can_match_is_told(text: str) -> None:
    (caution,) = cautions(_rule(text))
    assert caution.kind is Kind.NEVER_MATCHES
    assert caution.about == _rule(text)
    assert caution.message.endswith("The whole rule matches nobody.")


@pytest.mark.parametrize("text", POSSIBLE)
def test_what_a_contact_can_match_is_not_told_to_match_nobody(text: str) -> None:
    assert [kind for kind, _ in _found(text) if kind != "ADDS_NOTHING"] == []


@pytest.mark.parametrize(
    "text",
    [
        "city is empty or city is not empty",
        'city is "a" or city is not "a"',
        "score < 3 or score >= 3 or score is empty",
        "not (newsletter is true and newsletter is not true)",
        'city contains "b" or city does not contain "abc"',
        'interests has any of ("a", "b") or interests has none of ("a", "b")',
        "score is empty or score > 1 or score <= 2",
    ],
)
def test_what_every_contact_matches_is_told(text: str) -> None:
    (caution,) = cautions(_rule(text))
    assert caution.kind is Kind.ALWAYS_MATCHES
    assert caution.message.endswith("The whole rule matches every contact.")


@pytest.mark.parametrize(
    ("text", "needless", "because"),
    [
        ("score > 1 and score > 2", "score > 1", "score > 2"),
        ("score > 2 and score > 1", "score > 1", "score > 2"),
        ("score > 1 or score > 2", "score > 2", "score > 1"),
        ('city is "a" and city is not empty', "city is not empty", 'city is "a"'),
        ('city is "a" or city is any of ("a", "b")', 'city is "a"', 'city is any of ("a", "b")'),
        ('city contains "abc" and city contains "b"', 'city contains "b"', 'city contains "abc"'),
        ('city starts with "abc" or city contains "b"', 'city starts with "abc"', 'city contains "b"'),
        ('city is "a" and role is empty and city is "a"', 'city is "a"', 'city is "a"'),
        (
            "(city is empty or score is 1) and role is empty and (city is empty or score is 1)",
            "city is empty or score is 1",
            "city is empty or score is 1",
        ),
        ("score >= 1 and score > 1", "score >= 1", "score > 1"),
        ("score >= 1 and not (score < 1)", "not (score < 1)", "score >= 1"),
        (
            'role is "staff" and role is not "customer"',
            'role is not "customer" including missing',
            'role is "staff"',
        ),
        (
            'interests has any of ("a", "b") and interests has all of ("a", "c")',
            'interests has any of ("a", "b")',
            'interests has all of ("a", "c")',
        ),
    ],
)
def test_what_adds_nothing_is_told(text: str, needless: str, because: str) -> None:
    assert _found(text) == [("ADDS_NOTHING", f"{needless} ; {because}")]


def test_what_only_several_together_make_needless_is_told_with_all_of_them() -> None:
    assert _found("score <= 3 and score >= 3 and score is any of (3, 4)") == [
        ("ADDS_NOTHING", "score is any of (3, 4) ; score <= 3 ; score >= 3")
    ]


def test_a_part_of_the_rule_is_told_as_a_part() -> None:
    (caution,) = cautions(_rule('city is "a" or score is 1 and score is 2'))
    assert caution.message == (
        "No contact matches “score is 1” and “score is 2” at once. "
        "The part “score is 1 and score is 2” matches nobody."
    )


def test_messages_are_sentences() -> None:
    def said(text: str) -> list[str]:
        return [caution.message for caution in cautions(_rule(text))]

    assert said("score is 1 or score is not 1") == [
        "Every contact matches “score is 1” or “score is not 1 including missing”, one or the other. "
        "The whole rule matches every contact."
    ]
    assert said("score > 1 and score > 2") == [
        "“score > 1” changes nothing: it holds wherever “score > 2” does."
    ]
    assert said("score > 1 or score > 2") == [
        "“score > 2” adds nobody: wherever it holds, so does “score > 1”."
    ]
    assert said("score > 1 and score > 1") == ["“score > 1” stands here twice. Once is enough."]
    assert said(f'not (city is "a" and city is "{"b" * 200}")') == [
        f'No contact matches “city is "a"” and “city is "{"b" * 111}…” at once. The whole rule matches every contact.'
    ]


@pytest.mark.parametrize("text", ["city is empty", 'role is "staff" and score > 3 or email is empty'])
def test_of_an_ordinary_rule_nothing_is_told(text: str) -> None:
    assert cautions(_rule(text)) == []


class _Narrow(Generator):
    """Draws rules about one or two fields, so that their conditions have to do with each other."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.keys = self.random.sample([*SUBJECTS], self.random.choice([1, 1, 2]))

    def tree(self, depth: int) -> Unbound:
        if depth == 0 or self.random.random() < 0.3:
            key = self.random.choice(self.keys)
            operator = self.random.choice(operators_of(SUBJECTS[key]))
            include_missing = self.random.choice([True, False]) if operator.value.negative else None
            return self._unbound(key, operator, include_missing)
        match self.random.randrange(5):
            case 0:
                return UnboundNot(child=self.tree(depth - 1))
            case 1 | 2:
                return UnboundAny(children=[self.tree(depth - 1) for _ in range(self.random.randint(2, 4))])
            case _:
                return UnboundAll(children=[self.tree(depth - 1) for _ in range(self.random.randint(2, 4))])
