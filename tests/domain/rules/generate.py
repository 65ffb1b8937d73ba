"""Rules of every operator and contacts of every type, drawn from one seed.

Values and operands come from the same pools, so that conditions are often just true or just false. Some contacts hold what no
normal form does: lists where a single value belongs, numbers where a text does, null.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any, assert_never

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

# fmt: off
TEXTS = [
    "a", "A", "ab", "b", "Acme  GmbH", " acme gmbh ", "acme", "gmbh", "Straße", "STRASSE", "strasse", "ſ", "s", "İ", "i̇", "I",
    "ı", "ﬁn", "fin", "Å", "\u212b", "ϓ", "ΐ", "ẞ", "ΣΑΣ", "σας", "ｆｕｌｌ", "½", "１", "1", "﷽", "e\u0301", ".", ".*", "a.b",
    "axb", "^a", "a$", "a\nb", "a b", "a\\b", "\\", "\\z", "[a]", "(a)", "a|b", "{2}", "a{2}", "aa", "a+", "a?", "$", "$where",
    "$gt", "#a", "a-b", "<a>", "&amp;", "~", "/a/", '"', "\\Qa\\E", "(?i)a", "`", "'", "😀", "😀😀", "\U0010ffff", "\U0010ffffa",
    "\ud7ff", "\ue000", "a\U0010ffff", "\u200b", "a\u200bb", "\x01", "\x7f", "not", "and", "true", "null", "x" * 300,
    "a\u2028b", "é" * 150, "\ufffd", "ÿ", "\x80",
]
EMAILS = [
    "ann@example.org", "Ann@Example.ORG", "bob@sub.example.org", "eve@example.com", "x@exampleXorg.net", "ß@strasse.de",
    "a.b@straße.de", "a+b@münchen.de", "a_b@example.org", "'q@example.org",
]
PHONES = [
    "(202) 224-3441", "+1 202 224 3441", "202-224-3442", "+49 30 901820", "+44 20 7946 0958", "+39 06 698 12345", "+12025550123",
]
NUMBERS: list[int | float] = [
    0, -0.0, 1, 1.0, 1.5, -1, 2, 3, 3.0, 2.9999999999999996, 7.5, 100, 1e100, -1e100, 1e-100, 0.1, 0.1 + 0.2, 0.3, 1e19, 2.0**63,
    2**53, 2**53 + 1, float(2**53), float(2**53 + 2), 2**62 + 1, float(2**62), 2**63 - 1, -(2**63), 2**31, -(2**31), 2**31 - 1,
]
EXTREME_NUMBERS = [1e300, -1e300, 5e-324, -5e-324]
DATES = ["0001-01-01", "0099-12-31", "1582-10-10", "1965-01-01", "1965-01-02", "2000-02-29", "2020-02-29", "9999-12-31"]
INSTANTS = [
    "0001-01-01T00:00:00Z", "1600-02-29T12:00:00Z", "1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00Z",
    "2026-05-03T10:00:00+02:00", "2026-05-03T08:00:00Z", "2026-05-03T08:00:00.001Z", "2026-05-03T07:59:59.9999Z",
    "9999-12-31T23:59:59.999Z",
]
CHOICES = ["Customer", "customer ", "STAFF", "Staff", "strasse"]
TAGS = ["Shoes", "shoes ", "Hats", "boots", "Straße", "strasse", "a.b", "$a", "😀", "x"]

# What another program could leave under `normal`, although no normal form is like it.
ODD: list[Any] = [
    None, True, False, 0, 1, 1.0, 3, float("nan"), float("inf"), "", "a", "a\n", "\na", "ann@example.org\n", "acme\n", [], ["a"],
    ["a", 1], [1, 5], [0, 100], [None], [None, "a"], [True], [["a"]], ["ann@example.org", "z"], {}, {"a": 1}, "1965-01-01",
    ["1900-01-01", "2100-01-01"], "customer", ["customer"], "shoes", [["shoes"]], datetime(2026, 5, 3, 8, tzinfo=UTC),
    [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)],
]
# fmt: on

POOLS: Mapping[FieldType, list[Any]] = {
    FieldType.TEXT: TEXTS,
    FieldType.EMAIL: EMAILS,
    FieldType.PHONE: PHONES,
    FieldType.NUMBER: [*NUMBERS, *EXTREME_NUMBERS],
    FieldType.BOOLEAN: [True, False],
    FieldType.DATE: DATES,
    FieldType.DATETIME: INSTANTS,
    FieldType.CHOICE: CHOICES,
    FieldType.TAGS: TAGS,
}

_INSTANT = Field(key="instant", label="Instant", type=FieldType.DATETIME)

SUBJECTS = {
    **{key: field.type for key, field in FIELDS.items()},
    "created": FieldType.DATETIME,
    "updated": FieldType.DATETIME,
}


class Generator:
    """Draws contacts and rules; the same ones for the same seed.

    `tame` leaves out what SecantusDB finds or misses otherwise than MongoDB when it answers from an index: doubles of a
    magnitude from 1e128 on or below 1e-128 (their exponent overflows in its keys), and lists whose elements satisfy the
    two ends of a span only together.
    """

    def __init__(self, seed: int, *, tame: bool = False) -> None:
        self.random = Random(seed)
        self.pools = {**POOLS, FieldType.NUMBER: NUMBERS} if tame else POOLS
        self.odd = [value for value in ODD if not isinstance(value, list) or len(value) < 2] if tame else ODD

    def contact(self, *, odd: float = 0.1) -> dict[str, Any]:
        """A contact's document as it is stored, without account; `odd` is the share of values that no field has."""
        normal: dict[str, Any] = {}
        for field in FIELDS.values():
            draw = self.random.random()
            if draw < odd:
                normal[field.key] = self.random.choice(self.odd)
            elif draw < 0.75:
                value = self.random.choice(self.pools[field.type])
                if field.type is FieldType.TAGS:
                    value = self.random.sample(TAGS, self.random.randint(1, 4))
                entry = normalize(field, value, SETTINGS)
                if entry is not None:
                    normal[field.key] = entry.normal
        document: dict[str, Any] = {"created": self._instant(), "updated": self._instant()}
        if normal or self.random.random() < 0.5:
            document["normal"] = normal
        return document

    def _instant(self) -> datetime:
        entry = normalize(_INSTANT, self.random.choice(INSTANTS), SETTINGS)
        assert entry is not None
        assert isinstance(entry.normal, datetime)
        return entry.normal

    def condition(self, key: str, operator: Operator, *, include_missing: bool | None = None) -> Rule:
        """A condition of this operator on this field."""
        while True:
            try:
                return build(self._unbound(key, operator, include_missing), FIELDS, SETTINGS, LIMITS)
            except ShoalError:
                # Ends the wrong way round, or a text that folds to nothing: drawn again.
                continue

    def rule(self, depth: int = 3) -> Rule:
        """A rule of any shape, at most so deep."""
        while True:
            try:
                return build(self._tree(depth), FIELDS, SETTINGS, LIMITS)
            except ShoalError:
                continue

    def _tree(self, depth: int) -> Unbound:
        if depth == 0 or self.random.random() < 0.3:
            key = self.random.choice([*SUBJECTS])
            operator = self.random.choice(operators_of(SUBJECTS[key]))
            include_missing = self.random.choice([True, False, None]) if operator.value.negative else None
            return self._unbound(key, operator, include_missing)
        match self.random.randrange(3):
            case 0:
                return UnboundAll(children=[self._tree(depth - 1) for _ in range(self.random.randint(1, 4))])
            case 1:
                return UnboundAny(children=[self._tree(depth - 1) for _ in range(self.random.randint(1, 4))])
            case _:
                return UnboundNot(child=self._tree(depth - 1))

    def _unbound(self, key: str, operator: Operator, include_missing: bool | None) -> UnboundCondition:  # noqa: FBT001
        row = operator.value
        count = {Shape.NONE: 0, Shape.ONE: 1, Shape.TWO: 2, Shape.MANY: self.random.randint(1, 4)}[row.shape]
        return UnboundCondition(
            field=key,
            operator=operator,
            operands=[self._operand(SUBJECTS[key], row.reads) for _ in range(count)],
            include_missing=include_missing,
        )

    def _operand(self, type_: FieldType, reads: Reads) -> Any:
        value = self.random.choice(self.pools[type_])
        match reads:
            case Reads.VALUE:
                return value
            case Reads.DOMAIN:
                return value.partition("@")[2]
            case Reads.PART:
                if type_ is FieldType.PHONE:
                    value = "".join(character for character in value if character in "+0123456789")
                start = self.random.choice([0, self.random.randrange(len(value))])
                return value[start : self.random.choice([None, self.random.randint(start + 1, len(value))])]
            case _:
                assert_never(reads)
