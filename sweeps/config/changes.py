"""Two configs of one sweep: every path at which they differ, and whether the trials so far can live with it.

No trial's result depends on what is `FREE`, such as `budget`, and a range that has grown still holds every value that
was proposed from it. Everything else is a change: the trials before it and after it are not of one experiment.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sweeps.config.parameters import Choices, FloatRange, IntRange, Parameter
from sweeps.config.schema import SweepConfig
from sweeps.config.wording import Path, path_text, show

FREE = ("budget", "warm_start", "duplicates", "lanes", "retries", "checkpoints")
"""Sections that may change at any time."""
BINDING = ("name", "objective")
"""Sections that a sweep keeps for good: by another objective, the values of its trials could not be compared."""
RANGE = ("low", "high", "choices", "prior")
"""What may change of a parameter as long as all that was proposed of it still fits."""
_ABSENT = object()


class Change(NamedTuple):
    """A value of the config that was another one before."""

    path: Path
    before: object
    now: object
    needs_force: bool

    def __str__(self) -> str:
        return f"{path_text(self.path)}: {_shown(self.before)} before, {_shown(self.now)} now"


def changes(before: SweepConfig, now: SweepConfig) -> list[Change]:
    """Every difference between two configs, in the order of the config."""
    grown = {key for key, entry in now.parameters().items() if _has_grown(before.parameters().get(key), entry)}
    found = _differences((), before.model_dump(), now.model_dump())
    return [Change(path, old, new, _needs_force(path, grown)) for path, old, new in found]


def checksum_changes(what: str, before: Mapping[str, str], now: Mapping[str, str]) -> list[Change]:
    """What differs of the user's `code` or `data`, by checksums. What is needed no more, or anew, is no change."""
    both = [name for name in now if name in before]
    return [Change((what, name), before[name], now[name], True) for name in both if before[name] != now[name]]


def fingerprint(
    config: SweepConfig, code: Mapping[str, str] | None = None, other_data: Mapping[str, str] | None = None
) -> str:
    """Eight hexadecimal digits that differ between configs under which the same trial may come to other results.

    The ends of ranges, the choices and priors are left out with what is free to change: what was proposed is in the
    trial.
    `code` are the checksums of the user's modules, by their names; `other_data` those of datasets that are not the ones
    that the sweep began with.
    """
    tree: dict[str, Any] = {key: value for key, value in config.model_dump().items() if key not in FREE}
    if code:
        tree["code"] = dict(code)
    if other_data:
        tree["data"] = dict(other_data)
    tree["search_space"] = {name: _without_ranges(entry) for name, entry in tree["search_space"].items()}
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:8]


def _needs_force(path: Path, grown: set[str]) -> bool:
    # A range of several has its position after its name, and the two together for a key.
    key = 3 if len(path) > 2 and isinstance(path[2], int) else 2
    if path[0] == "search_space" and len(path) > key and path_text(path[1:key]) in grown:
        return path[key] not in RANGE
    return path[0] not in FREE


def _has_grown(before: object, now: Parameter) -> bool:
    """Whether every value that was within the parameter's range still is, at its old places where it has steps."""
    match before, now:
        case Choices(), Choices():
            return all(now.contains(choice) for choice in before.choices)
        case FloatRange(), FloatRange():
            return before.step == now.step and now.contains(before.low) and now.contains(before.high)
        case IntRange(), IntRange():
            return before.step == now.step and now.contains(before.low) and now.contains(before.high)
    return False


def _differences(path: Path, before: Any, now: Any) -> Iterator[tuple[Path, object, object]]:
    """Each place that differs. Lists are compared place by place where they are equally long."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys((*before, *now)):
            yield from _differences((*path, key), before.get(key, _ABSENT), now.get(key, _ABSENT))
    elif isinstance(before, list | tuple) and isinstance(now, list | tuple) and len(before) == len(now):
        for index, (old, new) in enumerate(zip(before, now, strict=True)):
            yield from _differences((*path, index), old, new)
    elif before != now:
        yield path, before, now


def _without_ranges(entry: Any) -> Any:
    """What is written of a parameter, but for the ends of its ranges, its choices and its prior."""
    if isinstance(entry, Mapping):
        return {key: value for key, value in entry.items() if key not in RANGE}
    return [_without_ranges(each) for each in entry] if isinstance(entry, tuple) else entry


def _shown(value: object) -> str:
    return "nothing" if value is _ABSENT else show(value)
