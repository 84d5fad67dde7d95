"""`precision: bfloat16`: matrix products in bfloat16; what is kept and what is reported in float32."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.extend as jex
import jax.numpy as jnp
import numpy as np
import pytest
from sweeping import config, fixed, lane_trial, make_programs, mapped, train_in_lanes, vmapped

from sweeps.config import SweepConfig
from sweeps.engine.devices import Policy
from sweeps.training.lane import LaneValues

pytestmark = pytest.mark.usefixtures("ordinary_promotion", "compiled_as_shipped")

WIDE: dict[str, Any] = {
    "dataset": {"use": "sweeping:blobs"},
    "optimizer": {"use": "adam"},
    "search_space": fixed(epochs=3),
}
HALF = config(**WIDE, precision="bfloat16")


def products(jaxpr: Any) -> Iterator[Any]:
    """The dtype of each matrix product, those of inner functions too."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation.invars[0].aval.dtype
        for inner in jex.core.jaxprs_in_params(equation.params):
            yield from products(inner)


def dtypes_of_products(swept: SweepConfig) -> set[Any]:
    programs = make_programs(swept, mapped(1))
    trial_in_lane = lane_trial(programs, swept, 0, {})
    program = programs.program(trial_in_lane.program_key, jax.devices("cpu")[0])
    values = LaneValues(trial_in_lane.ints, trial_in_lane.floats)

    def gradient() -> Any:
        state, data = program.lane.init(values), program.feed.open()(0)
        order = program.lane.order(state, data, 8)
        batch = program.lane.batch(values, state.update, data, order, jnp.int32(0), 8)
        return program.lane.gradient(values, state, data, batch, jnp.int32(0))

    return set(products(jax.make_jaxpr(gradient)().jaxpr))


def test_matrix_products_are_taken_in_the_precision() -> None:
    assert dtypes_of_products(HALF) == {jnp.dtype("bfloat16")}
    assert dtypes_of_products(config(**WIDE)) == {jnp.dtype("float32")}


@pytest.mark.parametrize("policy", [mapped(2), vmapped(2)], ids=["mapped", "vmapped"])
def test_a_trial_in_bfloat16_is_the_trial_in_float32_to_three_digits(policy: Policy) -> None:
    """bfloat16 has eight bits, so that a product is right to about one part in 256."""

    def trained(swept: SweepConfig) -> Any:
        programs = make_programs(swept, policy)
        return train_in_lanes(programs, policy, [lane_trial(programs, swept, 0, {})])[0]

    half, single = trained(HALF), trained(config(**WIDE))
    np.testing.assert_allclose(half.scores[:, :2], single.scores[:, :2], rtol=0.02)
    assert not np.array_equal(half.scores, single.scores)
    assert {leaf.dtype for leaf in jax.tree.leaves(half.params)} == {np.dtype("float32")}
    assert half.scores.dtype == np.float32
