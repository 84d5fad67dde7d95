"""From a config to a running sweep: the folder, its lock, what is left to do.

`follow` is the whole life of a run as a generator; `run` is the same for Python users who only want the results. What
can be refused is refused before JAX is imported.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sweeps.config import Draft, SweepConfig, as_draft, concealed, read_draft, to_yaml
from sweeps.config.changes import Change
from sweeps.datasets.loading import Datasets
from sweeps.errors import FolderGoneError
from sweeps.log.jsonl import read_log
from sweeps.log.placement import FORMAT
from sweeps.origin import signature
from sweeps.runner import resume
from sweeps.runner.budget import is_used_up
from sweeps.runner.earlier_runs import EarlierRuns, sources_in
from sweeps.runner.journal import Journal
from sweeps.runner.progress import Progress
from sweeps.stop_request import StopRequest
from sweeps.storage.files import remove_leftovers
from sweeps.storage.lock import FolderLock, check_unlocked
from sweeps.storage.paths import RunFolder
from sweeps.storage.retry import Retry
from sweeps.study import import_ahead
from sweeps.user_code import project_beside, project_folders
from sweeps.validation import validate
from sweeps.version import __version__

if TYPE_CHECKING:
    from sweeps.engine.devices import Policy
    from sweeps.engine.programs import Programs
    from sweeps.results.earlier_sweep import Lessons
    from sweeps.results.results import Results


def run(
    config: SweepConfig | Mapping[str, Any] | str | Path,
    results: str | Path = "results",
    *,
    allow_changed: bool = False,
) -> Results:
    """Run a sweep to its end and load what it left; a sweep that has begun is continued.

    `config` is a path, a mapping of the same shape, or a `SweepConfig`; results go to `results/<name>/`. A sweep is
    continued with another config only if `allow_changed`; the column `config` of its tables tells the trials apart.

    Raises:
        SweepError: the config, the data, the model or the folder cannot be used.
    """
    file = Path(config) if isinstance(config, str | Path) else None
    draft, datasets = _draft(config), Datasets()
    with project_folders(file):
        checked = prepare(draft, Path(results), datasets)
        for _ in follow(checked, Path(results), datasets, allow_changed=allow_changed):
            pass
    from sweeps.results.results import load  # pandas, when there is something to read

    return load(Path(results) / checked.name)


def prepare(draft: Draft, results: Path, datasets: Datasets) -> SweepConfig:
    """The config, once its folder is free and can be written, and everything that it names is as it says.

    Raises:
        SweepError: it is not; a config's mistakes come all at once.
    """
    learnt: frozenset[str] = frozenset()
    folder = None
    if draft.sections.name is not None:
        folder = RunFolder(results / draft.sections.name)
        folder.prepare()
        check_unlocked(folder)
        learnt = sources_in(read_log(folder.log).records) if draft.sections.warm_start else learnt
    if not draft.complaints:
        config = draft.config()
        datasets.prefetch(config.dataset.use, config.dataset.arguments)
        import_ahead(config)
        from sweeps.engine import programs  # noqa: F401  (JAX, which is imported while the data is being read)

    validate.examine(draft, datasets, learnt, folder)
    return draft.config()


def follow(
    config: SweepConfig,
    results: Path,
    datasets: Datasets,
    *,
    allow_changed: bool = False,
    request: StopRequest | None = None,
) -> Iterator[Progress]:
    """Run or continue a prepared sweep in `results/<name>/`, yielding its progress; nothing if nothing is left to do.

    A `request` stops it before its end, once it is made.

    Raises:
        SweepError: the folder holds another sweep, is in use, or cannot be written any more.
    """
    folder = RunFolder(results / config.name)
    request = request or StopRequest()
    # What is refused of a sweep that begins leaves no folder.
    programs = None if folder.log_files else _programs(config, datasets)
    with FolderLock(folder) as lock:
        journal, earlier = Journal.open(config, folder, Retry(request), datasets.checksums())
        with journal:
            changed = resume.claim(folder, config, journal, earlier, allow_changed=allow_changed)
            remove_leftovers(folder.path)
            studied = resume.with_history(config, journal)
            if is_used_up(studied, journal, earlier) and not resume.lacks_parameters(folder, journal):
                journal.mend_tables()
                # A run that was killed at its very end has left them.
                shutil.rmtree(folder.checkpoints, ignore_errors=True)
                return
            lessons = [_lessons(config, source) for source in config.warm_start if source not in earlier.sources]
            programs = programs or _programs(config, datasets, earlier.lanes)
            from sweeps import environment
            from sweeps.runner.loop import Sweep  # the study, while the training program compiles

            described = environment.describe(config.seed, programs.policy.device_names)
            sweep = Sweep(studied, folder, journal, earlier, programs, request)
            sweep.tell(_news(config, earlier, programs.policy, described))
            _begin(folder, config, journal, changed, programs.policy, described)
            sweep.learn(lessons)
            del earlier  # its records may be many
            try:
                # Closed at once when whoever follows has had enough, and not when Python gets round to it.
                with contextlib.closing(cast("Generator[Progress]", sweep.run())) as looks:
                    for look in looks:
                        try:
                            lock.renew()
                        except FolderGoneError as gone:
                            looks.throw(gone)  # which recovers what it has
                        yield look
            finally:
                journal.write_tables()


def _lessons(config: SweepConfig, source: str) -> Lessons:
    from sweeps.results import earlier_sweep  # when there is one

    return earlier_sweep.lessons_of(earlier_sweep.read_earlier(source, config.objective), config)


def _programs(config: SweepConfig, datasets: Datasets, lanes_before: Mapping[str, int] | None = None) -> Programs:
    """The sweep's programs; the first of them is being compiled where it is known by now."""
    from sweeps.engine.compile_cache import keep_compiled  # JAX, when there is something to train
    from sweeps.engine.devices import choose_policy
    from sweeps.engine.programs import Programs
    from sweeps.validation.lane_memory import refuse_large_lanes

    keep_compiled()
    programs = Programs(config, datasets, choose_policy(config, lanes_before))
    refuse_large_lanes(config, programs)
    programs.compile_ahead()
    return programs


def _news(config: SweepConfig, earlier: EarlierRuns, policy: Policy, described: Mapping[str, Any]) -> Iterator[str]:
    """What is not as it was in the last run, though the sweep goes on."""
    from sweeps.engine.devices import choose_policy
    from sweeps.runner.reproduce import environment_changes

    parts, both = ("python", "processor", "packages", "devices"), (earlier.environment, described)
    before, now = ({name: each[name] for name in parts if name in each} for each in both)
    if earlier.environment and (changed := environment_changes(before, now)):
        yield f"since the last run: {'; '.join(changed)}. Numbers may differ by rounding, and proposals with them"
    own = choose_policy(config).lanes
    if policy.lanes != own:
        advice = f"`lanes: {own}` would fit this machine, and change what is proposed"
        yield f"{policy.lanes} lanes as in earlier runs of this sweep; {advice}"


def _begin(
    folder: RunFolder,
    config: SweepConfig,
    journal: Journal,
    changed: Sequence[Change],
    policy: Policy,
    described: Mapping[str, Any],
) -> None:
    """Write down what this run is: in the log, and in files of its own."""
    from sweeps import environment  # asks git, when there is something to train

    resolved = to_yaml(concealed(config))
    chosen = {"lanes": {policy.devices[0].platform: policy.lanes}} if config.lanes == "auto" else {}
    if (project := project_beside()) is not None:
        # Where `predict` and `replay` look for the model.
        described = {**described, "project": os.path.relpath(project, folder.path)}
    journal.describe({folder.config.name: resolved, folder.environment.name: environment.text(described)})
    journal.record(
        "run",
        format=FORMAT,
        version=__version__,
        config=journal.config,
        changes=[str(each) for each in changed],
        environment=described,
        yaml=resolved,
        signature=signature(resolved),
        code=journal.code,
        data=journal.data,
        **chosen,
    )


def _draft(config: SweepConfig | Mapping[str, Any] | str | Path) -> Draft:
    if isinstance(config, str | Path):
        return read_draft(config)
    return as_draft(to_yaml(config) if isinstance(config, SweepConfig) else config)
