"""Pydantic's errors in our own words, so that none of its sentences reaches a user.

The types of `values` raise `values.wrong`, which carries the words already; what is left are errors about shape: a key
too many or too few, a mapping where there is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from sweeps.config.names import searchable
from sweeps.config.other_names import entry_in_our_words
from sweeps.config.parameters import Choices, FloatRange, Frozen, IntRange
from sweeps.config.schema import KINDS, Budget, Component, Objective, SweepConfig
from sweeps.config.wording import Fault, Path, did_you_mean, listing, nearest, show

_MODELS: dict[str, type[Frozen]] = {
    **{
        section: field.annotation
        for section, field in SweepConfig.model_fields.items()
        if isinstance(field.annotation, type)
        and issubclass(field.annotation, Frozen)
        and field.annotation is not Component
    },
    **dict(zip(KINDS, (FloatRange, IntRange, Choices), strict=True)),
}
"""What has keys of its own: sections by name, entries of the search space by type."""
_EXAMPLES = {
    key: field.examples[0]
    for model in (SweepConfig, Objective, Budget, FloatRange, IntRange, Choices)
    for key, field in model.model_fields.items()
    if field.examples
}
_EXAMPLES.update(_EXAMPLES["search_space"])


def faults_in(kind: TypeAdapter[Any], value: object, path: Path) -> Iterator[Fault]:
    """What keeps `value`, which is written at `path`, from being of a type."""
    try:
        kind.validate_python(value)
    except ValidationError as error:
        yield from faults_of(error, path)


def faults_of(error: ValidationError, path: Path) -> Iterator[Fault]:
    """What `error`, raised for the value at `path`, says."""
    every = error.errors(include_url=False)
    # A member of the union of an entry adds its tag to the location.
    tag = str(every[0]["loc"][0]) if path[:1] == ("search_space",) and every[0]["loc"] else ""
    of, depth = tag or str(path[0]), int(tag in (*KINDS, "fixed"))
    unknown = [details["loc"][-1] for details in every if details["type"] == "extra_forbidden"]
    meant = {nearest(key, _MODELS[of].model_fields) for key in unknown}  # what is told as unknown is not missing too
    for details in every:
        if details["type"] != "missing" or details["loc"][-1] not in meant:
            yield from _worded(details, (*path, *details["loc"][depth:]), of)


def missing(path: Path) -> Fault:
    """The fault of a key that must be given."""
    key = _with_example(path)
    return Fault(path, "must be given", advice=f"For instance `{key}: {show(_EXAMPLES[key])}`" if key else "")


def mapping_wanted(path: Path, value: object) -> Fault:
    """The fault of a value that must be a mapping."""
    key = _with_example(path)
    example = _EXAMPLES.get(key)
    such_as = f" such as {show(example[0] if isinstance(example, list) else example)}" if key else ""
    return Fault(path, f"must be a mapping{such_as}", show(value))


def _with_example(path: Path) -> str:
    """The last key of a path that has an example, or ""."""
    return next((step for step in reversed(path) if isinstance(step, str) and step in _EXAMPLES), "")


def _worded(details: ErrorDetails, path: Path, of: str) -> Iterator[Fault]:
    value, context = details["input"], details.get("ctx", {})
    match details["type"]:
        case "broken_rules":
            for fault in context["faults"]:
                yield fault._replace(path=(*path, *fault.path))
        case "missing":
            yield missing(path)
        case "extra_forbidden":
            keys = sorted(_MODELS[of].model_fields, key="when".__eq__)  # `when` comes last
            yield Fault(path, "unknown key", advice=did_you_mean(path[-1], keys, f"Known are {listing(keys, 'and')}"))
        case "literal_error":
            words = re.findall("'([^']+)'", context["expected"])
            yield Fault(path, f"must be {listing(words)}", show(value), did_you_mean(value, words))
        case "union_tag_not_found" | "union_tag_invalid":
            yield _kind_wanted(path, value)
        case "tuple_type":
            yield Fault(path, f"must be a list such as {show(_EXAMPLES[str(path[0])])}", show(value))
        case "model_type" if of not in _MODELS:
            yield Fault(path, "must be a name, or a mapping with `use`", show(value))
        case _:
            yield mapping_wanted(path, value)


def _kind_wanted(path: Path, entry: Mapping[str, Any]) -> Fault:
    """The fault of an entry without a `type` that is known, with the type that its other keys suggest."""
    rule, got = f"must be {listing(KINDS)}", show(entry["type"]) if "type" in entry else "none"
    if ours := entry_in_our_words(entry):
        return Fault((*path, "type"), rule, got, f"Write {show(ours, 1000)}")
    if "value" in entry:
        return Fault((*path, "type"), rule, got, f"Write {show(entry['value'])}")
    ends = [entry[key] for key in ("low", "high") if key in entry]
    whole = all(isinstance(end, int) for end in ends) and not entry.get("log")
    known = searchable(str(path[1]))
    number = known.types[0] if known is not None else "int" if whole else "float"
    near = nearest(entry.get("type"), KINDS) or ("categorical" if "choices" in entry else number)
    return Fault((*path, "type"), rule, got, f"Did you mean `type: {near}`?")
