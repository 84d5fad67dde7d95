"""The three networks in plain JAX, for the peers that write their own loop.

Parameters are a dictionary of arrays; a network is the shapes of its parameters and one function.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.workloads import Workload

Params = dict[str, jax.Array]


def shapes(workload: Workload) -> dict[str, tuple[int, ...]]:
    """Parameters by name; those of one axis are biases, and the last axis of the others is their output."""
    arguments, inputs, outputs = workload.arguments, workload.input_shape, workload.outputs
    if workload.network == "lstm":
        hidden = arguments["hidden"]
        return {
            "input": (inputs[-1], 4 * hidden),
            "recurrent": (hidden, 4 * hidden),
            "gates": (4 * hidden,),
            "w": (hidden, outputs),
            "b": (outputs,),
        }
    if workload.network == "cnn":
        first, second = arguments["channels"]
        hidden = arguments["hidden"]
        flat = (inputs[0] // 4) * (inputs[1] // 4) * second
        return {
            "kernel1": (3, 3, inputs[-1], first),
            "bias1": (first,),
            "kernel2": (3, 3, first, second),
            "bias2": (second,),
            **_dense(flat, hidden, outputs),
        }
    return _dense(math.prod(inputs), *arguments["hidden"], outputs)


def forward(workload: Workload) -> Callable[[Params, jax.Array], jax.Array]:
    """The network as a function of parameters and rows `[rows, *input_shape]` to logits `[rows, outputs]`."""
    return {"mlp": _mlp, "cnn": _cnn, "lstm": _lstm}[workload.network]


def init_with_numpy(workload: Workload, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Normal initial values with variance one over the inputs, biases zero, from NumPy: nothing to compile."""
    return {
        name: (rng.normal(0, math.prod(shape[:-1]) ** -0.5, shape) if len(shape) > 1 else np.zeros(shape)).astype(
            np.float32
        )
        for name, shape in shapes(workload).items()
    }


def init_with_jax(workload: Workload, key: jax.Array) -> Params:
    """The same from JAX, as its tutorials have it."""
    named = shapes(workload)
    keys = dict(zip(named, jax.random.split(key, len(named)), strict=True))
    init = jax.nn.initializers.lecun_normal()
    return {name: init(keys[name], shape) if len(shape) > 1 else jnp.zeros(shape) for name, shape in named.items()}


def _dense(inputs: int, hidden: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {"w1": (inputs, hidden), "b1": (hidden,), "w2": (hidden, outputs), "b2": (outputs,)}


def _mlp(params: Params, x: jax.Array) -> jax.Array:
    x = x.reshape(len(x), -1)
    return jax.nn.relu(x @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]


def _cnn(params: Params, x: jax.Array) -> jax.Array:
    for layer in ("1", "2"):
        x = jax.lax.conv_general_dilated(
            x, params[f"kernel{layer}"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jax.nn.relu(x + params[f"bias{layer}"])
        x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return _mlp(params, x)


def _lstm(params: Params, x: jax.Array) -> jax.Array:
    def step(carry: tuple[jax.Array, jax.Array], projected: jax.Array) -> Any:
        hidden, cell = carry
        into, forget, candidate, out = jnp.split(projected + hidden @ params["recurrent"], 4, axis=-1)
        cell = jax.nn.sigmoid(forget) * cell + jax.nn.sigmoid(into) * jnp.tanh(candidate)
        return (jax.nn.sigmoid(out) * jnp.tanh(cell), cell), None

    zero = jnp.zeros((len(x), len(params["recurrent"])), x.dtype)
    projected = jnp.moveaxis(x, 1, 0) @ params["input"] + params["gates"]
    (hidden, _), _ = jax.lax.scan(step, (zero, zero), projected)
    return hidden @ params["w"] + params["b"]
