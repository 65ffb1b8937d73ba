"""`schema`: prints the GraphQL schema, or compares it with what `schema.graphql` holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FILE = Path(__file__).parents[2] / "schema.graphql"


def add_to(commands: typer.Typer) -> None:
    commands.command("schema")(schema)


def schema(
    *,
    check: Annotated[
        bool,
        typer.Option("--check", help="Print nothing; fail where schema.graphql is not what the code says."),
    ] = False,
) -> None:
    """Print the GraphQL schema: python -m api schema > schema.graphql"""
    from api.schema import printed  # noqa: PLC0415 # the other commands start without it

    if not check:
        typer.echo(printed(), nl=False)
    elif not FILE.exists() or FILE.read_text(encoding="utf-8") != printed():
        typer.echo(
            f"{FILE.name} is not what the code says. Print it anew: python -m api schema > {FILE.name}",
            err=True,
        )
        raise typer.Exit(1)
