"""An account's settings: time zone, region, first weekday, 29 February."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from domain.catalogue import Catalogue
from domain.definitions import Definitions, Draft
from domain.fields import Settings
from domain.store.definitions import Kind


class AccountSettings:
    """Reading is `Definitions.current().settings`; this edits them."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions

    async def update(self, **changes: Any) -> Settings:
        """Change the settings named. Stored values stay as they were normalised when they were written.

        Raises `InvalidValue`.
        """

        def decide(catalogue: Catalogue) -> Draft | None:
            wanted = replace(catalogue.settings, **changes)
            if wanted == catalogue.settings:
                return None
            return Draft(
                kind=Kind.SETTINGS, id="settings", version=catalogue.settings_version + 1, body=asdict(wanted)
            )

        return (await self._definitions.edit(decide)).settings
