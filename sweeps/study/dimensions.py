"""Searched parameters as Optuna sees them. The rule: what goes to Optuna comes back as the config's very own value.

Optuna's choices can be no lists, so each travels as its JSON text. Optuna adds steps up, each sampler in its own way,
so a real number with a step travels as its index: it comes back as 0.3 and not as 0.30000000000000004, and a study
that was rebuilt from a log holds, to the last bit, what the first one held.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sweeps.config.parameters import Choices, FloatRange, IntRange, Parameter
from sweeps.config.schema import SweepConfig
from sweeps.config.values import Value
from sweeps.study.grid import stepped

Code = int | float | str  # a value as Optuna holds it


class Dimension(NamedTuple):
    """One searched parameter. `choices` maps JSON text to the choice, and is empty for numbers."""

    name: str
    parameter: Parameter
    choices: Mapping[str, Value]

    @property
    def distribution(self) -> BaseDistribution:
        """The parameter in Optuna's form."""
        match self.parameter:
            case FloatRange(step=float(), log=False, count=int(count)):
                return IntDistribution(0, count - 1)
            case FloatRange() as it:
                return FloatDistribution(it.low, it.high, log=it.log)
            case IntRange() as it:
                return IntDistribution(it.low, it.high, log=it.log, step=it.step)
            case Choices():
                return CategoricalDistribution(tuple(self.choices))

    def suggest(self, trial: optuna.Trial) -> Value:
        """Let the trial's sampler choose."""
        match self.parameter:
            case FloatRange(step=float(step), log=False, count=int(count)) as it:
                return stepped(it.low, step, trial.suggest_int(self.name, 0, count - 1))
            case FloatRange() as it:
                return float(trial.suggest_float(self.name, it.low, it.high, log=it.log))
            case IntRange() as it:
                return trial.suggest_int(self.name, it.low, it.high, step=it.step, log=it.log)
            case Choices():
                return self.choices[trial.suggest_categorical(self.name, tuple(self.choices))]

    def encode(self, value: Value) -> Code:
        """A known value as Optuna holds it.

        Raises ValueError when the parameter cannot have it; Optuna would take it, with a warning.
        """
        if not self.parameter.contains(value):
            raise ValueError(f"{self.name} must be {self.parameter}, but got {value!r}")
        known = self.parameter.canonical(value)
        if isinstance(self.parameter, Choices):
            return json.dumps(known)
        assert isinstance(known, int | float)
        match self.parameter:
            case FloatRange(step=float(step), log=False) as it:
                return round((known - it.low) / step)
        return known


def dimensions_of(config: SweepConfig) -> tuple[Dimension, ...]:
    """The searched parameters in the config's order, which names no parameter before those of its `when`."""
    return tuple(
        Dimension(name, it, {json.dumps(choice): choice for choice in it.choices} if isinstance(it, Choices) else {})
        for name, it in config.parameters().items()
    )
