"""Plain YAML scalars: what an unquoted word means. The rule: the core schema of YAML 1.2, for reading and for writing.

https://yaml.org/spec/1.2.2/#103-core-schema. PyYAML follows YAML 1.1, where `1e-4` is text, `no` is False and
`010` is 8; neither is what the author of a config means.
"""

from __future__ import annotations

import re

BOOLEAN = re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")
NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")
INTEGER = re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z")
FLOAT = re.compile(
    r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
)
MERGE = re.compile(r"<<\Z")  # not in the core schema, and refused by `yaml_reader` unless quoted


def scalar(text: str) -> bool | int | float | str | None:
    """The value of an unquoted scalar.

    Raises:
        OverflowError: a whole number does not fit in 64 bits.

    >>> [scalar(text) for text in ("1E5", "010", "0x1F", "no", "~", "True")]
    [100000.0, 10, 31, 'no', None, True]
    """
    if NULL.match(text):
        return None
    if BOOLEAN.match(text):
        return text[0] in "tT"
    if INTEGER.match(text):
        return _whole(text)
    if FLOAT.match(text):
        # Python spells `.inf` and `.nan` without the dot.
        return float(text.replace(".", "") if text[-1] in "fFnN" else text)
    return text


def _whole(text: str) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    # int() takes quadratic time over long text, and refuses very long text.
    number = int(text, base) if len(text) < 100 else 2**64
    if not -(2**63) <= number < 2**63:
        raise OverflowError("whole numbers must fit in 64 bits")
    return number
