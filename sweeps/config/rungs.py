"""Rungs: the epochs after which a pruner that pauses trials (`waves`, `asha`) decides which of them go on.

With such a pruner `epochs` is not sampled. The lowest number of epochs is the first rung and the highest the longest
training, so a config holds the first as the pruner's `min_epochs` and the second as the plain number `epochs`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sweeps.config.parameters import IntRange, Parameter
from sweeps.config.wording import Fault, show

if TYPE_CHECKING:
    from sweeps.config.schema import Component, SweepConfig
    from sweeps.config.sections import Sections

PAUSING = ("waves", "asha")
"""Pruners that pause trials at rungs."""
SAMPLERS = ("tpe", "random", "grid", "qmc")
"""Samplers that can propose beside them: TPE learns from rungs, and the others do not learn."""
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "waves": {"min_epochs": 1, "reduction_factor": 3, "wave_size": None, "brackets": 1},
    "asha": {"min_epochs": 1, "reduction_factor": 3},
}
"""What a config leaves out; a wave is as large as its rungs need."""


def rung_epochs(first: int, longest: int, factor: int) -> tuple[int, ...]:
    """The rungs, and the longest training as the last of them.

    >>> rung_epochs(1, 27, 3), rung_epochs(1, 8, 3), rung_epochs(4, 4, 2)
    ((1, 3, 9, 27), (1, 3, 8), (4,))
    """
    rungs = []
    while first < longest:
        rungs.append(first)
        first *= factor
    return (*rungs, longest)


def rungs_of(config: SweepConfig) -> tuple[int, ...]:
    """The rungs of a config whose pruner pauses trials."""
    longest: Any = config.search_space["epochs"]
    first: Any = {**DEFAULTS[config.pruner.use], **config.pruner.arguments}["min_epochs"]
    return rung_epochs(int(first), longest, factor_of(config.pruner))


def wave_sizes(config: SweepConfig) -> tuple[int, ...]:
    """How many trials the waves have that begin at the first rung, the second and so on, in turns.

    One in `reduction_factor` of them is left at each rung, and one at the end, unless `wave_size` says otherwise. The
    brackets' shares are Hyperband's (Li et al., 2018, arXiv:1603.06560).
    """
    given = {**DEFAULTS["waves"], **config.pruner.arguments}
    rounds, factor = len(rungs_of(config)), factor_of(config.pruner)
    size, brackets = int(given["wave_size"] or factor ** (rounds - 1)), int(given["brackets"])
    return tuple(-(-size * rounds // ((rounds - first) * factor**first)) for first in range(brackets))


def rungs_in_words(config: SweepConfig) -> str:
    """When trials are compared, and with how many others."""
    *rungs, longest = map(str, rungs_of(config))
    after = f"after {', '.join(rungs)} of {longest} epochs" if rungs else "none, for no trial can have fewer epochs"
    sizes = ", ".join(map(str, dict.fromkeys(wave_sizes(config))))
    return f"{after}, in waves of {sizes}" if config.pruner.use == "waves" else after


def factor_of(pruner: Component) -> int:
    """Of how many trials one goes on at a rung."""
    factor: Any = {**DEFAULTS[pruner.use], **pruner.arguments}["reduction_factor"]
    return int(factor)


def settled(space: Mapping[str, Any], pruner: Component) -> tuple[Mapping[str, Any], Component]:
    """The search space and the pruner with a range of epochs as rungs, where the pruner pauses trials."""
    epochs = space.get("epochs")
    if pruner.use not in PAUSING or not isinstance(epochs, IntRange):
        return space, pruner
    return {**space, "epochs": epochs.high}, pruner.with_arguments(min_epochs=epochs.low)


def rung_faults(sections: Sections) -> Iterator[Fault]:
    """What does not fit a pruner that pauses trials."""
    pruner, epochs = sections.pruner, sections.search_space.get("epochs")
    if pruner is None or pruner.use not in PAUSING or not _are_right(pruner):
        return
    name = f"pruner `{pruner.use}`"
    if isinstance(epochs, IntRange) and not epochs.when and epochs.step == 1:
        if "min_epochs" in pruner.arguments:
            rule = "must not be given beside a range of `epochs`, whose `low` is the first rung"
            yield Fault(("pruner", "min_epochs"), rule, show(pruner.arguments["min_epochs"]), "Remove it")
        yield from _enqueued(sections, name, epochs.high)
        rungs = rung_epochs(epochs.low, epochs.high, factor_of(pruner))
    elif isinstance(epochs, int):
        first = pruner.arguments.get("min_epochs", 1)
        if first > epochs:
            yield Fault(("pruner", "min_epochs"), f"must be at most the number of epochs, {epochs:g}", show(first))
        rungs = rung_epochs(first, epochs, factor_of(pruner))
    elif epochs is None:
        return  # missing or wrong by itself
    else:
        rule = f"{name} decides how many epochs a trial has: `epochs` must be one range without `when` and `step`"
        what = "a range" if isinstance(epochs, Parameter) else "a list of ranges"
        got = show(list(getattr(epochs, "choices", ()))) if hasattr(epochs, "choices") else what
        yield Fault(("search_space", "epochs"), rule, got, "Write `{type: int, low: 1, high: 27}`, or a number")
        return
    brackets = pruner.arguments.get("brackets", 1)
    if brackets > len(rungs):
        yield Fault(("pruner", "brackets"), f"must be at most the number of rungs, {len(rungs)}", show(brackets))
    sampler = sections.sampler
    if sampler is not None and sampler.use not in SAMPLERS:
        rule = f"{name} goes with {', '.join(SAMPLERS)}: other samplers do not learn from trials that are paused"
        yield Fault(("sampler", "use"), rule, show(sampler.use), "Use `tpe`")


def _are_right(pruner: Component) -> bool:
    """Whether its arguments are numbers to reckon with; otherwise they are complained about by themselves."""
    least = {"min_epochs": 1, "reduction_factor": 2, "wave_size": 2, "brackets": 1}
    given = ((pruner.arguments.get(name, low), low) for name, low in least.items())
    return all(isinstance(value, int | float) and value == value // 1 >= low for value, low in given)


def _enqueued(sections: Sections, name: str, longest: int) -> Iterator[Fault]:
    for index, known in enumerate(sections.enqueue or ()):
        if "epochs" in known and known["epochs"] != longest:
            rule = f"{name} decides how many epochs a trial has: `epochs` must be left out here, or be {longest}"
            yield Fault(("enqueue", index, "epochs"), rule, show(known["epochs"]), "Remove it")
