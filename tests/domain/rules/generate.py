"""Rules of every operator and contacts of every type, drawn from one seed.

Values and operands come from the same pools, so that conditions are often just true or just false. Some contacts hold what no
normal form does: lists where a single value belongs, numbers where a text does, null.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any

from domain.errors import ShoalError
from domain.fields import Field, FieldRegistry, FieldType, Settings, normalize
from domain.rules.build import Unbound, UnboundAll, UnboundAny, UnboundCondition, UnboundNot, build
from domain.rules.operators import Operator, Reads, Shape, operators_of
from domain.rules.tree import Limits, Rule

SETTINGS = Settings(time_zone="Europe/Berlin")
LIMITS = Limits()

FIELDS = FieldRegistry(
    [
        Field(key="city", label="City", type=FieldType.TEXT),
        Field(key="not", label="A key word", type=FieldType.TEXT),
        Field(key="score", label="Score", type=FieldType.NUMBER),
        Field(key="2nd_score", label="A key that begins with a digit", type=FieldType.NUMBER),
        Field(key="newsletter", label="Newsletter", type=FieldType.BOOLEAN),
        Field(key="last_seen", label="Last seen", type=FieldType.DATETIME),
        Field(key="role", label="Role", type=FieldType.CHOICE, options=("Customer", "Staff", "Straße")),
        Field(key="free", label="A choice without options", type=FieldType.CHOICE),
        Field(key="interests", label="Interests", type=FieldType.TAGS),
    ]
)

TEXTS = [
    *(
        "a",
        "A",
        "ab",
        "b",
        "Acme  GmbH",
        " acme gmbh ",
        "acme",
        "gmbh",
        "Straße",
        "STRASSE",
        "strasse",
        "ſ",
        "s",
    ),
    *(
        "İ",
        "i̇",
        "I",
        "ı",
        "ﬁn",
        "fin",
        "Å",
        "Å",
        "ϓ",
        "ΐ",
        "ẞ",
        "ΣΑΣ",
        "σας",
        "ｆｕｌｌ",
        "½",
        "１",
        "1",
        "﷽",
        "e\u0301",
    ),
    *(
        ".",
        ".*",
        "a.b",
        "axb",
        "^a",
        "a$",
        "a\nb",
        "a b",
        "a\\b",
        "\\",
        "\\z",
        "[a]",
        "(a)",
        "a|b",
        "{2}",
        "a{2}",
        "aa",
    ),
    *(
        "a+",
        "a?",
        "$",
        "$where",
        "$gt",
        "#a",
        "a-b",
        "<a>",
        "&amp;",
        "~",
        "/a/",
        '"',
        "\\Qa\\E",
        "(?i)a",
        "`",
        "'",
    ),
    *(
        "😀",
        "😀😀",
        "\U0010ffff",
        "\U0010ffffa",
        "\ud7ff",
        "\ue000",
        "a\U0010ffff",
        "\u200b",
        "a\u200bb",
        "\x01",
        "\x7f",
    ),
    *("not", "and", "true", "null", "x" * 300, "a\u2028b", "é" * 150, "\ufffd", "ÿ", "\x80"),
]
EMAILS = [
    *("ann@example.org", "Ann@Example.ORG", "bob@sub.example.org", "eve@example.com", "x@exampleXorg.net"),
    *("ß@strasse.de", "a.b@straße.de", "a+b@münchen.de", "a_b@example.org", "'q@example.org"),
]
PHONES = [
    *(
        "(202) 224-3441",
        "+1 202 224 3441",
        "202-224-3442",
        "+49 30 901820",
        "+44 20 7946 0958",
        "+39 06 698 12345",
    ),
    "+12025550123",
]
NUMBERS: list[int | float] = [
    *(
        0,
        -0.0,
        1,
        1.0,
        1.5,
        -1,
        2,
        3,
        3.0,
        2.9999999999999996,
        7.5,
        100,
        1e300,
        -1e300,
        5e-324,
        0.1,
        0.1 + 0.2,
        0.3,
    ),
    *(
        2**53,
        2**53 + 1,
        float(2**53),
        float(2**53 + 2),
        2**63 - 1,
        2.0**63,
        -(2**63),
        2**62 + 1,
        float(2**62),
        1e19,
    ),
    *(2**31, -(2**31), 2**31 - 1),
]
DATES = [
    "0001-01-01",
    "0099-12-31",
    "1582-10-10",
    "1965-01-01",
    "1965-01-02",
    "2000-02-29",
    "2020-02-29",
    "9999-12-31",
]
INSTANTS = [
    *("0001-01-01T00:00:00Z", "1600-02-29T12:00:00Z", "1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00Z"),
    *(
        "2026-05-03T10:00:00+02:00",
        "2026-05-03T08:00:00Z",
        "2026-05-03T08:00:00.001Z",
        "2026-05-03T07:59:59.9999Z",
    ),
    "9999-12-31T23:59:59.999Z",
]
CHOICES = ["Customer", "customer ", "STAFF", "Staff", "strasse"]
TAGS = ["Shoes", "shoes ", "Hats", "boots", "Straße", "strasse", "a.b", "$a", "😀", "x"]

POOLS: Mapping[FieldType, list[Any]] = {
    FieldType.TEXT: TEXTS,
    FieldType.EMAIL: EMAILS,
    FieldType.PHONE: PHONES,
    FieldType.NUMBER: NUMBERS,
    FieldType.BOOLEAN: [True, False],
    FieldType.DATE: DATES,
    FieldType.DATETIME: INSTANTS,
    FieldType.CHOICE: CHOICES,
    FieldType.TAGS: TAGS,
}

# What another program could leave under `normal`, although no normal form is like it.
ODD: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        1,
        1.0,
        3,
        float("nan"),
        float("inf"),
        "",
        "a",
        "a\n",
        "\na",
        "ann@example.org\n",
        "acme\n",
    ),
    *([], ["a"], ["a", 1], [1, 5], [0, 100], [None], [None, "a"], [True], [["a"]], ["ann@example.org", "z"]),
    *(
        {},
        {"a": 1},
        "1965-01-01",
        ["1900-01-01", "2100-01-01"],
        "customer",
        ["customer"],
        "shoes",
        [["shoes"]],
    ),
    datetime(2026, 5, 3, 8, tzinfo=UTC),
    [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)],
]


def contact(random: Random, *, odd: float = 0.1, tame: bool = False) -> dict[str, Any]:
    """A contact's document as it is stored, without account; `odd` is the share of values that no field has.

    `tame` leaves out what SecantusDB finds or misses otherwise than MongoDB when it answers from an index: doubles of a
    magnitude from 1e128 on or below 1e-128 (their exponent overflows in its keys), and lists whose elements satisfy the
    two ends of a span only together.
    """
    normal: dict[str, Any] = {}
    for field in FIELDS.values():
        draw = random.random()
        if draw < odd:
            value = random.choice(ODD)
            if not (tame and isinstance(value, list) and len(value) > 1):
                normal[field.key] = value
        elif draw < 0.75:
            value = random.choice(POOLS[field.type])
            if field.type is FieldType.TAGS:
                value = random.sample(TAGS, random.randint(1, 4))
            if tame and field.type is FieldType.NUMBER and value and not 1e-128 <= abs(value) < 1e128:
                continue
            entry = normalize(field, value, SETTINGS)
            if entry is not None:
                normal[field.key] = entry.normal
    document: dict[str, Any] = {"created": _instant(random), "updated": _instant(random)}
    if normal or random.random() < 0.5:
        document["normal"] = normal
    return document


def _instant(random: Random) -> datetime:
    entry = normalize(_INSTANT, random.choice(INSTANTS), SETTINGS)
    assert entry is not None
    assert isinstance(entry.normal, datetime)
    return entry.normal


_INSTANT = Field(key="instant", label="Instant", type=FieldType.DATETIME)

SUBJECTS = {
    **{key: field.type for key, field in FIELDS.items()},
    "created": FieldType.DATETIME,
    "updated": FieldType.DATETIME,
}


def condition(random: Random, key: str, operator: Operator) -> Rule:
    """A condition of this operator on this field."""
    while True:
        try:
            return build(_unbound(random, key, operator), FIELDS, SETTINGS, LIMITS)
        except ShoalError:
            # Ends the wrong way round, or a text that folds to nothing: drawn again.
            continue


def _unbound(random: Random, key: str, operator: Operator) -> UnboundCondition:
    row = operator.value
    count = {Shape.NONE: 0, Shape.ONE: 1, Shape.TWO: 2, Shape.MANY: random.randint(1, 4)}[row.shape]
    return UnboundCondition(
        field=key,
        operator=operator,
        operands=[_operand(random, SUBJECTS[key], row.reads) for _ in range(count)],
        include_missing=random.choice([True, False, None]) if row.negative else None,
    )


def _operand(random: Random, type_: FieldType, reads: Reads) -> Any:
    value = random.choice(POOLS[type_])
    match reads:
        case Reads.VALUE:
            return value
        case Reads.DOMAIN:
            return value.partition("@")[2]
        case Reads.PART:
            if type_ is FieldType.PHONE:
                value = "".join(character for character in value if character in "+0123456789")
            start = random.choice([0, random.randrange(len(value))])
            return value[start : random.choice([None, random.randint(start + 1, len(value))])]


def rule(random: Random, depth: int = 3) -> Rule:
    """A rule of any shape, at most so deep."""
    while True:
        try:
            return build(_tree(random, depth), FIELDS, SETTINGS, LIMITS)
        except ShoalError:
            continue


def _tree(random: Random, depth: int) -> Unbound:
    if depth == 0 or random.random() < 0.3:
        key = random.choice([*SUBJECTS])
        return _unbound(random, key, random.choice(operators_of(SUBJECTS[key])))
    match random.randrange(3):
        case 0:
            return UnboundAll(children=[_tree(random, depth - 1) for _ in range(random.randint(1, 4))])
        case 1:
            return UnboundAny(children=[_tree(random, depth - 1) for _ in range(random.randint(1, 4))])
        case _:
            return UnboundNot(child=_tree(random, depth - 1))
