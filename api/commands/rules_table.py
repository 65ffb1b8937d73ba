"""`rules-table`: prints the table of operators that `docs/rules.md` ends with."""

from __future__ import annotations

import typer


def add_to(commands: typer.Typer) -> None:
    commands.command("rules-table")(rules_table)


def rules_table() -> None:
    """Print the table of operators for docs/rules.md."""
    from domain.rules.table import operator_table  # noqa: PLC0415 # the other commands start without it

    typer.echo(operator_table(), nl=False)
