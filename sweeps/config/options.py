"""Arguments that are known by name: how each is checked, and its JSON Schema. The rule: one table serves both.

The checkers raise what `values.wrong` makes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sweeps.config.values import Value, above_zero, between, number, truth, whole, wrong
from sweeps.config.wording import did_you_mean, listing, show


class Option(NamedTuple):
    """An argument: how it is checked, and its JSON Schema."""

    check: Callable[[Value], object]
    json_schema: dict[str, Any]


Options = Mapping[str, Option]


def count(low: int, description: str) -> Option:
    """A whole number of at least `low`."""
    at_least = between(low)
    return Option(lambda value: at_least(whole(value)), {"type": "integer", "minimum": low, "description": description})


def positive(description: str) -> Option:
    """A number above 0."""
    schema = {"type": "number", "exclusiveMinimum": 0, "description": description}
    return Option(lambda value: above_zero(number(value)), schema)


def fraction(description: str) -> Option:
    """A number from 0 to 1."""
    within = between(0, 1)
    schema = {"type": "number", "minimum": 0, "maximum": 1, "description": description}
    return Option(lambda value: within(number(value)), schema)


def flag(description: str) -> Option:
    """True or false."""
    return Option(truth, {"type": "boolean", "description": description})


def word(words: tuple[str, ...], description: str) -> Option:
    """One of some words."""

    def check(value: Value) -> Value:
        if value not in words:
            raise wrong(f"must be {listing(words)}", show(value), did_you_mean(value, words))
        return value

    return Option(check, {"enum": list(words), "description": description})
