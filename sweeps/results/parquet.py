"""Columns in Arrow's memory, for Parquet. pandas is not imported, and reads back every dtype exactly.

`pyarrow.array` and `pyarrow.parquet.read_table` import pandas where it is installed, which takes a third of a second.
So arrays are made from their buffers, as Arrow's columnar format lays them out
(https://arrow.apache.org/docs/format/Columnar.html), and what pandas wants to know of a file is written by hand
(https://pandas.pydata.org/docs/development/developer.html).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from sweeps.results.columns import Kind, TableColumn

_TYPES: dict[Kind, Any] = {
    "int64": pa.int64(),
    "float64": pa.float64(),
    "Int64": pa.int64(),
    "Float64": pa.float64(),
    "boolean": pa.bool_(),
    "string": pa.large_string(),
    "datetime64[us]": pa.timestamp("us"),
    "timedelta64[us]": pa.duration("us"),
}
_PANDAS_TYPES = {"boolean": "bool", "string": "unicode", "datetime64[us]": "datetime", "timedelta64[us]": "timedelta"}
_EPOCH, _MICROSECOND = datetime(1970, 1, 1), timedelta(microseconds=1)


def batch(columns: Sequence[TableColumn]) -> pa.RecordBatch:
    """The columns as one piece of a table. Names and kinds alone decide its schema."""
    return pa.RecordBatch.from_arrays([_array(column) for column in columns], schema=_schema(columns))


def read(content: bytes, wanted: Callable[[str], bool]) -> dict[str, list[Any]]:
    """Those columns of a Parquet file whose names are wanted, in the file's order; None for what is missing."""
    file = pyarrow.parquet.ParquetFile(pa.BufferReader(content))
    table = file.read(columns=[name for name in file.schema_arrow.names if wanted(name)])
    return {name: table.column(name).to_pylist() for name in table.column_names}


def parquet(table: pa.Table) -> memoryview:
    """A table as the bytes of a Parquet file."""
    # A dictionary of floats, which are hardly ever equal, takes more time and room than the floats.
    repetitive = [field.name for field in table.schema if not pa.types.is_floating(field.type)]
    with pa.BufferOutputStream() as stream:
        pyarrow.parquet.write_table(table, stream, use_dictionary=repetitive)
        return memoryview(stream.getvalue())


def _schema(columns: Sequence[TableColumn]) -> pa.Schema:
    described = [
        {
            "name": column.name,
            "field_name": column.name,
            "pandas_type": _PANDAS_TYPES.get(column.kind, column.kind.lower()),
            "numpy_type": column.kind,
            "metadata": None,
        }
        for column in columns
    ]
    for_pandas = {"index_columns": [], "column_indexes": [], "columns": described, "pandas_version": "2.2.0"}
    fields = [pa.field(column.name, _TYPES[column.kind]) for column in columns]
    return pa.schema(fields, metadata={"pandas": json.dumps(for_pandas)})


def _array(column: TableColumn) -> pa.Array:
    kind, values = column.kind, column.values
    if kind in ("int64", "float64"):
        return pa.Array.from_buffers(_TYPES[kind], len(values), [None, _buffer(np.array(values, dtype=kind))])
    there = np.fromiter((value is not None for value in values), dtype=bool, count=len(values))
    return pa.Array.from_buffers(_TYPES[kind], len(values), [_bits(there), *_content(kind, values)])


def _content(kind: Kind, values: Sequence[Any]) -> list[pa.Buffer]:
    """The buffers of a column's values; what stands in the place of a missing one does not matter."""
    if kind == "string":
        encoded = [b"" if value is None else value.encode() for value in values]
        ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        return [_buffer(ends), pa.py_buffer(b"".join(encoded))]
    if kind == "boolean":
        return [_bits(np.array([bool(value) for value in values], dtype=bool))]
    if kind == "datetime64[us]":
        numbers = [0 if value is None else (value - _EPOCH) // _MICROSECOND for value in values]
    elif kind == "timedelta64[us]":
        numbers = [0 if value is None else value // _MICROSECOND for value in values]
    else:
        numbers = [0 if value is None else value for value in values]
    return [_buffer(np.array(numbers, dtype="float64" if kind == "Float64" else "int64"))]


def _buffer(values: np.ndarray) -> pa.Buffer:
    return pa.py_buffer(values)


def _bits(values: np.ndarray) -> pa.Buffer:
    return pa.py_buffer(np.packbits(values, bitorder="little"))
