"""A config's `dataset:` to a `Dataset`: built-in names, or `module:function` of the user's own."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from typing import Any

from sweeps.datasets.base import Array, Dataset, checked, from_arrays
from sweeps.errors import DataError
from sweeps.locate import ArgumentFault, argument_faults, locate, parameters, taken_by

BUILT_IN = {
    "csv": "sweeps.datasets.csv:csv",
    "linear_regression": "sweeps.datasets.synthetic:linear_regression",
    "mnist": "sweeps.datasets.mnist:mnist",
}
SPLIT_ARGUMENTS = ("valid_fraction", "test_fraction", "seed")


def find(use: str) -> Callable[..., Any]:
    """The function that `use` names.

    Raises:
        DataError: an unknown built-in, or a module or attribute that is not there.
    """
    if use in BUILT_IN:
        module, _, name = BUILT_IN[use].partition(":")
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return function
    if ":" not in use:
        near = difflib.get_close_matches(use, BUILT_IN, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DataError(
            f"the built-in datasets are {', '.join(BUILT_IN)} (or 'module:function'), but got {use!r}{hint}"
        )
    return locate(use, DataError)


def faults(use: str, arguments: Mapping[str, Any]) -> list[ArgumentFault]:
    """What is wrong with the names of a dataset's arguments.

    Raises:
        DataError: there is no such dataset.
    """
    taken = taken_by(find(use))
    if taken is None:
        return []
    splitting = {} if use in BUILT_IN else dict.fromkeys(SPLIT_ARGUMENTS, False)
    return argument_faults(use, {**splitting, **taken}, arguments)


def load(use: str, arguments: Mapping[str, Any]) -> Dataset:
    """Call the function with its arguments; `(x, y)` arrays are split here.

    Raises:
        DataError: what the function returned, or raised, does not make a dataset.
    """
    function = find(use)
    wrong = faults(use, arguments)
    if wrong:
        raise DataError("; ".join(map(str, wrong)))
    taken = parameters(function)
    splitting = {name: arguments[name] for name in SPLIT_ARGUMENTS if name in arguments and name not in taken}
    try:
        made = function(**{name: value for name, value in arguments.items() if name not in splitting})
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"dataset {use} raised {type(error).__name__}: {error}") from error
    return checked(made if isinstance(made, Dataset) else _split(use, made, splitting))


def _split(use: str, made: object, splitting: Mapping[str, Any]) -> Dataset:
    if not (isinstance(made, tuple) and len(made) == 2):
        raise DataError(
            f"dataset {use} must return a Dataset or a pair (x, y) of arrays, but got {type(made).__name__}"
        )
    x, y = made
    arrays: tuple[Array, Array] = (x, y)
    return from_arrays(*arrays, **{"valid_fraction": 0.2, **splitting})


class Datasets:
    """Datasets that have been loaded, so that a check and the run after it read a file once."""

    def __init__(self) -> None:
        self._loaded: dict[tuple[str, tuple[tuple[str, Any], ...]], Dataset] = {}

    def get(self, use: str, arguments: Mapping[str, Any]) -> Dataset:
        """The dataset, loaded when it is first asked for.

        Raises:
            DataError: as `load`.
        """
        key = (use, tuple(sorted(arguments.items())))
        if key not in self._loaded:
            self._loaded[key] = load(use, arguments)
        return self._loaded[key]
