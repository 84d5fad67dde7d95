"""Priors: values that a person takes for good, which trials are near early on and forget with time.

The first trial that is not enqueued has all of them. The n-th after it takes all parameters that have a prior from a
distribution around it with a probability of 5 / (5 + n), and leaves them to the sampler otherwise: of 100 trials about
16 go by the priors and 84 do not, so that bad ones cost little. A sampler that learns comes back to good ones by
itself, for it has seen them. Related methods: πBO (Hvarfner et al., 2022, arXiv:2204.11051), whose prior fades
as 10 / n; PriorBand (Mallik et al., 2023, arXiv:2306.12370), which draws from it less and less often.

The distribution is a normal one with a standard deviation of a quarter of the range, as PriorBand has it, after the
logarithm where the scale has one, and cut off at the ends. A choice has half of the probability, and a share of the
other half.
"""

from __future__ import annotations

import math
import random
from statistics import NormalDist

from sweeps.config.parameters import Choices, FloatRange, IntRange, Parameter
from sweeps.config.schema import SweepConfig
from sweeps.config.values import Value
from sweeps.study.arguments import seed_of
from sweeps.study.grid import stepped

FADING = 5
"""So many trials after the first, every other one still goes by the priors; with 10 or 20, bad ones cost more."""
WIDTH = 0.25


def preferred(config: SweepConfig, number: int, redraw: int) -> dict[str, Value]:
    """What trial `number` takes from priors, by key; nothing where it leaves all to the sampler."""
    with_prior = {key: each for key, each in config.parameters().items() if each.prior is not None}
    later = number - len(config.enqueue)
    if not with_prior or later < 0:
        return {}
    if later == redraw == 0:
        return {key: each.canonical(each.prior) for key, each in with_prior.items()}
    draw = random.Random(seed_of(config.seed, number, redraw, "prior"))  # noqa: S311  (it keeps no secret)
    if draw.random() >= FADING / (FADING + later):
        return {}
    return {key: near(each, draw.random()) for key, each in with_prior.items()}


def near(parameter: Parameter, quantile: float) -> Value:
    """A value of a parameter, at a quantile in [0, 1) of the distribution around its prior.

    >>> near(IntRange(type="int", low=1, high=9, prior=5), 0.5)
    5
    """
    if isinstance(parameter, Choices):
        share = 2 * quantile - 1
        is_other = share >= 0
        return (
            parameter.choices[int(share * len(parameter.choices))] if is_other else parameter.canonical(parameter.prior)
        )
    if parameter.count == 1:
        return parameter.low
    step = 0 if parameter.step is None or (parameter.log and isinstance(parameter, FloatRange)) else parameter.step
    low, high, prior = (
        _place(parameter, value)
        for value in (parameter.low - step / 2, parameter.high + step / 2, parameter.prior or 0)
    )
    around = NormalDist(prior, WIDTH * (high - low))
    below, above = around.cdf(low), around.cdf(high)
    place = around.inv_cdf(below + max(quantile, 1e-12) * (above - below))
    drawn = min(max(math.exp(place) if parameter.log else place, parameter.low), parameter.high)
    index = round((drawn - parameter.low) / step) if step else 0
    if isinstance(parameter, IntRange):
        return parameter.low + index * parameter.step
    return stepped(parameter.low, step, index) if step else drawn


def _place(parameter: FloatRange | IntRange, value: float) -> float:
    """Where a value is along the parameter's scale."""
    return math.log(value) if parameter.log else value
