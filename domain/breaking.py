"""Breaking: what the loss of a field means to segments. What is said before anybody loses one, and of a segment that did.

Owns the words. Which segments break, and when one is live again, is the catalogue's to say (`domain.catalogue`); that their
members stay is the engine's. Held by `tests/domain/test_breaking.py`.
"""

from __future__ import annotations

from domain.audiences import Broken, Segment
from domain.catalogue import Catalogue
from domain.errors import BrokenSegment, FieldInUse
from domain.fields import fold
from domain.referring import first_names
from domain.rules.tree import conditions


def check_unread(catalogue: Catalogue, key: str) -> None:
    """Raises `FieldInUse` where rules read the field: which segments would break, and which others along with them."""
    users = catalogue.users(key)
    if not users:
        return
    reading = [user.id for user in users]
    others = set(catalogue.with_dependants(reading)) - {*reading} - catalogue.broken
    along = sorted((catalogue.ruled[each] for each in others), key=lambda segment: fold(segment.name))
    they = f"they, and with them {first_names(along)} by reference," if along else "they"
    which = " and ".join(
        kind
        for kind, known in (("segment", catalogue.segments), ("campaign", catalogue.campaigns))
        if any(user.id in known for user in users)
    )
    those, them = (
        (f"These {which.replace(' and', 's and')}s use", "them")
        if len(users) > 1
        else (f"One {which} uses", "it")
    )
    raise FieldInUse(
        f"{those} the field “{key}”: {first_names(users)}. Edit or delete {them} first, or break {them} by saying"
        f" `breakSegments`: then {they} keep the members that they have until their rules are mended.",
        path=("key",),
    )


def why_broken(catalogue: Catalogue, segment: Segment, broken: Broken) -> BrokenSegment:
    """What a broken segment says of itself: the cause, and what is to be done about it."""
    causes = [_loss(catalogue, segment, key) for key in broken.fields]
    inner = first_names(catalogue.broken_among(segment.rule))
    if inner:
        causes.append(f"it refers to {inner}, which broke")
    if not broken.fields:
        remedy = f"It is live again as soon as {inner} is mended, or when a rule without that is saved."
    elif inner:
        remedy = f"Mend {inner}, then save its rule again as the fields are now; or save one without these."
    else:
        remedy = "Save its rule again, written for the fields as they are now."
    return BrokenSegment(
        f"The segment “{segment.name}” does not follow its rule any more, and its members stay as they are:"
        f" {'; '.join(causes)}. {remedy}"
    )


def _loss(catalogue: Catalogue, segment: Segment, key: str) -> str:
    field = catalogue.fields.get(key)
    if field is None:
        return f"the field “{key}” was deleted"
    read = {condition.subject.type for condition in conditions(segment.rule) if condition.subject.key == key}
    if field.type not in read:
        return f"the field “{key}” is of another type by now, {field.type}"
    return f"the field “{key}” was deleted, or of another type, and is there again"
