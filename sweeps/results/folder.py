"""A folder that a person gives: whether it is one of results, and the config of its sweep."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sweeps.errors import ResultsError, SweepError
from sweeps.storage.paths import TABLES, RunFolder

if TYPE_CHECKING:
    from sweeps.config import SweepConfig

_MOST_NAMED = 8


class Resolved(NamedTuple):
    """The config of a results folder: its YAML text, and what it says."""

    text: str
    config: SweepConfig

    @property
    def metric(self) -> str:
        return self.config.objective.metric

    @property
    def direction(self) -> str:
        return self.config.objective.direction


def results_folder(path: Path) -> RunFolder:
    """The results folder at `path`; what is none is refused, and those that are near are named.

    Raises: ResultsError where it is missing, a file, without a log, or cannot be read.
    """
    try:
        complaint = _complaint(path)
    except OSError as error:
        raise ResultsError(f"{path} cannot be read: {reason(error)}") from error
    if complaint:
        raise ResultsError(complaint)
    return RunFolder(path)


def read_config(folder: RunFolder, records: Iterable[Mapping[str, Any]] = ()) -> Resolved:
    """The config of the last run: as the log has it, whose lines have checksums, else as `config.yaml` has it.

    `records` are the log's. Raises: ResultsError where there is none that can be read.
    """
    from sweeps.config import parse_config  # pydantic, which a summary can do without
    from sweeps.config.yaml.file import load_text

    logged = [record["yaml"] for record in records if record.get("kind") == "run" and record.get("yaml")]
    try:
        text = logged[-1] if logged else load_text(folder.config)
        return Resolved(text, parse_config(text, where=str(folder.config)))
    except SweepError as error:
        raise ResultsError(f"{folder.config} cannot be read: {reason(error)}") from error


def project_folder(folder: RunFolder) -> Path | None:
    """The folder of the config that a sweep was last run with, where it was another than the working directory."""
    try:
        project = json.loads(folder.environment.read_text(encoding="utf-8"))["project"]
        found = (folder.path / str(project)).resolve()
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found if found.is_dir() else None


def reason(error: Exception) -> str:
    """An error in a few words."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error) or type(error).__name__).splitlines()[0]


def _complaint(path: Path) -> str:
    if path.is_file():
        return f"{path} must be a results folder, but it is a file. {_advice(path.parent)}"
    if not path.is_dir():
        return f"there is no results folder {path}. {_advice(path.parent)}"
    return "" if _has_log(path) else f"{path} holds no log (no log/*.jsonl). {_advice(path)}"


def _advice(folder: Path) -> str:
    """What to give instead: the results folders at and in `folder`, by name."""
    places = [folder, *sorted(folder.iterdir())] if folder.is_dir() else []
    found = [str(place) for place in places if _has_log(place)]
    if any((folder / name).exists() for name in TABLES) and not found:
        return "Put the log back that its tables are of"  # for a run would replace them, and is refused
    if not found:
        return "`sweep run FILE` makes one"
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return f"There is: {', '.join(found[:_MOST_NAMED])}{more}"


def _has_log(folder: Path) -> bool:
    return bool(RunFolder(folder).log_files)
