"""Whether a config may continue the sweep in a folder. It is refused before the run writes anything there.

What a trial's result does not depend on may change at any time. Anything else needs `--allow-changed`, and the column
`config` of the tables tells the trials apart. In any case the earlier proposals must fit the new search space, because
the sampler hears of them again.
"""

from __future__ import annotations

from sweeps.config import SweepConfig, concealed
from sweeps.config.changes import BINDING, FREE, Change, changes, checksum_changes
from sweeps.config.values import FrozenDict
from sweeps.errors import LogError, ResultsError
from sweeps.log.trials import LoggedTrial
from sweeps.results.best import holds
from sweeps.results.folder import read_config
from sweeps.runner.earlier_runs import EarlierRuns
from sweeps.runner.journal import Journal
from sweeps.storage.paths import RunFolder


def claim(
    folder: RunFolder, config: SweepConfig, journal: Journal, earlier: EarlierRuns, *, allow_changed: bool
) -> list[Change]:
    """What has changed since the folder's last run.

    Raises:
        ResultsError: the config, the code or the data are not this folder's, and that is not allowed or not possible.
    """
    changed = _changes(folder, config, journal, earlier)
    forced = [change for change in changed if change.needs_force]
    if any(change.path[0] in BINDING for change in forced) or (forced and not allow_changed):
        raise ResultsError(_refusal(folder, forced))
    if any(change.path[0] not in (*FREE, "code", "data") for change in changed):
        _refuse_what_does_not_fit(folder, config, journal, earlier)
    return changed


def lacks_parameters(folder: RunFolder, journal: Journal) -> bool:
    """Whether `best/` does not hold the best trial's parameters, whole, though they could be trained again."""
    best = journal.best()
    if best is None or not best.is_known or best.start.get("config") not in (None, journal.config):
        return False
    return not holds(folder, best.number)


def with_history(config: SweepConfig, journal: Journal) -> SweepConfig:
    """The config as the study needs it: a grid that has grown begins with the trials that it has had."""
    asked = [journal.trials[number] for number in sorted(journal.trials)]
    if config.sampler.use != "grid" or not asked or _is_in_order(config, asked):
        return config
    known = [FrozenDict(entry.params) for entry in asked]
    return config.model_copy(update={"enqueue": (*known, *config.enqueue[len(known) :])})


def _is_in_order(config: SweepConfig, asked: list[LoggedTrial]) -> bool:
    from sweeps.study.grid import grid  # NumPy, for a grid alone

    return all(dict(entry.params) == dict(next_one) for entry, next_one in zip(asked, grid(config), strict=False))


def _changes(folder: RunFolder, config: SweepConfig, journal: Journal, earlier: EarlierRuns) -> list[Change]:
    if not earlier.records and not folder.config.exists():
        return []
    try:
        of_config = changes(read_config(folder, earlier.records).config, concealed(config))
        return [
            *of_config,
            *checksum_changes("code", earlier.code, journal.code),
            *checksum_changes("data", earlier.data, journal.data),
        ]
    except ResultsError as error:
        raise ResultsError(f"the sweep cannot be continued: {error}") from error


def _refusal(folder: RunFolder, forced: list[Change]) -> str:
    binding = [change for change in forced if change.path[0] in BINDING]
    if binding:
        advice = "Give this one another name, or choose another folder with --results DIR"
    else:
        advice = (
            "--allow-changed continues it with this one, and marks the trials; or give this one another name, or "
            "choose another folder with --results DIR"
        )
    kinds = {change.path[0] if change.path[0] in ("code", "data") else "config" for change in forced}
    words = {"config": "another config", "code": "other code", "data": "other data"}
    what = " and ".join(word for kind, word in words.items() if kind in kinds)
    return "\n".join([f"{folder.path} holds a sweep with {what}. {advice}", *map(str, forced)])


def _refuse_what_does_not_fit(folder: RunFolder, config: SweepConfig, journal: Journal, earlier: EarlierRuns) -> None:
    from sweeps.study import Study  # when something has changed

    try:
        events = earlier.study_events(journal.config, config.objective.metric)
        Study.from_events(with_history(config, journal), events)
    except (LogError, ValueError) as error:
        raise ResultsError(
            f"the trials in {folder.path} do not fit this search space, so it cannot continue them: {error}. Give this "
            f"one another name, or choose another folder with --results DIR"
        ) from error
