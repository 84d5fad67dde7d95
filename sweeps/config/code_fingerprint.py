"""The user's code that a sweep's results depend on: which files, and whether they are still the same.

Nothing is imported. The files are the project's modules that a config names (`models.mlp:MLP`), and those of the
project that these import; installed packages count by their versions, in `environment.json`.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from sweeps.config import SweepConfig
from sweeps.user_code import module_file

_NAMED = re.compile(r"([A-Za-z_][\w.]*):[A-Za-z_][\w.]*\Z")


def sources(config: SweepConfig) -> dict[str, str]:
    """A short SHA-256 of the text of each of the project's modules that the config needs, by the module's name."""
    found: dict[str, str] = {}
    waiting = sorted(set(_modules(config.model_dump())))
    while waiting:
        name = waiting.pop()
        file = None if name in found else module_file(name)
        if file is not None:
            content = file.read_bytes()
            found[name] = hashlib.sha256(content).hexdigest()[:12]
            waiting.extend(_imported(content, name if file.name == "__init__.py" else name.rpartition(".")[0]))
    return dict(sorted(found.items()))


def _modules(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        named = _NAMED.match(value)
        if named:
            yield named[1]
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _modules(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _modules(inner)


def _imported(content: bytes, package: str) -> Iterator[str]:
    """The modules that a file imports, and names that may be modules; none where it is not Python."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
