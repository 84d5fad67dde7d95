r"""One line of the log: a record and its checksum. A line is read exactly as it was written, or not at all.

A line is one JSON object in ASCII, ended by `\n`. Its last key is its checksum, always in the same 20 characters:
`,"crc32":"` + 8 lower-case hex digits + `"}`. It is the CRC-32 of the line's text without that key, that is: of the
line without its `\n`, with those 20 characters replaced by `}`. To check a line by hand:

>>> import zlib
>>> line = b'{"kind":"best","number":3,"value":0.5,"crc32":"e1ecbbff"}'
>>> zlib.crc32(line[:-20] + b"}") == int(line[-10:-2], 16)
True

Floats are written in the shortest text that reads back as the same float. Non-finite floats are written as the strings
"nan", "inf" and "-inf", in `FLOAT_FIELDS` and inside `metrics` only. Lists inside `params` are read back as tuples, as
a config has them; so they are in the records of earlier trials, `trials`.
"""

from __future__ import annotations

import json
import math
import numbers
import zlib
from collections.abc import Mapping
from typing import Any

Record = Mapping[str, Any]
FLOAT_FIELDS = ("value", "train_loss", "valid_loss", "seconds")
MOST_LANES = 2**16
"""A run makes as many lanes as the log says that an earlier one had."""
WHOLE, NUMBER, TEXT, MAPPING = "a whole number", "a number", "text", "a mapping"
_TYPES = {WHOLE: (int,), NUMBER: (float, int, type(None)), TEXT: (str, type(None)), MAPPING: (dict, type(None))}
_LEAST = {WHOLE: 0, NUMBER: -(2**63)}
_MUST = {
    **dict.fromkeys(
        ("number", "attempt", "repeat", "epoch", "epochs", "iterations", "examples", "group", "lane", "format"), WHOLE
    ),
    **dict.fromkeys((*FLOAT_FIELDS, "virtual_time", "elapsed"), NUMBER),
    **dict.fromkeys(("kind", "time", "outcome", "reason", "yaml", "signature"), TEXT),
    **dict.fromkeys(("params", "metrics", "environment", "code", "data", "lanes"), MAPPING),
}
LESSON = {"params", "outcome", "value", "epoch"}
"""The fields of each of the trials that a `warm_start` record has of an earlier sweep."""
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_CHECKSUM_LENGTH = len(',"crc32":"01234567"}')


def encode(record: Record) -> bytes:
    r"""One record (with at least one key) as its line, checksum and `\n` included.

    Scalars of array libraries are written as plain numbers.

    Raises: ValueError for a non-finite float where none may be, TypeError for what JSON cannot hold.
    """
    if not record or "crc32" in record:
        raise ValueError(f"a record must have keys, and none named 'crc32', but got {list(record)}")
    try:
        text = _dumps(record)
    except ValueError:
        text = _dumps(_with_named_non_finite(record))
    body = text.encode("ascii")
    return b'%b,"crc32":"%08x"}\n' % (body[:-1], zlib.crc32(body))


def decode(line: bytes) -> dict[str, Any] | str:
    r"""The record of one line (without its `\n`), or the reason why it cannot be trusted."""
    body, ending = line[:-_CHECKSUM_LENGTH] + b"}", line[-_CHECKSUM_LENGTH:]
    if ending[:10] != b',"crc32":"':
        return "it does not end in a checksum"
    if ending[10:] != b'%08x"}' % zlib.crc32(body):
        return "its checksum does not match"
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        return "it is not JSON"
    return _restored(record) if isinstance(record, dict) else "it is not a JSON object"


def unfit(record: Record) -> str:
    """Why a record whose checksum is right cannot be one of ours, so that no reader stumbles over it; "" if it may be.

    >>> unfit({"kind": "ask", "number": 3, "params": []})
    'its params must be a mapping'
    """
    for name, value in record.items():
        must = _MUST.get(name)
        if must is not None and (
            type(value) not in _TYPES[must] or (type(value) is int and not _LEAST[must] <= value < 2**63)
        ):
            return f"its {name} must be {must}"
    for value in (record.get("metrics") or {}).values():
        if not (type(value) is float or value is None or (type(value) is int and abs(value) < 2**63)):
            return "its metrics must be a mapping to numbers"
    if not all(type(value) is int and 1 <= value <= MOST_LANES for value in (record.get("lanes") or {}).values()):
        return f"its lanes must be a mapping to whole numbers from 1 to {MOST_LANES:,}"
    groups = record.get("groups", [])
    if type(groups) is not list or not all(map(_is_group, groups)):
        return "its groups must be pairs of a number and a virtual time"
    if record.get("kind") == "warm_start" and not _has_lessons(record):
        return "its source must be text, and its trials mappings of what they have had and come to"
    return ""


def _has_lessons(record: Record) -> bool:
    trials = record.get("trials")
    return (
        type(record.get("source")) is str
        and type(trials) is list
        and all(type(each) is dict and each.keys() >= LESSON and not unfit(each) for each in trials)
    )


def _is_group(value: Any) -> bool:
    return type(value) is list and len(value) == 2 and type(value[0]) is int and type(value[1]) in (int, float)


def _dumps(record: Record) -> str:
    return json.dumps(record, allow_nan=False, separators=(",", ":"), default=_plain_number)


def _plain_number(value: object) -> int | float:
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    raise TypeError(f"a record must hold plain values, but got {type(value).__name__}")


def _with_named_non_finite(record: Record) -> Record:
    named = {key: _named(value) if key in FLOAT_FIELDS else value for key, value in record.items()}
    if isinstance(named.get("metrics"), Mapping):
        named["metrics"] = {key: _named(value) for key, value in named["metrics"].items()}
    return named


def _named(value: Any) -> Any:
    if isinstance(value, numbers.Real) and not math.isfinite(value):
        return str(float(value))
    return value


def _restored(record: dict[str, Any]) -> dict[str, Any]:
    for field in FLOAT_FIELDS:
        if isinstance(record.get(field), str):
            record[field] = _unnamed(record[field])
    metrics = record.get("metrics")
    if isinstance(metrics, dict):
        record["metrics"] = {key: _unnamed(value) for key, value in metrics.items()}
    params = record.get("params")
    if isinstance(params, dict):
        record["params"] = {key: _as_tuple(value) for key, value in params.items()}
    learnt = record.get("trials")
    if isinstance(learnt, list):
        record["trials"] = [_restored(each) if isinstance(each, dict) else each for each in learnt]
    return record


def _unnamed(value: Any) -> Any:
    return _NON_FINITE.get(value, value) if isinstance(value, str) else value


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list) else value
