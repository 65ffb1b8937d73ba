"""The catalogue by itself: definitions in, effects out. What the engine makes of the effects is tested where it does."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from domain.audiences import Broken, frozen_mark, frozen_members
from domain.bodies import field_body, segment_body
from domain.catalogue import Catalogue
from domain.effects import Broke, Effect, Ended, Opened, Redefined
from domain.errors import BrokenSegment, NotFound, UnknownAudience
from domain.fields import Field, FieldType
from domain.referring import KnownAudiences
from domain.rules.text import parse, to_text
from domain.rules.tree import Limits
from domain.store.definitions import Definition, Kind
from domain.store.log import Reason

NOW = datetime(2026, 5, 3, 10, tzinfo=UTC)


class Account:
    """A catalogue to which definitions are applied one after the other, as a process meets them."""

    def __init__(self) -> None:
        self.catalogue = Catalogue("a")
        self.applied: list[Definition] = []
        for key in ("score", "size"):
            self.field(key, FieldType.NUMBER)
        self.field("role", FieldType.TEXT)

    def apply(self, kind: Kind, identifier: ObjectId | str, version: int, **more: Any) -> list[Effect]:
        definition = Definition(
            account="a",
            revision=self.catalogue.revision + 1,
            kind=kind,
            id=identifier,
            version=version,
            at=NOW,
            **{"deleted": False, "body": {}, **more},
        )
        self.applied.append(definition)
        return self.catalogue.apply(definition)

    def field(self, key: str, type_: FieldType | None) -> list[Effect]:
        """Make a field, give it another type, or (None) delete it."""
        version = self.catalogue.field_versions.get(key, 0) + 1
        if type_ is None:
            return self.apply(Kind.FIELD, key, version, deleted=True)
        body = field_body(Field(key=key, label=key, type=type_))
        return self.apply(Kind.FIELD, key, version, body=body)

    def segment(self, name: str, text: str | None) -> list[Effect]:
        """Save a segment, or its rule again; None deletes it."""
        identifier = self.catalogue.named(Kind.SEGMENT, name)
        known = None if identifier is None else self.catalogue.segments[identifier]
        version = 1 if known is None else known.version + 1
        if text is None:
            assert identifier is not None
            return self.apply(Kind.SEGMENT, identifier, version, deleted=True)
        catalogue = self.catalogue
        rule = parse(text, catalogue.fields, catalogue.settings, Limits(), KnownAudiences(catalogue))
        body = segment_body(name, None, rule, version)
        return self.apply(Kind.SEGMENT, identifier or ObjectId(), version, body=body)

    def rename(self, name: str, new: str) -> list[Effect]:
        segment = self.catalogue.segments[self.id(name)]
        body = segment_body(new, None, segment.rule, segment.rule_version)
        return self.apply(Kind.SEGMENT, segment.id, segment.version + 1, body=body)

    def id(self, name: str) -> ObjectId:
        identifier = self.catalogue.named(Kind.SEGMENT, name)
        assert identifier is not None
        return identifier

    def broken(self) -> dict[str, Broken]:
        return {
            segment.name: segment.broken for segment in self.catalogue.segments.values() if segment.broken
        }


@pytest.fixture
def account() -> Account:
    account = Account()
    account.segment("High", "score >= 5")
    account.segment("Staff", 'role is "staff"')
    account.segment("Outer", 'in any of (segment "High", segment "Staff")')
    account.segment("Outermost", 'in none of (segment "Outer") and size > 1')
    return account


def told(effects: list[Effect]) -> list[tuple[str, str]]:
    names = []
    for effect in effects:
        match effect:
            case Opened(audience=audience) | Ended(audience=audience):
                names.append((type(effect).__name__, audience.name))
            case Redefined(segment=segment) | Broke(segment=segment):
                names.append((type(effect).__name__, segment.name))
    return names


def test_a_lost_field_breaks_who_reads_it_and_who_refers_to_that_the_inner_one_first(
    account: Account,
) -> None:
    before = {name: account.catalogue.criterion(account.id(name)) for name in ("High", "Outer", "Outermost")}
    effects = account.field("score", None)
    assert told(effects) == [("Broke", "High"), ("Broke", "Outer"), ("Broke", "Outermost")]
    revision = account.catalogue.revision
    assert account.broken() == {
        "High": Broken(revision=revision, fields=("score",)),
        "Outer": Broken(revision=revision, segments=(account.id("High"),)),
        "Outermost": Broken(revision=revision, segments=(account.id("Outer"),)),
    }
    for effect, (name, criterion) in zip(effects, before.items(), strict=True):
        assert isinstance(effect, Broke)
        broken = account.broken()[name]
        assert effect.before == criterion
        assert effect.mark == frozen_members(account.id(name), broken)
        assert account.catalogue.criterion(account.id(name)).rule == effect.mark
    assert account.catalogue.broken == {account.id(name) for name in before}


def test_another_type_breaks_as_a_deletion_does_and_relabelling_does_not(account: Account) -> None:
    assert account.field("score", FieldType.NUMBER) == []
    assert told(account.field("score", FieldType.TEXT)) == [
        ("Broke", "High"),
        ("Broke", "Outer"),
        ("Broke", "Outermost"),
    ]


def test_a_field_keeps_its_place_among_the_others_when_it_is_edited(account: Account) -> None:
    order = list(account.catalogue.fields)
    account.field("score", FieldType.TEXT)
    account.field("size", FieldType.NUMBER)
    assert list(account.catalogue.fields) == order


def test_another_loss_adds_to_the_cause_and_changes_neither_members_nor_revision(account: Account) -> None:
    account.segment("Both", "score > 1 and size > 1")
    account.field("size", None)
    since = account.broken()["Both"].revision
    assert told(account.field("score", None)) == [("Broke", "High"), ("Broke", "Outer")]
    assert account.broken()["Both"] == Broken(revision=since, fields=("score", "size"))
    assert account.broken()["Outermost"] == Broken(
        revision=since, fields=("size",), segments=(account.id("Outer"),)
    )


def test_the_field_made_again_and_a_new_name_mend_nothing(account: Account) -> None:
    account.field("score", None)
    broken = account.broken()
    assert account.field("score", FieldType.NUMBER) == []
    assert account.rename("High", "Higher") == []
    assert account.field("score", FieldType.NUMBER) == []
    assert account.broken() == {
        "Higher": broken["High"],
        **{name: broken[name] for name in ("Outer", "Outermost")},
    }


def test_saving_the_rule_mends_the_segment_and_those_that_it_alone_had_broken(account: Account) -> None:
    account.segment("Both", 'in any of (segment "High") and score > 1')
    account.field("score", None)
    marks = {name: frozen_mark(account.id(name), broken) for name, broken in account.broken().items()}
    effects = account.segment("High", "size is 3")
    assert told(effects) == [("Redefined", "High"), ("Redefined", "Outer"), ("Redefined", "Outermost")]
    for effect, edited in zip(effects, (True, False, False), strict=True):
        assert isinstance(effect, Redefined)
        assert (effect.reason, effect.edited) == (Reason.RULE_EDITED, edited)
        assert effect.before.rule == frozen_members(
            effect.segment.id, Broken(revision=int(marks[effect.segment.name].partition(":")[2]))
        )
        assert effect.after == account.catalogue.criterion(effect.segment.id)
    assert list(account.broken()) == ["Both"]
    assert account.broken()["Both"].segments == ()
    assert account.catalogue.broken == {account.id("Both")}
    assert account.catalogue.spent_marks == {
        marks[name]: account.id(name) for name in ("High", "Outer", "Outermost")
    }


def test_the_very_same_rule_mends_once_its_field_is_there_again(account: Account) -> None:
    criterion = account.catalogue.criterion(account.id("Outermost"))
    account.field("score", None)
    account.field("score", FieldType.NUMBER)
    assert told(account.segment("High", "score >= 5"))[0] == ("Redefined", "High")
    assert account.catalogue.criterion(account.id("Outermost")) == criterion
    assert not account.broken()


def test_a_second_break_has_a_mark_of_its_own(account: Account) -> None:
    account.field("score", None)
    first = frozen_mark(account.id("High"), account.broken()["High"])
    account.segment("High", "size > 1")
    account.field("size", None)
    second = frozen_mark(account.id("High"), account.broken()["High"])
    assert first != second
    assert first in account.catalogue.spent_marks
    assert second not in account.catalogue.spent_marks


def test_the_deletion_of_a_broken_segment_spends_its_mark(account: Account) -> None:
    account.segment("Alone", "score is 1")
    account.field("score", None)
    mark = frozen_mark(identifier := account.id("Alone"), account.broken()["Alone"])
    assert told(account.segment("Alone", None)) == [("Ended", "Alone")]
    assert account.catalogue.spent_marks == {mark: identifier}
    assert identifier not in account.catalogue.broken
    with pytest.raises(NotFound):
        account.catalogue.criterion(identifier)


def test_settings_move_no_broken_segment(account: Account) -> None:
    account.field("score", None)
    body = {"time_zone": "Asia/Tokyo", "region": "JP", "first_weekday": "sunday", "leap_day": "march_1"}
    assert account.apply(Kind.SETTINGS, "settings", 1, body=body) == []


def test_what_a_rule_that_refers_to_a_broken_segment_decides_cannot_be_told(account: Account) -> None:
    catalogue = account.catalogue
    known = KnownAudiences(catalogue)
    rule = parse('in any of (segment "Outer")', catalogue.fields, catalogue.settings, Limits(), known)
    catalogue.criterion_of(rule)
    account.field("score", None)
    with pytest.raises(BrokenSegment, match="“Outer”, which is broken"):
        catalogue.criterion_of(rule)
    for name in ("Outermost", "Outer"):
        account.segment(name, None)
    with pytest.raises(UnknownAudience):
        catalogue.criterion_of(rule)


def test_a_broken_segment_is_found_on_those_who_carry_its_mark(account: Account) -> None:
    contact: dict[str, Any] = {"_id": ObjectId(), "normal": {"score": 9, "role": "staff", "size": 3}}

    def names(contact: Mapping[str, Any]) -> list[str]:
        return [segment.name for segment in account.catalogue.segments_of(contact, NOW)]

    assert names(contact) == ["High", "Outer", "Staff"]
    account.field("score", None)
    assert names(contact) == ["Staff"]
    mark = frozen_mark(account.id("High"), account.broken()["High"])
    assert names({**contact, "frozen": [mark]}) == ["High", "Staff"]
    assert account.catalogue.moved({**contact, "frozen": [mark]}, None, NOW) == [
        (account.id("Staff"), False),
        (account.id("High"), False),
    ]


def test_how_a_field_came_to_its_type_is_known_until_it_is_deleted(account: Account) -> None:
    catalogue = account.catalogue
    assert catalogue.retyped == {}
    account.field("score", FieldType.TEXT)
    account.field("score", FieldType.TEXT)
    retyping = catalogue.retyped["score"]
    assert (retyping.before, retyping.after, retyping.version) == (FieldType.NUMBER, FieldType.TEXT, 2)
    account.field("score", FieldType.TAGS)
    retyping = catalogue.retyped["score"]
    assert (retyping.before, retyping.after, retyping.version) == (FieldType.TEXT, FieldType.TAGS, 4)
    account.field("score", None)
    account.field("score", FieldType.DATE)
    assert catalogue.retyped == {}


def test_dependants_come_behind_what_they_refer_to(account: Account) -> None:
    account.segment("Diamond", 'in any of (segment "Outermost", segment "High")')
    catalogue = account.catalogue
    found = [catalogue.segments[each].name for each in catalogue.with_dependants([account.id("High")])]
    assert found == ["High", "Outer", "Outermost", "Diamond"]
    assert [segment.name for segment in catalogue.referrers(account.id("High"))] == ["Diamond", "Outer"]
    assert [segment.name for segment in catalogue.users("size")] == ["Outermost"]


def test_applying_what_is_known_changes_nothing_and_all_of_it_again_gives_the_same(account: Account) -> None:
    account.field("score", None)
    account.segment("High", "size is 3")
    account.field("size", FieldType.TEXT)
    assert account.catalogue.apply(account.applied[-1]) == []
    again = Catalogue("a")
    for definition in account.applied:
        again.apply(definition)
    assert again.segments == account.catalogue.segments
    assert again.broken == account.catalogue.broken
    assert again.spent_marks == account.catalogue.spent_marks
    assert again.retyped == account.catalogue.retyped
    for identifier in again.segments:
        assert again.criterion(identifier) == account.catalogue.criterion(identifier)
        assert to_text(again.segments[identifier].rule, KnownAudiences(again).name)
