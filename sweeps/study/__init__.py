"""The study: which trial comes next, and when one has seen enough.

It can be rebuilt from the log: an ask depends on the sweep's seed, the trial's number and the
events so far, and on nothing else, so `Study.from_events` continues as if the process had never stopped.

Behind it stands a study of Optuna's in memory, and its samplers propose; a grid alone needs none. TPE and the pruners
that have short names do Optuna's arithmetic over columns and sorted tables, so that the ten thousandth trial costs
about what the first one did; tests hold them to Optuna's own. Optuna is imported when a study is made, and not before.

A trial that gets another attempt (`retries`, or want of memory) reaches the sampler once, when the last attempt has
ended. What an earlier attempt reported stays: the first report of each epoch counts.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from sweeps.config.names import OWN
from sweeps.config.parameters import name_of
from sweeps.config.rungs import PAUSING
from sweeps.config.schema import Component, SweepConfig
from sweeps.config.space import active
from sweeps.config.values import Value
from sweeps.config.wording import Fault
from sweeps.errors import Complaint, ConfigError, LogError
from sweeps.study.duplicates import Tried
from sweeps.study.grid import grid
from sweeps.study.outcomes import OUTCOMES, Ending, Report, ending_of
from sweeps.study.pruners import Pruner, new_pruner
from sweeps.study.rungs import Rungs, new_rungs
from sweeps.study.warm_start import fitting

if TYPE_CHECKING:
    from sweeps.study.search import Search

PACKAGES = {"qmc": ("scipy",), "gp": ("scipy", "torch"), "cmaes": ("cmaes",)}

StudyEvent = tuple[object, ...]
"""("ask", number, params), ("report", number, epoch, value), ("promote", number) or ("tell", number, outcome, value);
("lost", number) in the place of an ask whose parameters the log has lost; and ("learn", params, outcome, value, epoch),
of another sweep."""


class Proposal(NamedTuple):
    """A trial to train: its number, counting from 0, and the searched parameters that are active in it."""

    number: int
    params: dict[str, Value]


class Study:
    """Ask, report, tell. For one thread at a time.

    Raises ConfigError where the sampler or the pruner cannot search here: see `refusal`.
    """

    def __init__(self, config: SweepConfig) -> None:
        if fault := refusal(config.sampler, config.pruner):
            raise ConfigError([Complaint("config", ".".join(map(str, fault.path)), *fault[1:])])
        self._config = config
        self._parameters = config.parameters()
        self._names = frozenset(map(name_of, self._parameters))
        self._known = self._known_configurations()
        self._tried = Tried(config)
        self._asked = 0
        self._latest: dict[int, Report | None] = {}  # of each running trial
        self._worst: float | None = None
        self._rungs = new_rungs(config) if config.pruner.use in PAUSING else None
        self._search = _new_search(config, self._rungs)
        is_own = self._search is not None and OWN.fullmatch(config.pruner.use)
        self._pruner: Pruner = self._search if self._search is not None and is_own else new_pruner(config)

    def ask(self) -> Proposal | None:
        """The next trial: enqueued configurations first, then the sampler's. None when there is nothing left to try.

        Only while `may_ask`.
        """
        known = next(self._known, None)
        if known is None and (self._config.sampler.use == "grid" or self._tried.are_all):
            if self._rungs is not None:
                self._rungs.no_more()
            return None
        return self._propose(known or {}, consult=self._leaves_open(known or {}))

    @property
    def may_ask(self) -> bool:
        """Whether a trial can be proposed now; otherwise once others have come further."""
        return self._rungs is None or self._rungs.may_ask

    def report(self, number: int, epoch: int, value: float) -> bool:
        """The objective after `epoch` (from 1) of a running trial. True: the pruner says stop. See also `waits`.

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
        stop = (self._rungs or self._pruner).report(number, epoch, value)
        self._latest[number] = Report(epoch, float(value), stop)
        return stop

    def waits(self, number: int) -> bool:
        """Whether a running trial should be paused where it is, until it is promoted or the pruner says stop."""
        return self._rungs is not None and self._rungs.waits(number)

    def promote(self) -> int | None:
        """A paused trial that goes on now; None where there is none."""
        return None if self._rungs is None else self._rungs.promote()

    def losers(self) -> list[int]:
        """Paused trials that the pruner says stop to."""
        return [] if self._rungs is None else self._rungs.losers()

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
        ending = ending_of(self._config, outcome, value, latest, worst=self._worst)
        if self._search is not None:
            self._search.tell(number, ending)
        if self._rungs is None:
            self._pruner.end(number, completed=ending.state == "complete")
        else:
            self._rungs.end(number, value if outcome == "completed" else None)
        self._tried.end(number, outcome)
        del self._latest[number]
        self._note_worst(ending)

    def learn(self, params: Mapping[str, Value], outcome: str, value: float | None, epoch: int) -> None:
        """A trial of an earlier sweep, for the sampler alone; not looked at where it does not fit the search space.

        `value` is the objective of a completed one, else that of its last `epoch`, which is 0 where it has none.
        """
        fitted = fitting(self._config, params)
        if self._search is None or isinstance(fitted, str):
            return
        latest = Report(epoch, value, stop=False) if epoch and value is not None else None
        ending = ending_of(self._config, outcome, value, latest, worst=self._worst)
        self._search.learn(fitted, ending)
        self._note_worst(ending)

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
            case ("learn", Mapping() as params, str(outcome), (int() | float() | None) as value, int(epoch)):
                self.learn(params, outcome, value, epoch)
            case ("lost", int(number)):
                self._pass_over(number)
            case ("report", int(number), int(epoch), (int() | float()) as value):
                self.report(number, epoch, value)
            case ("promote", int(number)) if self._rungs is not None:
                self._rungs.follow(number)
            case ("promote", int()):
                pass  # a run under another config had paused it
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
        restored = self._fitting(number, params)
        for name in restored.keys() & known.keys():
            if restored[name] != known[name]:
                raise ValueError(f"trial {number} has {name}={restored[name]}, but {known[name]} was to be tried")
        if self._search is not None and self._leaves_traces:
            self._search.ask(number, known, self._tried, consult=self._leaves_open(known), settled=restored)
        elif self._search is not None:
            self._search.restore(number, restored)
        self._begin(number, restored)

    @property
    def _leaves_traces(self) -> bool:
        """Whether asking leaves more in the study than parameters: QMC's place in its sequence, CMA-ES's state.

        Then a trial is asked for again; the other samplers leave nothing that lasts, and asking them would take long.
        """
        use = self._config.sampler.use
        return use in {"qmc", "cmaes"} or bool(OWN.fullmatch(use))

    def _fitting(self, number: int, params: Mapping[str, Value]) -> dict[str, Value]:
        """The parameters of a trial in the log, if they are those that the config gives a trial."""
        found: dict[str, Value] = {}
        wanted = []
        for key, parameter in self._parameters.items():
            if active(self._config, found, key):
                name = name_of(key)
                wanted.append(name)
                if name in params:
                    if not parameter.contains(params[name]):
                        raise ValueError(f"{name} must be {parameter}, but got {params[name]!r}")
                    found[name] = parameter.canonical(params[name])
        if params.keys() != set(wanted):
            names = f"{', '.join(params)}, but the search space makes it {', '.join(wanted)}"
            raise ValueError(f"trial {number} has the parameters {names}")
        return found

    def _known_configurations(self) -> Iterator[Mapping[str, Value]]:
        if self._config.sampler.use == "grid":
            return grid(self._config)
        return iter(self._config.enqueue)

    def _leaves_open(self, known: Mapping[str, Value]) -> bool:
        return not self._names <= known.keys()

    def _propose(self, known: Mapping[str, Value], *, consult: bool) -> Proposal:
        """Start trial `_asked`: what is `known` as it is, the rest from the sampler."""
        number = self._asked
        chosen = dict(known)
        if self._search is not None:
            chosen = self._search.ask(number, known, self._tried, consult=consult)
        self._begin(number, chosen)
        return Proposal(number, {name: chosen[name] for name in self._config.search_space if name in chosen})

    def _note_worst(self, ending: Ending) -> None:
        value, worst = ending.value, self._worst
        if value is not None and (worst is None or self._config.objective.is_better(worst, value)):
            self._worst = value

    def _begin(self, number: int, params: Mapping[str, Value]) -> None:
        self._tried.begin(number, params)
        self._asked = number + 1
        self._latest[number] = None
        if self._rungs is not None:
            self._rungs.begin(number)

    def _running(self, number: int) -> Report | None:
        """The last report of a running trial."""
        if number not in self._latest:
            story = "has already ended" if 0 <= number < self._asked else "was never asked for"
            raise ValueError(f"trial {number} {story}")
        return self._latest[number]


def import_ahead(config: SweepConfig) -> None:
    """Begin to import Optuna beside other work, where the study of `config` will need it."""
    if _needs_optuna(config):
        threading.Thread(target=importlib.import_module, args=("optuna",), daemon=True).start()


def _needs_optuna(config: SweepConfig) -> bool:
    """Not for a grid, which leaves nothing to sample, unless a pruner looks at the study."""
    return config.sampler.use != "grid" or bool(OWN.fullmatch(config.pruner.use))


def _new_search(config: SweepConfig, rungs: Rungs | None) -> Search | None:
    """Optuna's study, if it is needed."""
    if not _needs_optuna(config):
        return None
    from sweeps.study.search import Search  # Optuna, whose import takes a third of a second

    return Search(config, rungs)


def refusal(sampler: Component | None, pruner: Component | None) -> Fault | None:
    """Why the sampler or the pruner cannot search here; None where they can. A dotted name alone imports Optuna."""
    if sampler is not None and (lacking := missing_packages(sampler.use)):
        return lacking
    if not any(component is not None and OWN.fullmatch(component.use) for component in (sampler, pruner)):
        return None
    from sweeps.study.samplers import own_refusal

    return own_refusal(sampler, pruner)


def missing_packages(sampler: str) -> Fault | None:
    """What is wrong when a sampler needs packages that are not installed; they are looked for, not imported."""
    needed = PACKAGES.get(sampler, ())
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    rule = f"sampler `{sampler}` needs {' and '.join(missing)}, not installed here"
    return Fault(("sampler", "use"), rule, advice=f"Run `pip install {' '.join(missing)}`")
