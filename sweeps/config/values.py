"""Values of a config: plain, frozen and finite, and the types of numbers and text that its keys have.

Every check here raises what `wrong` makes, so that no message of pydantic's own about numbers or text is ever needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, GetPydanticSchema, WithJsonSchema
from pydantic_core import PydanticCustomError, core_schema

from sweeps.config.wording import QUOTE, Fault, one_line, show
from sweeps.config.yaml.scalars import TextOfNumber

Value = bool | int | float | str | None | tuple["Value", ...]
"""What an argument or a hyperparameter can be. A YAML list becomes a tuple, so that every value is hashable."""

VALUE_SCHEMA = {"type": ["number", "string", "boolean", "null", "array"]}

MAX_COUNT = 2**31 - 1  # epochs and batch sizes are 32-bit integers on the device
MAX_SEED = 2**32 - 1

_Key = TypeVar("_Key")
_Item = TypeVar("_Item")


class FrozenDict(dict[_Key, _Item]):
    """A dict that cannot change, and is hashable when its items are."""

    def _refuse(self, *_arguments: object, **_keywords: object) -> NoReturn:
        raise TypeError("a config cannot be changed; make another with `load_config` or `parse_config`")

    __setitem__ = __delitem__ = update = setdefault = pop = popitem = clear = __ior__ = _refuse

    def __hash__(self) -> int:  # type: ignore[override]  # dict has none
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type[FrozenDict[_Key, _Item]], tuple[dict[_Key, _Item]]]:
        return FrozenDict, (dict(self),)


def wrong(rule: str, got: object = "", advice: str = "") -> PydanticCustomError:
    """The error of one broken rule, for a pydantic validator to raise."""
    return wrongs([Fault((), rule, str(got), advice)])


def wrongs(faults: list[Fault]) -> PydanticCustomError:
    """The error of several broken rules; their paths start at the value that is validated."""
    summary = "; ".join(fault.rule for fault in faults)
    return PydanticCustomError("broken_rules", "{summary}", {"summary": summary, "faults": faults})


def freeze(value: object) -> Value:
    """A value with its lists made tuples.

    Raises:
        PydanticCustomError: it is or holds something other than numbers, text, true, false, null and lists; or NaN.

    >>> freeze([64, [True, "relu"]])
    (64, (True, 'relu'))
    """
    value = _number_of(value)
    if isinstance(value, list | tuple):
        return tuple(freeze(item) for item in value)
    if isinstance(value, float) and math.isnan(value):
        raise wrong("NaN is not a value", advice="Give a number, or null for none")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        looks_searched = not {"type", "low", "high", "choices"}.isdisjoint(value)
        advice = "To search an argument, put it under `search_space` by its dotted name" if looks_searched else ""
        raise wrong("must be a number, text, true, false, null or a list of these", show(value), advice)
    raise wrong("must be a number, text, true, false, null or a list of these", f"a {type(value).__name__}")


def whole(value: object) -> int:
    """A whole number; 1e3 is one, "3" and true are not."""
    value = _number_of(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise wrong("must be a whole number", show(value), _unquote(value))


def number(value: object) -> float:
    """A finite number as a float."""
    value = _number_of(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong("must be a number", show(value), _unquote(value))
    if not -1e308 < value < 1e308:
        raise wrong("must be a finite number", show(value))
    return float(value)


def truth(value: object) -> bool:
    """True or false, and nothing like it."""
    if isinstance(value, bool):
        return value
    raise wrong("must be true or false", show(value))


def text(value: object) -> str:
    """Text that is not empty."""
    if isinstance(value, str) and value.strip():
        return str(value)
    if isinstance(value, str):
        raise wrong("must not be empty", "''")
    is_scalar = isinstance(value, bool | int | float)
    raise wrong("must be text", show(value), f"{QUOTE}: '{one_line(show(value))}'" if is_scalar else "")


def _number_of(value: object) -> object:
    return float(value) if isinstance(value, TextOfNumber) else value


def _unquote(value: object) -> str:
    if not isinstance(value, str):
        return ""
    try:
        float(value)
    except ValueError:
        return ""
    return "Leave out `_`" if "_" in value else "Remove the quotes"  # a plain 1_000 is text in YAML 1.2


def between(low: float, high: float = math.inf) -> Callable[[Any], Any]:
    """A check that a number lies from `low` to `high`, both included."""

    def check(value: Any) -> Any:
        if value < low:
            raise wrong(f"must be at least {show(low)}", show(value))
        if value > high:
            raise wrong(f"must be at most {show(high)}", show(value))
        return value

    return check


def above_zero(value: Any) -> Any:
    """A check that a number is more than 0."""
    if value <= 0:
        raise wrong("must be more than 0", show(value))
    return value


def limits(**schema: Any) -> Any:
    """What the JSON Schema says of a type, beside its kind and its description."""
    return Field(json_schema_extra=schema)


Whole = Annotated[int, BeforeValidator(whole)]
Number = Annotated[float, BeforeValidator(number)]
Truth = Annotated[bool, BeforeValidator(truth)]
Text = Annotated[str, BeforeValidator(text)]
Argument = Annotated[
    Value,
    # Pydantic would walk the union and report each of its members; `freeze` says it once.
    GetPydanticSchema(lambda _source, _handler: core_schema.no_info_plain_validator_function(freeze)),
    WithJsonSchema(VALUE_SCHEMA),
]
Count = Annotated[Whole, AfterValidator(between(1, MAX_COUNT)), limits(minimum=1, maximum=MAX_COUNT)]
Times = Annotated[Whole, AfterValidator(between(0, MAX_COUNT)), limits(minimum=0, maximum=MAX_COUNT)]
Seed = Annotated[Whole, AfterValidator(between(0, MAX_SEED)), limits(minimum=0, maximum=MAX_SEED)]
Fraction = Annotated[Number, AfterValidator(between(0, 1)), limits(minimum=0, maximum=1)]
NotNegative = Annotated[Number, AfterValidator(between(0)), limits(minimum=0)]
Positive = Annotated[Number, AfterValidator(above_zero), limits(exclusiveMinimum=0)]
