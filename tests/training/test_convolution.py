"""A function rewritten as products is the same function, and holds no convolution that a lane would be slow at."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tolerances
from flax import nnx
from jax import lax
from sweeping import assert_same, config, fixed, lane_trial, mapped, refer, shared_programs, train_in_lanes, vmapped

from sweeps.datasets.dataset import Dataset, Split
from sweeps.engine.devices import Policy
from sweeps.training import models
from sweeps.training.models import build_model
from sweeps.training.ops.convolution import as_products

IMAGES = np.random.default_rng(0).integers(-3, 4, (4, 6, 6, 2)).astype(np.float32)
KERNEL = np.random.default_rng(1).integers(-3, 4, (3, 3, 2, 2)).astype(np.float32)
Function = Callable[..., jax.Array]


def convolve(x: Any, kernel: Any = KERNEL) -> jax.Array:
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, jnp.asarray(kernel), (1, 1), "SAME", dimension_numbers=layout)


def halved(x: jax.Array) -> jax.Array:
    return convolve(x) / 8


@jax.custom_jvp
def steep(x: jax.Array) -> jax.Array:
    """A convolution whose derivative is said to be twice the identity."""
    return convolve(x)


@steep.defjvp
def _steep_rule(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    return steep(*primals), 2 * tangents[0]


@jax.custom_vjp
def backward(x: jax.Array) -> jax.Array:
    """A convolution whose gradient is said to be minus the cotangent."""
    return convolve(x)


backward.defvjp(lambda x: (backward(x), None), lambda _, cotangent: (-cotangent,))

NESTED: dict[str, Function] = {
    "jit": jax.jit(halved),
    "jit in jit": jax.jit(lambda x: jax.jit(halved)(x) + 1),
    "scan": lambda x: lax.scan(lambda carry, _: (halved(carry), None), x, None, length=3)[0],
    "fori_loop": lambda x: lax.fori_loop(0, 3, lambda _, carry: halved(carry), x),
    "while_loop": lambda x: lax.while_loop(lambda carry: carry[0] < 2, lambda c: (c[0] + 1, halved(c[1])), (0, x))[1],
    "cond": lambda x: lax.cond(x.sum() > 0, halved, lambda x: -x, x),
    "switch in scan": lambda x: lax.scan(
        lambda carry, i: (lax.switch(i, [halved, jnp.negative], carry), None), x, jnp.arange(2)
    )[0],
    "checkpoint": jax.checkpoint(halved),
    "vmap over rows": jax.vmap(lambda row: halved(row[None])[0]),
    "vmap over kernels": lambda x: jax.vmap(lambda scale: convolve(x, KERNEL * scale))(jnp.arange(3.0)),
    "custom_jvp": steep,
    "custom_vjp": backward,
}


def holds_convolution(function: Function, *arguments: Any) -> bool:
    return "conv_general_dilated" in str(jax.make_jaxpr(function)(*arguments))


@pytest.mark.parametrize("function", NESTED.values(), ids=NESTED.keys())
def test_a_convolution_is_found_wherever_it_stands(function: Function) -> None:
    assert holds_convolution(function, IMAGES)
    assert not holds_convolution(as_products(function), IMAGES)
    np.testing.assert_array_equal(jax.jit(as_products(function))(IMAGES), jax.jit(function)(IMAGES))


@pytest.mark.parametrize("name", ["jit", "scan", "cond", "switch in scan", "checkpoint", "custom_jvp", "custom_vjp"])
def test_gradients_go_through_what_a_convolution_stands_in(name: str) -> None:
    def gradient(function: Function) -> Any:
        return jax.jit(jax.grad(lambda x: (function(x) * IMAGES).sum()))(IMAGES)

    found, expected = gradient(as_products(NESTED[name])), gradient(NESTED[name])
    np.testing.assert_array_equal(found, expected)
    if name == "custom_jvp":
        np.testing.assert_array_equal(found, 2 * IMAGES)


def test_a_function_without_convolutions_is_left_as_it_is() -> None:
    def plain(x: jax.Array, scale: jax.Array) -> dict[str, jax.Array]:
        return {"y": jax.jit(jax.nn.relu)(x @ x.T) * scale, "z": lax.fori_loop(0, 2, lambda _, x: jax.nn.gelu(x), x)}

    x, scale = jnp.ones((3, 3)), jnp.float32(2)
    assert str(jax.make_jaxpr(as_products(plain))(x, scale)) == str(jax.make_jaxpr(plain)(x, scale))


def test_trees_static_arguments_and_what_a_function_closes_over_are_kept() -> None:
    def forward(params: Any, x: jax.Array, training: bool) -> dict[str, jax.Array]:
        y = convolve(x, params["kernel"])
        return {"y": y if training else -y, "shift": params["shift"]}

    params, x = {"kernel": KERNEL, "shift": jnp.zeros(3)}, IMAGES
    for training in (True, False):
        found = as_products(forward, static_argnums=(2,))(params, x, training)
        assert_same(found, forward(params, x, training), tolerances.EXACT)


def test_an_empty_convolution_is_left_to_xla() -> None:
    assert as_products(convolve)(jnp.zeros((0, 6, 6, 2))).shape == (0, 6, 6, 2)


def test_a_loop_over_lanes_with_kernels_of_their_own_has_no_convolution() -> None:
    model = build_model("models.cnn:CNN", {"channels": [2, 3], "hidden": 4}, (8, 8), 3)

    def loss(params: Any, x: jax.Array) -> jax.Array:
        return jnp.square(model.apply(params, {}, x, jax.random.key(0), True)[0]).sum()

    def train(params: Any, x: jax.Array) -> Any:
        def step(_: Any, params: Any) -> Any:
            return jax.tree.map(lambda a, b: a - 0.1 * b, params, jax.grad(loss)(params, x))

        return lax.fori_loop(0, 3, step, params)

    lanes = jax.vmap(train)
    params = jax.vmap(model.init)(jax.random.split(jax.random.key(0), 2)).params
    lowered = jax.jit(lanes).lower(params, jnp.zeros((2, 5, 8, 8)))
    assert not re.search(r"stablehlo\.(convolution|select_and_scatter|reduce_window)", lowered.as_text())
    compiled = lowered.compile().as_text()
    assert re.search(r" (dot|custom-call)\(", compiled)
    assert not re.search(r" (convolution|select-and-scatter|reduce-window)\(", compiled)


# ---- whole models ----------------------------------------------------------------------------------------------------


class Mixed(nnx.Module):
    """Every kind of layer that convolves or pools."""

    def __init__(self, outputs: int, *, rngs: nnx.Rngs) -> None:
        self.strided = nnx.Conv(1, 4, (3, 3), strides=(2, 2), rngs=rngs)
        self.depthwise = nnx.Conv(4, 4, (3, 3), feature_group_count=4, rngs=rngs)
        self.dilated = nnx.Conv(4, 4, (3, 3), kernel_dilation=2, padding="CIRCULAR", rngs=rngs)
        self.transposed = nnx.ConvTranspose(4, 2, (2, 2), strides=(2, 2), rngs=rngs)
        self.out = nnx.Linear(8, outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = jnp.tanh(self.depthwise(self.strided(x[..., None])))
        x = nnx.remat(lambda module, x: jnp.tanh(module(x)))(self.dilated, x)
        x = nnx.max_pool(self.transposed(x), (3, 3), strides=(2, 2), padding="SAME")
        x = nnx.avg_pool(x, (2, 2), strides=(2, 2))
        return self.out(x.reshape(len(x), -1))


@contextmanager
def convolutions_left_alone() -> Iterator[None]:
    """Models are built as they are without this room, but for a `jit`, which makes the plain loop bearable."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "as_products", jax.jit)
        patch.setattr(models, "_BUILT", {})
        yield


@pytest.mark.usefixtures("ordinary_promotion")  # Flax's avg_pool divides floats by whole numbers
@pytest.mark.parametrize(
    ("use", "given"),
    [("models.cnn:CNN", {"channels": [2, 3], "hidden": 4}), ("test_convolution:Mixed", {})],
    ids=["cnn", "mixed"],
)
def test_a_flax_model_has_its_own_outputs_and_gradients_without_a_convolution(use: str, given: dict[str, Any]) -> None:
    arguments = (use, given, (8, 8), 3)
    ours = build_model(*arguments)
    with convolutions_left_alone():
        plain = build_model(*arguments)
    key, x = jax.random.key(0), np.random.default_rng(0).standard_normal((5, 8, 8)).astype(np.float32)
    params = plain.init(key).params

    def value_and_gradient(model: models.Model) -> Any:
        return jax.jit(jax.value_and_grad(lambda params: jnp.square(model.apply(params, {}, x, key, True)[0]).sum()))(
            params
        )

    assert "conv_general_dilated" in str(jax.make_jaxpr(lambda params: plain.apply(params, {}, x, key, True))(params))
    jaxpr = str(jax.make_jaxpr(lambda params: ours.apply(params, {}, x, key, True))(params))
    assert "conv_general_dilated" not in jaxpr
    assert "reduce_window" not in jaxpr
    assert_same(value_and_gradient(ours), value_and_gradient(plain), tolerances.GRADIENT)


def bars(rows: int = 41) -> Dataset:
    """Images of 8 × 8 with a bright row or column."""
    generator = np.random.default_rng(0)
    images = 0.3 * generator.standard_normal((3, rows, 8, 8)).astype(np.float32)
    labels = generator.integers(0, 2, (3, rows)).astype(np.int32)
    for split, row in np.ndindex(3, rows):
        place = generator.integers(0, 8)
        images[split, row][(place,) if labels[split, row] else (slice(None), place)] += 1
    return Dataset(*(Split(x, y) for x, y in zip(images, labels, strict=True)))


@pytest.mark.parametrize("policy", [mapped(2), vmapped(2)], ids=["mapped", "vmapped"])
def test_a_cnn_in_two_lanes_is_the_plain_flax_cnn_in_the_plain_loop(policy: Policy) -> None:
    swept = config(
        dataset={"use": "test_convolution:bars"},
        model={"use": "models.cnn:CNN", "channels": [3], "hidden": 4},
        optimizer={"use": "sgd"},
        search_space=fixed(
            batch_size={"type": "categorical", "choices": [8, 20]},
            learning_rate={"type": "float", "low": 0.01, "high": 1.0},
        ),
        micro_batch=8,
    )
    trials = [{"batch_size": 8, "learning_rate": 0.3}, {"batch_size": 20, "learning_rate": 0.1}]
    programs = shared_programs(swept, policy)
    from_lanes = train_in_lanes(programs, policy, [lane_trial(programs, swept, *each) for each in enumerate(trials)])
    with convolutions_left_alone():
        expected = {number: refer(swept, number, params) for number, params in enumerate(trials)}
    for number, trained_alone in expected.items():
        assert_same(from_lanes[number], trained_alone, tolerances.TRAINED)
