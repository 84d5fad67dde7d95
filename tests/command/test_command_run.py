"""The commands that a sweep needs never load pandas, which takes longer than all that they do with tables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sweeps.command.run import compiled
from sweeps.runner.progress import Progress

PROJECT = Path(__file__).parents[2]
CONFIG = """\
name: small
dataset: {use: linear_regression, rows: 200, features: 3}
model: {use: "models.linear:Linear"}
loss: mean_squared_error
optimizer: {use: sgd}
search_space:
  epochs: 2
  batch_size: 20
  learning_rate: {type: float, low: 0.01, high: 0.1, log: true}
objective: {metric: valid_loss, direction: minimize}
budget: {trials: 2}
"""
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
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert ended.stderr == ""
    return ended.stdout.splitlines()[-1].split()


def test_pandas_is_never_loaded_from_the_check_to_the_last_look(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(CONFIG)
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
    (tmp_path / "small.yaml").write_text(CONFIG)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    for name, said in [("first", "compiled once"), ("second", "taken from the cache")]:
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM, "run", "small.yaml", "--set", f"name={name}"],
            cwd=tmp_path,
            env={**environment, "PYTHONPATH": str(PROJECT), "XDG_CACHE_HOME": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert f"training program {said}" in ended.stdout
