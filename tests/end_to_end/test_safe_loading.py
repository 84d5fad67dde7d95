"""Nothing that is loaded from a disk can run code: no pickle, and NumPy is told so wherever it loads."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SOURCES = sorted(path for name in ("sweeps", "models", "benchmarks") for path in (PROJECT / name).rglob("*.py"))
ARRAY_CALLS = {"load", "save", "savez", "savez_compressed", "read_array", "write_array", "open_memmap"}
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNSAFE_CALLS = {"eval", "exec", "unsafe_load", "full_load", "read_pickle", "to_pickle"}


def unsafe(source: str) -> Iterator[str]:
    """What in a source loads, or could load, code."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            yield from (f"imports {name}" for name in names if name.split(".")[0] in UNSAFE_MODULES)
        elif isinstance(node, ast.Call):
            yield from _unsafe_call(node)


def _unsafe_call(node: ast.Call) -> Iterator[str]:
    said = ast.unparse(node.func)
    name = said.rpartition(".")[2]
    if said in UNSAFE_CALLS or (name in UNSAFE_CALLS and "." in said and name not in {"eval", "exec"}):
        yield f"calls {said}"
    if said == "yaml.load" or said.endswith(".yaml.load"):
        yield f"calls {said}"
    allowed = [keyword.value for keyword in node.keywords if keyword.arg == "allow_pickle"]
    if any(not (isinstance(value, ast.Constant) and value.value is False) for value in allowed):
        yield f"{said} may unpickle"
    is_of_numpy = said.startswith(("np.", "numpy.", "jnp.", "jax.numpy."))
    if is_of_numpy and name in ARRAY_CALLS and not allowed:
        yield f"{said} does not say allow_pickle=False"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_no_source_loads_code(path: Path) -> None:
    assert list(unsafe(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "numpy.lib.format.read_array(file, allow_pickle=flag)",
        "np.savez(path, a=a)",
        "yaml.load(text, Loader=yaml.UnsafeLoader)",
        "yaml.unsafe_load(text)",
        "eval(text)",
        "pandas.read_pickle(path)",
    ],
)
def test_what_could_load_code_is_found(source: str) -> None:
    assert list(unsafe(source))


@pytest.mark.parametrize(
    "source", ["np.load(path, allow_pickle=False)", "json.load(file)", "yaml.parse(text, Loader=yaml.SafeLoader)"]
)
def test_what_cannot_is_let_be(source: str) -> None:
    assert not list(unsafe(source))
