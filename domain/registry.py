"""The fields of an account: made, relabelled, given another type, and deleted.

Owns what may become of a field. One that rules use is neither deleted nor given another type, unless whoever does it says that the
segments may break: then their members stay as they are (`domain.breaking`). The definition goes first; only when the engine has
frozen what broke by it, the values that contacts hold are removed or converted, in the background. Held by
`tests/domain/test_definitions.py` and `tests/domain/test_breaking.py`.
"""

from __future__ import annotations

from dataclasses import replace

from domain.bodies import field_body
from domain.breaking import check_unread
from domain.catalogue import Catalogue
from domain.converting import Converter
from domain.definitions import Definitions, Draft
from domain.errors import InvalidField, LimitExceeded, NameTaken
from domain.fields import Field, FieldType, field_key
from domain.store.definitions import Kind
from domain.store.store import Store
from domain.sweeping import Sweeper

MAX_FIELDS = 1_000


class Fields:
    """One account's fields."""

    def __init__(
        self, store: Store, definitions: Definitions, sweeper: Sweeper, converter: Converter
    ) -> None:
        self._store = store
        self._definitions = definitions
        self._sweeper = sweeper
        self._converter = converter

    async def create(
        self, *, key: str | None, label: str, type: FieldType, options: tuple[str, ...] = ()
    ) -> Field:
        """Make a field; without a key, one is made of the label. Making the very same field again changes nothing.

        Raises `InvalidField`, `NameTaken`, `LimitExceeded`, and `Unavailable` where a field of the key was deleted, and its values
        cannot go before the engine has frozen what broke.
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
        self,
        key: str,
        *,
        label: str | None = None,
        options: tuple[str, ...] | None = None,
        type: FieldType | None = None,
        break_segments: bool = False,
    ) -> Field:
        """Change label, options or type. Values that an option no longer allows stay as they are; those of another type are
        converted in the background, as far as that goes (`domain.converting`).

        Raises `UnknownField`, `InvalidField`, and `FieldInUse` where segments would break by the new type that may not.
        """
        if type is not None and break_segments:
            await self._store.prepare_freezing()

        def decide(catalogue: Catalogue) -> Draft | None:
            known = catalogue.fields.require(key)
            wanted_type = known.type if type is None else type
            kept = known.options if wanted_type is FieldType.CHOICE else ()
            wanted = replace(
                known,
                label=known.label if label is None else label.strip(),
                type=wanted_type,
                options=kept if options is None else options,
            )
            if wanted.type is not known.type:
                if known.built_in:
                    raise InvalidField(f"“{key}” is built in and keeps its type.", path=("type",))
                if not break_segments:
                    check_unread(catalogue, key)
            return None if wanted == known else _draft(catalogue, wanted)

        catalogue = await self._definitions.edit(decide)
        field = catalogue.fields.require(key)
        retyping = catalogue.retyped.get(key)
        if retyping is not None and retyping.version == catalogue.field_versions[key]:
            await self._converter.convert(key)
        return field

    async def delete(self, key: str, *, break_segments: bool = False) -> None:
        """End the field, then remove its values in the background.

        Raises `UnknownField`, `InvalidField`, and `FieldInUse` where segments would break that may not.
        """
        if break_segments:
            await self._store.prepare_freezing()

        def decide(catalogue: Catalogue) -> Draft:
            field = catalogue.fields.require(key)
            if field.built_in:
                raise InvalidField(f"“{key}” is built in and cannot be deleted.", path=("key",))
            if not break_segments:
                check_unread(catalogue, key)
            return Draft(
                kind=Kind.FIELD, id=key, version=catalogue.field_versions.get(key, 0) + 1, deleted=True
            )

        await self._definitions.edit(decide)
        self._sweeper.remove_values(key)


def _draft(catalogue: Catalogue, field: Field) -> Draft:
    version = catalogue.field_versions.get(field.key, 0) + 1
    return Draft(kind=Kind.FIELD, id=field.key, version=version, body=field_body(field))
