"""Options that several commands have."""

from typing import Annotated

import typer

RECONNECT = Annotated[
    int | None,
    typer.Option(
        "--reconnect", min=0, metavar="SECONDS", help="How long to try again when the connection breaks; else 300."
    ),
]
