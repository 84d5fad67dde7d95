"""What a searched parameter can be: a range of numbers, or a list of choices, in Optuna's words and meanings.

A range includes both ends. With a `step` its values are low, low + step, …, and `high` is brought down to the
last of them, so that every range ends on a value that it can propose.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import core_schema

from sweeps.config.values import (
    VALUE_SCHEMA,
    Argument,
    FrozenDict,
    Number,
    Positive,
    Truth,
    Value,
    Whole,
    between,
    freeze,
    limits,
    wrong,
    wrongs,
)
from sweeps.config.wording import Fault, show

MAX_STEPS = 10**6

Range64 = Annotated[Whole, AfterValidator(between(-(2**53), 2**53))]
When = Annotated[Mapping[str, Argument], AfterValidator(FrozenDict)]


_PRIOR = "A value that is likely to be good: it is tried first, and values near it early on."


class Frozen(BaseModel):
    """Every part of a config: it cannot change, and it knows all its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _Parameter(Frozen):
    when: When | None = Field(
        default=None,
        description="Search this only when other parameters have these values; a list means any of them.",
        examples=[{"optimizer.use": "sgd"}],
    )


class FloatRange(_Parameter):
    """A number from `low` to `high`, on a logarithmic scale when `log`, in steps of `step` when given.

    >>> FloatRange(type="float", low=0, high=1, step=0.3).high
    0.9
    """

    type: Literal["float"] = Field(description="A real number.")
    low: Number = Field(description="The smallest value.", examples=[1e-5])
    high: Number = Field(description="The largest value.", examples=[1e-1])
    log: Truth = Field(default=False, description="Search on a logarithmic scale.")
    step: Positive | None = Field(default=None, description="Try low, low + step, … only.")
    prior: Number | None = Field(default=None, description=_PRIOR, examples=[1e-3])

    @model_validator(mode="after")
    def _check(self) -> FloatRange:
        faults = _range_faults(self)
        if not math.isfinite(self.high - self.low):
            faults.append(Fault((), "`high - low` must be a finite number", _ends(self)))
        if faults:
            raise wrongs(faults)
        if self.step is not None:
            object.__setattr__(self, "high", _last_step(self.low, self.high, self.step))
        _check_prior(self)
        return self

    @property
    def count(self) -> int | None:
        """How many values it has; None when there is one between any two."""
        if self.low == self.high:
            return 1
        return None if self.step is None else round((self.high - self.low) / self.step) + 1

    def contains(self, value: Value) -> bool:
        """Whether `value` can be proposed."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        steps = 0.0 if self.step is None else (value - self.low) / self.step
        return abs(steps - round(steps)) < 1e-8

    def canonical(self, value: Value) -> Value:
        """`value` in the type that a proposal of it would have."""
        return float(value) if isinstance(value, int) else value

    def __str__(self) -> str:
        return _range_text(self)


class IntRange(_Parameter):
    """A whole number from `low` to `high`.

    >>> IntRange(type="int", low=1, high=8, step=2).high
    7
    """

    type: Literal["int"] = Field(description="A whole number.")
    low: Range64 = Field(description="The smallest value.", examples=[1])
    high: Range64 = Field(description="The largest value.", examples=[8])
    log: Truth = Field(default=False, description="Search on a logarithmic scale.")
    step: Annotated[Whole, AfterValidator(between(1, 2**53)), limits(minimum=1)] = Field(
        default=1, description="Try low, low + step, … only."
    )
    prior: Range64 | None = Field(default=None, description=_PRIOR, examples=[3])

    @model_validator(mode="after")
    def _check(self) -> IntRange:
        if faults := _range_faults(self):
            raise wrongs(faults)
        object.__setattr__(self, "high", self.high - (self.high - self.low) % self.step)
        _check_prior(self)
        return self

    @property
    def count(self) -> int:
        """How many values it has."""
        return (self.high - self.low) // self.step + 1

    def contains(self, value: Value) -> bool:
        """Whether `value` can be proposed."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        return (value - self.low) % self.step == 0

    def canonical(self, value: Value) -> Value:
        """`value` in the type that a proposal of it would have."""
        return int(value) if isinstance(value, float) else value

    def __str__(self) -> str:
        return _range_text(self)


def _listed(value: object) -> tuple[Value, ...]:
    frozen = freeze(value)
    if not isinstance(frozen, tuple):
        raise wrong("must be a list such as [32, 64]", show(value), f"Write [{show(value)}]")
    return frozen


def _distinct(choices: tuple[Value, ...]) -> tuple[Value, ...]:
    if not choices:
        raise wrong("must hold at least one choice", "[]")
    seen: dict[Value, Value] = {}
    for choice in choices:
        if choice in seen:
            other = seen[choice]
            twice = (
                f"{show(choice)} twice"
                if show(choice) == show(other)
                else f"{show(other)} and {show(choice)}, which are equal"
            )
            raise wrong("choices must differ from one another", twice, "Remove one")
        seen[choice] = choice
    return choices


class Choices(_Parameter):
    """One of a list of values, which have no order; a list among them is one value.

    >>> Choices(type="categorical", choices=[[64], [128, 128]]).choices
    ((64,), (128, 128))
    """

    type: Literal["categorical"] = Field(description="One of a list of values.")
    choices: Annotated[
        tuple[Argument, ...],
        BeforeValidator(_listed),
        AfterValidator(_distinct),
        WithJsonSchema({"type": "array", "items": VALUE_SCHEMA, "minItems": 1}),
    ] = Field(
        description="The values to choose from; they can be numbers, text, true, false, null or lists.",
        examples=[[32, 64, 128]],
    )
    prior: Argument | None = Field(default=None, description=_PRIOR, examples=[64])

    @model_validator(mode="after")
    def _check(self) -> Choices:
        _check_prior(self)
        return self

    @property
    def count(self) -> int:
        """How many values it has."""
        return len(self.choices)

    def contains(self, value: Value) -> bool:
        """Whether `value` can be proposed."""
        return value in self.choices

    def canonical(self, value: Value) -> Value:
        """The choice that equals `value`."""
        return self.choices[self.choices.index(value)]

    def __str__(self) -> str:
        return f"one of {show(self.choices)}"


Parameter = FloatRange | IntRange | Choices


class Ranges(tuple[Parameter, ...]):
    """Several ranges or choices of one parameter, each with a `when` of its own; no two of them ever hold together."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """As a tuple of them."""
        del source
        return core_schema.no_info_after_validator_function(cls, handler.generate_schema(tuple[Parameter, ...]))


Space = Mapping[str, Parameter | Ranges | Value]


def range_by_range(space: Space) -> dict[str, Parameter | Value]:
    """A search space with each range of a parameter that has several under a key of its own, as `PATH=VALUE` says it.

    >>> one = Choices(type="categorical", choices=[1, 2])
    >>> list(range_by_range({"epochs": 3, "learning_rate": Ranges([one, one])}))
    ['epochs', 'learning_rate[0]', 'learning_rate[1]']
    """
    found: dict[str, Parameter | Value] = {}
    for name, entry in space.items():
        if isinstance(entry, Ranges):
            found.update({f"{name}[{index}]": each for index, each in enumerate(entry)})
        else:
            found[name] = entry
    return found


def name_of(key: str) -> str:
    """The parameter that a key of `range_by_range` belongs to."""
    return key.partition("[")[0]


def range_at(space: Space, key: str) -> Parameter | Value:
    """What `range_by_range` has under a key; None if nothing."""
    name, _, index = key.partition("[")
    entry = space.get(name)
    if isinstance(entry, Ranges):
        return entry[int(index[:-1])] if index else None
    return entry


def _ends(numbers: FloatRange | IntRange) -> str:
    return f"low={show(numbers.low)} and high={show(numbers.high)}"


def _range_text(numbers: FloatRange | IntRange) -> str:
    steps = f" in steps of {show(numbers.step)}" if numbers.step not in (None, 1) else ""
    return f"from {show(numbers.low)} to {show(numbers.high)}{steps}"


def _range_faults(numbers: FloatRange | IntRange) -> list[Fault]:
    faults = []
    if numbers.low > numbers.high:
        faults.append(Fault((), "`low <= high` must hold", _ends(numbers)))
    if numbers.log and numbers.low <= 0:
        faults.append(Fault(("low",), "`low > 0` must hold with `log: true`", show(numbers.low)))
    if numbers.log and "step" in numbers.model_fields_set and numbers.step not in (None, 1):
        faults.append(Fault(("step",), "`step` and `log: true` exclude each other", advice="Remove one"))
    too_many = numbers.step is not None and (numbers.high - numbers.low) / numbers.step > MAX_STEPS
    if too_many and isinstance(numbers, FloatRange):
        faults.append(Fault(("step",), f"there must be at most {MAX_STEPS:,} steps", show(numbers.step)))
    return faults


def _check_prior(parameter: FloatRange | IntRange | Choices) -> None:
    if parameter.prior is not None and not parameter.contains(parameter.prior):
        raise wrongs([Fault(("prior",), f"must be in the search space, {parameter}", show(parameter.prior))])


def _last_step(low: float, high: float, step: float) -> float:
    """The last of low, low + step, … that is not above `high`, in decimal so that 0.3 three times is 0.9.

    A `high` that misses a step by no more than rounding is on it; so the last step of a last step is itself.
    """
    first, last, each = (Decimal(repr(value)) for value in (low, high, step))
    rounding = max(1e-9, 4 * sys.float_info.epsilon * max(abs(low), abs(high)) / step)
    return float(first + int((last - first) / each + Decimal(rounding)) * each)
