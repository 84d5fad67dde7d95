"""From a config to a running sweep: the folder, the owner, what is left to do. The rule: refuse early, import JAX late.

`follow` is the whole life of a run as a generator; `run` is the same for Python users who only want the results.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps import preflight
from sweeps.budget import is_used_up
from sweeps.config import Draft, SweepConfig, as_draft, load_config, read_draft, to_yaml
from sweeps.datasets.loading import Datasets
from sweeps.errors import ResultsError, SweepError
from sweeps.files import replace_text
from sweeps.journal import Journal
from sweeps.locate import project_folders
from sweeps.progress import Progress
from sweeps.run_folder import RunFolder
from sweeps.version import __version__

if TYPE_CHECKING:
    from sweeps.results import Results

MAY_CHANGE = ("budget", "lanes")
"""Keys that a sweep may be continued with other values of: no trial's result depends on them."""


def run(config: SweepConfig | Mapping[str, Any] | str | Path, results: str | Path = "results") -> Results:
    """Run a sweep to its end and load what it left; a sweep that has begun is continued.

    `config` is a path, a mapping of the same shape, or a `SweepConfig`; results go to `results/<name>/`.

    Raises:
        SweepError: the config, the data, the model or the folder cannot be used.
    """
    file = Path(config) if isinstance(config, str | Path) else None
    draft, datasets = _draft(config), Datasets()
    with project_folders(file):
        checked = prepare(draft, Path(results), datasets)
        for _ in follow(checked, Path(results), datasets):
            pass
    from sweeps.results import load  # noqa: PLC0415  (pandas, when there is something to read)

    return load(Path(results) / checked.name)


def prepare(draft: Draft, results: Path, datasets: Datasets) -> SweepConfig:
    """The config, once its folder can be written and everything that it names is as it says.

    Raises:
        SweepError: it is not; a config's mistakes come all at once.
    """
    if draft.sections.name is not None:
        RunFolder(results / draft.sections.name).prepare()
    if not draft.complaints:
        config = draft.config()
        datasets.prefetch(config.dataset.use, config.dataset.arguments)
        importlib.import_module("sweeps.programs")  # JAX, while the data is being read
    preflight.examine(draft, datasets)
    return draft.config()


def follow(config: SweepConfig, results: Path, datasets: Datasets) -> Iterator[Progress]:
    """Run or continue a prepared sweep in `results/<name>/`, yielding its progress; nothing if nothing is left to do.

    Raises:
        SweepError: the folder holds another sweep, is in use, or cannot be written any more.
    """
    folder = RunFolder(results / config.name)
    with Journal(config, folder) as journal:
        _claim(folder, config)
        if is_used_up(config, journal):
            return
        from sweeps import environment, programs  # noqa: PLC0415  (JAX, when there is something to train)
        from sweeps.training.compile_cache import keep_compiled  # noqa: PLC0415

        keep_compiled()
        trainable = programs.Programs(config, datasets)
        trainable.compile_ahead()
        from sweeps.runner import Sweep  # noqa: PLC0415  (Optuna, while the training program compiles)

        described = environment.describe(config.seed, [str(device) for device in trainable.policy.devices])
        replace_text(folder.environment, json.dumps(described, indent=2) + "\n")
        journal.record("run", version=__version__, environment=described)
        sweep = Sweep(config, folder, journal, trainable)
        try:
            yield from sweep.run()
        finally:
            journal.flush()
            journal.write_tables()


def _draft(config: SweepConfig | Mapping[str, Any] | str | Path) -> Draft:
    if isinstance(config, str | Path):
        return read_draft(config)
    return as_draft(to_yaml(config) if isinstance(config, SweepConfig) else config)


def _claim(folder: RunFolder, config: SweepConfig) -> None:
    """Write the resolved config, unless the folder already holds another sweep.

    Raises:
        ResultsError: it does; the first difference is named.
    """
    if folder.config.exists():
        try:
            before, now = load_config(folder.config).model_dump(), config.model_dump()
        except SweepError as error:
            raise ResultsError(f"{folder.config} is not readable, so the sweep cannot be continued: {error}") from error
        for key, value in now.items():
            if key not in MAY_CHANGE and before[key] != value:
                raise ResultsError(
                    f"{folder.path} holds a sweep with another {key}: {before[key]!r} there, {value!r} here. "
                    f"Give this one another name, or choose another folder with --results DIR"
                )
    replace_text(folder.config, to_yaml(config))
