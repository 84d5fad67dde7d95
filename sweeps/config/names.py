"""What a config can name without a module of one's own: losses, schedules, metrics, samplers, pruners, parameters.

Each name and each of its arguments is listed here once, with its type; checks, messages and the JSON Schema come from
these types. The functions behind the names are in `training` and `study`, which are not imported for them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter

from sweeps.config.values import (
    MAX_COUNT,
    Count,
    Fraction,
    NotNegative,
    Positive,
    Seed,
    Text,
    Times,
    Truth,
    Whole,
    between,
    limits,
    text,
    wrong,
)
from sweeps.config.wording import did_you_mean, listing, show

Options = Mapping[str, TypeAdapter[Any]]
"""Arguments by name."""


def option(kind: Any, description: str) -> TypeAdapter[Any]:
    """An argument of this type."""
    described = Annotated[kind, Field(description=description)]
    return TypeAdapter(described, config=ConfigDict(defer_build=True))


_LOGITS = option(Truth, "Whether outputs are logits, as they are unless this is false, or probabilities.")
_SMOOTHING = option(Fraction, "How much of each target is spread evenly over the classes.")
LOSSES: Mapping[str, Options] = {
    "mean_squared_error": {},
    "mean_absolute_error": {},
    "huber": {"delta": option(Positive, "The difference up to which it is squared; 1 unless given.")},
    "binary_cross_entropy": {"from_logits": _LOGITS, "label_smoothing": _SMOOTHING},
    "softmax_cross_entropy": {"from_logits": _LOGITS, "label_smoothing": _SMOOTHING},
}

_ABOUT_FINAL = "What the learning rate ends near, as a part of its full value."
_FINAL = option(Fraction, _ABOUT_FINAL)
_RISE = {
    "warmup": option(Fraction, "The part of all iterations in which the learning rate rises to its full value."),
    "start": option(Fraction, "What the learning rate rises from, as a part of its full value."),
}
SCHEDULES: Mapping[str, Options] = {
    "constant": _RISE,
    "linear": {**_RISE, "final": _FINAL},
    "cosine": {**_RISE, "final": _FINAL},
    "exponential": {**_RISE, "final": option(Positive, _ABOUT_FINAL)},
    "one_cycle": {**_RISE, "final": _FINAL},
}

METRICS = (
    *("accuracy", "precision", "recall", "f1", "precision_macro", "recall_macro", "f1_macro", "auc"),
    *("r2", "mean_absolute_error", "mean_squared_error"),
)
TOP = re.compile(r"top_([1-9][0-9]{0,5})", re.ASCII)
"""The metric of the k highest outputs, such as `top_5`."""
OWN = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)

_TwoOrMore = Annotated[Whole, AfterValidator(between(2, MAX_COUNT)), limits(minimum=2, maximum=MAX_COUNT)]
_STARTUP = option(Times, "Trials proposed at random before the method starts.")
_ROUNDS = {
    "min_resource": option(Count, "The fewest epochs a trial gets."),
    "reduction_factor": option(_TwoOrMore, "Of how many trials one goes on to the next round."),
}
SAMPLERS: Mapping[str, Options] = {
    "tpe": {"n_startup_trials": _STARTUP, "n_ei_candidates": option(Count, "Candidates weighed for each proposal.")},
    "random": {},
    "grid": {"shuffle": option(Truth, "Whether its points come in a random order, by the sweep's seed.")},
    "qmc": {
        "qmc_type": option(Literal["sobol", "halton"], "The low-discrepancy sequence."),
        "scramble": option(Truth, "Whether the sequence is scrambled."),
    },
    "gp": {"n_startup_trials": _STARTUP, "deterministic": option(Truth, "Whether the objective is free of noise.")},
    "cmaes": {
        "n_startup_trials": _STARTUP,
        "popsize": option(_TwoOrMore, "Trials in a generation."),
        "sigma0": option(Positive, "The first step size."),
    },
}
_RUNGS = {
    "min_epochs": option(Count, "The epochs after which trials are compared first; the `low` of a range of epochs."),
    "reduction_factor": option(_TwoOrMore, "Of how many trials one goes on to the next rung."),
}
PRUNERS: Mapping[str, Options] = {
    "none": {},
    "waves": {
        **_RUNGS,
        "wave_size": option(_TwoOrMore, "Trials that are proposed and compared together."),
        "brackets": option(Count, "How many first rungs waves have in turns; 1 unless given."),
    },
    "asha": _RUNGS,
    "hyperband": _ROUNDS,
    "successive_halving": {
        **_ROUNDS,
        "min_early_stopping_rate": option(Times, "Rounds that are skipped before any trial is stopped."),
    },
    "median": {
        "n_startup_trials": option(Times, "Trials that finish before any is stopped."),
        "n_warmup_steps": option(Times, "Epochs before a trial can be stopped."),
        "interval_steps": option(Count, "Epochs between two decisions."),
    },
}
FORMULAS = {"loss": LOSSES, "schedule": SCHEDULES}
"""The sections that name a function, built-in or of one's own."""
METHODS = {"sampler": SAMPLERS, "pruner": PRUNERS}
"""The sections that name a method, built-in or by a dotted name."""


def _name_of(known: tuple[str, ...], **patterns: re.Pattern[str]) -> tuple[BeforeValidator, Any]:
    """What makes text one of the known names, `module:name`, or what fits a pattern, by an example of it."""
    patterns["module:name"] = OWN

    def check(value: object) -> str:
        name = text(value)
        if name not in known and not any(pattern.fullmatch(name) for pattern in patterns.values()):
            near = did_you_mean(name, (*known, *(shape for shape in patterns if shape != "module:name")))
            raise wrong(f"must be {listing((*known, *patterns))}", show(name), near)
        return name

    shapes = [{"type": "string", "pattern": f"^{pattern.pattern}$"} for pattern in patterns.values()]
    return BeforeValidator(check), limits(anyOf=[{"enum": list(known)}, *shapes])


Loss = Annotated[str, *_name_of(tuple(LOSSES))]
Schedule = Annotated[str, *_name_of(tuple(SCHEDULES))]
Metric = Annotated[str, *_name_of(METRICS, top_5=TOP)]


class Searchable(NamedTuple):
    """The values that a parameter can have by its name, and the types of entries that can search them."""

    values: TypeAdapter[Any]
    types: tuple[str, ...]


_WHOLE, _NUMBER, _NAME = ("int", "categorical"), ("float", "int", "categorical"), ("categorical",)
PARAMETERS: Mapping[str, Searchable] = {
    "epochs": Searchable(option(Count, "Passes over the training split."), _WHOLE),
    "batch_size": Searchable(option(Count, "Examples per update of the optimizer."), _WHOLE),
    "learning_rate": Searchable(option(NotNegative, "The optimizer's learning rate."), _NUMBER),
    "seed": Searchable(option(Seed, "The seed of a trial, where it is not to be derived from the sweep's."), _WHOLE),
    "loss": Searchable(option(Loss, "What training minimises, where that is searched."), _NAME),
    "schedule.use": Searchable(option(Schedule, "What the learning rate does, where that is searched."), _NAME),
    "augmentation.shift": Searchable(option(Times, "The most pixels that an image moves in each direction."), _WHOLE),
    "augmentation.flip": Searchable(option(Fraction, "The probability that left and right are exchanged."), _NUMBER),
}
_USE = Searchable(option(Text, "A name."), _NAME)


def searchable(name: str) -> Searchable | None:
    """What is known of the values of a parameter; None if they may be anything."""
    return PARAMETERS.get(name, _USE if name.endswith(".use") else None)


def metric_column(metric: str) -> str:
    """The column of a metric on the validation split.

    >>> metric_column("accuracy"), metric_column("my.metrics:top_5")
    ('valid_accuracy', 'valid_top_5')
    """
    return f"valid_{re.split('[:.]', metric)[-1]}"
