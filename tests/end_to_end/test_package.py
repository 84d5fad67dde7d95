"""What `import sweeps` offers, and how little each command loads before it answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import sweeps

PROJECT = Path(__file__).parents[2]
HEAVY = {"jax", "optax", "flax", "optuna", "pandas", "pyarrow", "numpy", "scipy", "pydantic", "yaml", "rich", "typer"}
MADE_UP = """\
name: made-up
dataset: linear_regression
model: {use: "models.linear:Linear"}
loss: mean_squared_error
optimizer: sgd
search_space: {epochs: 1, batch_size: 0, learning_rate: 0.1}
objective: {metric: valid_loss, direction: minimize}
budget: {trials: 1}
"""


def loaded(program: str, *arguments: str, exits: int = 0) -> set[str]:
    """Those of the heavy libraries that a fresh Python has loaded at the end of `program`."""
    report = f"import atexit, json, sys\natexit.register(lambda: print(json.dumps(sorted(sys.modules))))\n{program}"
    command = [sys.executable, "-c", report, *arguments]
    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == exits, ended.stderr
    return HEAVY & set(json.loads(ended.stdout.splitlines()[-1]))


def command(*arguments: str, exits: int = 0) -> set[str]:
    return loaded("from sweeps.cli import main; main()", *arguments, exits=exits)


def test_every_public_name_can_be_imported_and_dir_lists_no_other() -> None:
    assert all(hasattr(sweeps, name) for name in sweeps.__all__)
    assert sorted(sweeps.__all__) == dir(sweeps)
    assert sweeps.__all__ == sorted(sweeps.__all__)


def test_star_import_gives_the_public_names() -> None:
    names: dict[str, object] = {}
    exec("from sweeps import *", names)
    assert set(names) - {"__builtins__"} == set(sweeps.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'sweeps' has no attribute 'nothing'"):
        _ = sweeps.nothing


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded("import sweeps") == set()


def test_reading_a_config_in_python_loads_no_jax_and_no_tables() -> None:
    assert loaded("import sweeps; sweeps.load_config('configs/mnist.yaml')") == {"yaml", "pydantic"}


def test_help_and_version_load_the_command_line_alone() -> None:
    assert command("--help") <= {"typer", "rich"}
    assert command("--version") <= {"typer", "rich"}


def test_the_schema_loads_no_numeric_library() -> None:
    assert command("schema") <= {"typer", "rich", "yaml", "pydantic"}


def test_check_loads_no_jax_for_mistakes_that_need_no_python_objects(tmp_path: Path) -> None:
    (tmp_path / "made-up.yaml").write_text(MADE_UP.replace('{use: "models.linear:Linear"}', "{use: Linear}"))
    assert command("check", str(tmp_path / "made-up.yaml"), exits=2) & {"jax", "optax", "flax"} == set()


def test_show_loads_no_jax(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "worker-0.jsonl").write_text("")
    (tmp_path / "config.yaml").write_text(MADE_UP.replace("batch_size: 0", "batch_size: 1"))
    assert command("show", str(tmp_path)) & {"jax", "optax", "flax", "optuna"} == set()
