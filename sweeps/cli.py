"""The `sweep` command: parse, call, print. The rule: nothing is decided here or imported before it is used."""

from __future__ import annotations

import contextlib
import gc
import os
import shlex
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from sweeps.command.terminal import clean
from sweeps.errors import DiskError, SweepError
from sweeps.masking import masked
from sweeps.version import __version__

if TYPE_CHECKING:
    from rich.console import Console

BUG, BAD_INPUT, DISK = 1, 2, 74

app = typer.Typer(
    name="sweep",
    help="Hyperparameter sweeps that compile once.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The sweep's YAML file.")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A results folder, such as results/mnist.")]
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
    minutes: Annotated[
        float | None, typer.Option(min=0, metavar="N", help="Stop this run after N minutes; the next one continues.")
    ] = None,
    allow_changed: Annotated[
        bool, typer.Option("--allow-changed", help="Continue a sweep although its config has changed.")
    ] = False,
) -> None:
    """Run a sweep, or continue it.

    Example: sweep run configs/mnist.yaml --set search_space.epochs.high=4
    """
    from sweeps.command import run as command_run
    from sweeps.command.signals import Signals
    from sweeps.stop_request import StopRequest

    more = [] if trials is None else [f"budget.trials={trials}"]
    with Signals(StopRequest(minutes), _leave) as signals:
        is_stopped = command_run.run(
            _console(), file, results, [*(overrides or []), *more], signals, allow_changed=allow_changed
        )
    if is_stopped:
        command = clean(shlex.join(["sweep", *sys.argv[1:]]))
        typer.echo(f"stopped cleanly; `{command}` continues", err=True)
        raise typer.Exit(signals.exit_code)


@app.command()
def check(file: File, overrides: Overrides = None) -> None:
    """Say what a sweep will do, or list every mistake in its file.

    Example: sweep check configs/mnist.yaml
    """
    from sweeps.command import check as command_check

    command_check.check(_console(), file, overrides or [])


@app.command()
def plan(file: File, overrides: Overrides = None) -> None:
    """Say which programs a sweep needs, how many lanes they have and what padding costs, without training.

    Example: sweep plan configs/mnist.yaml
    """
    from sweeps.command import plan as command_plan

    command_plan.plan(_console(), file, overrides or [])


@app.command()
def summary(file: File, overrides: Overrides = None) -> None:
    """Show the layers of a sweep's models: what each gives and how many parameters it has.

    Example: sweep summary configs/mnist.yaml
    """
    from sweeps.command import summary as command_summary

    command_summary.command(_console(), file, overrides or [])


@app.command()
def show(
    folder: Folder,
    rows: Annotated[int, typer.Option(min=1, metavar="N", help="How many trials.")] = 10,
) -> None:
    """Show the best trials of a sweep as a table, also while it runs.

    Example: sweep show results/mnist
    """
    from sweeps.command import show as command_show

    command_show.show(_console(), folder, rows)


@app.command()
def doctor(
    folder: Folder,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make the tables, config.yaml and environment.json anew from the log.")
    ] = False,
) -> None:
    """Say what is damaged, missing or unfinished in a results folder. Exits 1 if something is wrong.

    Example: sweep doctor results/mnist
    """
    from sweeps.command import doctor as command_doctor

    if not command_doctor.command(_console(), folder, rebuild_first=rebuild):
        raise typer.Exit(1)


@app.command()
def replay(
    folder: Folder, number: Annotated[int, typer.Argument(min=0, metavar="NUMBER", help="The trial's number.")]
) -> None:
    """Train a finished trial again and say whether its numbers are the same. Exits 1 if they are not.

    Example: sweep replay results/mnist 17
    """
    from sweeps.command import replay as command_replay

    if not command_replay.command(_console(), folder, number):
        raise typer.Exit(1)


@app.command()
def predict(
    folder: Annotated[Path, typer.Argument(help="A results folder, such as results/digits.")],
    inputs: Annotated[Path, typer.Argument(help="Rows, images, a series or a text, like those that trained.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The CSV file to write.")],
) -> None:
    """Predict new rows with the best model of a sweep: a table or arrays, a folder of images, a series or a text.

    Example: sweep predict results/digits new.csv -o predictions.csv
    """
    from sweeps.command import predict as command_predict

    command_predict.command(_console(), folder, inputs, output)


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


def _leave(code: int) -> NoReturn:
    """At once, out of a signal handler: nothing has begun that would have to be ended."""
    with contextlib.suppress(OSError):
        os.write(2, b"stopped; the same command continues\n")
    os._exit(code)


def entry() -> NoReturn:
    """`main` as a process of its own.

    What is imported and traced stays to the end, so that looking for garbage in it is time lost: `sweep run` begins to
    look after its first progress, and only in what has come since. At the end the process leaves at once: to free one
    by one what the system frees as a whole takes Python 0.1 s.
    """
    gc.disable()
    code: object = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def main() -> None:
    """The command as a function: a line and exit code 2 for what the user can put right, 74 where the disk refuses."""
    try:
        app(prog_name="sweep")
    except SweepError as error:
        _tell([f"error: {line}" for line in str(error).splitlines()])
        sys.exit(DISK if isinstance(error, DiskError) else BAD_INPUT)
    except Exception:  # noqa: BLE001  (Python would print the same, secrets included)
        _tell(traceback.format_exc().splitlines())
        sys.exit(BUG)
    finally:
        _let_go_of_output()


def _tell(lines: list[str]) -> None:
    for line in lines:
        typer.echo(clean(masked(line)), err=True)


def _let_go_of_output() -> None:
    """Forget what a full disk has not taken of our output: Python would try again, and exit with a code of its own."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
