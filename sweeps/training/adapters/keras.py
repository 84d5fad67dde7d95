"""Keras 3 models as models: trainable weights are trained, other weights are state, seeds come from the key.

Keras draws a model's weights while it is made, from seeds of its own. Here a model is made with zeros, and what would
have drawn each weight is remembered, so that every lane draws from its own key. Weights that were loaded stay.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sweeps.errors import ModelError
from sweeps.training.adapters.keras_hooks import check_hooks
from sweeps.training.adapters.layers import Layer, numbers, watching
from sweeps.training.adapters.model import Inputs, Model, Params, State, Variables, abstract_key
from sweeps.training.lane_placeholder import UnboundError
from sweeps.user_code import parameters, reason

Initializers = dict[int, tuple[Any, np.ndarray, Any]]
"""By the identity of a variable: the variable, the zeros in the place of its value, what draws its value."""


@contextlib.contextmanager
def remembering() -> Iterator[Initializers]:
    """Variables of Keras that are made meanwhile are zeros; yields what would have drawn them.

    Raises:
        ModelError: Keras does not compute with JAX.
    """
    import keras

    if keras.backend.backend() != "jax":
        raise ModelError(
            f"Keras computes with {keras.backend.backend()} in this process, and lanes need JAX: set KERAS_BACKEND=jax"
        )
    remembered: Initializers = {}

    def remember(variable: Any, initializer: Any) -> None:
        zeros = np.zeros(variable.shape, variable.dtype)
        remembered[id(variable)] = (variable, zeros, initializer)
        variable._initialize(zeros)

    # Keras has no public way to make a model without its values.
    before = keras.Variable._initialize_with_initializer
    keras.Variable._initialize_with_initializer = remember
    try:
        yield remembered
    finally:
        keras.Variable._initialize_with_initializer = before


def adapt(use: str, model: Any, remembered: Initializers, inputs: Inputs) -> Model:
    """A model that was made while its initializers were remembered; it is built here if it has not been.

    Raises:
        ModelError: it has something of its own that a sweep does not call, or a loss that is not of its weights alone.
    """
    import keras
    from keras.src import backend  # a tensor's mask is not to be had from the public part

    if not model.built:
        with remembering() as later:
            model(keras.Input(inputs.shape, dtype=jnp.dtype(inputs.dtype).name))
        remembered = {**remembered, **later}
    check_hooks(use, model)
    drawn = {id(variable) for variable in model.variables if _is_seed(variable)}
    fixed = {id(variable) for variable in model.metrics_variables}
    kept = [each for each in model.non_trainable_variables if id(each) not in drawn | fixed]
    names = {id(each): f"{index:03}.{each.name}" for index, each in enumerate([*model.trainable_variables, *kept])}
    regularized = [each for each in model.trainable_variables if each.regularizer is not None]
    constrained = [each for each in model.trainable_variables if each.constraint is not None]

    def init(key: jax.Array) -> Variables:
        keys = {place: jax.random.fold_in(key, index) for index, place in enumerate(names)}
        trained, rest = (
            {names[id(each)]: _initial(each, remembered, keys[id(each)]) for each in some}
            for some in (model.trainable_variables, kept)
        )
        return Variables(trained, rest)

    def apply(params: Params, state: State, x: jax.Array, key: jax.Array, training: bool) -> tuple[jax.Array, State]:
        values = []
        for index, variable in enumerate(model.non_trainable_variables):
            if id(variable) in drawn:
                values.append(jax.random.key_data(jax.random.fold_in(key, index)))
            else:
                values.append(state[names[id(variable)]] if id(variable) in names else variable.value)
        trained = [params[names[id(each)]] for each in model.trainable_variables]
        modes = _modes(model, training=training)
        outputs, after, losses = model.stateless_call(trained, values, x, return_losses=True, **modes)
        if len(losses) > len(regularized):
            raise ModelError(
                f"{use} adds a loss of what its layers give (activity_regularizer, add_loss), and one that is taken of "
                f"a whole batch cannot be taken of its parts: remove it. Regularizers of weights are welcome"
            )
        if backend.get_keras_mask(outputs) is not None:
            raise ModelError(
                f"{use} gives a mask along with its outputs, by which Keras leaves rows out of the loss, and a sweep "
                f"does not: end the model with a layer that passes no mask on, such as Flatten"
            )
        changed = {id(each): value for each, value in zip(model.non_trainable_variables, after, strict=True)}
        return outputs, {names[id(each)]: changed[id(each)] for each in kept}

    def penalty(params: Params) -> jax.Array:
        return sum((each.regularizer(params[names[id(each)]]) for each in regularized), jnp.zeros(()))

    def constrain(params: Params) -> Params:
        after = {names[id(each)]: _projected(use, each, params[names[id(each)]]) for each in constrained}
        return {**params, **after}

    def own(variables: Variables) -> Any:
        trained = {**variables.params, **variables.state}
        for variable in [*model.trainable_variables, *kept]:
            variable.assign(trained[names[id(variable)]])
        return model

    shapes = jax.eval_shape(init, abstract_key())
    jax.eval_shape(constrain, shapes.params)
    return Model(
        init,
        apply,
        draws=bool(drawn),
        shapes=shapes,
        penalty=penalty if regularized else None,
        constrain=constrain if constrained else None,
        own=own,
        layers=lambda: _layers(model, inputs),
    )


def _layers(model: Any, inputs: Inputs) -> list[Layer]:
    import keras

    found: list[Layer] = []

    def run(x: jax.Array) -> None:
        with watching({keras.layers.Layer}) as calls, keras.StatelessScope():
            model(x, **_modes(model, training=False))
        for layer, shape in calls:
            held = [each for each in layer.weights if not _is_seed(each)]
            found.append(Layer(layer.name, type(layer).__name__, shape[1:], numbers([each.value for each in held])))

    jax.eval_shape(run, inputs.rows(1))
    return found


def _modes(model: Any, *, training: bool) -> dict[str, bool]:
    """As Keras's own training step has it: a `call` that takes no `training` is not told."""
    return {"training": training} if "training" in parameters(model.call) else {}


def _projected(use: str, variable: Any, value: jax.Array) -> jax.Array:
    """What a variable's constraint makes of a value of it. It is called as Keras calls it, with the variable itself."""
    import keras

    called = getattr(variable.constraint, "__name__", type(variable.constraint).__name__)
    what = f"the constraint {called} of {variable.path} in model {use}"
    try:
        with keras.StatelessScope(state_mapping=[(variable, value)]):
            projected = jnp.asarray(variable.constraint(variable), value.dtype)
    except UnboundError:
        raise
    except Exception as error:
        raise ModelError(f"{what} cannot be applied in a program: {reason(error)}") from error
    if projected.shape != value.shape:
        raise ModelError(f"{what} cannot be applied: it makes shape {projected.shape} of {value.shape}")
    return projected


def _is_seed(variable: Any) -> bool:
    return bool(variable.name == "seed_generator_state")


def _initial(variable: Any, remembered: Initializers, key: jax.Array) -> jax.Array:
    """A weight's first value: drawn from the key, unless it was loaded or its initializer has a seed of the user's."""
    if id(variable) not in remembered:
        return jnp.asarray(variable.value)
    _, zeros, initializer = remembered[id(variable)]
    if variable.value is not zeros:
        return jnp.asarray(variable.value)
    if getattr(initializer, "_init_seed", 0) is None:
        initializer = copy.copy(initializer)
        initializer.seed = key
    return jnp.asarray(initializer(variable.shape, dtype=variable.dtype), variable.dtype)
