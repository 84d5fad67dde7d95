"""The commands that a sweep needs never load pandas, which takes longer than all that they do with tables."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sweeping.commands import environment, short_config

from sweeps.command.run import MOST_WARNINGS, attended, compiled, summary
from sweeps.config import parse_config
from sweeps.log.trials import LoggedTrials
from sweeps.runner.progress import Progress
from sweeps.stop_request import StopRequest

PROGRAM = """\
import contextlib, sys
from sweeps.cli import main
with contextlib.suppress(SystemExit):
    main()
print(*sorted({"pandas", "pyarrow"} & sys.modules.keys()))
"""


def loaded(folder: Path, *arguments: str) -> list[str]:
    """Which of the libraries of tables a command has loaded by its end."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert ended.stderr == ""
    return ended.stdout.splitlines()[-1].split()


def test_pandas_is_never_loaded_from_the_check_to_the_last_look(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(short_config())
    assert loaded(tmp_path, "check", "small.yaml") == []
    assert loaded(tmp_path, "run", "small.yaml") == ["pyarrow"]
    assert (tmp_path / "results" / "small" / "trials.parquet").exists()
    assert loaded(tmp_path, "run", "small.yaml") == []
    assert loaded(tmp_path, "show", "results/small") == []


@pytest.mark.parametrize(
    ("compilations", "speed", "said"),
    [
        (0, 0.0, "not compiled"),
        (0, 2000.0, "taken from the cache, 2,000 examples/s"),
        (1, 2000.0, "compiled once, 2,000 examples/s"),
        (3, 0.0, "compiled 3 times"),
    ],
)
def test_a_program_that_trained_without_being_compiled_came_from_the_cache(
    compilations: int, speed: float, said: str
) -> None:
    last = Progress(2, 2, 0, 2, None, speed, None, {"completed": 2}, compilations, ())
    assert compiled(last) == said


def test_a_second_sweep_of_the_same_programs_takes_them_from_the_cache(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(short_config())
    ordinary = {name: value for name, value in environment().items() if not name.startswith("JAX_")}
    for name, said in [("first", "compiled once"), ("second", "taken from the cache")]:
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM, "run", "small.yaml", "--set", f"name={name}"],
            cwd=tmp_path,
            env={**ordinary, "XDG_CACHE_HOME": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert f"training program {said}" in ended.stdout


def progress(**changes: Any) -> Progress:
    fields: dict[str, Any] = dict(
        zip(Progress.__dataclass_fields__, (0, 9, 4, 4, None, 10.0, None, {}, 1, ()), strict=False)
    )
    return Progress(**{**fields, **changes})


def said(looks: list[Progress]) -> list[str]:
    console = Console(file=io.StringIO(), width=200)
    assert list(attended(console, iter(looks), StopRequest())) == looks
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # the file given above


def test_what_went_wrong_is_a_line_and_many_such_lines_are_cut() -> None:
    assert said([progress(), progress(warnings=("a", "b")), progress(warnings=("c",))]) == ["a", "b", "c"]
    many = tuple(map(str, range(MOST_WARNINGS + 5)))
    for looks in ([progress(warnings=many)], [progress(warnings=(each,)) for each in many]):
        *first, last = said(looks)
        assert first == list(many[:MOST_WARNINGS])
        assert last == "more such lines are left out; `sweep show` counts the failures by reason"


def test_a_run_that_was_stopped_counts_what_will_go_on() -> None:
    config = parse_config(short_config())
    stopped = progress(outcomes={"completed": 3}, done=3, is_stopped=True, under_way=(4, 64))
    console = Console(file=io.StringIO(), width=200)
    summary(console, config, Path("results/small"), LoggedTrials(), stopped, 13.0)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # the file given above
    assert lines[:2] == ["3 trials in 0:13: 3 completed", "under way 4 trials with 64 epochs, which will go on"]
    assert not any("no trial has completed" in line for line in lines)
