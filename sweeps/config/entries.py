"""One entry of the search space: its name, and the values that a parameter of that name can have."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from pydantic import TypeAdapter, ValidationError

from sweeps.config.names import PARAMETERS, searchable
from sweeps.config.optax_names import ARGUMENTS
from sweeps.config.parameters import Choices, Parameter, Ranges
from sweeps.config.pydantic_words import faults_in, faults_of
from sweeps.config.schema import Entry
from sweeps.config.values import Value
from sweeps.config.wording import Fault, Path, listing, nearest, one_line, show

NAMES = ("epochs", "batch_size", "learning_rate", "seed", "loss")
NEEDED = NAMES[:2]
DOTTED = ("optimizer", "model", "dataset", "schedule", "loss")
"""The sections whose arguments are parameters by their dotted name."""
AUGMENTATION = ("augmentation.shift", "augmentation.flip")
_KNOWN = "Known are epochs, batch_size, learning_rate, seed, loss and dotted names such as optimizer.b1"
_ENTRY: TypeAdapter[Any] = TypeAdapter(Entry)


def entry_or_faults(name: str, written: object) -> tuple[Parameter | Ranges | Value, list[Fault]]:
    """The entry that is written for a parameter, or everything that is wrong with it."""
    path: Path = ("search_space", name)
    entry, found = _several(name, written, path) if _is_several(written) else _one(name, written, path)
    faults = [*_name_faults(name, path), *found]
    return (None, faults) if faults else (entry, [])


def _is_several(written: object) -> TypeGuard[list[object]]:
    """Whether it is a list of ranges. A list that is a value holds no mapping."""
    return isinstance(written, list) and any(isinstance(each, Mapping) for each in written)


def _several(name: str, written: list[object], path: Path) -> tuple[Ranges, list[Fault]]:
    known = searchable(name)
    if name in NEEDED or (known is not None and known.types == ("categorical",)):
        return Ranges(), [Fault(path, "must be one entry, for every trial has it", show(written), "Write one")]
    found = [_one(name, each, (*path, index)) for index, each in enumerate(written)]
    faults = list(itertools.chain.from_iterable(faults for _, faults in found))
    for index, (entry, wrong) in enumerate(found):
        if not wrong and not (isinstance(entry, Parameter) and entry.when):
            rule = "each of several ranges must have `type`, and a `when` that says which trials have it"
            faults.append(Fault((*path, index), rule, show(written[index]), "Add `when: {optimizer.use: …}`"))
    return Ranges(entry for entry, _ in found if isinstance(entry, Parameter)), faults


def _one(name: str, written: object, path: Path) -> tuple[Parameter | Value, list[Fault]]:
    faults: list[Fault] = []
    entry: Parameter | Value = None
    try:
        entry = _ENTRY.validate_python(written)
    except ValidationError as error:
        faults.extend(faults_of(error, path))
    faults.extend(_value_faults(name, written, path))  # what is said twice is shown once
    if not faults:
        try:
            return _fitted(name, entry), []
        except ValidationError as error:  # text that is read as a number, where a name is wanted
            faults.extend(faults_of(error, path))
    return None, faults


def _name_faults(name: str, path: Path) -> Iterator[Fault]:
    section, dot, argument = name.partition(".")
    if section in DOTTED and dot and not argument.isidentifier():
        yield Fault(path, "after the dot there must be one argument's name", f"`{one_line(argument)}`")
    elif (meant := meant_name(name)) != name:
        otherwise = "" if section == "augmentation" else _KNOWN
        yield Fault(path, "unknown parameter", advice=f"Did you mean `{one_line(meant)}`?" if meant else otherwise)


def meant_name(name: str) -> str:
    """The parameter that a name stands for: the name itself, the nearest one, or ""."""
    section, dot, argument = name.partition(".")
    if name in PARAMETERS or (section in DOTTED and argument.isidentifier() and name != "loss.use"):
        return name
    if name == "loss.use" or section == "augmentation":
        return "loss" if section == "loss" else nearest(name, AUGMENTATION)
    if dot and argument.isidentifier() and (near := nearest(section, DOTTED)):
        return f"{near}.{argument}"
    is_of_optimizer = any(name in arguments for arguments in ARGUMENTS.values())
    return nearest(name, NAMES) or (f"optimizer.{name}" if is_of_optimizer else "")


def _value_faults(name: str, written: object, path: Path) -> Iterator[Fault]:
    is_mapping = isinstance(written, Mapping)
    entry: Mapping[str, object] = written if isinstance(written, Mapping) else {}
    if name in NEEDED and entry.get("when") is not None:
        yield Fault((*path, "when"), "every trial needs this parameter, so it cannot depend on another")
    known = searchable(name)
    if known is None:
        return
    kind, choices = entry.get("type"), entry.get("choices")
    if not is_mapping:
        search = (
            f"To search, write {{type: categorical, choices: {show(written)}}}" if isinstance(written, list) else ""
        )
        yield from (fault._replace(advice=search or fault.advice) for fault in faults_in(known.values, written, path))
    elif kind in ("float", "int") and kind not in known.types:
        advice = "Write `type: int`" if "int" in known.types else "List the names under `choices`"
        yield Fault((*path, "type"), f"must be {listing(known.types)} here", f"`{kind}`", advice)
    elif kind in ("float", "int"):
        for end in [end for end in ("low", "high") if end in entry]:
            yield from faults_in(known.values, entry[end], (*path, end))
    elif isinstance(choices, list):
        for index, choice in enumerate(choices):
            yield from faults_in(known.values, choice, (*path, "choices", index))


def _fitted(name: str, entry: Parameter | Value) -> Parameter | Value:
    """An entry that is right, with its values in the type that its name wants: 64.0 examples are 64."""
    known = searchable(name)
    if known is None or (isinstance(entry, Parameter) and not isinstance(entry, Choices)):
        return entry
    if isinstance(entry, Choices):
        return entry.model_copy(update={"choices": tuple(map(known.values.validate_python, entry.choices))})
    fitted: Value = known.values.validate_python(entry)
    return fitted
