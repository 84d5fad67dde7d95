"""The `sweep` command: its arguments, and the exit codes. What a command does and prints is in `sweeps/command/`."""

from __future__ import annotations

import contextlib
import enum
import errno
import gc
import json
import os
import re
import shlex
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from sweeps.command.signals import INTERRUPTED
from sweeps.command.terminal import Output, clean, leave_out_tracebacks_of_jax
from sweeps.errors import DiskError, SweepError
from sweeps.masking import masked
from sweeps.user_code import exit_refused
from sweeps.version import __version__

if TYPE_CHECKING:
    from rich.console import Console


class Format(enum.StrEnum):
    """What a sweep can be exported to."""

    OPTUNA = "optuna"


class Template(enum.StrEnum):
    """What a new project can begin with."""

    MNIST = "mnist"
    CSV = "csv"
    KERAS = "keras"
    FLAX = "flax"
    IMAGES = "images"
    SERIES = "series"


BUG, BAD_INPUT, NOTHING_COMPLETED, DISK = 1, 2, 3, 74
USAGE_ERROR: Any = typer.BadParameter.__base__
"""What typer raises of options and arguments that are not as they must be; it has no public name for it."""
_IN_OUR_WORDS = (
    (r"(?:Input should be greater than or equal to |\S+ is not in the range x>=)(\S+)", r"must be at least \1"),
    (r"Input should be a valid integer.*|'[^']*' is not a valid int.*", "must be a whole number"),
    (r"Input should be a valid number.*|'[^']*' is not a valid float.*", "must be a number"),
    (r"Value error, ", ""),
)
"""What typer says of a value, in the words of one version or another, and what is said instead."""

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
def init(
    project: Annotated[
        Path | None, typer.Argument(metavar="NAME", help="A new folder; the sweep has its name.")
    ] = None,
    template: Annotated[Template, typer.Option(help="What to begin with.")] = Template.MNIST,
) -> None:
    """Write a new project that runs as it is: a sweep, a model and, for some templates, data.

    Example: sweep init penguins --template csv
    """
    from sweeps.command import init as command_init

    command_init.command(_console(), project or Path(str(template)), str(template))


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

    Example: sweep run configs/mnist.yaml --trials 2 --set 'model.hidden=[32]'
    """
    from sweeps.command import run as command_run
    from sweeps.command.signals import Signals
    from sweeps.stop_request import StopRequest

    more = [] if trials is None else [f"budget.trials={trials}"]
    with Signals(StopRequest(minutes), _leave) as signals:
        end = command_run.run(
            _console(), file, results, [*(overrides or []), *more], signals, allow_changed=allow_changed
        )
    if end is command_run.End.NOTHING_COMPLETED:
        raise typer.Exit(NOTHING_COMPLETED)
    if end is command_run.End.STOPPED:
        command = clean(shlex.join(["sweep", *sys.argv[1:]]))
        typer.echo(f"stopped cleanly; `{command}` continues", err=True)
        raise typer.Exit(signals.exit_code)


@app.command()
def check(
    file: File,
    overrides: Overrides = None,
    strict: Annotated[bool, typer.Option("--strict", help="End with 2 where there is something to look at.")] = False,
) -> None:
    """Say what a sweep will do and what to look at, or list every mistake in its file.

    Example: sweep check configs/mnist.yaml
    """
    from sweeps.command import check as command_check

    command_check.check(_console(), file, overrides or [], is_strict=strict)


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

    Example: sweep show results/mnist --rows 5
    """
    from sweeps.command import show as command_show

    command_show.show(_console(), folder, rows)


@app.command()
def report(
    folder: Folder,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write it, if not in DIR.")
    ] = None,
) -> None:
    """Write a page with figures and tables of a sweep, for any browser, also while it runs.

    Example: sweep report results/mnist
    """
    from sweeps.command import report as command_report

    command_report.command(_console(), folder, output)


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
    folder: Folder,
    number: Annotated[int, typer.Argument(min=0, metavar="NUMBER", help="The trial's number.")],
    trust: Annotated[
        bool, typer.Option("--trust", help="Run what the folder names, though another person may have made it.")
    ] = False,
) -> None:
    """Train a finished trial again and say whether its numbers are the same. Exits 1 if they are not.

    Example: sweep replay results/mnist 0
    """
    from sweeps.command import replay as command_replay

    if not command_replay.command(_console(), folder, number, trusts=trust):
        raise typer.Exit(1)


@app.command()
def predict(
    folder: Annotated[Path, typer.Argument(help="A results folder, such as results/digits.")],
    inputs: Annotated[Path, typer.Argument(help="Rows, images, a series or a text, like those that trained.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The CSV file to write.")],
    trust: Annotated[
        bool, typer.Option("--trust", help="Run what the folder names, though another person may have made it.")
    ] = False,
) -> None:
    """Predict new rows with the best model of a sweep: a table or arrays, a folder of images, a series or a text.

    Example: sweep predict results/penguins configs/penguins.csv -o predictions.csv
    """
    from sweeps.command import predict as command_predict

    command_predict.command(_console(), folder, inputs, output, trusts=trust)


@app.command()
def export(
    folder: Folder,
    to: Annotated[Format, typer.Option(help="Whose format.")],
    storage: Annotated[str, typer.Option(metavar="URL", help="A database, such as sqlite:///study.db.")],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The study's name; the sweep's unless given.")
    ] = None,
) -> None:
    """Copy all trials of a sweep into a database of Optuna's, for its dashboard and its plots.

    Example: sweep export results/mnist --to optuna --storage sqlite:///study.db
    """
    from sweeps.command import export as command_export

    assert to is Format.OPTUNA
    command_export.command(_console(), folder, storage, name)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a sweep's file, for editors that complete and check.

    Example: sweep schema > sweep.schema.json
    """
    from sweeps.config import json_schema

    print(json.dumps(json_schema(), indent=2))


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
    _open_standard_streams()
    code: object = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    os._exit(code if isinstance(code, int) else int(code is not None))


def main() -> NoReturn:
    """The command as a function, which ends with `SystemExit`.

    A line and exit code 2 for what the user can put right, 74 where the disk refuses.
    """
    streams = sys.stdout, sys.stderr
    output, errors = Output(sys.stdout), Output(sys.stderr)
    sys.stdout, sys.stderr = output, errors
    leave_out_tracebacks_of_jax()
    code: str | int | None = BUG
    try:
        code = app(prog_name="sweep", standalone_mode=False) or 0
    except USAGE_ERROR as error:
        code = BAD_INPUT
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
        else:
            _print_errors([f"error: {_usage(error)}"])
    except typer.Abort:
        code = INTERRUPTED
    except SystemExit as ended:
        code = ended.code
        if refusal := exit_refused(ended):
            code = BAD_INPUT
            _print_errors([f"error: {refusal}"])
    except SweepError as error:
        _print_errors([f"error: {line}" for line in str(error).splitlines()])
        code = DISK if isinstance(error, DiskError) else BAD_INPUT
    except Exception:  # noqa: BLE001  (Python would print the same, secrets included)
        _print_errors(traceback.format_exc().splitlines())
    finally:
        lost = output.end()
        # A reader that has seen enough is no failure, and a sweep has its tables.
        if lost is not None and lost.errno != errno.EPIPE and not code and sys.argv[1:2] != ["run"]:
            _print_errors([f"error: the output cannot be written: {os.strerror(lost.errno or 0)}"])
            code = DISK
        errors.end()
        sys.stdout, sys.stderr = streams
    sys.exit(code)


def _usage(error: Any) -> str:
    """What is wrong with the command, in one line."""
    said = " ".join(str(error.format_message()).split())
    for pattern, ours in _IN_OUR_WORDS:
        said = re.sub(pattern, ours, said.removesuffix("."))
    command = error.ctx.command_path if error.ctx is not None else "sweep"
    return f"{said}{'' if said.endswith('?') else '.'} `{command} --help` says what it takes"


def _print_errors(lines: list[str]) -> None:
    for line in lines:
        print(clean(masked(line)), file=sys.stderr)


def _open_standard_streams() -> None:
    """Give streams that were closed (`>&-`) a place to go, or the next file that is opened would take theirs."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8")
