"""What a Keras model was compiled with, as the sections of a config: of the same meaning, or refused by name.

Each function gives what a config could have said, or None where the model was not compiled with it. Keras's own
objects alone are understood; a user's subclass may do anything.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from sweeps.errors import ModelError

LOSSES = {
    "mean_squared_error": "mean_squared_error",
    "mean_absolute_error": "mean_absolute_error",
    "huber": "huber",
    "binary_crossentropy": "binary_cross_entropy",
    "sparse_categorical_crossentropy": "softmax_cross_entropy",
    "categorical_crossentropy": "softmax_cross_entropy",
}
"""Keras's functions. Targets are class labels here, so its two kinds of categorical losses are one."""
UNSAID: Mapping[str, tuple[Any, ...]] = {"axis": (-1,), "ignore_class": (None,), "label_smoothing": (0, 0.0)}
"""Arguments of a loss that are left out at these values, and refused at others where ours has no such argument."""
EXACT = "sweeps.training.keras_optimizers"
OPTIMIZERS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "SGD": ("sgd", {"momentum": "momentum", "nesterov": "nesterov"}),
    "Adam": (f"{EXACT}:adam", {"beta_1": "b1", "beta_2": "b2", "epsilon": "eps", "weight_decay": "weight_decay"}),
    "AdamW": (f"{EXACT}:adam", {"beta_1": "b1", "beta_2": "b2", "epsilon": "eps", "weight_decay": "weight_decay"}),
    "Adamax": (f"{EXACT}:adamax", {"beta_1": "b1", "beta_2": "b2", "epsilon": "eps"}),
    "RMSprop": ("rmsprop", {"rho": "decay", "epsilon": "eps", "momentum": "momentum", "centered": "centered"}),
    "Adagrad": ("adagrad", {"initial_accumulator_value": "initial_accumulator_value", "epsilon": "eps"}),
    "Adadelta": ("adadelta", {"rho": "rho", "epsilon": "eps"}),
    "Lion": ("lion", {"beta_1": "b1", "beta_2": "b2", "weight_decay": "weight_decay"}),
}
"""Keras's class to our name, and its arguments to ours. Others have no equal in optax."""
HOW = "Give `{section}` in the config, which wins over the model's"
SETTINGS = {"name", "learning_rate", "ema_momentum", "is_legacy_optimizer", "jit_compile"}
"""What an optimizer's `get_config` says that changes no update."""


def loss(model: Any) -> dict[str, Any] | None:
    """The loss as `{"use": …}` with its arguments.

    Raises:
        ModelError: it has no equal here.
    """
    import keras

    given = list(_each(_config(model).get("loss")))
    if not given:
        return None
    outputs = getattr(model, "outputs", None) or ()
    if len(outputs) > 1:
        raise ModelError(f"the model has {len(outputs)} outputs, and a sweep's model has one")
    if len(given) > 1 or _config(model).get("loss_weights") is not None:
        raise _refused("loss", "several losses, or `loss_weights`")
    found = _found(keras.losses.get, given[0], "loss")
    function, arguments = getattr(found, "fn", found), getattr(found, "_fn_kwargs", {})
    name = getattr(function, "__name__", type(function).__name__)
    if not _is_of_keras(function) or not (function is found or _is_of_keras(type(found))) or name not in LOSSES:
        raise _refused("loss", f"the loss {_called(given[0])}, which has no equal here")
    if getattr(found, "reduction", "sum_over_batch_size") not in ("sum_over_batch_size", "mean"):
        raise _refused("loss", f"the loss {_called(given[0])} with another reduction than the mean over a batch")
    if str(getattr(found, "dtype", "float32")) != "float32":
        raise _refused("loss", f"the loss {_called(given[0])} that is computed in {found.dtype}")
    return _loss(LOSSES[name], arguments, _called(given[0]))


def _loss(use: str, arguments: Mapping[str, Any], called: str) -> dict[str, Any]:
    made: dict[str, Any] = {"use": use}
    if use in ("binary_cross_entropy", "softmax_cross_entropy") and not arguments.get("from_logits", False):
        made["from_logits"] = False
    for name, value in arguments.items():
        if name == "from_logits" or value in UNSAID.get(name, ()):
            continue
        if name not in ("delta", "label_smoothing"):
            raise _refused("loss", f"the loss {called} with {name}={value}")
        made[name] = float(value)
    return made


def optimizer(model: Any, *, needs_rate: bool) -> dict[str, Any] | None:
    """The optimizer as `{"use": …}` with its arguments; without a learning rate unless that is needed.

    Raises:
        ModelError: it has no equal here.
    """
    given = _config(model).get("optimizer")
    if given is None:
        return None
    kind = type(given).__name__
    if kind not in OPTIMIZERS or not _is_of_keras(type(given)):
        raise _refused("optimizer", f"the optimizer {kind}, which has no equal in optax")
    use, names = OPTIMIZERS[kind]
    said = {name: value for name, value in _settings(given).items() if value is not None and value is not False}
    for name in ("momentum", "weight_decay"):
        if said.get(name) == 0:
            del said[name]
    if "momentum" not in said:
        said.pop("nesterov", None)  # which Keras passes over without one
    strange = sorted(set(said) - set(names) - SETTINGS)
    if getattr(given, "_exclude_from_weight_decay", None) or getattr(given, "_exclude_from_weight_decay_pattern", None):
        strange.append("exclude_from_weight_decay")
    if strange:
        raise _refused("optimizer", f"the optimizer {kind} with {', '.join(strange)}, which has no equal here")
    arguments = {names[name]: value for name, value in said.items() if name in names}
    if kind == "Lion":
        arguments.setdefault("weight_decay", 0.0)
    return {"use": use, **({"learning_rate": _rate(said)} if needs_rate else {}), **arguments}


def schedule(model: Any) -> str:
    """The kind of schedule that the learning rate of its optimizer has; "" where that is a number."""
    given = _config(model).get("optimizer")
    return "" if given is None else _schedule(_settings(given).get("learning_rate", 0.0))


def _settings(optimizer: Any) -> Mapping[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of NumPy, about how Keras reads its own variable
        found: Mapping[str, Any] = optimizer.get_config()
    return found


def _schedule(rate: Any) -> str:
    if isinstance(rate, float):
        return ""
    return str(rate.get("class_name", "a function")) if isinstance(rate, Mapping) else "a function"


def _rate(said: Mapping[str, Any]) -> float:
    rate = said.get("learning_rate", 0.0)
    if of_kind := _schedule(rate):
        raise ModelError(
            f"the model is compiled with the learning rate {of_kind}, which counts iterations, while a sweep's "
            f"schedule spans each trial's own. Give `schedule` in the config, and `learning_rate` in its `search_space`"
        )
    return float(str(np.float32(rate)))  # as it was written, before Keras made a float32 of it


def metrics(model: Any, threshold: float) -> list[str] | None:
    """The names of the metrics, each once. `threshold` divides two classes of a single output under the loss.

    Raises:
        ModelError: one has no equal here.
    """
    import keras

    config = _config(model)
    if not config:
        return None
    if list(_each(config.get("weighted_metrics"))):
        raise _refused("metrics", "`weighted_metrics`")
    found = []
    for given in _each(config.get("metrics")):
        if given in ("accuracy", "acc"):
            found.append("accuracy")
            continue
        by_name = getattr(given, "__name__", given) if _is_of_keras(given) else given
        metric = _found(keras.metrics.get, by_name, "metrics")
        name = _metric(metric, threshold) if _is_of_keras(type(metric)) else None
        if name is None:
            raise _refused("metrics", f"the metric {_called(given)}, which has no equal here")
        found.append(name)
    return list(dict.fromkeys(found))


def _metric(metric: Any, threshold: float) -> str | None:
    """Our name for a metric; None where ours would be another number."""
    if not hasattr(metric, "get_config"):
        return None
    said = {name: value for name, value in metric.get_config().items() if name not in ("name", "dtype")}
    match type(metric).__name__:
        case "SparseCategoricalAccuracy" | "CategoricalAccuracy":
            return "accuracy"
        case "BinaryAccuracy":
            return "accuracy" if said["threshold"] == threshold else None
        case "SparseTopKCategoricalAccuracy" | "TopKCategoricalAccuracy":
            return None if said.get("from_sorted_ids") else f"top_{said['k']}"
        case "MeanAbsoluteError":
            return "mean_absolute_error"
        case "MeanSquaredError":
            return "mean_squared_error"
        case "AUC":
            is_plain = said["curve"] == "ROC" and not said["multi_label"] and said["label_weights"] is None
            return "auc" if is_plain else None
        case "Precision" | "Recall" as kind:
            is_plain = said["top_k"] is None and said["class_id"] is None
            halfway = 0.5 if said["thresholds"] is None else said["thresholds"]
            return kind.lower() if is_plain and halfway in (threshold, [threshold], (threshold,)) else None
        case "R2Score":
            return "r2" if said["class_aggregation"] == "uniform_average" and not said["num_regressors"] else None
    return None


def _config(model: Any) -> Mapping[str, Any]:
    """What `compile` was called with, as objects; {} of a model that was not, or that has a `compile` of its own."""
    found: Mapping[str, Any] = getattr(getattr(model, "_compile_config", None), "config", {}) if model.compiled else {}
    return found


def _each(given: Any) -> Iterator[Any]:
    """What a list or a dict of outputs holds, however deep, or the one thing."""
    if isinstance(given, Mapping):
        given = list(given.values())
    if isinstance(given, list | tuple):
        for each in given:
            yield from _each(each)
    elif given is not None:
        yield given


def _found(get: Callable[[Any], Any], given: Any, section: str) -> Any:
    try:
        return get(given)
    except ValueError:
        raise _refused(section, f"{_called(given)!r}, which Keras does not know") from None


def _is_of_keras(thing: Any) -> bool:
    return str(getattr(thing, "__module__", "")).startswith("keras.")


def _called(given: Any) -> str:
    return given if isinstance(given, str) else getattr(given, "__name__", type(given).__name__)


def _refused(section: str, what: str) -> ModelError:
    return ModelError(f"the model is compiled with {what}. {HOW.format(section=section)}")
