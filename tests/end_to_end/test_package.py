"""What `import sweeps` offers, how little each command loads before it answers, and what the distribution is called."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import sweeps

PROJECT = Path(__file__).parents[2]
METADATA = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = METADATA["optional-dependencies"]
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


def test_the_distribution_is_called_jax_sweeps_and_its_extras_refer_to_it() -> None:
    """PyPI's `sweeps` is another project: an extra that named it would install that one over this."""
    assert METADATA["name"] == "jax-sweeps"
    named = {Requirement(line).name for lines in (METADATA["dependencies"], *EXTRAS.values()) for line in lines}
    assert "sweeps" not in named
    (own,) = [Requirement(line) for line in EXTRAS["test"] if line.startswith("jax-sweeps")]
    assert own.extras == {"cmaes", "equinox", "images", "keras"} <= set(EXTRAS)


def test_the_lowest_versions_are_within_the_bounds_of_all_dependencies() -> None:
    printed = subprocess.run(
        [sys.executable, PROJECT / "scripts" / "lowest-versions"], capture_output=True, text=True, check=True
    ).stdout
    lowest = dict(line.split("==") for line in printed.split())
    tested = [*METADATA["dependencies"], *(line for name in ("cmaes", "equinox", "keras") for line in EXTRAS[name])]
    for requirement in map(Requirement, tested):
        assert requirement.specifier.contains(lowest[requirement.name])


def test_libraries_whose_private_names_are_used_have_an_upper_bound() -> None:
    bounds = {found.name: found.specifier for found in map(Requirement, [*METADATA["dependencies"], *EXTRAS["keras"]])}
    assert all(any(bound.operator == "<" for bound in bounds[name]) for name in ("jax", "keras"))


def test_the_citation_is_of_this_version_and_license() -> None:
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (str(citation["version"]), citation["license"]) == (sweeps.__version__, METADATA["license"])


@pytest.mark.parametrize("workflow", sorted((PROJECT / ".github" / "workflows").iterdir()), ids=lambda path: path.stem)
def test_a_workflow_runs_scripts_that_exist_with_extras_that_exist(workflow: Path) -> None:
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    lines = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    scripts = [line.split()[0] for line in lines if "/" in line.split()[0]]
    assert scripts
    assert all((PROJECT / script).stat().st_mode & 0o100 for script in scripts)
    assert set(re.findall(r"'\.\[(\w+)\]'", "".join(lines))) <= set(EXTRAS)


def test_the_workflows_test_every_python_that_the_classifiers_name() -> None:
    jobs = yaml.safe_load((PROJECT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8"))["jobs"]
    named = {line.rpartition(" ")[2] for line in METADATA["classifiers"] if ":: 3." in line}
    assert set(jobs["tests"]["strategy"]["matrix"]["python"]) == named


def test_pre_commit_runs_the_steps_of_the_check_script() -> None:
    hooks = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    script = (PROJECT / "scripts" / "check").read_text(encoding="utf-8")
    assert all(f"step {hook['id']} {hook['entry']}" in script for hook in hooks)
