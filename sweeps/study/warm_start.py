"""Trials of an earlier sweep that fit a search space, so that a sampler can learn from them.

As in Optuna a trial may lack parameters: those that this sweep searches and the other one did not name. TPE then learns
the others from it. GP learns from what all trials have in common, so one that lacks a parameter would cost it that
parameter, and does not fit.
"""

from __future__ import annotations

from collections.abc import Mapping

from sweeps.config.parameters import name_of
from sweeps.config.schema import SweepConfig
from sweeps.config.space import active
from sweeps.config.values import Value
from sweeps.config.wording import show


def fitting(config: SweepConfig, values: Mapping[str, Value]) -> dict[str, Value] | str:
    """Of the `values` of a trial, fixed ones included, those that this config searches; why it does not fit, as text.

    A value must be one that the parameter can have here, or the one that it is fixed at. What this config does not name
    is left out.
    """
    for name, value in config.fixed().items():
        if values.get(name, value) != value:
            return f"{name} is {show(values[name])}, which is fixed at {show(value)} here"
    found: dict[str, Value] = {}
    for key, parameter in config.parameters().items():
        name = name_of(key)
        if not active(config, found, key):
            continue
        if name in values:
            if not parameter.contains(values[name]):
                return f"{name} is {show(values[name])}, which must be {parameter} here"
            found[name] = parameter.canonical(values[name])
        elif config.sampler.use == "gp":
            return f"{name} is missing, and gp needs all parameters"
    return found or "none of its parameters is searched here"
