"""Searched parameters in Optuna's form: what it draws from, and its values for the config's.

Numbers are themselves. Optuna's storages and plots know choices that are text, numbers, true, false and null, so a list
among choices is its JSON text, as it is in the tables. Samplers add steps up, each in its own way: a number with a step
comes back as 0.3 and not as 0.30000000000000004, so that a study that was rebuilt from a log holds, to the last bit,
what the first one held.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sweeps.config.parameters import Choices, FloatRange, IntRange, Parameter, name_of
from sweeps.config.schema import SweepConfig
from sweeps.config.values import Value
from sweeps.study.grid import stepped

Label = None | bool | int | float | str
"""A choice as Optuna has it."""


class Dimension(NamedTuple):
    """One searched parameter, or one of its several ranges; `key` is what `config.parameters()` has it under.

    Optuna knows it by its key, for with Optuna a name has one distribution. The sweep's name of it is `name`.
    """

    key: str
    parameter: Parameter
    distribution: BaseDistribution

    @property
    def name(self) -> str:
        """What the sweep's trials call it."""
        return name_of(self.key)

    def suggest(self, trial: optuna.Trial) -> Any:
        """What Optuna proposes for a trial."""
        match self.distribution:
            case FloatDistribution() as it:
                return trial.suggest_float(self.key, it.low, it.high, log=it.log, step=it.step)
            case IntDistribution() as it:
                return trial.suggest_int(self.key, it.low, it.high, step=it.step, log=it.log)
            case other:
                assert isinstance(other, CategoricalDistribution)
                return trial.suggest_categorical(self.key, other.choices)

    def decode(self, given: Any) -> Value:
        """The config's value for one of Optuna's."""
        match self.parameter:
            case Choices(choices=choices):
                return choices[int(self.distribution.to_internal_repr(given))]
            case IntRange():
                return int(given)
            case FloatRange(step=float(step), log=False) as it:
                return stepped(it.low, step, round((given - it.low) / step))
            case FloatRange():
                return float(given)

    def encode(self, value: Value) -> Any:
        """Optuna's value for one that the parameter can have."""
        match self.parameter:
            case Choices(choices=choices):
                return self.distribution.to_external_repr(choices.index(value))
            case FloatRange():
                return self.decode(value)
        return value


def dimensions_of(config: SweepConfig) -> tuple[Dimension, ...]:
    """The searched parameters in the config's order, which names no parameter before those of its `when`."""
    return tuple(Dimension(key, it, distribution(it)) for key, it in config.parameters().items())


def distribution(parameter: Parameter) -> BaseDistribution:
    """What Optuna draws a parameter's values from."""
    match parameter:
        case Choices(choices=choices):
            return CategoricalDistribution(labels(choices))
        case IntRange() as it:
            return IntDistribution(it.low, it.high, log=it.log, step=it.step)
        case FloatRange(step=float(step), log=False) as it:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # Optuna would leave out a last step that rounding misses
                found = FloatDistribution(it.low, it.high, step=step)
            found.high = it.high
            return found
        case FloatRange() as it:
            return FloatDistribution(it.low, it.high, log=it.log)


def labels(choices: Sequence[Value]) -> list[Label]:
    """Choices as Optuna has them, in their order; all as JSON where the text of a list is that of another choice.

    >>> labels(["relu", (64, 32)]), labels(["[1]", (1,)])
    (['relu', '[64, 32]'], ['"[1]"', '[1]'])
    """
    named = [json.dumps(choice) if isinstance(choice, tuple | list) else choice for choice in choices]
    return named if len(set(named)) == len(named) else [json.dumps(choice) for choice in choices]
