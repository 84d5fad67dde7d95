"""A config that is written in Python to the plain values that YAML text would give, within the same limits.

Tuples, numbers of other libraries, paths and parts of another config are welcome. So is what PyYAML has read: by YAML
1.1 it gives the text "1e-5" where YAML 1.2 means a number.
"""

from __future__ import annotations

import numbers
import os
from collections.abc import Mapping

from pydantic import BaseModel

from sweeps.config.wording import Fault, Path, show
from sweeps.config.yaml.reader import FORBIDDEN, Flaw, Reading, StopError, check_size
from sweeps.config.yaml.scalars import PATTERNS, TextOfNumber


def plain(value: object) -> Reading:
    """`value` in dicts, lists and scalars, with its flaws; it has no lines.

    >>> plain({"choices": (1, 2)}).value
    {'choices': [1, 2]}
    """
    reading, found = _Reading(), None
    try:
        found = reading.value(value, ())
    except StopError as stop:
        reading.flaws.append(stop.flaw)
    return Reading(found, {}, reading.flaws)


class _Reading:
    def __init__(self) -> None:
        self.flaws: list[Flaw] = []
        self._values = 0

    def value(self, value: object, path: Path) -> object:
        self._values += 1
        check_size(0, len(path) + 1, self._values)
        if isinstance(value, BaseModel):
            value = written(value)
        if isinstance(value, Mapping):
            return {self._key(key, path): self.value(item, (*path, str(key))) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item, (*path, index)) for index, item in enumerate(value)]
        return self._scalar(value, path)

    def _key(self, key: object, path: Path) -> str:
        is_label = path[-1:] == ("class_weight",) and isinstance(key, numbers.Integral)
        if not isinstance(key, str) and not is_label:
            self._flaw(path, "keys must be text", show(key))
        return str(key)

    def _scalar(self, value: object, path: Path) -> object:
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if isinstance(value, str) and FORBIDDEN.search(value):
            self._flaw(path, "text must hold no control characters", show(value))
        if isinstance(value, str) and "e" in value.lower() and PATTERNS["float"].match(value):
            return TextOfNumber(value)
        if value is None or isinstance(value, bool | str):
            return value
        if isinstance(value, numbers.Integral) and -(2**63) <= int(value) < 2**63:
            return int(value)
        if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
            return float(value)
        got = show(value) if isinstance(value, int) else f"a {type(value).__name__}"
        self._flaw(path, "must be what YAML can hold: a mapping, list, text, number, true, false or null", got)
        return None

    def _flaw(self, path: Path, rule: str, got: str) -> None:
        self.flaws.append(Flaw(0, Fault(path, rule, got), spoils=True))


def written(model: BaseModel) -> dict[str, object]:
    """A part of a config as its author would write it: without what is left out by default."""
    given = {key: getattr(model, key) for key in type(model).model_fields}
    defaults = {key: field.default for key, field in type(model).model_fields.items()}
    return {key: item for key, item in given.items() if item != defaults[key]} | (model.model_extra or {})
