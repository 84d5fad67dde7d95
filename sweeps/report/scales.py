"""Where a trial stands on an axis: of a searched parameter, or of the objective.

An axis of a parameter is logarithmic where its space is, and has a place for each choice of a categorical one. On the
objective's axis nothing that has gone wrong may stretch the scale: trials beyond its ends are drawn at the worse end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sweeps.config.parameters import Choices, FloatRange, IntRange, Parameter
from sweeps.config.wording import one_line, show

FAR_OUT = 3.0
"""Values are far out that are more than so many interquartile ranges beyond the quartiles: J. W. Tukey, "Exploratory
Data Analysis" (1977)."""
MOST_LINEAR = 50.0
"""A loss whose upper quartile is more than so many times its least value has a logarithmic axis."""
LARGEST = 1e300
MARGIN = 0.05
"""Between the end of an axis and what is drawn there, as a part of its length."""
_GOLDEN = 0.6180339887498949

Kind = Literal["linear", "log", "categorical"]


@dataclass(frozen=True)
class ParameterScale:
    """The axis of one parameter, whose column is `field`.

    `low` and `high` are the ends of the axis, for a categorical one in places of `labels`, its values as texts.
    """

    name: str
    field: str
    kind: Kind
    low: float
    high: float
    labels: tuple[str, ...] = ()

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of the axis, and a little beyond them."""
        return widened(self.low, self.high, is_log=self.kind == "log")

    @property
    def position(self) -> str:
        """The column of places on the axis."""
        return f"{self.field}_place" if self.kind == "categorical" else self.field

    def values(self, params: Sequence[dict[str, Any]]) -> np.ndarray:
        """`[trials]`, numbers, NaN where a trial has none; for a categorical parameter i16 indices of labels, or -1."""
        given = [each.get(self.name) for each in params]
        if self.kind == "categorical":
            places = {label: place for place, label in enumerate(self.labels)}
            return np.array([-1 if each is None else places.get(text(each), -1) for each in given], np.int16)
        return np.array([math.nan if each is None else float(each) for each in given], np.float64)

    def places(self, params: Sequence[dict[str, Any]]) -> np.ndarray:
        """`[trials]`, where each trial stands on the axis, NaN where nowhere; equal choices side by side."""
        values = self.values(params)
        if self.kind != "categorical":
            return values
        spread = (np.arange(len(values)) * _GOLDEN % 1 - 0.5) / 2
        return np.where(values < 0, np.nan, values + spread)

    def heights(self, params: Sequence[dict[str, Any]]) -> np.ndarray:
        """`[trials]`, the same as parts of the way from `low` to `high`, equal choices in one place."""
        values = self.values(params).astype(np.float64)
        if self.kind == "categorical":
            values[values < 0] = np.nan
        return _parts(values, self.low, self.high, is_log=self.kind == "log")


@dataclass(frozen=True)
class ObjectiveScale:
    """The axis of the objective: its ends, whether it is logarithmic, and at which end the worse values are."""

    low: float
    high: float
    is_log: bool
    worst: float

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of the axis, and a little beyond them."""
        return widened(self.low, self.high, is_log=self.is_log)

    def shown(self, values: np.ndarray) -> np.ndarray:
        """`[trials]`, where values are drawn: inside the ends; NaN at the worse one."""
        return np.where(np.isnan(values), self.worst, np.clip(values, self.low, self.high))

    def heights(self, shown: np.ndarray) -> np.ndarray:
        """`[trials]`, the same as parts of the way from `low` to `high`."""
        return _parts(shown, self.low, self.high, is_log=self.is_log)


def parameter_scale(name: str, field: str, entry: Parameter | None, values: Iterable[Any]) -> ParameterScale:
    """The axis of a parameter: `entry` is what the config says of it, `values` are those that trials have had."""
    had = [value for value in values if value is not None]
    ends = [entry.low, entry.high] if isinstance(entry, FloatRange | IntRange) else []
    if isinstance(entry, Choices) or not ends + had or not all(map(_is_number, had)):
        choices = entry.choices if isinstance(entry, Choices) else ()
        labels = tuple(dict.fromkeys(map(text, _in_order([*choices, *had]))))
        return ParameterScale(name, field, "categorical", -0.5, max(len(labels), 1) - 0.5, labels)
    low, high = float(min(ends + had)), float(max(ends + had))
    if isinstance(entry, FloatRange | IntRange) and entry.log and low > 0:
        return ParameterScale(name, field, "log", *((low, high) if low < high else (low / 2, high * 2)))
    return ParameterScale(name, field, "linear", *((low, high) if low < high else (low - 0.5, high + 0.5)))


def objective_scale(values: np.ndarray, direction: str | None) -> ObjectiveScale:
    """The axis for the values of trials that did not diverge. Only its worse end leaves some of them out.

    Without a `direction` nobody knows which end that is, and it leaves none of them out.

    >>> objective_scale(np.array([0.1, 0.2, 0.3, 0.4, 1e9]), "minimize").high < 2
    True
    """
    values = values[np.isfinite(values)]
    if not values.size:
        return ObjectiveScale(0.0, 1.0, is_log=False, worst=float(direction == "minimize"))
    is_log = bool(
        direction == "minimize" and values.min() > 0 and np.quantile(values, 0.75) > MOST_LINEAR * values.min()
    )
    low, high = _fenced(np.log10(values) if is_log else values, direction)
    if low == high:
        low, high = low - 0.5, high + 0.5
    if is_log:
        low, high = 10**low, 10**high
    return ObjectiveScale(low, high, is_log, high if direction == "minimize" else low)


def widened(low: float, high: float, *, is_log: bool) -> tuple[float, float]:
    """Ends of an axis that leave a mark at `low` or `high` whole."""
    if is_log:
        reach = (high / low) ** MARGIN
        return low / reach, high * reach
    reach = MARGIN * (high - low)
    return low - reach, high + reach


def text(value: Any) -> str:
    """A parameter's value in a few words: text as it is, numbers with six figures at most.

    >>> text("relu"), text((64, 32)), text(0.1234567)
    ('relu', '[64, 32]', '0.123457')
    """
    if isinstance(value, str):
        return one_line(value)
    return f"{value:.6g}" if isinstance(value, float) else show(value)


def _parts(values: np.ndarray, low: float, high: float, *, is_log: bool) -> np.ndarray:
    if is_log:
        return np.log(values / low) / math.log(high / low)
    return (values - low) / (high - low)


def _in_order(choices: list[Any]) -> list[Any]:
    """Choices that are numbers by their size, others as they are given."""
    return sorted(choices) if all(map(_is_number, choices)) else choices


def _is_number(value: Any) -> bool:
    """Whether it is one that an axis can have."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST < value < LARGEST


def _fenced(values: np.ndarray, direction: str | None) -> tuple[float, float]:
    lower, upper = (float(each) for each in np.quantile(values, (0.25, 0.75)))
    reach = FAR_OUT * (upper - lower) or math.inf
    low, high = float(values.min()), float(values.max())
    if direction is None:
        return low, high
    return (low, min(high, upper + reach)) if direction == "minimize" else (max(low, lower - reach), high)
