"""What would not fit into memory is refused before it is read, by the sizes that files say they have."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sweeps.datasets import loading, memory
from sweeps.errors import DataError

ROWS = 3_000


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(memory, "memory_bytes", lambda: 40_000.0)
    return tmp_path


def refused(use: str, **arguments: Any) -> str:
    with pytest.raises(DataError) as caught:
        loading.load(use, arguments)
    return str(caught.value)


def test_members_of_an_archive_of_arrays_are_held_against_the_memory() -> None:
    np.savez_compressed("zeros.npz", x=np.zeros((ROWS, 10), np.uint8), y=np.arange(ROWS) % 2)
    assert Path("zeros.npz").stat().st_size < 20_000
    assert refused("npz", path="zeros.npz") == "zeros.npz: its arrays would take 0.0 GB of 0.0 GB of memory"


def test_a_compressed_table_is_refused_when_more_has_come_of_it() -> None:
    Path("t.csv.gz").write_bytes(gzip.compress(b"a,y\n" + b"0000000,1\n0000000,0\n" * ROWS))
    assert refused("csv", path="t.csv.gz", target="y").startswith("t.csv.gz, unpacked, would take 0.0 GB of")
    pd.DataFrame({"a": np.zeros(10 * ROWS), "y": np.arange(10 * ROWS) % 2}).to_parquet("t.parquet")
    assert refused("parquet", path="t.parquet", target="y").startswith("t.parquet would take")
