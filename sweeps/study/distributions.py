"""Searched parameters in Optuna's form: what it draws from, and its values for ours.

Numbers are themselves. Optuna's storages and plots know choices that are text, numbers, true, false and null, so a list
among choices is its JSON text, as it is in the tables.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sweeps.config.parameters import Choices, FloatRange, IntRange, Parameter
from sweeps.config.values import Value

Label = None | bool | int | float | str
"""A choice as Optuna has it."""


def labels(choices: Sequence[Value]) -> list[Label]:
    """Choices as Optuna has them, in their order; all as JSON where the text of a list is that of another choice.

    >>> labels(["relu", (64, 32)]), labels(["[1]", (1,)])
    (['relu', '[64, 32]'], ['"[1]"', '[1]'])
    """
    named = [json.dumps(choice) if isinstance(choice, tuple | list) else choice for choice in choices]
    return named if len(set(named)) == len(named) else [json.dumps(choice) for choice in choices]


def distribution(parameter: Parameter) -> BaseDistribution:
    """What Optuna draws a parameter's values from."""
    match parameter:
        case Choices(choices=choices):
            return CategoricalDistribution(labels(choices))
        case IntRange() as it:
            return IntDistribution(it.low, it.high, log=it.log, step=it.step)
        case FloatRange() as it:
            return FloatDistribution(it.low, it.high, log=it.log, step=None if it.log else it.step)
