"""Each section of a config by itself: one that is right is kept even when others are wrong.

So `rules` can judge what spans the right ones, and a person sees all mistakes of a file at once.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from sweeps.config.entries import AUGMENTATION, DOTTED, NAMES, entry_or_faults, meant_name
from sweeps.config.names import PRUNERS, SAMPLERS
from sweeps.config.parameters import Choices, Space
from sweeps.config.pydantic_words import faults_of, mapping_wanted, missing
from sweeps.config.schema import SweepConfig
from sweeps.config.values import FrozenDict
from sweeps.config.wording import Fault, did_you_mean, listing, nearest, show

MAX_PARAMETERS = 1000


@dataclass(frozen=True)
class Sections:
    """The sections that are right by themselves, as attributes; None where one is wrong or missing.

    `search_space` holds the entries that are right, `names` the names of all, and those that unknown names stand for.
    """

    names: frozenset[str]
    search_space: Space
    right: Mapping[str, Any]

    def __getattr__(self, section: str) -> Any:
        if section in SweepConfig.model_fields:
            return self.right.get(section)
        raise AttributeError(section)


def check_sections(tree: Mapping[str, Any]) -> tuple[Sections, Iterator[Fault]]:
    """The sections of a config, and everything that is wrong within them."""
    # Worded only when they are shown, since words for thousands take seconds.
    meant = meant_sections(tree)
    found: list[Iterable[Fault]] = [(_unknown_section(key, tree[key]) for key in meant)]
    names, space = _search_space(tree.get("search_space", {}), found)
    right: dict[str, Any] = {}
    for key, field in SweepConfig.model_fields.items():
        given = _with_searched_use(key, tree, names, space)
        if key not in given and field.is_required():
            found.append([] if key in meant.values() else [missing((key,))])
        elif key not in given:
            right[key] = field.get_default()
        elif key != "search_space":
            try:
                right[key] = _adapter(key).validate_python(given[key])
            except ValidationError as error:
                found.append(faults_of(error, (key,)))
    return Sections(names, space, right), itertools.chain.from_iterable(found)


@functools.cache
def _adapter(key: str) -> TypeAdapter[Any]:
    field = SweepConfig.model_fields[key]
    kind: Any = field.annotation
    return TypeAdapter(Annotated[kind, *field.metadata] if field.metadata else kind)


def meant_sections(tree: Mapping[str, Any]) -> dict[str, str]:
    """The section that each unknown key of a config was most likely meant to be, or ""."""
    unknown = {key: value for key, value in tree.items() if key not in SweepConfig.model_fields}
    ours = {key: _section_in_our_words(key, value).partition(":")[0] for key, value in unknown.items()}
    return {key: ours[key] or nearest(key, () if _is_parameter(key) else SweepConfig.model_fields) for key in unknown}


def _is_parameter(key: str) -> bool:
    return key in (*NAMES, *AUGMENTATION) or key.partition(".")[0] in DOTTED


def _unknown_section(key: str, value: object) -> Fault:
    known = tuple(SweepConfig.model_fields)
    if _is_parameter(key):
        advice = "It belongs under `search_space`"
    elif words := _section_in_our_words(key, value):
        advice = f"Write `{words}`"
    elif not nearest(key, known) and (parameter := meant_name(key)):
        advice = f"`{parameter}` belongs under `search_space`"
    else:
        advice = did_you_mean(key, known, f"Known are {listing(known, 'and')}")
    return Fault((key,), "unknown key", advice=advice)


def _section_in_our_words(key: str, value: object) -> str:
    """A section of a W&B sweep as a line of ours; "" for what only has another name."""
    given = value if isinstance(value, Mapping) else {}
    if key == "run_cap":
        return f"budget: {{trials: {show(value)}}}"
    if key == "method":
        return f"sampler: {nearest(value, SAMPLERS) or 'tpe'}"
    if key == "early_terminate":
        return f"pruner: {nearest(given.get('type'), PRUNERS) or 'hyperband'}"
    if key == "metric" and given:
        name, goal = str(given.get("name")), given.get("goal", given.get("direction", "minimize"))
        column = re.sub("^val_", "valid_", name)
        return f"objective: {show({'metric': column, 'direction': goal})}"
    return ""


def _search_space(given: object, found: list[Iterable[Fault]]) -> tuple[frozenset[str], Space]:
    if not isinstance(given, Mapping):
        found.append([mapping_wanted(("search_space",), given)])
        return frozenset(), {}
    if len(given) > MAX_PARAMETERS:
        rule = f"there must be at most {MAX_PARAMETERS:,} parameters"
        found.append([Fault(("search_space",), rule, f"{len(given):,}")])
        return frozenset(given), {}
    entries = {name: entry_or_faults(name, value) for name, value in given.items()}
    found.extend(faults for _, faults in entries.values())
    return frozenset((*given, *filter(None, map(meant_name, given)))), FrozenDict(
        {name: entry for name, (entry, faults) in entries.items() if not faults}
    )


def _with_searched_use(key: str, tree: Mapping[str, Any], names: frozenset[str], space: Space) -> Mapping[str, Any]:
    """`tree` with the `use` of the section `key` filled in from the search space, when it is searched and not given."""
    searched = key if key == "loss" else f"{key}.use"
    section = tree.get(key, {})
    # Where the search space is no mapping, what it was meant to have is unknown.
    is_searched = searched in names or not isinstance(tree.get("search_space", {}), Mapping)
    if not is_searched or key not in DOTTED or not isinstance(section, Mapping) or "use" in section:
        return tree
    entry = space.get(searched)
    use = entry.choices[0] if isinstance(entry, Choices) else entry
    return {**tree, key: {**section, "use": use if isinstance(use, str) else "unknown"}}
