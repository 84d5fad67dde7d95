"""What an unquoted word of YAML means, for reading and for writing: the core schema of YAML 1.2.

https://yaml.org/spec/1.2.2/#103-core-schema. PyYAML follows YAML 1.1, where `1e-4` is text, `no` is False and
`010` is 8; neither is what the author of a config means.
"""

from __future__ import annotations

import re
from collections.abc import Callable

PATTERNS = {
    "bool": re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"),
    "null": re.compile(r"(?:~|null|Null|NULL|)\Z"),
    "int": re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z"),
    "float": re.compile(
        r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
    ),
    "merge": re.compile(r"<<\Z"),  # not in the core schema, and refused by `reader` as a key unless it is quoted
}


class TextOfNumber(str):
    """Text such as "1e-5" in a config from Python: text where text belongs, and a number anywhere else."""

    __slots__ = ()


def scalar(text: str) -> bool | int | float | str | None:
    """The value of an unquoted scalar.

    Raises:
        OverflowError: a whole number does not fit in 64 bits.

    >>> [scalar(text) for text in ("1E5", "010", "0x1F", "no", "~", "True")]
    [100000.0, 10, 31, 'no', None, True]
    """
    return next((value(text) for kind, value in _VALUES.items() if PATTERNS[kind].match(text)), text)


def _whole(text: str) -> int:
    # int() takes quadratic time over long text, and refuses very long text.
    number = int(text, {"0o": 8, "0x": 16}.get(text[:2], 10)) if len(text) < 100 else 2**64
    if not -(2**63) <= number < 2**63:
        raise OverflowError("whole numbers must fit in 64 bits")
    return number


_VALUES: dict[str, Callable[[str], bool | int | float | None]] = {
    "bool": lambda text: text[0] in "tT",
    "null": lambda _: None,
    "int": _whole,
    # Python spells `.inf` and `.nan` without the dot.
    "float": lambda text: float(text.replace(".", "") if text[-1] in "fFnN" else text),
}
