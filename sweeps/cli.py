"""The `sweep` command: parse, call, print. The rule: nothing is decided here or imported before it is used."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeps.errors import SweepError
from sweeps.version import __version__

if TYPE_CHECKING:
    from rich.console import Console

BAD_INPUT, INTERRUPTED = 2, 130

app = typer.Typer(
    name="sweep",
    help="Hyperparameter sweeps that compile once.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The sweep's YAML file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Replace any value of the file, such as budget.trials=8."),
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sweep {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Hyperparameter sweeps that compile once."""


@app.command()
def run(
    file: File,
    results: Annotated[Path, typer.Option(metavar="DIR", help="Where results go: DIR/<name>/.")] = Path("results"),
    overrides: Overrides = None,
    trials: Annotated[int | None, typer.Option(metavar="N", help="The same as --set budget.trials=N.")] = None,
) -> None:
    """Run a sweep, or continue it.

    Example: sweep run configs/mnist.yaml --set search_space.epochs.high=4
    """
    from sweeps.command import run as command_run

    more = [] if trials is None else [f"budget.trials={trials}"]
    try:
        command_run.run(_console(), file, results, [*(overrides or []), *more])
    except KeyboardInterrupt:
        typer.echo("stopped; the same command continues", err=True)
        raise typer.Exit(INTERRUPTED) from None


@app.command()
def check(file: File, overrides: Overrides = None) -> None:
    """Say what a sweep will do, or list every mistake in its file.

    Example: sweep check configs/mnist.yaml
    """
    from sweeps.command import check as command_check

    command_check.check(_console(), file, overrides or [])


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A results folder, such as results/mnist.")],
    rows: Annotated[int, typer.Option(min=1, metavar="N", help="How many trials.")] = 10,
) -> None:
    """Show the best trials of a sweep as a table, also while it runs.

    Example: sweep show results/mnist
    """
    from sweeps.command import show as command_show

    command_show.show(_console(), folder, rows)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a sweep's file, for editors that complete and check.

    Example: sweep schema > sweep.schema.json
    """
    import json

    from sweeps.config import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def main() -> None:
    """The entry point: one line and exit code 2 for anything that the user can put right.

    What is imported and traced stays to the end, so that looking for garbage in it, at the end again, is time lost.
    """
    gc.disable()
    try:
        app(prog_name="sweep")
    except SweepError as error:
        for line in str(error).splitlines():
            typer.echo(f"error: {line}", err=True)
        sys.exit(BAD_INPUT)
    finally:
        gc.freeze()
