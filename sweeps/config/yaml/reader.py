"""YAML text to plain Python values that remember their lines. The rule: any input ends soon, in a value or in flaws.

PyYAML parses; the values are built here, because PyYAML's own construction keeps the last of duplicate keys,
lets aliases grow without end and stops at the first mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, NoReturn, Protocol

import yaml

from sweeps.config.wording import Fault, Path, one_line, show
from sweeps.config.yaml.scalars import scalar

MAX_CHARACTERS = 1_000_000
MAX_DEPTH = 20
MAX_VALUES = 50_000
MAX_ALIASES = 100
MAX_FLAWS = 200

FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_ADVICE = {
    "\\t": "Indent with spaces, not tabs",
    "mapping values are not allowed": "Quote text that holds `: `, and check the indentation",
    "expected ',' or": "Close what was opened, and put commas between its items",
    "could not find expected ':'": "Write `key: value`",
    "expected <block end>": "Check the indentation",
}


class _Mark(Protocol):
    line: int


class Flaw(NamedTuple):
    """A fault of the text and its line; `spoils` says that the value at its path is not to be judged any further."""

    line: int
    fault: Fault
    spoils: bool = False


class Reading(NamedTuple):
    """What a text says: its value, the line of every path in it (from 1), and what is wrong with the text itself."""

    value: object
    lines: dict[Path, int]
    flaws: list[Flaw]


def read(text: str, path: Path = ()) -> Reading:
    """The one document in `text`, with all its flaws up to the one that stops the reading; `path` is its place.

    >>> read("low: 1e-4").value
    {'low': 0.0001}
    >>> read("a: 1\\na: 2").flaws[0].fault.rule
    'a key must appear once'
    """
    reader = _Reader()
    try:
        value = reader.document(text, path)
    except _StopError:
        value = None
    return Reading(value, reader.lines, reader.flaws)


class _StopError(Exception):
    """Reading cannot go on; the last flaw says why."""


class _Reader:
    """Walks PyYAML's events once. Depth, values and aliases are counted, so that it ends soon."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.flaws: list[Flaw] = []
        self._events: Iterator[yaml.Event] = iter(())
        self._anchors: dict[str, object] = {}
        self._values = 0
        self._aliases = 0
        self._line = 1

    def document(self, text: str, path: Path) -> object:
        if len(text) > MAX_CHARACTERS:
            self._stop(f"there must be at most {MAX_CHARACTERS:,} characters", f"{len(text):,}")
        if found := FORBIDDEN.search(text):
            self._line += text.count("\n", 0, found.start())
            self._stop("there must be no control characters", _code(found[0]), "Remove it")
        self._events = yaml.parse(text, Loader=yaml.SafeLoader)
        self._next()
        event = self._next()
        if isinstance(event, yaml.StreamEndEvent):
            self._line = 1
            self._stop("a config must not be empty", advice="configs/mnist.yaml shows what it can hold")
        value = self._value(self._next(), path, 1)
        self._next()
        if not isinstance(self._next(), yaml.StreamEndEvent):
            self._stop(
                "there must be one YAML document", "a second one after `---`", "Give each sweep a file of its own"
            )
        return value

    def _next(self) -> yaml.Event:
        try:
            event = next(self._events)
        except yaml.MarkedYAMLError as error:
            self._syntax(error)
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            # PyYAML lets Python's own errors through for an escape such as "\UFFFFFFFF".
            kind = "not understood" if isinstance(error, yaml.YAMLError) else "a number or an escape is out of range"
            self._stop(f"YAML syntax: {kind}")
        self._line = _line(event.start_mark)
        return event

    def _syntax(self, error: yaml.MarkedYAMLError) -> NoReturn:
        mark, begun = error.problem_mark, error.context_mark
        problem = one_line(error.problem or error.context or "not understood", 120)
        self._line = _line(mark) if mark else self._line
        since = f" ({error.context}, begun at line {_line(begun)})" if begun and error.context else ""
        advice = next((advice for words, advice in _ADVICE.items() if words in problem), "")
        self._stop(f"YAML syntax: {problem}{since}", advice=advice)

    def _stop(self, rule: str, got: str = "", advice: str = "") -> NoReturn:
        self._flaw((), rule, got, advice)
        raise _StopError

    def _flaw(self, path: Path, rule: str, got: str = "", advice: str = "", spoils: bool = True) -> None:
        self.flaws.append(Flaw(self._line, Fault(path, rule, got, advice), spoils))
        if len(self.flaws) == MAX_FLAWS:
            self._stop(f"there may be more mistakes; these are the first {MAX_FLAWS}")

    def _count(self, depth: int) -> None:
        self._values += 1
        if depth > MAX_DEPTH:
            self._stop(f"values must be nested at most {MAX_DEPTH} deep", "a deeper one")
        if self._values > MAX_VALUES:
            self._stop(
                f"there must be at most {MAX_VALUES:,} values, repeated ones included", "more", "Split the sweep"
            )

    def _value(self, event: yaml.Event, path: Path, depth: int) -> object:
        self.lines.setdefault(path, self._line)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(event.anchor), path, depth)
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
        self._count(depth)
        anchor, tag = event.anchor, event.tag
        if tag is not None:
            tag = one_line(tag.replace("tag:yaml.org,2002:", "!!"))
            self._flaw(path, "tags are not allowed", f"`{tag}`", "Remove it; quotes make a value text")
        value = self._untagged(event, path, depth)
        if anchor is not None:
            self._anchors[anchor] = value
        return value

    def _untagged(self, event: yaml.Event, path: Path, depth: int) -> object:
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path, depth)
        assert isinstance(event, yaml.ScalarEvent)
        return self._scalar(event, path)

    def _scalar(self, event: yaml.ScalarEvent, path: Path) -> object:
        if found := FORBIDDEN.search(event.value):
            self._flaw(path, "text must hold no control characters", _code(found[0]), "Remove it")
        if event.style is not None:
            return event.value
        try:
            return scalar(event.value)
        except OverflowError as error:
            self._flaw(path, str(error), one_line(event.value))
            return None

    def _sequence(self, path: Path, depth: int) -> list[object]:
        values: list[object] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            values.append(self._value(event, (*path, len(values)), depth + 1))
        return values

    def _mapping(self, path: Path, depth: int) -> dict[str, object]:
        values: dict[str, object] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._key(event, path, depth + 1)
            below = (*path, key)
            if key and key in values:
                lines = f"it at lines {self.lines[below]} and {self._line}"
                self._flaw(below, "a key must appear once", lines, "Remove one", spoils=False)
            self.lines.setdefault(below, self._line)
            value = self._value(self._next(), below, depth + 1)
            values.setdefault(key, value)
        values.pop("", None)
        return values

    def _key(self, event: yaml.Event, path: Path, depth: int) -> str:
        """The key that `event` begins, or "" after a flaw when it is none."""
        key = self._value(event, path, depth)
        if path[-1:] == ("class_weight",) and isinstance(key, int) and isinstance(event, yaml.ScalarEvent):
            return str(event.value)  # a class by its label
        if key == "<<" and isinstance(event, yaml.ScalarEvent) and event.style is None:
            self._flaw(path, "merge keys (`<<`) are not allowed", advice="Write the keys out", spoils=False)
        elif not isinstance(key, str) or not key:
            self._flaw(path, "keys must be text", show(key), "Quote it", spoils=False)
        else:
            return key
        return ""

    def _alias(self, anchor: str, path: Path, depth: int) -> object:
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            self._stop(f"there must be at most {MAX_ALIASES} aliases", "more", "Write the values out")
        if anchor not in self._anchors:
            self._flaw(path, "an alias must repeat a value that ends before it", f"`*{one_line(anchor)}`")
            return None
        return self._copy(self._anchors[anchor], depth)

    def _copy(self, value: object, depth: int) -> object:
        """A copy, because overrides change one place only; it is counted like everything else."""
        self._count(depth)
        if isinstance(value, dict):
            return {key: self._copy(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list):
            return [self._copy(item, depth + 1) for item in value]
        return value


def _line(mark: _Mark | None) -> int:
    """A position's line, from 1; PyYAML's events always have one."""
    return mark.line + 1 if mark else 1


def _code(character: str) -> str:
    return f"U+{ord(character):04X}"
