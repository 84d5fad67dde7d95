"""What the README tells a newcomer to type does what it says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sweeps.config import load_config, parse_config

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a newcomer has, in which the first command has been run, with fewer trials."""
    folder = tmp_path_factory.mktemp("newcomer")
    for name in ("configs", "models"):
        shutil.copytree(PROJECT / name, folder / name)
    command = blocks("sh")[0].rpartition(" && ")[2].split()
    assert command == [".venv/bin/sweep", "run", "configs/mnist.yaml"]
    typed(folder, Path(sys.executable).with_name("sweep"), *command[1:], "--trials", "2", "--set", "budget.minutes=2")
    return folder


def typed(folder: Path, *command: str | Path) -> str:
    ordinary = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment = {**ordinary, "PYTHONPATH": str(PROJECT)}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_first_command_leaves_tables(project: Path) -> None:
    assert (project / "results" / "mnist" / "trials.parquet").exists()


@pytest.mark.parametrize("code", blocks("python"))
def test_every_python_example_runs(project: Path, code: str) -> None:
    assert typed(project, sys.executable, "-c", code).strip()


def test_the_example_of_a_config_is_the_shipped_one_without_its_enqueue() -> None:
    (example,) = blocks("yaml")
    shipped = load_config(PROJECT / "configs" / "mnist.yaml")
    assert parse_config(example) == shipped.model_copy(update={"enqueue": ()})


def test_the_second_command_installs_the_tests_and_runs_the_very_scripts_that_ci_runs() -> None:
    ci = (PROJECT / ".ci" / "run").read_text(encoding="utf-8")
    assert blocks("sh")[1].split(" && ")[1:] == ["scripts/check", "scripts/test\n"]
    assert all(script in ci for script in ("scripts/check", "scripts/test", "pip install", ".[test]"))


def test_every_file_that_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (PROJECT / link).exists()] == []
