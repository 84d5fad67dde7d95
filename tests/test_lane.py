"""One lane's order of rows: the fast sort against NumPy's."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from sweeps.training.lane import stable_argsort


@pytest.mark.parametrize("distinct", [1, 2, 50, 2**32], ids=lambda distinct: f"{distinct} distinct bits")
@pytest.mark.parametrize("rows", [1, 2, 3, 64, 65, 4_096, 70_000])
def test_rows_are_sorted_by_their_bits_and_equal_bits_keep_their_order(rows: int, distinct: int) -> None:
    values = np.random.default_rng(rows).integers(0, 2**32, min(distinct, rows), dtype=np.uint32)
    bits = np.random.default_rng(0).choice(np.append(values, np.uint32([0, 2**32 - 1])), rows)
    order = np.asarray(stable_argsort(jnp.asarray(bits)))
    assert order.dtype == np.int32
    np.testing.assert_array_equal(order, np.argsort(bits, kind="stable"))
