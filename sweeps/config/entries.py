"""One entry of the search space: its name, and what that name can hold. The rule: a name says the kind of its values.

`epochs`, `batch_size` and `seed` are whole, `learning_rate` is a number, `loss` and every `….use` name something;
any other argument may be anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic_core import PydanticCustomError

from sweeps.config.names import check_loss, check_schedule
from sweeps.config.parameters import Choices, FloatRange, IntRange, Parameter
from sweeps.config.values import MAX_COUNT, MAX_SEED, Value, between, number, text, whole
from sweeps.config.wording import Fault, Path, did_you_mean, nearest, one_line, show

NAMES = ("epochs", "batch_size", "learning_rate", "seed", "loss")
NEEDED = NAMES[:2]
COMPONENTS = ("optimizer", "model", "dataset", "schedule")
DOTTED = (*COMPONENTS, "loss")
"""The sections whose arguments are parameters by their dotted name."""
AUGMENTATION = ("augmentation.shift", "augmentation.flip")
_ALSO_CALLED = {"lr": "learning_rate", "batch": "batch_size", "bs": "batch_size", "epoch": "epochs"}
_KNOWN = "Known are epochs, batch_size, learning_rate, seed, loss and dotted names such as optimizer.b1"


def name_fault(name: str) -> Fault | None:
    """What is wrong with the name of a parameter, if anything."""
    if name in NAMES or name in AUGMENTATION:
        return None
    section, dot, argument = name.partition(".")
    if name == "loss.use":
        return Fault((name,), "unknown parameter", advice="Did you mean `loss`?")
    if section == "augmentation":
        return Fault((name,), "unknown parameter", advice=did_you_mean(name, AUGMENTATION))
    if section in DOTTED and argument.isidentifier():
        return None
    if section in DOTTED and dot:
        return Fault((name,), "after the dot there must be one argument's name", f"`{one_line(argument)}`")
    if dot and argument.isidentifier() and (near := nearest(section, DOTTED)):
        return Fault((name,), "unknown parameter", advice=f"Did you mean `{near}.{one_line(argument)}`?")
    if name in _ALSO_CALLED:
        return Fault((name,), "unknown parameter", advice=f"Did you mean `{_ALSO_CALLED[name]}`?")
    return Fault((name,), "unknown parameter", advice=did_you_mean(name, NAMES, _KNOWN))


def value_faults(name: str, value: object) -> Iterator[Fault]:
    """What is wrong with the values written for a parameter, by its name; paths start at the entry."""
    if name in NEEDED and isinstance(value, Mapping) and value.get("when") is not None:
        yield Fault(("when",), "every trial needs this parameter, so it cannot depend on another")
    check = _check_of(name)
    if check is None:
        return
    if not isinstance(value, Mapping):
        search = f"To search, write {{type: categorical, choices: {show(value)}}}" if isinstance(value, list) else ""
        yield from (fault._replace(advice=search or fault.advice) for fault in _tried(check, value, ()))
    elif value.get("type") in ("float", "int"):
        yield from _range_faults(name, value, check)
    elif isinstance(choices := value.get("choices"), list):
        for index, choice in enumerate(choices):
            yield from _tried(check, choice, ("choices", index))


def fitted(name: str, entry: Parameter | Value) -> Parameter | Value:
    """An entry that is right, with its values in the type that its name wants: 64.0 examples are 64."""
    check = _check_of(name)
    if check is None or isinstance(entry, FloatRange | IntRange):
        return entry
    if isinstance(entry, Choices):
        return entry.model_copy(update={"choices": tuple(check(choice) for choice in entry.choices)})
    return check(entry)


def _check_of(name: str) -> Callable[[Any], Value] | None:
    return _CHECKS.get(name, text if name.endswith(".use") else None)


def _range_faults(name: str, value: Mapping[str, Any], check: Callable[[Any], Value]) -> Iterator[Fault]:
    kind = f"`{value['type']}`"
    if check in (text, check_loss, check_schedule):
        yield Fault(("type",), "must be `categorical` here", kind, "List the names under `choices`")
    elif value["type"] == "float" and name not in ("learning_rate", "augmentation.flip"):
        yield Fault(("type",), "must be `int` or `categorical` here", kind, "Write `type: int`")
    else:
        for end in ("low", "high"):
            if end in value:
                yield from _tried(check, value[end], (end,))


def _tried(check: Callable[[Any], Value], value: object, path: Path) -> Iterator[Fault]:
    try:
        check(value)
    except PydanticCustomError as error:
        yield from (fault._replace(path=path) for fault in (error.context or {})["faults"])


def _count(value: object) -> int:
    return int(between(1, MAX_COUNT)(whole(value)))


def _seed(value: object) -> int:
    return int(between(0, MAX_SEED)(whole(value)))


def _rate(value: object) -> float:
    return float(between(0)(number(value)))


def _pixels(value: object) -> int:
    return int(between(0, MAX_COUNT)(whole(value)))


def _chance(value: object) -> float:
    return float(between(0, 1)(number(value)))


_CHECKS: dict[str, Callable[[Any], Value]] = {
    "epochs": _count,
    "batch_size": _count,
    "seed": _seed,
    "learning_rate": _rate,
    "loss": check_loss,
    "schedule.use": check_schedule,
    "augmentation.shift": _pixels,
    "augmentation.flip": _chance,
}
