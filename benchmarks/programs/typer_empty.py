"""The floor of a command line: a typer application of one empty command."""

import typer

app = typer.Typer()


@app.command()
def main() -> None:
    pass


app()
