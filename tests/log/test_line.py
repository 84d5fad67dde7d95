"""A line is read exactly as it was written, or not at all."""

from __future__ import annotations

import json
import math
import random
import re
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.log.line import decode, encode

EPOCH: dict[str, Any] = {
    "kind": "epoch",
    "number": 7,
    "train_loss": 0.1 + 0.2,
    "valid_loss": math.inf,
    "metrics": {"valid_accuracy": -math.inf, "valid_größe": 5e-324},
    "seconds": 1e-9,
}
TEXT = st.text(st.characters(codec=None, categories=None), max_size=20)
SCALAR = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
VALUE = st.recursive(SCALAR, lambda values: st.lists(values, max_size=3).map(tuple), max_leaves=5)


def test_the_checksum_is_the_crc_32_of_the_line_without_its_key() -> None:
    line = encode({"kind": "best", "number": 3}).decode()
    whole = re.fullmatch(r'(\{"kind":"best","number":3),"crc32":"([0-9a-f]{8})"\}\n', line)
    assert whole is not None
    assert int(whole[2], 16) == zlib.crc32(b'{"kind":"best","number":3}')


def test_a_line_is_plain_json_with_the_checksum_as_its_last_key() -> None:
    parsed = json.loads(encode(EPOCH))
    assert list(parsed) == [*EPOCH, "crc32"]
    assert parsed["valid_loss"] == "inf"


def test_a_line_has_no_line_end_inside_and_only_ascii() -> None:
    line = encode({"kind": "outcome", "reason": "größer\nals\r\x85\u2028\0"})
    assert line.isascii()
    assert len(line.splitlines()) == 1


@given(
    st.dictionaries(TEXT.filter(lambda key: key not in {"crc32", "params", "metrics"}), SCALAR, min_size=1, max_size=4)
)
def test_any_record_of_plain_values_comes_back_as_it_was(record: dict[str, Any]) -> None:
    record = {f"field {key}": value for key, value in record.items()}
    assert decode(encode(record)[:-1]) == record


@given(st.dictionaries(TEXT, VALUE, max_size=4))
def test_any_params_come_back_as_they_were(params: dict[str, Any]) -> None:
    record = {"kind": "ask", "params": params}
    decoded = decode(encode(record)[:-1])
    assert repr(decoded) == repr(record)


@given(st.floats(), st.floats())
def test_every_float_comes_back_bit_by_bit(value: float, metric: float) -> None:
    decoded = decode(encode({"kind": "x", "value": value, "metrics": {"m": metric}})[:-1])
    assert isinstance(decoded, dict)
    for before, after in ((value, decoded["value"]), (metric, decoded["metrics"]["m"])):
        assert type(after) is float
        same_bits = struct.pack("<d", before) == struct.pack("<d", after)
        assert same_bits or (math.isnan(before) and math.isnan(after))


def test_a_parameter_that_is_the_text_nan_stays_text() -> None:
    record = {"kind": "ask", "params": {"model.fill": "nan"}, "reason": "inf", "value": math.nan}
    decoded = decode(encode(record)[:-1])
    assert isinstance(decoded, dict)
    assert decoded["params"] == {"model.fill": "nan"}
    assert decoded["reason"] == "inf"
    assert math.isnan(decoded["value"])


def test_numbers_of_array_libraries_are_written_as_plain_numbers() -> None:
    record = {"kind": "x", "number": np.int32(3), "value": np.float32(0.1), "train_loss": np.float32("nan")}
    decoded = decode(encode(record)[:-1])
    assert isinstance(decoded, dict)
    assert (decoded["number"], decoded["value"]) == (3, float(np.float32(0.1)))
    assert math.isnan(decoded["train_loss"])


@pytest.mark.parametrize(
    ("record", "error"),
    [
        ({}, ValueError),
        ({"kind": "x", "crc32": "0"}, ValueError),
        ({"kind": "ask", "params": {"learning_rate": math.nan}}, ValueError),
        ({"kind": "run", "environment": object()}, TypeError),
    ],
)
def test_a_record_that_would_not_come_back_is_refused(record: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        encode(record)


def test_no_flipped_bit_is_believed() -> None:
    line = encode(EPOCH)[:-1]
    for position in range(len(line)):
        for bit in range(8):
            flipped = bytearray(line)
            flipped[position] ^= 1 << bit
            assert isinstance(decode(bytes(flipped)), str), (position, bit)


def test_no_part_of_a_line_is_believed() -> None:
    line = encode(EPOCH)[:-1]
    parts = [
        line[start:end] for start in range(len(line)) for end in range(start, len(line) + 1) if end - start < len(line)
    ]
    assert all(isinstance(decode(part), str) for part in parts)


@given(st.binary(max_size=200))
def test_garbage_is_a_reason_and_never_an_error(line: bytes) -> None:
    assert isinstance(decode(line), str)


@pytest.mark.parametrize(
    "body", [b"[1]}", b"}", b"[" * 100_000 + b"}", b'{"a":' + b"9" * 5000 + b"}", b"{\xff}", b"{NaN}"]
)
def test_a_right_checksum_over_anything_but_an_object_is_no_record(body: bytes) -> None:
    line = b'%b,"crc32":"%08x"}' % (body[:-1], zlib.crc32(body))
    assert isinstance(decode(line), str)


def test_damage_in_many_places_at_once_is_never_a_wrong_record() -> None:
    chance = random.Random(0)
    line = encode(EPOCH)[:-1]
    for _ in range(5000):
        changed = bytearray(line)
        for _ in range(chance.randint(1, 6)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        assert bytes(changed) == line or isinstance(decode(bytes(changed)), str)
