"""What is kept of an import in its job, and read again by whoever goes on with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import Enum
from typing import Any

from domain.fields import Field, FieldType
from domain.imports.dates import DateOrder
from domain.imports.detection import FileFormat
from domain.imports.mapping import FieldChoice, Target
from domain.imports.options import Match, Mode, Options
from domain.imports.suggesting import Column


def plain(value: Any) -> Any:
    """As the database keeps it."""
    match value:
        case Enum():
            return value.value
        case dict():
            return {key: plain(each) for key, each in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
        case Options() | Column() | FileFormat():
            return plain(asdict(value))
        case _:
            return value


def options_from(document: Mapping[str, Any]) -> Options:
    """What `plain` made of them, read again."""
    choices = tuple(
        FieldChoice(
            header=each["header"],
            key=each["key"],
            type=None if each["type"] is None else FieldType(each["type"]),
            dates=None if each["dates"] is None else DateOrder(each["dates"]),
        )
        for each in document["choices"]
    )
    read = {
        "match": Match(document["match"]),
        "mode": Mode(document["mode"]),
        "dates": None if document["dates"] is None else DateOrder(document["dates"]),
        "choices": choices,
        "left_out": tuple(document["left_out"]),
    }
    return Options(**{**document, **read})


def from_target(target: Target) -> dict[str, Any]:
    """As the database keeps it, for `targets_from`."""
    return {
        "position": target.position,
        "name": target.name,
        "key": target.field.key,
        "label": target.field.label,
        "type": target.field.type.value,
        "made": target.made,
        "dates": None if target.dates is None else target.dates.value,
    }


def targets_from(stored: Sequence[Mapping[str, Any]], known: Mapping[str, Field]) -> tuple[Target, ...]:
    """The columns as they were when the run began. A field that changed its type since is found when a batch is written."""
    targets = []
    for each in stored:
        field = Field(key=each["key"], label=each["label"], type=FieldType(each["type"]))
        there = known.get(field.key)
        if there is not None and there.type is field.type:
            field = there
        dates = None if each["dates"] is None else DateOrder(each["dates"])
        targets.append(
            Target(position=each["position"], name=each["name"], field=field, made=each["made"], dates=dates)
        )
    return tuple(targets)
