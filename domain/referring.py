"""Audiences that refer to each other: on an account's catalogue, by what names they go, what they mean, and who refers to whom.

Owns what a rule may refer to, and what may be deleted: nothing that a segment's rule or a campaign refers to. So no reference leads
nowhere, and none in a circle; each edit is decided on the very catalogue that it follows, so that two at once cannot make one
together. Held by `tests/domain/test_referring.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bson import ObjectId

from domain.audiences import Segment
from domain.catalogue import Catalogue
from domain.errors import AudienceInUse, ShoalError, UnknownAudience
from domain.rules.references import check_edit, referred
from domain.rules.tree import AudienceKind, AudienceRef, Rule
from domain.store.definitions import Kind

MOST_NAMED = 10


class KnownAudiences:
    """The groups and segments of a catalogue, as whoever builds, completes or writes a rule asks for them."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def named(self, kind: AudienceKind, name: str) -> ObjectId | None:
        return self._catalogue.named(Kind(kind.value), name)

    def kind_of(self, identifier: ObjectId) -> AudienceKind | None:
        if identifier in self._catalogue.groups:
            return AudienceKind.GROUP
        return AudienceKind.SEGMENT if identifier in self._catalogue.segments else None

    def names(self, kind: AudienceKind) -> Iterator[str]:
        known = self._catalogue.groups if kind is AudienceKind.GROUP else self._catalogue.segments
        return (audience.name for audience in known.values())

    def name(self, audience: AudienceRef) -> str:
        """Its name; its identifier where it is gone, as it can be for a rule that was edited since it was read."""
        known = self._catalogue.audience(audience.id)
        return str(audience.id) if known is None else known.name


def check_rule(catalogue: Catalogue, segment: ObjectId, name: str, rule: Rule) -> None:
    """Whether a segment, which may be new, can be given this name and rule, as far as what it refers to goes.

    Raises `UnknownAudience`, `BrokenSegment`, `InvalidRule` for a circle, and `LimitExceeded`, of segments that refer to this
    one, too.
    """
    known = KnownAudiences(catalogue)
    references = referred(rule)
    if any(known.kind_of(audience.id) is not audience.kind for audience in references):
        raise UnknownAudience(
            "The rule refers to a group or segment that is not there. It may have been deleted.",
            path=("rule",),
        )

    def name_of(other: ObjectId) -> str:
        return name if other == segment else catalogue.ruled[other].name

    try:
        check_edit(
            segment,
            rule,
            dependants=catalogue.with_dependants([segment])[1:] if segment in catalogue.ruled else (),
            rule_of=lambda other: catalogue.ruled[other].rule,
            name_of=name_of,
        )
        catalogue.criterion_of(rule)
    except ShoalError as error:
        raise error.at("rule") from None


def check_unused(catalogue: Catalogue, audience: AudienceRef) -> None:
    """Raises `AudienceInUse` where a segment's rule refers to it, or a campaign."""
    users = catalogue.referrers(audience.id)
    if not users:
        return
    said = f"the {audience.kind} “{KnownAudiences(catalogue).name(audience)}”"
    found = []
    segments = [user for user in users if user.id in catalogue.segments]
    if segments:
        refer = "The rules of these segments refer" if len(segments) > 1 else "The rule of one segment refers"
        found.append(f"{refer} to {said}: {first_names(segments)}.")
    campaigns = [user for user in users if user.id in catalogue.campaigns]
    if campaigns:
        reach = (
            "These campaigns include or exclude"
            if len(campaigns) > 1
            else "One campaign includes or excludes"
        )
        found.append(f"{reach} {said}: {first_names(campaigns)}.")
    them = "them" if len(users) > 1 else "it"
    raise AudienceInUse(f"{' '.join(found)} Edit or delete {them} first.", path=("id",))


def first_names(segments: Iterable[Segment]) -> str:
    """The first few names, and how many others there are: “A”, “B” and 3 more."""
    names = [segment.name for segment in segments]
    named = ", ".join(f"“{name}”" for name in names[:MOST_NAMED])
    return f"{named} and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else named
