"""A config as read, not yet known to be right, and all that is wrong with it.

Every complaint knows the line or the override that it is about. Other rooms add theirs with `complain`; `Draft.config`
raises all of them at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from sweeps.config import overrides
from sweeps.config.conditions import canonical, parameter_faults, parents_first
from sweeps.config.entries import DOTTED
from sweeps.config.names import METHODS
from sweeps.config.rules import spanning_faults
from sweeps.config.rungs import settled
from sweeps.config.schema import LEFT_TO_MODEL, NAME, SweepConfig
from sweeps.config.sections import check_sections, meant_sections
from sweeps.config.wording import QUOTE, Fault, Path, one_line, path_text, show
from sweeps.config.yaml.reader import Flaw
from sweeps.errors import Complaint, ConfigError

MAX_COMPLAINTS = 200

_AFTER_THE_FILE = 10**9  # overrides come after every line


class _Places:
    """Where each path of a config was written, as a number to sort by: a line of the source, or an override after it.

    `orders` has them by path, `words` what they are called.
    """

    def __init__(self, source: str, lines: Mapping[Path, int]) -> None:
        self._source, self._overrides = source, list[str]()
        self._orders = dict(lines)

    def words(self, order: int) -> str:
        """What a place is called. What is no text, and so has no lines, has the place 0."""
        if order >= _AFTER_THE_FILE:
            return f"--set {one_line(self._overrides[order - _AFTER_THE_FILE], 200)}"
        return f"{self._source}:{order}" if order else self._source

    def override(self, text: str) -> int:
        """The place of the next override."""
        self._overrides.append(text)
        return _AFTER_THE_FILE + len(self._overrides) - 1

    def move(self, path: Path, order: int) -> None:
        """From now on `path` and all below it were written at this place."""
        self._orders = {each: at for each, at in self._orders.items() if each[: len(path)] != path} | {path: order}

    def find(self, path: Path, exists: bool) -> int:
        """Where `path`, or its nearest parent, was written.

        What exists and was changed in part by an override is found at that override: before it, it was right.
        """
        inside = [at for each, at in self._orders.items() if each[: len(path)] == path] if path and exists else []
        if max(inside, default=0) >= _AFTER_THE_FILE:
            return max(inside)
        parents = (path[:length] for length in range(len(path), -1, -1))
        return next((self._orders[each] for each in parents if each in self._orders), 0)


class Draft:
    """A config as read.

    `tree` is what was written, in plain Python values: possibly wrong, possibly partial. `sections` are the parts that
    are right by themselves, `brought` are those that a compiled model has brought. `notes` are lines for a person to
    read, about what is right and yet worth a word.
    """

    def __init__(
        self,
        tree: object,
        source: str,
        lines: Mapping[Path, int],
        flaws: Iterable[Flaw] = (),
        written: Mapping[Path, str] | None = None,
    ) -> None:
        self._written = dict(written or {})
        self.tree: dict[str, Any] = tree if isinstance(tree, dict) else {}
        self.brought: dict[str, Any] = {}
        self.notes: list[str] = []
        self._places = _Places(source, lines)
        self._complaints: dict[Complaint, int] = {}
        self._spoilt: set[Path] = set()
        self._wrong: set[Path] = set()  # by the config's own rules
        for flaw in flaws:
            self._add(flaw.line, flaw.fault)
            self._spoilt.update({flaw.fault.path} if flaw.spoils else ())
        if not isinstance(tree, dict):
            self.complain((), "a config must be a mapping of keys such as `name: mnist`", show(tree))
            self._spoilt.add(())
        self.sections, _ = check_sections({})

    @property
    def complaints(self) -> list[Complaint]:
        """What is wrong so far: in the order of the file, and then of the overrides."""
        return sorted(self._complaints, key=self._complaints.__getitem__)

    def complain(self, path: Path, rule: str, got: str = "", advice: str = "") -> None:
        """Add a complaint about `path`, unless what is there cannot be read, or the config's own rules forbid it."""
        if path not in self._wrong:
            self._complain(Fault(path, rule, got, advice))

    def config(self) -> SweepConfig:
        """The config.

        Raises:
            ConfigError: there are complaints; it holds all of them.
        """
        if self._complaints:
            raise ConfigError(self.complaints)
        searched, pruner = settled(self.sections.search_space, self.sections.pruner)
        space = parents_first(searched)
        enqueue = tuple(canonical(known, space) for known in self.sections.enqueue or ())
        given = [key for key in SweepConfig.model_fields if not self.leaves_to_model(key)]
        right = {key: getattr(self.sections, key) for key in given}
        return SweepConfig(**{**right, "search_space": space, "pruner": pruner, "enqueue": enqueue})

    def leaves_to_model(self, section: str) -> bool:
        """Whether the config says nothing of a section that a compiled model may bring."""
        searched = {section, f"{section}.use"} & self.sections.names
        given = {*self.tree, *meant_sections(self.tree).values()}
        return section in LEFT_TO_MODEL and section not in given and not searched

    def settle(self, section: str, value: Any) -> None:
        """Give a section that was left out, as if it had been written, and hold it against the others."""
        self.tree[section] = value
        self.check()

    def override(self, text: str) -> None:
        """Apply `PATH=VALUE`, or complain about it."""
        if () in self._spoilt:
            return
        self._name_components()
        place, done = self._places.override(text), overrides.apply(self.tree, text)
        if isinstance(done, Fault):
            self._add(place, done)
        else:
            self._places.move(done, place)
            self._written[done] = text.partition("=")[2].strip()

    def check(self) -> Draft:
        """Complain about everything that the config's own rules forbid."""
        self._name_components()
        self.sections, faults = check_sections(self.tree)
        every = itertools.chain(faults, spanning_faults(self.tree, self.sections), parameter_faults(self.sections))
        for fault in itertools.islice(every, MAX_COMPLAINTS):
            self._complain(fault)
            self._wrong.add(fault.path)
        if next(every, None) is not None:
            rule = f"there are more mistakes; these are the first {MAX_COMPLAINTS}"
            where = self._places.words(self._places.find((), exists=False))
            self._complaints.setdefault(Complaint(where, "", rule), 2 * _AFTER_THE_FILE)
        return self

    def _name_components(self) -> None:
        """`optimizer: adam` means `optimizer: {use: adam}`."""
        for section in (*DOTTED, *METHODS):
            if isinstance(self.tree.get(section), str):
                self.tree[section] = {"use": self.tree[section]}

    def _complain(self, fault: Fault) -> None:
        if not any(fault.path[:length] in self._spoilt for length in range(len(fault.path) + 1)):
            self._add(self._places.find(fault.path, self._holds(fault.path)), fault)

    def _add(self, place: int, fault: Fault) -> None:
        is_to_quote = fault.advice.startswith(QUOTE) and fault.path in self._written
        advice = self._quoted(place, fault.path) if is_to_quote else fault.advice
        complaint = Complaint(self._places.words(place), path_text(fault.path), fault.rule, fault.got, advice)
        self._complaints.setdefault(complaint, place)

    def _quoted(self, place: int, path: Path) -> str:
        """How a number, true or false becomes the text that was written, as which it may have been meant."""
        text = one_line(self._written.get(path, ""))
        if path == ("name",) and not NAME.match(text):
            return "Choose another, of the characters a to z, A to Z, 0 to 9, `.`, `_` and `-`, that begins with no dot"
        if place >= _AFTER_THE_FILE:
            return f"{QUOTE}, and that from the shell: --set \"{path_text(path)}='{text}'\""
        return f"{QUOTE}: '{text}'"

    def _holds(self, path: Path) -> bool:
        node: Any = self.tree
        try:
            for step in path:
                node = node[step]
        except (KeyError, IndexError, TypeError):
            return False
        return True
