"""Every import in `sweeps/` goes down the layers, and a third-party library is imported only in its rooms.

A room is a file of `sweeps/`, or a folder of it, or a file of a folder whose files have rows of their own. A room
imports from lower layers, and from the rows above its own in its layer; so there is no circle anywhere. Imports inside
functions count too. A new file needs a row here.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[1] / "sweeps"

# Layer by layer, lowest first: the room, and the third-party libraries that it may import.
LAYERS: tuple[dict[str, str], ...] = (
    {
        "errors": "",
        "version": "",
        "progress": "",
        "environment": "",
        "files": "",
        "secrets": "",
        "run_folder": "",
        "owner": "",
        "stop_request": "",
        "patience": "",
        "locate": "",
        "config.wording": "",
        "config.yaml_scalars": "",
    },
    {
        "config.yaml_reader": "yaml",
        "config.yaml_file": "",
        "config.yaml_writer": "yaml",
        "config.plain": "pydantic",
        "config.overrides": "",
        "config.values": "pydantic pydantic_core",
        "config.options": "",
        "config.names": "",
        "config.parameters": "pydantic",
        "config.schema": "pydantic",
        "config.methods": "pydantic_core",
        "config.entries": "pydantic_core",
        "config.pydantic_words": "pydantic pydantic_core",
        "config.sections": "pydantic",
        "config.space": "",
        "config.formulas": "pydantic_core",
        "config.conditions": "",
        "config.rules": "pydantic_core",
        "config.changes": "",
        "config.concealed": "",
        "config.draft": "",
        "config.json_schema": "",
        "config": "",
    },
    {
        "log_line": "",
        "log": "",
        "ledger": "",
        "formation": "",
        "sources": "",
        "study.grid": "",
        "study.dimensions": "",
        "study.arguments": "",
        "study.pruners": "",
        "study.sampling": "numpy",
        "study.kernels": "numpy",
        "study.parzen": "numpy",
        "study.observations": "numpy",
        "study.tpe": "numpy",
        "study.optuna_study": "optuna",
        "study": "",
        "datasets": "numpy pyarrow PIL",
        "training": "jax optax flax numpy equinox keras",
    },
    {
        "devices": "jax",
        "programs": "jax numpy",
        "arrays": "numpy",
        "leaves": "jax numpy",
        "checkpoints": "numpy",
        "resumption": "jax numpy",
        "population": "jax numpy",
        "crew": "",
        "best_json": "",
        "best": "jax",
        "columns": "",
        "csv_text": "",
        "arrow_columns": "numpy pyarrow",
        "tables": "pyarrow",
        "results_folder": "",
        "tables_note": "",
        "glance": "",
        "convergence": "",
        "predictor": "jax numpy",
        "results": "numpy pandas",
        "journal": "",
        "budget": "",
        "stopwatch": "",
        "variants": "",
        "from_model": "",
        "preflight": "",
    },
    {
        "continuation": "",
        "champion": "jax numpy",
        "chronicle": "",
        "verdicts": "",
        "runner": "",
        "plan": "",
        "start": "",
        "doctor.finding": "",
        "doctor.log_state": "",
        "doctor.files_state": "",
        "doctor.arrays_state": "",
        "doctor": "",
        "replay": "",
    },
    {
        "command": "",
        "command.terminal": "",
        "command.signals": "",
        "command.display": "rich",
        "command.notices": "rich",
        "command.data_facts": "numpy",
        "command.check": "rich",
        "command.plan": "rich",
        "command.summary": "rich",
        "command.show": "rich",
        "command.doctor": "rich",
        "command.replay": "rich",
        "command.predict": "numpy rich",
        "command.run": "rich",
        "cli": "typer rich",
        "__init__": "",
    },
)
ROWS = {room: (layer, row) for layer, rooms in enumerate(LAYERS) for row, room in enumerate(rooms)}
LIBRARIES = {room: set(libraries.split()) for rooms in LAYERS for room, libraries in rooms.items()}
SLOW = {"jax", "optax", "flax", "optuna", "pandas", "pyarrow", "numpy", "pydantic"}
FILES = sorted(PACKAGE.rglob("*.py"))


class Import(NamedTuple):
    """One imported module: its dotted name, and whether importing the file is enough to import it."""

    module: str
    is_eager: bool


def imports(source: str) -> Iterator[Import]:
    """Every module that a source imports; of `from a import b` both `a` and `a.b`, for `b` may be a module."""
    yield from _imports(ast.parse(source).body, is_eager=True)


def _imports(nodes: list[ast.AST] | list[ast.stmt], *, is_eager: bool) -> Iterator[Import]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, is_eager) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            yield Import(str(node.module), is_eager)
            yield from (Import(f"{node.module}.{alias.name}", is_eager) for alias in node.names)
        elif isinstance(node, ast.Call) and _named(node.func) in {"import_module", "__import__"}:
            yield from (Import(str(name.value), is_eager) for name in node.args[:1] if isinstance(name, ast.Constant))
        is_lazy = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _is_for_types(node)
        yield from _imports(list(ast.iter_child_nodes(node)), is_eager=is_eager and not is_lazy)


def _named(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def room_of(module: str) -> str | None:
    """The room of one of our modules; None for `sweeps` itself and for the names that it exports."""
    parts = module.split(".")[1:]
    if ".".join(parts[:2]) in ROWS:
        return ".".join(parts[:2])
    is_room = parts and (parts[0] in ROWS or (PACKAGE / f"{parts[0]}.py").exists())
    return parts[0] if is_room else None


def room_at(path: Path) -> str:
    """The room of a file; in a folder whose files have rows of their own, a file without one is no room."""
    folder, *inside = path.relative_to(PACKAGE).with_suffix("").parts
    has_rows = any(room.startswith(f"{folder}.") for room in ROWS)
    return f"{folder}.{inside[0]}" if has_rows and inside != ["__init__"] else folder


def violations(room: str, source: str) -> list[str]:
    """What a room's source imports and must not."""
    if room not in ROWS:
        return [f"{room} has no row in LAYERS"]
    return sorted({complaint for found in imports(source) if (complaint := _complaint(room, found.module))})


def _complaint(room: str, module: str) -> str:
    top, _, _ = module.partition(".")
    if top == "sweeps":
        target = room_of(module)
        if target is None or target == room:
            return ""
        return "" if ROWS.get(target, (99, 0)) < ROWS[room] else f"{room} imports {target}, which is not below it"
    if top in sys.stdlib_module_names or top in LIBRARIES[room]:
        return ""
    return f"{room} imports {top}, which is not a library of its room"


def reached(path: Path, seen: set[Path]) -> set[str]:
    """The top names of everything outside `sweeps` that importing a file imports."""
    found: set[str] = set()
    for module in [entry.module for entry in imports(path.read_text(encoding="utf-8")) if entry.is_eager]:
        if module.split(".")[0] != "sweeps":
            found.add(module.split(".")[0])
            continue
        base = PACKAGE.joinpath(*module.split(".")[1:])
        for file in (base.with_suffix(".py"), base / "__init__.py"):
            if file.exists() and file not in seen:
                seen.add(file)
                found |= reached(file, seen)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_what_its_room_may(path: Path) -> None:
    assert violations(room_at(path), path.read_text(encoding="utf-8")) == []


def test_every_row_is_a_room_that_exists() -> None:
    assert {room_at(path) for path in FILES} == set(ROWS)


@pytest.mark.parametrize("name", ["cli", "__init__"])
def test_the_command_line_answers_before_any_slow_library_is_loaded(name: str) -> None:
    assert reached(PACKAGE / f"{name}.py", set()) & SLOW == set()


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("log", "import json\nfrom sweeps.errors import SweepError"),
        ("log", "from sweeps import errors, files"),
        ("training", "import jax.numpy as jnp\nfrom sweeps.training import lane"),
        ("cli", "def run():\n    from sweeps import runner"),
        ("results", "from sweeps.tables import tabulate"),
        ("config", "import importlib\nimportlib.import_module(name)"),
    ],
)
def test_an_import_from_below_is_allowed(room: str, source: str) -> None:
    assert violations(room, source) == []


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("log", "from sweeps.runner import run"),
        ("log", "from sweeps import runner"),
        ("log", "import sweeps.tables"),
        ("log", "def lazily():\n    from sweeps import tables"),
        ("log", "class A:\n    if True:\n        import numpy as np"),
        ("tables", "from sweeps.results import load"),
        ("config", "import jax"),
        ("config", "import importlib\nimportlib.import_module('jax.numpy')"),
        ("training", "import optuna"),
        ("datasets", "from models.mlp import MLP"),
        ("cli", "import models"),
        ("brand_new", "import json"),
    ],
)
def test_any_other_import_is_a_violation(room: str, source: str) -> None:
    assert violations(room, source)
