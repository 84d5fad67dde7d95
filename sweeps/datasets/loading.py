"""A config's `dataset:` to a `Dataset`: built-in names, or `module:function` of the user's own."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import threading
import types
from collections.abc import Callable, Mapping
from typing import Any, get_args, get_type_hints

from sweeps.datasets import targets
from sweeps.datasets.checksum import checksum
from sweeps.datasets.dataset import Dataset, checked
from sweeps.datasets.returned import as_dataset
from sweeps.datasets.weighting import weighted
from sweeps.errors import DataError
from sweeps.masking import without_passwords
from sweeps.user_code import (
    ArgumentFault,
    argument_faults,
    directory_kept,
    failed,
    locate,
    module_of_path,
    parameters,
    taken_by,
)

BUILT_IN = {
    "csv": "sweeps.datasets.tabular.load:tabular",
    "fashion_mnist": "sweeps.datasets.builtin.fashion_mnist:fashion_mnist",
    "images": "sweeps.datasets.images:images",
    "linear_regression": "sweeps.datasets.builtin.synthetic:linear_regression",
    "mnist": "sweeps.datasets.builtin.mnist:mnist",
    "npy": "sweeps.datasets.arrays:npy",
    "npz": "sweeps.datasets.arrays:npz",
    "parquet": "sweeps.datasets.tabular.load:tabular",
    "series": "sweeps.datasets.sequences.series:series",
    "sine_sequences": "sweeps.datasets.builtin.synthetic:sine_sequences",
    "text": "sweeps.datasets.sequences.text:text",
    "two_moons": "sweeps.datasets.builtin.synthetic:two_moons",
}
_KINDS: dict[Any, tuple[Callable[[Any], bool], str]] = {
    bool: (lambda value: isinstance(value, bool), "true or false"),
    int: (lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number"),
    float: (lambda value: isinstance(value, int | float) and not isinstance(value, bool), "a number"),
    str: (lambda value: isinstance(value, str), "text"),
    tuple[str, ...]: (lambda value: _are(str, [value] if isinstance(value, str) else value), "a list of names"),
    tuple[str | float, ...]: (
        lambda value: all(isinstance(each, str | int | float) for each in _listed(value)),
        "a list of texts and numbers",
    ),
    tuple[int, ...]: (lambda value: _are(int, [value] if isinstance(value, int) else value), "a list of whole numbers"),
}
SPLIT_ARGUMENTS = ("valid_fraction", "test_fraction", "stratify", "seed")
CLASS_WEIGHT = "class_weight"
SCALE_TARGET = "scale_target"
"""Arguments of every dataset, unless a function of the user's own takes them itself."""
RENAMED = {"shift": "offset"}
"""Arguments of datasets by their names in earlier versions."""
WEIGHTS, ARRAYS = "weights of ", "arrays of "
"""What a log calls the checksum of what a model has read from files begins so, and that of other functions."""


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
        near = [*filter(None, [module_of_path(use)]), *difflib.get_close_matches(use, BUILT_IN, n=1)]
        hint = f". Did you mean `{near[0]}`?" if near else ""
        known = ", ".join(f"`{name}`" for name in BUILT_IN)
        raise DataError(f"a dataset must be {known} or `module:function` of your own, but got {use!r}{hint}")
    located: Callable[..., Any] = locate(use, DataError)
    return located


def faults(use: str, arguments: Mapping[str, Any]) -> list[ArgumentFault]:
    """What is wrong with the names of a dataset's arguments.

    Raises:
        DataError: there is no such dataset.
    """
    taken = taken_by(find(use))
    if taken is None:
        return []
    splitting = {} if use in BUILT_IN else dict.fromkeys(SPLIT_ARGUMENTS, False)
    known = {CLASS_WEIGHT: False, SCALE_TARGET: False, **splitting, **taken}
    renamed = [name for name, new in RENAMED.items() if name in arguments and name not in known and new in known]
    others = [name for name in arguments if name not in renamed]
    told = [ArgumentFault(name, f"is called `{RENAMED[name]}` now", "") for name in renamed]
    return told + argument_faults(use, known, others)


def load(use: str, arguments: Mapping[str, Any]) -> Dataset:
    """Call the function with its arguments, and split arrays, give classes their weights and scale targets.

    Raises:
        DataError: what the function returned, or raised, does not make a dataset.
    """
    function = find(use)
    wrong = faults(use, arguments)
    if wrong:
        raise DataError("; ".join(map(str, wrong)))
    taken = parameters(function)
    known = (*SPLIT_ARGUMENTS, CLASS_WEIGHT, SCALE_TARGET)
    ours = {name: arguments[name] for name in known if name in arguments.keys() - taken}
    given = {name: value for name, value in arguments.items() if name not in ours}
    class_weight, scale_target = ours.pop(CLASS_WEIGHT, None), ours.pop(SCALE_TARGET, False)
    if use in BUILT_IN:
        _check_kinds(function, given)
    try:
        with directory_kept(use, DataError):
            made = function(**given)
    except DataError:
        raise
    except Exception as error:
        raise DataError(failed(use, error) + _renamed(error)) from error
    dataset = checked(as_dataset(use, made, ours), scale_target=scale_target)
    return dataset if class_weight is None else weighted(targets.as_classes(dataset, CLASS_WEIGHT), class_weight)


def _renamed(error: Exception) -> str:
    """The new name of an argument of `Dataset` that an earlier version knew by another."""
    said = str(error)
    given = [name for name in RENAMED if said == f"Dataset.__init__() got an unexpected keyword argument {name!r}"]
    return f". It is called `{RENAMED[given[0]]}`" if given else ""


def _check_kinds(function: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Hold the arguments of a built-in against its annotations.

    Raises:
        DataError: a number was wanted and something else given, or the like.
    """
    hints = get_type_hints(function)
    for name, value in arguments.items():
        hint = hints[name]
        members = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        if value is None and type(None) in members:
            continue
        kinds = [_KINDS[member] for member in members if member in _KINDS]
        if kinds and not any(is_right(value) for is_right, _ in kinds):
            is_unquoted = str in members and isinstance(value, int | float)
            advice = ". Quote it, as it is written in the file" if is_unquoted else ""
            raise DataError(f"{name} must be {' or '.join(words for _, words in kinds)}, but got {value!r}{advice}")


def _listed(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _are(kind: type, values: object) -> bool:
    return isinstance(values, tuple | list) and all(type(value) is kind for value in values)


def _named(use: str, arguments: tuple[tuple[str, Any], ...]) -> str:
    """The dataset's name as a log may hold it: passwords in URLs are masked."""
    given = ", ".join(without_passwords(f"{name}={value!r}") for name, value in arguments)
    return f"{use}({given})" if given else use


class Datasets:
    """Datasets that have been loaded, so that a check and the run after it read a file once. For any thread."""

    def __init__(self) -> None:
        self._loaded: dict[tuple[str, tuple[tuple[str, Any], ...]], Dataset] = {}
        self._under: dict[tuple[int, str, str | None], Dataset] = {}
        self._brought: dict[str, str] = {}
        self._lock = threading.Lock()

    def get(
        self,
        use: str,
        arguments: Mapping[str, Any],
        loss: str | None = None,
        of_loss: Mapping[str, Any] = targets.NO_ARGUMENTS,
    ) -> Dataset:
        """The dataset, loaded when it is first asked for; its targets as the loss reads them, where one is named.

        `of_loss` are the arguments of the loss.

        Raises:
            DataError: as `load` and `targets.under`.
        """
        key = (use, tuple(sorted(arguments.items())))
        with self._lock:
            if key not in self._loaded:
                self._loaded[key] = load(use, arguments)
            loaded = self._loaded[key]
            if loss is None:
                return loaded
            place = (id(loaded), loss, targets.said_outputs(loss, of_loss).meaning)
            if place not in self._under:
                self._under[place] = targets.under(loss, loaded, of_loss)
            return self._under[place]

    def checksums(self) -> dict[str, str]:
        """The checksum of each dataset that was loaded, by its name and arguments; what was noted as well."""
        with self._lock:
            loaded = dict(self._loaded)
        return {_named(*key): checksum(dataset) for key, dataset in loaded.items()} | self._brought

    def note(self, what: str, use: str, arguments: Mapping[str, Any], found: str) -> None:
        """Take note of the checksum of what a function has read from files, "" for nothing; `what` says what it is."""
        if found:
            self._brought[f"{what}{_named(use, tuple(sorted(arguments.items())))}"] = found

    def prefetch(self, use: str, arguments: Mapping[str, Any]) -> None:
        """Begin to load a dataset beside other work. What goes wrong is said by the `get` that follows."""

        def fetch() -> None:
            with contextlib.suppress(DataError, SystemExit, KeyboardInterrupt):
                self.get(use, arguments)

        threading.Thread(target=fetch, daemon=True).start()
