"""The command line: `python -m api COMMAND`."""

from __future__ import annotations

import typer

from api.commands import demo, doctor, export, import_, rules_table, schema, serve

commands = typer.Typer(
    name="shoal",
    help="Keeps segments of contacts true, and tells whoever watches as they change.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (serve, demo, import_, export, doctor, schema, rules_table):
    command.add_to(commands)


def main() -> None:
    commands()


if __name__ == "__main__":
    main()
