"""A folder that a person gives: is it one of results, and what was its sweep for. The rule: a wrong one is one line."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sweeps.errors import ResultsError, SweepError

_MOST_NAMED = 8


class Resolved(NamedTuple):
    """The config of a results folder: its YAML text, and the objective's metric and direction."""

    text: str
    metric: str
    direction: str


def check_folder(path: Path) -> None:
    """Refuses what is not a results folder, and names those that are near.

    Raises: ResultsError where it is missing, a file, without a log, or cannot be read.
    """
    try:
        complaint = _complaint(path)
    except OSError as error:
        raise ResultsError(f"{path} cannot be read: {reason(error)}") from error
    if complaint:
        raise ResultsError(complaint)


def read_config(path: Path) -> Resolved:
    """Reads a `config.yaml`, as a run has left it. Raises: ResultsError where it cannot be read."""
    from sweeps.config import load_config  # noqa: PLC0415  (pydantic, which a glance at a folder can do without)

    try:
        text = path.read_text(encoding="utf-8")
        objective = load_config(path).objective
    except (OSError, SweepError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path} cannot be read: {reason(error)}") from error
    return Resolved(text, objective.metric, objective.direction)


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
    if not found:
        return "`sweep run FILE` makes one"
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return f"There is: {', '.join(found[:_MOST_NAMED])}{more}"


def _has_log(folder: Path) -> bool:
    return any((folder / "log").glob("*.jsonl"))
