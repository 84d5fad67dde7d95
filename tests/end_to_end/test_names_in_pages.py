"""Every file, function, key and command that the pages name in backticks exists."""

from __future__ import annotations

import ast
import functools
import re
import sys
from pathlib import Path

import keras
import pytest
import typer
import yaml
from doc_files import PAGES, PROJECT, completed, text_of
from test_layers import ROOMS

from sweeps.cli import app
from sweeps.config import SweepConfig, parse_config

SOURCES = sorted(
    path
    for pattern in ("sweeps/**/*.py", "models/*.py", "benchmarks/**/*.py", "tests/**/*.py", "configs/*.yaml")
    for path in PROJECT.glob(pattern)
    if path != Path(__file__)
)
OTHERS = [PROJECT / name for name in ("pyproject.toml", "configs/slurm/run.sbatch", "scripts/test", ".gitignore")]
SUFFIXES = re.compile(r"\.(py|md|svg|yaml|toml|sbatch|cff|gz|bz2|xz|csv|parquet|jsonl?|np[yz]|html|png|jpe?g|keras)\b")
LIBRARIES = {
    *sys.stdlib_module_names, "flax", "jax", "jnp", "keras", "lax", "nnx", "np", "optax", "optuna", "params_optimizer",
    "pd", "project",
}  # fmt: skip
OF_USERS = {
    "my_models", "dense", "notebook", "width", "rate",  # the models of the examples
    "plot",  # is `results.plot`
    "CLASS", "COLUMN", "DIR", "FILE", "INPUTS", "NAME", "NUMBER", "OUT", "PATH", "VALUE",
    "API_KEY", "PASSWORD", "TOKEN", "host", "new", "out", "password", "scheme", "T09", "user", "xxxxxxxx",
}  # fmt: skip
OF_OTHERS = {
    "Args", "auto_scale_loss", "commit", "cond", "cuda12", "install", "joblib", "language", "optimize", "partial_fit",
    "peak_value", "pip", "pre", "PYTHON", "PYTHONDONTWRITEBYTECODE", "schema", "server", "shard_map", "stop_training",
    "trials_dataframe", "urls", "venv",
}  # fmt: skip


@functools.cache
def words() -> frozenset[str]:
    """Every word of the code and of the shipped configs."""
    text = " ".join(path.read_text(encoding="utf-8") for path in [*SOURCES, *OTHERS])
    return frozenset(re.findall(r"[A-Za-z_]\w*", text))


@functools.cache
def defined() -> dict[str, set[str]]:
    """What each file and each class of `sweeps/` defines: functions, classes, constants, fields."""
    found: dict[str, set[str]] = {}
    for path in (path for path in SOURCES if path.suffix == ".py" and PROJECT / "tests" not in path.parents):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        stem = path.parent.name if path.stem == "__init__" else path.stem
        found.setdefault(stem, set()).update(_names(tree.body))
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, set()).update(_names(node.body), _assigned_to_self(node))
    for folder in [PROJECT / "models", *PROJECT.glob("sweeps/**/")]:
        found.setdefault(folder.name, set()).update(path.stem for path in folder.iterdir())
    return found


def _names(body: list[ast.stmt]) -> set[str]:
    names = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def _assigned_to_self(node: ast.ClassDef) -> set[str]:
    return {
        found.attr for found in ast.walk(node) if isinstance(found, ast.Attribute) and isinstance(found.ctx, ast.Store)
    }


def named(page: Path) -> list[str]:
    """What stands in backticks, outside of blocks of code."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL))


def complaint(page: Path, name: str) -> str:
    """What does not exist of a name; "" if all of it does."""
    if found := re.match(r"sweep ([a-z]+)", name):
        return "" if found[1] in typer.main.get_command(app).commands else "no such command"
    if is_file(name):
        return "" if exists(page, name) else "no such file"
    for dotted in re.findall(r"(?<![\w./\"'-])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+(?![\w/*])", SUFFIXES.sub("", name)):
        if lacking := unresolved(dotted):
            return lacking
    known = words() | keras_names() | OF_USERS | OF_OTHERS
    return ", ".join(f"no word `{word}`" for word in re.findall(r"[A-Za-z_]\w{2,}", name) if word not in known)


def is_file(name: str) -> bool:
    return bool(re.fullmatch(r"[\w./-]+", name)) and ("/" in name or SUFFIXES.search(name) is not None)


def exists(page: Path, name: str) -> bool:
    """Whether a path is one of ours, from the top, the page or `sweeps/`, or one of a results folder or a user."""
    places = (PROJECT, (PROJECT / page).parent, PROJECT / "sweeps")
    if any((place / name).exists() for place in places) or name in {path.name for path in SOURCES}:
        return True
    in_results = re.split(r"[/.-]", name)
    return not name.endswith((".py", ".md")) and set(filter(str.isidentifier, in_results)) <= words() | OF_USERS


def unresolved(dotted: str) -> str:
    """What of `module.function`, `Class.method` or a key of a config does not exist."""
    first, *rest = dotted.removeprefix("sweeps.").split(".")
    if first in LIBRARIES or first in OF_USERS:
        return ""
    for name in rest:
        if name in defined().get(first, set()) | defined().get(first.capitalize(), set()):  # `results` is a `Results`
            first = name
        elif name in OF_OTHERS or (first in sections() and name in words() | OF_USERS):
            return ""
        else:
            return f"{first} has no {name}"
    return ""


@functools.cache
def sections() -> frozenset[str]:
    """The sections of a config, whose arguments a dotted name reaches."""
    return frozenset(SweepConfig.model_fields)


@functools.cache
def keras_names() -> frozenset[str]:
    """What Keras calls what docs/models.md speaks of."""
    modules = (keras.layers, keras.losses, keras.metrics, keras.optimizers, keras.utils)
    model = keras.Sequential([keras.layers.Dense(1)])
    parts = (model, model.layers[0], keras.optimizers.SGD(), keras.losses.Huber(), keras.metrics.AUC())
    return frozenset(name for each in (*modules, *parts, keras.Variable(0.0)) for name in dir(each))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_name_in_backticks_exists(page: Path) -> None:
    complaints = [f"`{name}`: {text}" for name in named(page) if (text := complaint(page, name))]
    assert complaints == []


def test_every_key_with_a_value_in_backticks_belongs_to_a_sweep() -> None:
    found = [name for page in PAGES for name in named(page) if re.match(r"\w+: [^…]+$", name)]
    parts = [name for name in found if set(yaml.safe_load(name)) <= sections()]
    assert len(parts) > 10
    for part in parts:
        parse_config(yaml.safe_dump(completed(part)))


def test_a_name_that_does_not_exist_is_found() -> None:
    page = Path("docs/models.md")
    for name in ("sweep fly", "training/patience.py", "cli.nothing", "LaneProgram.nothing", "optimizer.nothing_such"):
        assert complaint(page, name)
    for name in ("sweep run FILE", "training/lane.py", "cli.entry", "LaneProgram.update", "optimizer.b1"):
        assert not complaint(page, name)


def test_the_map_has_the_rooms_of_the_layer_test_on_the_same_floors() -> None:
    rows = re.findall(r"^\| (\d+) \| \[?`(\w+)`", text_of(Path("ARCHITECTURE.md")), flags=re.MULTILINE)
    assert rows == [(str(floor), room) for floor, rooms in enumerate(ROOMS) for room in rooms.split()]
