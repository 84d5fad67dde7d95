"""Recorded learning curves: what a configuration would have come to after each epoch, without training.

`lcbench/` is the surrogate of LCBench (Zimmer et al., 2021) in YAHPO Gym's data repository, an ONNX model over seven
hyperparameters and the epoch; its first epoch is before any training. `taskset/` are tables of TaskSet (Metz et al.,
2020), by way of DyHPO's repository: a thousand configurations each, of which the nearest to a proposal is looked up.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

CONTINUOUS = (
    *("epoch", "batch_size", "learning_rate", "momentum", "weight_decay", "num_layers", "max_units", "max_dropout"),
)
"""The order of the surrogate's inputs."""
ERROR = 1
"""Of the surrogate's outputs, the validation accuracy in percent."""
TUNED_ON = 20
"""So many of LCBench's tasks are left for tuning; pages are of the others."""
SAMPLES = 2000


class Task(Protocol):
    """`space` is a search space without epochs; `longest` the most epochs; `typical` and `best` are final losses."""

    name: str
    space: Mapping[str, Mapping[str, Any]]
    longest: int
    typical: float
    best: float

    def losses(self, params: Mapping[str, Any]) -> np.ndarray:
        """The validation loss after each epoch, f64 `[longest]`; NaN from where training diverged."""
        ...


class Surrogate:
    """A task of LCBench; its loss is the validation error in percent."""

    longest = 51

    def __init__(self, session: Any, code: int, name: str, space: Mapping[str, Mapping[str, Any]]) -> None:
        self._session, self._code, self.name, self.space = session, code, f"lcbench {name}", space
        finals = np.array([self.losses(params).min() for params in _samples(space, SAMPLES // 10)])
        self.typical, self.best = float(np.median(finals)), float(finals.min())

    def losses(self, params: Mapping[str, Any]) -> np.ndarray:
        """One call for all epochs."""
        inputs = np.empty((self.longest, len(CONTINUOUS)), np.float32)
        for place, name in enumerate(CONTINUOUS):
            inputs[:, place] = np.arange(2, self.longest + 2) if name == "epoch" else params[name]
        task = np.full((self.longest, 1), self._code, np.int32)
        outputs = self._session.run(None, {"x_cat": task, "x_cont": inputs})[0]
        return 100.0 - np.asarray(outputs[:, ERROR], np.float64)


class Table:
    """A task of TaskSet; its loss is the validation loss."""

    def __init__(self, path: Path) -> None:
        found = np.load(path, allow_pickle=False)
        self.name = f"taskset {path.stem}"
        self._curves = np.asarray(found["valid_loss"][:, 1:], np.float64)  # the first is before any training
        self.longest = self._curves.shape[1]
        self._names, parameters = list(map(str, found["names"])), np.asarray(found["parameters"], np.float64)
        self._logs = [bool((column > 0).all() and column.max() / column.min() > 100) for column in parameters.T]
        self._low, self._high = parameters.min(0), parameters.max(0)
        self._units = self._unit(parameters)
        self.space = {
            name: {"type": "float", "low": float(low), "high": float(high), "log": log}
            for name, low, high, log in zip(self._names, self._low, self._high, self._logs, strict=True)
        }
        finals = np.nanmin(np.where(np.isfinite(self._curves), self._curves, np.inf), axis=1)
        self.typical, self.best = float(np.median(finals[np.isfinite(finals)])), float(finals.min())

    def losses(self, params: Mapping[str, Any]) -> np.ndarray:
        """Those of the nearest configuration of the table, by its place in the ranges."""
        wanted = self._unit(np.array([[params[name] for name in self._names]], np.float64))
        return self._curves[int(np.square(self._units - wanted).sum(1).argmin())]

    def _unit(self, values: np.ndarray) -> np.ndarray:
        columns = []
        for column, low, high, log in zip(values.T, self._low, self._high, self._logs, strict=True):
            ends = (math.log(low), math.log(high)) if log else (low, high)
            columns.append(((np.log(column) if log else column) - ends[0]) / max(ends[1] - ends[0], 1e-12))
        return np.stack(columns, axis=1)


def lcbench(folder: Path) -> Iterator[Task]:
    """The tasks that nothing was tuned on."""
    space = json.loads((folder / "config_space.json").read_text())["hyperparameters"]
    codes = json.loads((folder / "encoding.json").read_text())["OpenML_task_id"]
    searched = {each["name"]: _entry(each) for each in space[1:] if each["name"] != "epoch"}
    for name in space[0]["choices"][TUNED_ON:]:
        yield Surrogate(_session(folder / "model.onnx"), codes[name], name, searched)


def taskset(folder: Path) -> Iterator[Task]:
    """All tables."""
    return map(Table, sorted(folder.glob("*.npz")))


@functools.cache
def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options)


def _entry(given: Mapping[str, Any]) -> dict[str, Any]:
    kind = "int" if given["type"] == "uniform_int" else "float"
    return {"type": kind, "low": given["lower"], "high": given["upper"], "log": given["log"]}


def _samples(space: Mapping[str, Mapping[str, Any]], count: int) -> Sequence[dict[str, Any]]:
    generator = np.random.default_rng(0)
    return [{name: _drawn(entry, generator.random()) for name, entry in space.items()} for _ in range(count)]


def _drawn(entry: Mapping[str, Any], part: float) -> float:
    low, high = entry["low"], entry["high"]
    value = low * (high / low) ** part if entry["log"] else low + (high - low) * part
    return round(value) if entry["type"] == "int" else float(value)
