"""Every import in `sweeps/` goes down the floors, and a third-party library is imported only where it is named.

`ROOMS` are the files and folders of `sweeps/`, floor by floor; a room imports from lower floors only. `INSIDE` says the
same of the files of each folder. So there is no circle anywhere. Imports inside functions count too. A new file needs a
place here.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[1] / "sweeps"

ROOMS = (
    "amounts errors masking stop_request version",
    "environment machine origin storage user_code",
    "config datasets",
    "log study training",
    "engine report",
    "results",
    "doctor validation",
    "runner",
    "__init__",
    "command",
    "cli",
    "__main__",
)
"""Floor by floor, lowest first: the files and folders of `sweeps/`."""

INSIDE: dict[str, tuple[str, ...]] = {
    "command": (
        "__init__ data_facts signals template_data terminal",
        "display",
        "check doctor export init plan report show summary trust",
        "predict replay run",
    ),
    "config": (
        "optax_names other_names",
        "wording",
        "yaml",
        "values",
        "names overrides parameters",
        "schema",
        "changes pydantic_words space",
        "entries",
        "json_schema sections",
        "conditions rungs",
        "rules",
        "draft",
        "__init__",
        "code_fingerprint",
    ),
    "config.yaml": (
        "__init__ file scalars",
        "reader writer",
        "from_python",
    ),
    "datasets": (
        "__init__ canonical memory",
        "aligned splitting",
        "dataset",
        "builtin checksum doubts images tabular targets weighting words",
        "arrays columns returned sequences",
        "loading",
        "new_rows",
    ),
    "datasets.builtin": (
        "__init__ download mnist synthetic",
        "fashion_mnist",
    ),
    "datasets.sequences": (
        "__init__ gaps windows",
        "series text",
    ),
    "datasets.tabular": (
        "__init__ cells numerals",
        "csv_form",
        "csv_lines",
        "csv_file",
        "table",
        "preprocessing times",
        "row_splits",
        "load",
    ),
    "doctor": (
        "finding",
        "arrays_state files_state log_state",
        "__init__",
    ),
    "engine": (
        "__init__ buckets compile_cache devices feed memory workers",
        "program",
        "compilations",
        "programs",
        "checkpoints",
        "restore",
        "orders",
        "device_lanes lane_group paused",
        "scheduler",
    ),
    "log": (
        "__init__ line",
        "jsonl placement trials",
        "early_stopping",
    ),
    "report": (
        "__init__ markup scales style timeline",
        "drawing overview",
        "sections sources",
        "plots",
        "panels",
        "page",
    ),
    "results": (
        "__init__ best columns folder manifest predictor",
        "as_optuna csv_text earlier_sweep parquet",
        "export summary tables",
        "results",
    ),
    "runner": (
        "__init__ earlier_runs outcomes progress reproduce",
        "journal",
        "budget ready recorder resume",
        "best_trial",
        "reporter",
        "loop",
        "start",
    ),
    "storage": (
        "__init__ files",
        "npz paths retry",
        "lock",
    ),
    "study": (
        "arguments kernels observations outcomes quiet",
        "grid parzen pruners",
        "dimensions duplicates priors rungs warm_start",
        "tpe",
        "rung_tpe",
        "samplers",
        "search",
        "__init__",
    ),
    "training": (
        "__init__ augmentation keras_optimizers lane_placeholder microbatch ops pytrees shuffle",
        "components traces",
        "adapters losses metrics optimizers schedules",
        "check_signatures lane row_mixing",
        "epoch models",
        "constants initial_weights program_key traced_arguments",
    ),
    "training.adapters": (
        "__init__ compiled_keras keras_hooks layers",
        "model",
        "equinox functions keras linen nnx",
    ),
    "training.ops": (
        "__init__ sliding",
        "batch_last pooling products",
        "layouts",
        "convolution",
    ),
    "validation": (
        "__init__ sample_configs",
        "doubts keras_defaults lane_memory program_plan",
        "validate",
    ),
}
"""Of each folder, its files and subfolders, lowest first. Files of one line do not import each other."""

LIBRARIES = {
    "PIL": "datasets.images",
    "bokeh": "report.drawing report.page report.panels report.plots report.sources report.style",
    "equinox": "training.adapters.equinox",
    "flax": "training.adapters.linen training.adapters.nnx",
    "jax": "engine results.best results.predictor runner.best_trial training",
    "keras": "training.adapters.compiled_keras training.adapters.keras",
    "numpy": "command.data_facts command.predict datasets engine report results runner.best_trial storage.npz study "
    "training",
    "optax": "training",
    "optuna": "results.as_optuna results.export results.results study",
    "pandas": "results.results",
    "pyarrow": "datasets.tabular results.parquet results.tables",
    "pydantic": "config",
    "pydantic_core": "config",
    "rich": "cli command",
    "sqlalchemy": "results.export",
    "typer": "cli",
    "yaml": "config.yaml",
}
"""Where each third-party library may be imported: in files, or in all files of a folder."""

SLOW = {"bokeh", "jax", "optax", "flax", "optuna", "pandas", "pyarrow", "numpy", "pydantic"}
FILES = sorted(file for file in PACKAGE.rglob("*.py") if PACKAGE / "templates" not in file.parents)
"""But for what `sweep init` copies, which belongs to a user's project."""


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
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield Import(name if _file(name) else str(node.module), is_eager)
        elif isinstance(node, ast.Call) and _named(node.func) in {"import_module", "__import__"}:
            yield from (Import(str(name.value), is_eager) for name in node.args[:1] if isinstance(name, ast.Constant))
        is_lazy = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _is_for_types(node)
        yield from _imports(list(ast.iter_child_nodes(node)), is_eager=is_eager and not is_lazy)


def _named(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _file(module: str) -> Path | None:
    """The file of one of our modules; None for any other name."""
    if module.split(".", maxsplit=1)[0] != "sweeps":
        return None
    base = PACKAGE.joinpath(*module.split(".")[1:])
    return next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()), None)


def place_at(path: Path) -> tuple[str, ...]:
    """Where a file stands, from its room inwards: `sweeps/training/ops/pooling.py` is `training`, `ops`, `pooling`."""
    return path.relative_to(PACKAGE).with_suffix("").parts


def violations(place: tuple[str, ...], source: str) -> list[str]:
    """What a file's source imports and must not."""
    return sorted({complaint for found in imports(source) if (complaint := _complaint(place, found.module))})


def _complaint(place: tuple[str, ...], module: str) -> str:
    top = module.partition(".")[0]
    file = _file(module)
    if file is not None:
        return _upward(place, place_at(file))
    if top in sys.stdlib_module_names or _is_among(".".join(place), LIBRARIES.get(top, "")):
        return ""
    return f"{'.'.join(place)} imports {module}, which it may not"


def _is_among(name: str, places: str) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places.split())


def _upward(place: tuple[str, ...], target: tuple[str, ...]) -> str:
    """A complaint if a file at `target` does not stand below one at `place`; both are compared where they part."""
    if place == target:
        return ""
    shared = next(index for index, pair in enumerate(zip(place, target, strict=False)) if pair[0] != pair[1])
    floors = INSIDE[".".join(place[:shared])] if shared else ROOMS
    own, other = _floor(floors, place[shared]), _floor(floors, target[shared])
    return "" if other < own else f"{'.'.join(place)} imports {'.'.join(target)}, which is not below it"


def _floor(floors: tuple[str, ...], name: str) -> int:
    found = [floor for floor, names in enumerate(floors) if name in names.split()]
    assert len(found) == 1, f"{name} must have one place in ROOMS or INSIDE, but has {len(found)}"
    return found[0]


def reached(path: Path, seen: set[Path]) -> set[str]:
    """The top names of everything outside `sweeps` that importing a file imports."""
    found: set[str] = set()
    for module in [entry.module for entry in imports(path.read_text(encoding="utf-8")) if entry.is_eager]:
        if module.split(".")[0] != "sweeps":
            found.add(module.split(".")[0])
            continue
        for file in _with_packages(module):
            if file not in seen:
                seen.add(file)
                found |= reached(file, seen)
    return found


def _with_packages(module: str) -> list[Path]:
    """The files that importing a module runs: its own, and the `__init__` of each package that it is in."""
    parts = module.split(".")
    found = (_file(".".join(parts[:count])) for count in range(2, len(parts) + 1))
    return [file for file in found if file is not None]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_from_below_and_only_its_libraries(path: Path) -> None:
    assert violations(place_at(path), path.read_text(encoding="utf-8")) == []


def test_every_place_is_a_file_or_a_folder_that_exists_and_every_one_has_a_place() -> None:
    for folder, floors in {"": ROOMS, **INSIDE}.items():
        here = PACKAGE.joinpath(*folder.split("."))
        there = {path.stem for path in here.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
        assert sorted(name for names in floors for name in names.split()) == sorted(there), folder


@pytest.mark.parametrize("name", ["cli", "__init__"])
def test_the_command_line_answers_before_any_slow_library_is_loaded(name: str) -> None:
    assert reached(PACKAGE / f"{name}.py", set()) & SLOW == set()


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("log.jsonl", "import json\nfrom sweeps.errors import SweepError"),
        ("log.jsonl", "from sweeps.storage import files"),
        ("log.jsonl", "from sweeps.log.line import encode"),
        ("training.lane", "import jax.numpy as jnp\nfrom sweeps.training import losses"),
        ("training.models", "from sweeps.training.adapters.keras import adapted"),
        ("cli", "def run():\n    from sweeps.runner import start"),
        ("results.results", "from sweeps.results.tables import tabulate"),
        ("config.schema", "import importlib\nimportlib.import_module(name)"),
    ],
)
def test_an_import_from_below_is_allowed(place: str, source: str) -> None:
    assert violations(tuple(place.split(".")), source) == []


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("log.jsonl", "from sweeps.runner.start import run"),
        ("log.jsonl", "from sweeps.runner import start"),
        ("log.jsonl", "import sweeps.results.tables"),
        ("log.jsonl", "def lazily():\n    from sweeps.results import tables"),
        ("log.jsonl", "class A:\n    if True:\n        import numpy as np"),
        ("log.line", "from sweeps.log.jsonl import LogWriter"),
        ("training.adapters.keras", "from sweeps.training.models import build_model"),
        ("results.tables", "from sweeps.results.results import load"),
        ("config.schema", "import jax"),
        ("config.schema", "import importlib\nimportlib.import_module('jax.numpy')"),
        ("training.lane", "import optuna"),
        ("runner.loop", "import optuna"),
        ("datasets.images", "from models.mlp import MLP"),
        ("cli", "import models"),
    ],
)
def test_any_other_import_is_a_violation(place: str, source: str) -> None:
    assert violations(tuple(place.split(".")), source)


def test_a_file_without_a_place_is_refused() -> None:
    with pytest.raises(AssertionError, match="brand_new must have one place"):
        violations(("brand_new",), "from sweeps import errors")
