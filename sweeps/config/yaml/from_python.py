"""A config that is written in Python to the plain values that YAML text would give, within the same limits.

Tuples, numbers of other libraries, paths and parts of another config are welcome. So is what PyYAML has read: by YAML
1.1 it gives the text "1e-5" where YAML 1.2 means a number.
"""

from __future__ import annotations

import numbers
import os

from pydantic import BaseModel

from sweeps.config.wording import Path, show
from sweeps.config.yaml.reader import FORBIDDEN, Reading, Values
from sweeps.config.yaml.scalars import PATTERNS, TextOfNumber


def plain(value: object) -> Reading:
    """`value` in dicts, lists and scalars, with its flaws; it has no lines.

    >>> plain({"choices": (1, 2)}).value
    {'choices': [1, 2]}
    """
    return _PythonValues().read(lambda: value)._replace(lines={})


class _PythonValues(Values):
    def value(self, node: object, path: Path, depth: int) -> object:
        if _is_of_functions(node):
            return self.scalar(node, path)
        return super().value(written(node) if isinstance(node, BaseModel) else node, path, depth)

    def scalar(self, node: object, path: Path) -> object:
        value = os.fspath(node) if isinstance(node, os.PathLike) else node
        if isinstance(value, str) and FORBIDDEN.search(value):
            self.flaw(node, path, "text must hold no control characters", show(value))
        if isinstance(value, str) and "e" in value.lower() and PATTERNS["float"].match(value):
            return TextOfNumber(value)
        if value is None or isinstance(value, bool | str):
            return value
        if isinstance(value, numbers.Integral) and -(2**63) <= int(value) < 2**63:
            return int(value)
        if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
            return float(value)
        got = show(value) if isinstance(value, int) else f"a {type(value).__name__}"
        rule = "must be what YAML can hold: a mapping, list, text, number, true, false or null"
        self.flaw(node, path, rule, got, _by_name(value))
        return None


def _is_of_functions(value: object) -> bool:
    """Whether it is an object whose fields are functions, as an optimizer of optax is."""
    return isinstance(value, tuple) and hasattr(value, "_fields") and any(map(callable, value))


def _by_name(value: object) -> str:
    """How an object of Python is given, which a config names."""
    if hasattr(value, "shape"):
        return 'Write a function that returns it, and give its name, such as "__main__:data"'
    name = getattr(value, "__qualname__", "")
    if not callable(value) or not name:
        is_made = callable(value) or _is_of_functions(value)
        return 'Write a function that makes it, and give its name, such as "__main__:made"' if is_made else ""
    if value.__module__.startswith("optax."):
        return f'Give its name: "{name}"'
    if all(part.isidentifier() for part in name.split(".")):
        return f'Give its name: "{value.__module__}:{name}"'
    return (
        f'Define it at the top of a module, not within a function, and give its name, such as "{value.__module__}:made"'
    )


def written(model: BaseModel) -> dict[str, object]:
    """A part of a config as its author would write it: without what is left out by default."""
    given = {key: getattr(model, key) for key in type(model).model_fields}
    defaults = {key: field.default for key, field in type(model).model_fields.items()}
    return {key: item for key, item in given.items() if item != defaults[key]} | (model.model_extra or {})
