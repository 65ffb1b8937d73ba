"""The fields of an account: made, relabelled and deleted.

Owns what may become of a field. A field that a rule uses is not deleted: the segments that would break are named. The
definition goes first; the values that contacts still hold under it are removed afterwards, and no rule looks at them.
"""

from __future__ import annotations

from dataclasses import replace

from domain.catalogue import Catalogue, field_body
from domain.definitions import Definitions, Draft
from domain.errors import FieldInUse, InvalidField, LimitExceeded, NameTaken
from domain.fields import Field, FieldType, field_key
from domain.rules.tree import fields_used
from domain.store.definitions import Kind
from domain.sweeping import Sweeper

MAX_FIELDS = 1_000


class Fields:
    """One account's fields."""

    def __init__(self, definitions: Definitions, sweeper: Sweeper) -> None:
        self._definitions = definitions
        self._sweeper = sweeper

    async def create(
        self, *, key: str | None, label: str, type: FieldType, options: tuple[str, ...] = ()
    ) -> Field:
        """Make a field; without a key, one is made of the label. Making the very same field again changes nothing.

        Raises `InvalidField`, `NameTaken`, `LimitExceeded`.
        """
        made: list[Field] = []

        def decide(catalogue: Catalogue) -> Draft | None:
            wanted = Field(
                key=field_key(label, frozenset(catalogue.fields)) if key is None else key,
                label=label.strip(),
                type=type,
                options=options,
            )
            made[:] = [wanted]
            known = catalogue.fields.get(wanted.key)
            if known is not None:
                if replace(known, built_in=False) == wanted:
                    return None
                raise NameTaken(
                    f"There is a field “{wanted.key}” already, of type {known.type}.", path=("key",)
                )
            if len(catalogue.fields) >= MAX_FIELDS:
                raise LimitExceeded(f"An account has {MAX_FIELDS:,} fields at most. Delete one first.")
            return _draft(catalogue, wanted)

        known_before = await self._definitions.current()
        if key is not None and key in known_before.field_versions and key not in known_before.fields:
            # What a deleted field of this key left behind must not become values of the new one.
            await self._sweeper.removing_values(key)
        return (await self._definitions.edit(decide)).fields.require(made[0].key)

    async def update(
        self, key: str, *, label: str | None = None, options: tuple[str, ...] | None = None
    ) -> Field:
        """Change label or options. Values that an option no longer allows stay as they are.

        Raises `UnknownField`, `InvalidField`.
        """

        def decide(catalogue: Catalogue) -> Draft | None:
            known = catalogue.fields.require(key)
            wanted = replace(
                known,
                label=known.label if label is None else label.strip(),
                options=known.options if options is None else options,
            )
            return None if wanted == known else _draft(catalogue, wanted)

        return (await self._definitions.edit(decide)).fields.require(key)

    async def delete(self, key: str) -> None:
        """End the field, then remove its values in the background. Raises `UnknownField`, `InvalidField`, `FieldInUse`."""

        def decide(catalogue: Catalogue) -> Draft:
            field = catalogue.fields.require(key)
            if field.built_in:
                raise InvalidField(f"“{key}” is built in and cannot be deleted.", path=("key",))
            users = [
                segment.name for segment in catalogue.segments.values() if key in fields_used(segment.rule)
            ]
            if users:
                named = ", ".join(f"“{name}”" for name in sorted(users)[:10])
                more = f" and {len(users) - 10} more" if len(users) > 10 else ""
                raise FieldInUse(
                    f"These segments use the field “{key}”: {named}{more}. Edit or delete them first.",
                    path=("key",),
                )
            return Draft(
                kind=Kind.FIELD, id=key, version=catalogue.field_versions.get(key, 0) + 1, deleted=True
            )

        await self._definitions.edit(decide)
        self._sweeper.remove_values(key)


def _draft(catalogue: Catalogue, field: Field) -> Draft:
    version = catalogue.field_versions.get(field.key, 0) + 1
    return Draft(kind=Kind.FIELD, id=field.key, version=version, body=field_body(field))
