"""Rules of every operator and contacts of every type, drawn from one seed.

Values and operands come from the same pools, so that conditions are often just true or just false; aimed at rules and an
instant, dates and points in time lie at the edges of what moving conditions say there. Some contacts hold what no normal form
does: lists where a single value belongs, numbers where a text does, null. Rules refer to groups and segments where that is
asked for.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import cycle
from random import Random
from typing import Any, assert_never

from bson import ObjectId

from domain.errors import ShoalError
from domain.fields import Field, FieldRegistry, FieldType, LeapDay, Settings, Weekday, fold, normalize
from domain.rules.build import (
    IdentifiedAudience,
    NamedAudience,
    Unbound,
    UnboundAll,
    UnboundAny,
    UnboundCondition,
    UnboundMembership,
    UnboundNot,
    build,
)
from domain.rules.calendar import Now
from domain.rules.moving import at
from domain.rules.operators import Operator, Reads, Shape, operators_of, units_of
from domain.rules.references import follow
from domain.rules.tree import AudienceKind, AudienceRef, Limits, Quantifier, Rule, conditions

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

# Of milliseconds: what is just before a point in time, and just behind it.
_STEPS = [0, 0, 0, -1, 1, 999, -1_000, 1_000, -3_600_000, 3_600_000, -86_400_000, 86_400_000]

COUNTS = [1, 1, 2, 3, 7, 11, 12, 29, 30, 31, 52, 53, 90, 365, 366, 100_000]

# What another program could leave under `anniversaries`, although no day of the year is like it.
ODD_MARKS: list[Any] = [
    None, 5, "", "13", "02-30", "05", "12-31x", [], ["02-29"], [None], ["01-01", "12-31"], ["02-28", "03-01", "x"], {"a": "05-01"},
]

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


def _now(instant: str, time_zone: str, first_weekday: Weekday, leap_day: LeapDay) -> Now:
    settings = Settings(time_zone=time_zone, first_weekday=first_weekday, leap_day=leap_day)
    return Now(instant=datetime.fromisoformat(instant), settings=settings)


# Just before, at, and just behind changes of the clocks, days that are skipped or begin late, leap days both ways, ends of years
# and of the calendar.
NOWS = [
    _now(instant, time_zone, first_weekday, leap_day)
    for (instant, time_zone), first_weekday, leap_day in zip(
        [
            ("2026-05-03T08:00:00Z", "UTC"),
            ("2026-03-29T00:59:59Z", "Europe/Berlin"),
            ("2026-10-25T01:00:00Z", "Europe/Berlin"),
            ("2026-03-08T06:59:59Z", "America/New_York"),
            ("2026-11-01T05:30:00Z", "America/New_York"),
            ("2026-04-23T22:00:00Z", "Africa/Cairo"),
            ("2018-11-04T02:59:59Z", "America/Sao_Paulo"),
            ("2011-12-30T09:59:59Z", "Pacific/Apia"),
            ("2010-11-07T02:45:00Z", "America/St_Johns"),
            ("2024-02-29T12:00:00Z", "Asia/Kathmandu"),
            ("2025-02-28T12:00:00Z", "UTC"),
            ("2025-02-28T23:00:00Z", "Europe/Berlin"),
            ("2025-03-01T12:00:00Z", "UTC"),
            ("2025-12-31T22:59:59Z", "Europe/Berlin"),
            ("2026-01-03T12:00:00Z", "Pacific/Kiritimati"),
            ("2026-05-31T12:00:00Z", "America/Los_Angeles"),
            ("2027-12-25T12:00:00Z", "UTC"),
            ("0001-01-02T00:00:00Z", "America/New_York"),
            ("9999-12-30T23:59:59Z", "Asia/Tokyo"),
        ],
        cycle([Weekday.MONDAY, Weekday.SUNDAY, Weekday.SATURDAY]),
        cycle([LeapDay.FEBRUARY_28, LeapDay.MARCH_1]),
        strict=False,
    )
]

_INSTANT = Field(key="instant", label="Instant", type=FieldType.DATETIME)

SUBJECTS = {
    **{key: field.type for key, field in FIELDS.items()},
    "created": FieldType.DATETIME,
    "updated": FieldType.DATETIME,
}


# Groups and segments, some of them of one name.
GROUP_NAMES = ("VIP", "Staff - Active", 'the "best"', "a\\b", "Ü-30 😀")
SEGMENT_NAMES = ("VIP", "Lapsed", "and", "in any of (group", "a\u200bb")


NAMES = (
    *((AudienceKind.GROUP, name) for name in GROUP_NAMES),
    *((AudienceKind.SEGMENT, name) for name in SEGMENT_NAMES),
)


class KnownAudiences:
    """The groups and segments that rules refer to."""

    def __init__(self) -> None:
        self.known = {
            AudienceRef(kind=kind, id=ObjectId(f"{number:024x}")): name
            for number, (kind, name) in enumerate(NAMES)
        }

    def name(self, audience: AudienceRef) -> str:
        return self.known[audience]

    def of(self, kind: AudienceKind) -> list[AudienceRef]:
        return [audience for audience in self.known if audience.kind is kind]

    def named(self, kind: AudienceKind, name: str) -> ObjectId | None:
        return next((each.id for each in self.of(kind) if fold(self.known[each]) == fold(name)), None)

    def kind_of(self, identifier: ObjectId) -> AudienceKind | None:
        return next((each.kind for each in self.known if each.id == identifier), None)

    def names(self, kind: AudienceKind) -> Iterable[str]:
        return [self.known[each] for each in self.of(kind)]


AUDIENCES = KnownAudiences()


class Generator:
    """Draws contacts and rules; the same ones for the same seed.

    `refers` draws segments, too, whose rules refer to groups and to those before them, as the other rules do; contacts are in
    groups then.

    `tame` leaves out what SecantusDB finds or misses otherwise than MongoDB when it answers from an index: doubles of a
    magnitude from 1e128 on or below 1e-128 (their exponent overflows in its keys), and lists whose elements satisfy the
    two ends of a span only together.
    """

    def __init__(self, seed: int, *, tame: bool = False, refers: bool = False) -> None:
        self.random = Random(seed)
        self.referable: list[AudienceRef] = []
        self.segments: dict[ObjectId, Rule] = {}
        self.pools = {**POOLS, FieldType.NUMBER: NUMBERS} if tame else POOLS
        self.odd, self.odd_marks = (
            [value for value in odd if not (tame and isinstance(value, list) and len(value) > 1)]
            for odd in (ODD, ODD_MARKS)
        )
        self._edges: dict[str, list[Any]] = {}
        if refers:
            self.refer()

    def refer(self) -> None:
        self.referable += AUDIENCES.of(AudienceKind.GROUP)
        for segment in AUDIENCES.of(AudienceKind.SEGMENT):
            self.segments[segment.id] = self.rule(depth=1)
            self.referable.append(segment)

    def followed(self, rule: Rule) -> Rule:
        return follow(rule, self.segments.__getitem__)

    def now(self) -> Now:
        return self.random.choice(NOWS)

    def aim(self, rules: Iterable[Rule], *nows: Now) -> None:
        """From now on dates and points in time often lie at the edges of what these rules say at these instants."""
        for rule in map(self.followed, rules):
            for now in nows:
                for condition in conditions(at(rule, now)):
                    if condition.subject.type in (FieldType.DATE, FieldType.DATETIME):
                        self._edges.setdefault(condition.subject.key, []).extend(condition.operands)

    def contact(self, *, odd: float = 0.1) -> dict[str, Any]:
        """A contact's document as it is stored, without account; `odd` is the share of values that no field has."""
        normal: dict[str, Any] = {}
        anniversaries: dict[str, Any] = {}
        for field in FIELDS.values():
            draw = self.random.random()
            if draw < odd:
                normal[field.key] = self.random.choice(self.odd)
                if field.type is FieldType.DATE:
                    anniversaries[field.key] = self.random.choice(self.odd_marks)
            elif draw < 0.75:
                value = self.random.choice(self.pools[field.type])
                if field.type is FieldType.TAGS:
                    value = self.random.sample(TAGS, self.random.randint(1, 4))
                entry = normalize(field, value, SETTINGS)
                if entry is not None:
                    normal[field.key] = self._near(field.key, entry.normal)
                    if field.type is FieldType.DATE:
                        anniversaries[field.key] = normal[field.key][5:]
        document: dict[str, Any] = {key: self._near(key, self._instant()) for key in ("created", "updated")}
        if normal or self.random.random() < 0.5:
            document["normal"] = normal
        if anniversaries or self.random.random() < 0.5:
            document["anniversaries"] = anniversaries
        if self.segments:
            document["groups"] = self._groups(odd)
        return document

    def _groups(self, odd: float) -> Any:
        groups = [group.id for group in AUDIENCES.of(AudienceKind.GROUP)]
        if self.random.random() < odd:
            lone = self.random.choice(groups)
            return self.random.choice(
                [None, lone, str(lone), [str(lone), lone], [[lone]], [None, lone], 7, {}]
            )
        return self.random.sample(groups, self.random.randint(0, 3))

    def _near(self, key: str, value: Any) -> Any:
        """A value near one of the edges, where there are some; else this one."""
        edges = self._edges.get(key)
        if not edges or self.random.random() < 0.2:
            return value
        edge = self.random.choice(edges)
        try:
            if isinstance(edge, datetime):
                return edge + timedelta(milliseconds=self.random.choice(_STEPS))
            year = self.random.choice(["1999-", "2000-"]) if len(edge) == len("MM-DD") else ""
            day = date.fromisoformat(year + edge)
            return (day + timedelta(days=self.random.choice([0, 0, 0, -1, 1, -2, 2]))).isoformat()
        except (OverflowError, ValueError):
            # Beyond the calendar, or 29 February of a year that has none.
            return value

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
                return build(self._tree(depth), FIELDS, SETTINGS, LIMITS, AUDIENCES)
            except ShoalError:
                continue

    def _tree(self, depth: int) -> Unbound:
        if depth == 0 or self.random.random() < 0.3:
            if self.referable and self.random.random() < 0.4:
                return self.membership()
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

    def membership(self) -> UnboundMembership:
        drawn = self.random.choices(self.referable, k=self.random.randint(1, 3))
        return UnboundMembership(
            quantifier=self.random.choice([*Quantifier]), audiences=[*map(self._audience, drawn)]
        )

    def _audience(self, audience: AudienceRef) -> NamedAudience | IdentifiedAudience:
        if self.random.random() < 0.5:
            return IdentifiedAudience(audience=audience)
        return NamedAudience(kind=audience.kind, name=AUDIENCES.name(audience))

    def _unbound(self, key: str, operator: Operator, include_missing: bool | None) -> UnboundCondition:  # noqa: FBT001
        row = operator.value
        count = {Shape.NONE: 0, Shape.ONE: 1, Shape.TWO: 2, Shape.MANY: self.random.randint(1, 4)}[row.shape]
        return UnboundCondition(
            field=key,
            operator=operator,
            operands=[self._operand(SUBJECTS[key], row.reads) for _ in range(count)],
            include_missing=include_missing,
        )

    def _operand(self, type_: FieldType, reads: Reads) -> Any:  # once for each kind of operand
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
            case Reads.SPAN:
                unit = self.random.choice(units_of(reads, type_))
                return f"{self.random.choice(COUNTS)} {unit}{self.random.choice(['', 's'])}"
            case Reads.PERIOD:
                return self.random.choice(units_of(reads, type_)).value
            case Reads.MONTH:
                return self.random.randint(1, 12)
            case _:
                assert_never(reads)
