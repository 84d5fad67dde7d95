"""Overrides from the command line: `PATH=VALUE`, whose value is YAML.

A path finds the longest key that exists, so `search_space.optimizer.b1.low=0.8` means the key `optimizer.b1`. Mappings
on the way are made where there are none.
"""

from __future__ import annotations

import re
from typing import Any

from sweeps.config.wording import Fault, Path, one_line, path_text, show
from sweeps.config.yaml.reader import MAX_DEPTH, Reading, read

# A new parameter's name: one word, or two unless the second is a key of its entry.
_PARAMETER = re.compile(
    r"(?:optimizer|model|dataset|schedule)\.[^.\[\]]+"
    r"|[^.\[\]]+(?:\.(?!(?:type|low|high|log|step|choices|when)(?:[.\[]|\Z))[^.\[\]]+)?"
)
LONGEST_PATH = 1000

_KEY = re.compile(r"[^.\[\]]+")
_POSITION = re.compile(r"\[?([0-9]{1,9})\]?(?=[.\[]|\Z)")


def apply(tree: dict[str, Any], text: str) -> Path | Fault:
    """Put one override into `tree`; the path that was set, or what is wrong, and then `tree` is as it was."""
    written, equals, value = text.partition("=")
    written = written.strip()
    if not equals or not written:
        return Fault((), "an override must be PATH=VALUE", show(text), "For instance budget.trials=8")
    if len(written) > LONGEST_PATH:
        return Fault((), f"a path must have at most {LONGEST_PATH:,} characters", f"{len(written):,}")
    last = written.rpartition(".")[2]
    reading = read(value, (last,)) if value.strip() else Reading(None, {}, [], {})
    if reading.flaws:
        return reading.flaws[0].fault._replace(path=())
    try:
        path = _split(tree, written)
    except ValueError as error:
        return Fault((), "an override's path must be keys joined by dots", str(error))
    if len(path) > MAX_DEPTH:
        return Fault((), f"a path must have at most {MAX_DEPTH} steps", str(len(path)))
    return _put(tree, path, reading.value) or path


def _split(tree: object, text: str) -> Path:
    """The steps of a path as a person writes it, by the keys that `tree` has; ValueError says where it is no path."""
    steps: Path = ()
    node, rest = tree, text
    while rest:
        step, length = _step(node, steps, rest)
        node = _child(node, step)
        steps, rest = (*steps, step), rest[length:]
        if rest[:1] == "." and len(rest) > 1:
            rest = rest[1:]
        elif rest and rest[0] != "[":
            raise ValueError(f"`{one_line(rest)}` after `{path_text(steps)}`")
    return steps


def _step(node: object, steps: Path, rest: str) -> tuple[str | int, int]:
    """The next step of a path and its length in characters."""
    if isinstance(node, list):
        if found := _POSITION.match(rest):
            return int(found[1]), len(found[0])
        raise ValueError(f"`{one_line(rest)}` in the list `{path_text(steps)}`")
    if isinstance(node, dict):
        known = [key for key in node if rest == key or rest.startswith((f"{key}.", f"{key}["))]
        if known:
            longest = max(known, key=len)
            return longest, len(longest)
    if steps[-1:] == ("when",) or (len(steps) == 2 and steps[0] == "enqueue"):
        return rest, len(rest)
    found = (_PARAMETER if steps == ("search_space",) else _KEY).match(rest)
    if found is None:
        raise ValueError(f"`{one_line(rest)}`")
    return found[0], len(found[0])


def _child(node: object, step: str | int) -> object:
    if isinstance(node, dict):
        return node.get(step)
    if isinstance(node, list) and isinstance(step, int) and step < len(node):
        return node[step]
    return None


def _put(tree: dict[str, Any], path: Path, value: object) -> Fault | None:
    node: Any = tree
    for at, step in enumerate(path):
        # A list can grow by one.
        if not (isinstance(node, dict) if isinstance(step, str) else isinstance(node, list) and step <= len(node)):
            here = path_text(path[:at])
            rule = f"`{here}` has no `{path_text((step,))}` to set, because it is {show(node)}"
            return Fault(path, rule, advice=f"Set `{here}` as a whole")
        below = value if at == len(path) - 1 else {} if (child := _child(node, step)) is None else child
        if isinstance(node, list) and step == len(node):
            node.append(below)
        else:
            node[step] = below
        node = below
    return None
