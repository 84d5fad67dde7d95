"""YAML text to plain Python values with the line of each, and to a list of what is wrong with the text.

PyYAML composes nodes, which have marks; the values are built here, because PyYAML's own construction keeps the last of
duplicate keys, lets aliases grow without end and stops at the first mistake. Size and depth are limited while nodes are
composed, and again while values are built, where aliases have been followed: so any text ends soon.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

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


class Flaw(NamedTuple):
    """A fault of the text and its line; `spoils` says that the value at its path is not to be judged any further."""

    line: int
    fault: Fault
    spoils: bool = False


class Reading(NamedTuple):
    """What a text says: its value, the line of every path in it (from 1), and what is wrong with the text itself.

    `written` has numbers, true and false by their paths, as the text has them.
    """

    value: object
    lines: dict[Path, int]
    flaws: list[Flaw]
    written: dict[Path, str]


class StopError(Exception):
    """Reading cannot go on; `flaw` says why."""

    def __init__(self, line: int, rule: str, got: str = "", advice: str = "") -> None:
        super().__init__(rule)
        self.flaw = Flaw(line, Fault((), rule, got, advice), spoils=True)


def read(text: str, path: Path = ()) -> Reading:
    r"""The one document in `text`, with all its flaws up to one that stops the reading; `path` is its place.

    >>> read("low: 1e-4").value
    {'low': 0.0001}
    >>> read("a: 1\na: 2").flaws[0].fault.rule
    'a key must appear once'
    """
    return Values().read(lambda: _root(text), path)


def check_size(line: int, depth: int, values: int) -> None:
    """Stop at a value that is too deep, or one too many."""
    if depth > MAX_DEPTH:
        raise StopError(line, f"values must be nested at most {MAX_DEPTH} deep", "a deeper one")
    if values > MAX_VALUES:
        rule = f"there must be at most {MAX_VALUES:,} values, repeated ones included"
        raise StopError(line, rule, "more", "Split the sweep")


def _root(text: str) -> Any:
    if len(text) > MAX_CHARACTERS:
        raise StopError(1, f"there must be at most {MAX_CHARACTERS:,} characters", f"{len(text):,}")
    if found := FORBIDDEN.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise StopError(line, "there must be no control characters", _code(found[0]), "Remove it")
    composer: Any = _Composer(text)
    try:
        if not composer.check_node():
            raise StopError(1, "a config must not be empty", advice="configs/mnist.yaml shows what it can hold")
        root = composer.get_node()
        if composer.check_node():
            rule, got = "there must be one YAML document", "a second one after `---`"
            raise StopError(_line(composer.peek_event()), rule, got, "Give each sweep a file of its own")
    except yaml.MarkedYAMLError as error:
        problem, begun = one_line(error.problem or "not understood", 120), error.context_mark
        since = f" ({error.context}, begun at line {begun.line + 1})" if begun and error.context else ""
        advice = next((advice for words, advice in _ADVICE.items() if words in problem), "")
        line = error.problem_mark.line if error.problem_mark else composer.line
        raise StopError(line + 1, f"YAML syntax: {problem}{since}", advice=advice) from None
    except (ValueError, OverflowError):  # PyYAML lets Python's own through for an escape such as "\UFFFFFFFF"
        raise StopError(composer.line + 1, "YAML syntax: a number or an escape is out of range") from None
    return root


class _Composer(yaml.SafeLoader):
    """Composes within the limits. A node's tag is "" unless one is written; an alias of nothing stays as it is."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012  # a table of the class, as PyYAML has it
    DEFAULT_SCALAR_TAG = DEFAULT_SEQUENCE_TAG = DEFAULT_MAPPING_TAG = ""  # type: ignore[misc]  # PyYAML means them to be

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._values = self._aliases = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # it has no types
        if isinstance(event, yaml.AliasEvent):
            self._aliases += 1
            if self._aliases > MAX_ALIASES:
                rule = f"there must be at most {MAX_ALIASES} aliases"
                raise StopError(_line(event), rule, "more", "Write the values out")
            return self.anchors.get(event.anchor, self.get_event())  # type: ignore[no-untyped-call]  # it has no types
        self._depth, self._values = self._depth + 1, self._values + 1
        check_size(_line(event), self._depth, self._values)
        if event.tag == "!":  # which PyYAML takes for none
            event.tag = "! "
        anchor, event.anchor = event.anchor, None
        node: Any = super().compose_node(parent, index)
        if anchor is not None:  # known from here on, so that no value holds itself
            self.anchors[anchor] = node
        self._depth -= 1
        return node


class Values:
    """Builds the values of nodes; a mapping, a list or a tuple of Python is as good as a node."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.flaws: list[Flaw] = []
        self._written: dict[Path, str] = {}
        self._count = 0

    def read(self, root: Callable[[], Any], path: Path = ()) -> Reading:
        """The value of a node at a path, with all flaws up to one that stops the reading."""
        value = None
        try:
            value = self.value(root(), path, 1)
        except StopError as stop:
            self.flaws.append(stop.flaw)
        return Reading(value, self.lines, self.flaws, self._written)

    def value(self, node: Any, path: Path, depth: int) -> object:
        """The value of a node, in dicts, lists and scalars."""
        self.lines.setdefault(path, _line(node))
        self._count += 1
        check_size(_line(node), depth, self._count)
        if tag := getattr(node, "tag", ""):
            said = one_line(tag.replace("tag:yaml.org,2002:", "!!").strip())
            self.flaw(node, path, "tags are not allowed", f"`{said}`", "Remove it; quotes make a value text")
        if isinstance(node, yaml.MappingNode | Mapping):
            return self._mapping(node, path, depth + 1)
        if isinstance(node, yaml.SequenceNode | list | tuple):
            items = node.value if isinstance(node, yaml.Node) else node
            return [self.value(item, (*path, index), depth + 1) for index, item in enumerate(items)]
        return self.scalar(node, path)

    def scalar(self, node: Any, path: Path) -> object:
        """The value of a node that is no mapping and no list."""
        if isinstance(node, yaml.AliasEvent):
            rule, alias = "an alias must repeat a value that ends before it", f"`*{one_line(str(node.anchor))}`"
            self.flaw(node, path, rule, alias)
            return None
        if found := FORBIDDEN.search(node.value):
            self.flaw(node, path, "text must hold no control characters", _code(found[0]), "Remove it")
        try:
            value = scalar(node.value) if node.style is None else node.value
        except OverflowError as error:
            self.flaw(node, path, str(error), one_line(node.value))
            return None
        if not isinstance(value, str):
            self._written[path] = node.value
        return value

    def _mapping(self, node: Any, path: Path, depth: int) -> dict[str, object]:
        values: dict[str, object] = {}
        for key_node, value_node in node.items() if isinstance(node, Mapping) else node.value:
            key = self._key(key_node, path, depth)
            below = (*path, key)
            if key in values:
                lines = f"it at lines {self.lines[below]} and {_line(key_node)}"
                self.flaw(key_node, below, "a key must appear once", lines, "Remove one", spoils=False)
            elif key:
                self.lines.setdefault(below, _line(key_node))
                values[key] = self.value(value_node, below, depth)
        return values

    def _key(self, node: Any, path: Path, depth: int) -> str:
        """The key that a node is, or "" after a flaw when it is none."""
        key = self.value(node, path, depth)
        if path[-1:] == ("class_weight",) and isinstance(key, int):
            return str(getattr(node, "value", key))  # a class by its label
        if key == "<<" and getattr(node, "style", "") is None:
            self.flaw(node, path, "merge keys (`<<`) are not allowed", "", "Write the keys out", spoils=False)
        elif isinstance(key, str) and key:
            return str(key)
        else:
            self.flaw(node, path, "keys must be text", show(key), "Quote it", spoils=False)
        return ""

    def flaw(self, node: Any, path: Path, rule: str, got: str, advice: str = "", *, spoils: bool = True) -> None:
        """Note what is wrong at a node."""
        self.flaws.append(Flaw(_line(node), Fault(path, rule, got, advice), spoils))
        if len(self.flaws) == MAX_FLAWS:
            raise StopError(_line(node), f"there may be more mistakes; these are the first {MAX_FLAWS}")


def _line(place: Any) -> int:
    """The line that an event or a node begins at, from 1; 0 for a value of Python."""
    mark = getattr(place, "start_mark", None)
    return mark.line + 1 if mark is not None else 0


def _code(character: str) -> str:
    return f"U+{ord(character):04X}"
