"""The study: which trial comes next, and when one has seen enough.

It can be rebuilt from the log: an ask depends on the sweep's seed, the trial's number and the
events so far, and on nothing else, so `Study.from_events` continues as if the process had never stopped.

Samplers and pruners are Optuna's. The arithmetic of random, grid, tpe and of all pruners is written anew, over columns
and sorted tables, so that the ten thousandth trial costs about what the first one did; tests hold it to Optuna's own.
The other samplers are asked through Optuna, which is imported for them alone.

What a sampler learns of an outcome, and why:

    completed                  complete, with its value
    pruned                     pruned. TPE ranks these after all complete trials, the longest-lived first. GP learns
                               from complete trials only and would propose the same spot again, so for gp it is
                               complete with its last value.
    diverged                   infeasible, which TPE ranks behind everything else: by its last finite value alone, a
                               trial that fell apart late would rank as the best of the pruned. GP and CMA-ES know no
                               such thing: complete with the worst value so far, or failed when there is none yet.
    out_of_memory, timed_out,  failed: nothing is learnt from them
    interrupted, failed

A trial that gets another attempt (`retries`, or want of memory) reaches the sampler once, when the last attempt has
ended. What an earlier attempt reported stays: the first report of each epoch counts.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from sweeps.config.parameters import name_of
from sweeps.config.schema import SweepConfig
from sweeps.config.space import active, entry_for
from sweeps.config.values import Value
from sweeps.config.wording import Fault
from sweeps.errors import Complaint, ConfigError, LogError
from sweeps.study.arguments import sampler_arguments
from sweeps.study.dimensions import Code, Dimension, dimensions_of
from sweeps.study.grid import grid, grid_size
from sweeps.study.pruners import new_pruner
from sweeps.study.sampling import Ending, RandomSampler, Report, Sampler
from sweeps.study.tpe import TpeSampler

PACKAGES = {"qmc": ("scipy",), "gp": ("scipy", "torch"), "cmaes": ("cmaes",)}
OUTCOMES = ("completed", "pruned", "diverged", "out_of_memory", "timed_out", "interrupted", "failed")

StudyEvent = tuple[object, ...]
"""("ask", number, params), ("report", number, epoch, value) or ("tell", number, outcome, value); and ("lost", number)
in the place of an ask whose parameters the log has lost."""


class Proposal(NamedTuple):
    """A trial to train: its number, counting from 0, and the searched parameters that are active in it."""

    number: int
    params: dict[str, Value]


class Study:
    """Ask, report, tell. For one thread at a time.

    Raises ConfigError when the sampler needs a package that is not installed.
    """

    def __init__(self, config: SweepConfig) -> None:
        if fault := missing_packages(config.sampler.use):
            raise ConfigError([Complaint("config", ".".join(map(str, fault.path)), *fault[1:])])
        self._config = config
        self._dimensions = dimensions_of(config)
        self._names = frozenset(name_of(each.name) for each in self._dimensions)
        self._known = self._known_configurations()
        self._asked = 0
        self._latest: dict[int, Report | None] = {}  # of each running trial
        self._worst: float | None = None
        self._pruner = new_pruner(config)
        self._sampler = new_sampler(config, self._dimensions)

    @property
    def total(self) -> int | None:
        """How many trials a grid has, those of `enqueue` that lie off it included; None for other samplers."""
        return grid_size(self._config) if self._config.sampler.use == "grid" else None

    def ask(self) -> Proposal | None:
        """The next trial: enqueued configurations first, then the sampler's. None when a grid is used up."""
        known = next(self._known, None)
        if known is None and self._config.sampler.use == "grid":
            return None
        return self._propose(known or {}, consult=self._leaves_open(known or {}))

    def report(self, number: int, epoch: int, value: float) -> bool:
        """The objective after `epoch` (from 1) of a running trial. True: the pruner says stop.

        A value that is not finite is not recorded and answers False: the caller retires the trial as diverged.
        A trial that starts over repeats epochs; the first report of each counts, and its answer is given again.

        Raises ValueError for a trial that is not running, or an epoch below 1.
        """
        latest = self._running(number)
        if epoch < 1:
            raise ValueError(f"epochs count from 1, but trial {number} reports epoch {epoch}")
        if latest is not None and epoch <= latest.epoch:
            return latest.stop and epoch == latest.epoch
        if not math.isfinite(value):
            return False
        stop = self._pruner.report(number, epoch, value)
        self._latest[number] = Report(epoch, float(value), stop)
        return stop

    def tell(self, number: int, outcome: str, value: float | None) -> None:
        """How a running trial ended; `value` is the objective of a completed one, and otherwise not looked at.

        Raises ValueError for a trial that is not running, an unknown outcome, or a completed trial without a
        finite value.
        """
        latest = self._running(number)
        if outcome not in OUTCOMES:
            raise ValueError(f"outcome must be one of {', '.join(OUTCOMES)}, but got {outcome!r}")
        if outcome == "completed" and (value is None or not math.isfinite(value)):
            raise ValueError(f"a completed trial must have a finite value, but trial {number} has {value}")
        ending = self._ending(outcome, value, latest)
        self._sampler.tell(number, ending)
        self._pruner.end(number, completed=ending.state == "complete")
        del self._latest[number]
        value, worst = ending.value, self._worst
        if value is not None and (worst is None or self._config.objective.is_better(worst, value)):
            self._worst = value

    def _ending(self, outcome: str, value: float | None, latest: Report | None) -> Ending:
        """What the sampler learns of an outcome, by the table above."""
        sampler = self._config.sampler.use
        match outcome:
            case "completed":
                return Ending("complete", value, latest)
            case "pruned" if sampler == "gp" and latest is not None:
                return Ending("complete", latest.value, latest)
            case "pruned":
                return Ending("pruned", None, latest)
            case "diverged" if sampler in {"gp", "cmaes"}:
                return Ending("failed" if self._worst is None else "complete", self._worst, latest)
            case "diverged":
                return Ending("infeasible", None, latest)
            case _:
                return Ending("failed", None, latest)

    @classmethod
    def from_events(cls, config: SweepConfig, events: Iterable[StudyEvent]) -> Study:
        """The study after `events`, in the order of the log: its next ask is the one that would have come next.

        The log is believed: parameters are taken from it, also where another machine's arithmetic or another
        version of a library would have proposed others now.

        Raises LogError for events that contradict each other or the config.
        """
        study = cls(config)
        for event in events:
            try:
                study._follow(event)
            except ValueError as error:
                raise LogError(f"the log does not fit the config: {error}") from error
        return study

    def _follow(self, event: StudyEvent) -> None:
        match event:
            case ("ask", int(number), Mapping() as params):
                self._restore(number, params)
            case ("lost", int(number)):
                self._pass_over(number)
            case ("report", int(number), int(epoch), (int() | float()) as value):
                self.report(number, epoch, value)
            case ("tell", int(number), str(outcome), (int() | float() | None) as value):
                self.tell(number, outcome, value)
            case _:
                raise ValueError(f"no such event: {event}")

    def _pass_over(self, number: int) -> None:
        """Ask for a trial only so that the next one has its number and its place in the sampler's sequence."""
        self._check_order(number)
        known = next(self._known, {})
        self._propose(known, consult=self._leaves_open(known))

    def _check_order(self, number: int) -> None:
        if number != self._asked:
            raise ValueError(f"trials must be numbered in order, but {number} was asked for after {self._asked - 1}")

    def _restore(self, number: int, params: Mapping[str, Value]) -> None:
        self._check_order(number)
        known = next(self._known, {})
        # Asking leaves traces beside the parameters: QMC's place in its sequence, CMA-ES's state. Ask again for them;
        # the other samplers leave none that last, and asking them again would take long.
        lasting = self._config.sampler.use in {"qmc", "cmaes"}
        restored = self._propose(params, consult=lasting and self._leaves_open(known))
        if restored.params.keys() != params.keys():
            names = f"{', '.join(params)}, but the search space makes it {', '.join(restored.params)}"
            raise ValueError(f"trial {number} has the parameters {names}")
        for name in restored.params.keys() & known.keys():
            if restored.params[name] != known[name]:
                raise ValueError(
                    f"trial {number} has {name}={restored.params[name]}, but {known[name]} was to be tried"
                )

    def _known_configurations(self) -> Iterator[Mapping[str, Value]]:
        if self._config.sampler.use == "grid":
            return grid(self._config)
        return iter(self._config.enqueue)

    def _leaves_open(self, known: Mapping[str, Value]) -> bool:
        return not self._names <= known.keys()

    def _propose(self, known: Mapping[str, Value], consult: bool) -> Proposal:
        """Start trial `_asked`: what is `known` as it is, the rest from the sampler."""
        number = self._asked
        space = self._config.search_space
        entries = {name: entry_for(space, known, name) for name in known}
        fixed = {
            each.name: each.encode(known[name])
            for each in self._dimensions
            if (name := name_of(each.name)) in known and entries[name] is each.parameter
        }
        draw = self._sampler.begin(number, fixed, consult)
        chosen: dict[str, Value] = {}
        codes: dict[str, Code] = {}
        for each in self._dimensions:
            if active(self._config, chosen, each.name):
                codes[each.name] = draw(each)
                chosen[name_of(each.name)] = each.decode(codes[each.name])
        self._sampler.settle(number, codes)
        self._asked += 1
        self._latest[number] = None
        return Proposal(number, {name: chosen[name] for name in self._config.search_space if name in chosen})

    def _running(self, number: int) -> Report | None:
        """The last report of a running trial."""
        if number not in self._latest:
            story = "has already ended" if 0 <= number < self._asked else "was never asked for"
            raise ValueError(f"trial {number} {story}")
        return self._latest[number]


def new_sampler(config: SweepConfig, dimensions: tuple[Dimension, ...]) -> Sampler:
    """The sampler of the whole sweep. A grid leaves nothing to sample."""
    if config.sampler.use in {"random", "grid"}:
        return RandomSampler(config.seed)
    if config.sampler.use == "tpe":
        return TpeSampler(dimensions, sampler_arguments(config), config.seed, config.objective.sign)
    from sweeps.study.optuna_study import OptunaSampler  # only these samplers need Optuna

    return OptunaSampler(config, dimensions)


def missing_packages(sampler: str) -> Fault | None:
    """What is wrong when a sampler needs packages that are not installed; they are looked for, not imported."""
    needed = PACKAGES.get(sampler, ())
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    rule = f"sampler `{sampler}` needs {' and '.join(missing)}, not installed here"
    return Fault(("sampler", "use"), rule, advice=f"Run `pip install {' '.join(missing)}`")
