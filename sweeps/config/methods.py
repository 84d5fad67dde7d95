"""The samplers and pruners with their arguments. The rule: a method and each of its arguments is listed here once.

The search itself is in `study`; this table lets a config be checked, and a JSON Schema be written, without it.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic_core import PydanticCustomError

from sweeps.config.options import Option, count, flag, positive, word
from sweeps.config.schema import Component
from sweeps.config.wording import Fault, did_you_mean, listing, show

_STARTUP = count(0, "Trials proposed at random before the method starts.")
_FACTOR = count(2, "Of how many trials one goes on to the next round.")

SAMPLERS: dict[str, dict[str, Option]] = {
    "tpe": {"n_startup_trials": _STARTUP, "n_ei_candidates": count(1, "Candidates weighed for each proposal.")},
    "random": {},
    "grid": {},
    "qmc": {
        "qmc_type": word(("sobol", "halton"), "The low-discrepancy sequence."),
        "scramble": flag("Whether the sequence is scrambled."),
    },
    "gp": {"n_startup_trials": _STARTUP, "deterministic": flag("Whether the objective is free of noise.")},
    "cmaes": {
        "n_startup_trials": _STARTUP,
        "popsize": count(2, "Trials in a generation."),
        "sigma0": positive("The first step size."),
    },
}
PRUNERS: dict[str, dict[str, Option]] = {
    "none": {},
    "hyperband": {"min_resource": count(1, "The fewest epochs a trial gets."), "reduction_factor": _FACTOR},
    "successive_halving": {
        "min_resource": count(1, "The fewest epochs a trial gets."),
        "reduction_factor": _FACTOR,
        "min_early_stopping_rate": count(0, "Rounds that are skipped before any trial is stopped."),
    },
    "median": {
        "n_startup_trials": count(0, "Trials that finish before any is stopped."),
        "n_warmup_steps": count(0, "Epochs before a trial can be stopped."),
        "interval_steps": count(1, "Epochs between two decisions."),
    },
}
METHODS = {"sampler": SAMPLERS, "pruner": PRUNERS}


def method_faults(section: str, component: Component) -> Iterator[Fault]:
    """What is wrong with a `sampler` or `pruner` section."""
    methods = METHODS[section]
    if component.use not in methods:
        rule, near = f"must be {listing(methods)}", did_you_mean(component.use, methods)
        yield Fault((section, "use"), rule, show(component.use), near)
        return
    known = methods[component.use]
    for name, value in component.arguments.items():
        path = (section, name)
        if name not in known:
            all_known = f"It takes {listing(known, 'and')}" if known else "It takes no arguments"
            yield Fault(
                path, f"unknown argument of the {section} `{component.use}`", "", did_you_mean(name, known, all_known)
            )
            continue
        try:
            known[name].check(value)
        except PydanticCustomError as error:
            for fault in (error.context or {})["faults"]:
                yield fault._replace(path=path)
