"""What a Keras model may have of its own: its computation, but no training, which here is the sweep's.

`docs/models.md` lists what of Keras's public classes is the same here, refused, or without effect.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sweeps.errors import ModelError

REFUSED: dict[str, str] = {
    **dict.fromkeys(
        ("train_step", "train_on_batch", "make_train_function", "fit", "jax_state_sync"),
        "a sweep trains with its own steps",
    ),
    **dict.fromkeys(
        ("compute_loss", "compute_loss_and_updates", "stateless_compute_loss", "losses", "add_loss"),
        "a sweep's loss is that of its config, which may name a function of yours",
    ),
    **dict.fromkeys(
        (
            *("test_step", "test_on_batch", "make_test_function", "evaluate", "compute_metrics", "metrics"),
            *("metrics_names", "metrics_variables", "reset_metrics", "get_metrics_result", "add_metric"),
        ),
        "a sweep's metrics are those of its config, which may name functions of yours",
    ),
    **dict.fromkeys(
        ("predict_step", "predict_on_batch", "make_predict_function", "predict"),
        "predictions are what `call` gives",
    ),
}
"""Methods and properties of `keras.Model` that nothing here calls, each with what is done instead."""


def check_hooks(use: str, model: Any) -> None:
    """Whether everything of its own that a model has is something that a sweep calls.

    Raises:
        ModelError: it takes several inputs, overrides a hook of `keras.Model` that is not called, keeps a state from
            batch to batch, scales its loss, or has a variable that is its own gradient.
    """
    inputs = getattr(model, "inputs", None) or ()
    if len(inputs) > 1:
        raise ModelError(
            f"model {use} takes {len(inputs)} inputs, and a sweep's model takes one; it may cut it (`x[:, :4]`)"
        )
    for name, instead in REFUSED.items():
        if _is_overridden(model, name):
            raise ModelError(
                f"model {use} overrides `{name}` of keras.Model, which is not called: {instead}. Remove it"
            )
    if model.dtype_policy.name == "mixed_float16":
        raise ModelError(
            f"model {use} has the dtype policy mixed_float16, for which Keras scales the loss, and a sweep does not. "
            f"Use mixed_bfloat16, which needs no scaling"
        )
    for layer in _layers(model):
        if getattr(layer, "stateful", False) is True:
            raise ModelError(
                f"model {use} has the stateful layer {layer.name}, which goes on from one batch to the next, and a "
                f"sweep's batches are of shuffled rows: leave out `stateful`"
            )
    for variable in model.trainable_variables:
        if variable.overwrite_with_gradient:
            raise ModelError(f"model {use} has the variable {variable.path} with overwrite_with_gradient")


def _is_overridden(model: Any, name: str) -> bool:
    """Whether a user's class, or the object itself, has a `name` of its own."""
    if name in vars(model):
        return True
    owner = next((kind for kind in type(model).__mro__ if name in vars(kind)), None)
    return owner is not None and not owner.__module__.startswith("keras.")


def _layers(layer: Any) -> Iterator[Any]:
    """A layer and those within it, such as the one that `Bidirectional` wraps."""
    yield layer
    for inner in (*getattr(layer, "layers", ()), *filter(None, [getattr(layer, "layer", None)])):
        yield from _layers(inner)
