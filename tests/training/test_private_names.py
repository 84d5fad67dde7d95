"""What `sweeps/` relies on that JAX and Keras do not promise: a version in which it is gone fails here, by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.extend.core
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from jax import lax
from keras.src import backend

from sweeps.engine import program
from sweeps.training import components

PACKAGE = Path(__file__).parents[2] / "sweeps"


def compiled_model() -> keras.Model:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)])
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    return model


def excluding(kernels: bool = False) -> Any:
    optimizer = keras.optimizers.AdamW()
    model = compiled_model()
    optimizer.exclude_from_weight_decay(var_list=model.trainable_variables if kernels else None, var_names=["bias"])
    return optimizer


def what_draws_a_weight() -> str:
    """A weight is drawn by one method of its variable, which gets the initializer, and is set by another."""
    calls: list[tuple[Any, ...]] = []
    kind = keras.Variable
    before = kind._initialize_with_initializer
    kind._initialize_with_initializer = lambda variable, initializer: (
        calls.append((variable, initializer)),
        variable._initialize(np.zeros(variable.shape, variable.dtype)),
    )
    try:
        layer = keras.layers.Dense(3)
        layer.build((None, 2))
    finally:
        kind._initialize_with_initializer = before
    names = [(variable.name, type(initializer).__name__) for variable, initializer in calls]
    assert names == [("kernel", "GlorotUniform"), ("bias", "Zeros")]
    return str(np.asarray(layer.kernel.value).sum())


def rewritten() -> Any:
    """An equation is replaced by another in a trace, which then computes that one."""
    closed = jax.make_jaxpr(lambda x: x + x)(1.0)
    assert isinstance(closed, jax.extend.core.ClosedJaxpr)
    other = closed.replace(jaxpr=closed.jaxpr.replace(eqns=[each.replace(primitive=lax.mul_p) for each in closed.eqns]))
    assert list(jax.extend.core.jaxprs_in_params({"jaxpr": closed}))
    (result,) = jax.extend.core.jaxpr_as_fun(other)(3.0)
    assert float(result) == 9.0
    return other.jaxpr.invars, other.jaxpr.outvars, other.eqns[0].params, other.eqns[0].invars[0].aval


def taken_options() -> Any:
    """An option that XLA does not know is left out when a sweep compiles, which then only takes longer."""
    lowered = jax.jit(lambda x: x + 1).lower(jnp.ones(3))
    for options in (program.TRAINING, program.ONCE, components.QUICKLY):
        compiled = lowered.compile(options)
    return compiled.memory_analysis().temp_size_in_bytes


def unknown_option() -> None:
    with pytest.raises(Exception, match="No such compile option"):
        jax.jit(lambda x: x + 1).lower(jnp.ones(3)).compile({"xla_no_such_option": 1})


RELIED_UPON: dict[str, Callable[[], Any]] = {
    "keras.Variable._initialize_with_initializer and _initialize": what_draws_a_weight,
    "keras.src.backend.get_keras_mask": lambda: backend.get_keras_mask(jnp.ones(2)),
    "Model._compile_config.config": lambda: compiled_model()._compile_config.config["loss"],
    "Loss._fn_kwargs": lambda: keras.losses.BinaryCrossentropy(from_logits=True)._fn_kwargs["from_logits"],
    "Loss.fn": lambda: keras.losses.MeanSquaredError().fn.__name__,
    "Initializer._init_seed": lambda: keras.initializers.GlorotUniform(seed=3)._init_seed == 3,
    "Optimizer._exclude_from_weight_decay": lambda: excluding(kernels=True)._exclude_from_weight_decay,
    "Optimizer._exclude_from_weight_decay_pattern": lambda: excluding()._exclude_from_weight_decay_pattern,
    "the name seed_generator_state": lambda: next(
        each for each in compiled_model().non_trainable_variables if each.name == "seed_generator_state"
    ),
    "modules of Keras that begin with keras.": lambda: ["keras."].index(keras.Model.__module__[:6]),
    "jax.extend.core, and equations that are replaced": rewritten,
    "jax.extend.core.primitives.reduce_window_max_p": lambda: jax.extend.core.primitives.reduce_window_max_p,
    "jax.extend.core.primitives.reduce_window_min_p": lambda: jax.extend.core.primitives.reduce_window_min_p,
    "jax.extend.core.primitives.reduce_window_sum_p": lambda: jax.extend.core.primitives.reduce_window_sum_p,
    "jax.lax.conv_general_dilated_p": lambda: lax.conv_general_dilated_p,
    "jax.lax.convert_element_type_p with weak_type": lambda: lax.convert_element_type_p.bind(
        jnp.float32(1), new_dtype=jnp.dtype("float32"), weak_type=True, sharding=None
    ),
    "XLA's options for a CPU, and memory_analysis": taken_options,
    "XLA's words for an option that it does not know": unknown_option,
    "jax.custom_jvp.defjvp": lambda: jax.custom_jvp(lambda x: x).defjvp,
    "jax.dtypes.prng_key": lambda: jax.dtypes.prng_key,
    "jax.monitoring's listeners": lambda: (
        jax.monitoring.register_event_duration_secs_listener,
        jax.monitoring.register_event_listener,
    ),
    "jax.config.jax_compilation_cache_dir": lambda: (
        jax.config.jax_enable_compilation_cache is not None and jax.config.jax_compilation_cache_dir
    ),
}
"""What is relied upon, and a try of it."""


@pytest.mark.usefixtures("any_promotion")
@pytest.mark.parametrize("what", RELIED_UPON)
def test_what_jax_and_keras_do_not_promise_is_there(what: str) -> None:
    try:
        RELIED_UPON[what]()
    except Exception as error:  # noqa: BLE001  (anything may go wrong with a name that is gone)
        versions = f"jax {jax.__version__} and keras {keras.__version__}"
        pytest.fail(f"sweeps/ relies on {what}, which {versions} do not have so: {type(error).__name__}: {error}")


PRIVATE = re.compile(r"(?:\b(?:jax|keras)(?:\.\w+)*\.(?:_\w+|src)\b|(?<!\bself)\._(?:[a-z]\w*)\b|\"_[a-z]\w+\")")
OURS = {"_replace", "_asdict", "_fields", "_make"}  # of named tuples
LISTED = {
    *("_initialize_with_initializer", "_initialize", "_compile_config", "_fn_kwargs", "_init_seed"),
    *("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern", "src"),
}


def test_no_other_private_name_of_keras_or_jax_is_used_in_the_training_room() -> None:
    """A private attribute in the files that adapt models is one of the list above, or our own."""
    used = set()
    for path in (PACKAGE / "training").rglob("*.py"):
        code = path.read_text(encoding="utf-8")
        own = {
            f"_{name}" for name in re.findall(r"(?:def|class) _(\w+)|^_(\w+)\b", code, re.MULTILINE) for name in name
        }
        found = {re.split(r"[.\"]", each.strip('"'))[-1] for each in PRIVATE.findall(code)}
        used |= found - own - OURS
    assert used <= LISTED, f"private names that no test holds: {sorted(used - LISTED)}"
