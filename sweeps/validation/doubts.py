"""What a careful colleague would say of a config that is right: of its data, and of a model that scales them again."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from typing import Any

from sweeps.config import Draft
from sweeps.datasets import doubts as of_data
from sweeps.datasets.dataset import Dataset
from sweeps.errors import SweepError
from sweeps.user_code import in_two_folders
from sweeps.validation.sample_configs import sample_configs

SCALING = ("Rescaling", "Normalization")
SHAPING = ("InputLayer", "Reshape", "Flatten", "Permute")
LESS_IS_BETTER = ("train_loss", "loss", "mean_absolute_error", "mean_squared_error")
MOST_NAMED = 3
SMALL = 2.0
"""Inputs within so much of 0 are no bytes any more."""


def doubts(draft: Draft, dataset: Dataset) -> list[str]:
    """A line for each; none of them is an error."""
    of_config = (*_in_two_folders(draft), *_the_other_way(draft))
    of_models = dict.fromkeys((*_scaled_twice(draft, dataset), *_unseeded(draft, dataset)))
    return [*of_config, *of_data.doubts(dataset), *of_models]


def _in_two_folders(draft: Draft) -> Iterator[str]:
    """Files of data and modules that are both in the working directory and beside the config."""
    samples = itertools.chain.from_iterable(sample_configs(draft, "dataset").values())
    given = [item for sample in samples for item in sample.arguments.items()]
    named = {str(value): None for name, value in given if name == "path" or "." in str(value)}
    for section in ("model", "loss", "optimizer", "dataset"):
        uses = [use.partition(":")[0].replace(".", "/") for use in sample_configs(draft, section) if ":" in use]
        named |= dict.fromkeys(f"{module}.py" for module in uses)
    for path in named:
        if found := in_two_folders(path):
            yield f"{path} is {found[0]}, of the working directory, and not {found[1]}"


def _the_other_way(draft: Draft) -> Iterator[str]:
    """An objective whose direction seeks the worst of a loss or of a metric that is known."""
    objective = draft.sections.objective
    if objective is None or ":" in objective.metric:
        return
    name = objective.metric.removeprefix("valid_")
    wanted = "minimize" if name in LESS_IS_BETTER else "maximize"
    if objective.direction != wanted:
        given = f"{objective.direction} of {objective.metric}"
        yield f"the objective has {given}, so that the worst trial counts as the best"


def _scaled_twice(draft: Draft, dataset: Dataset) -> Iterator[str]:
    """Keras models that begin with a layer that scales, on inputs that are scaled."""
    if "keras" not in sys.modules or not (seen := _scaled_to(dataset)):
        return
    from sweeps.training.models import made_by_keras

    for samples in sample_configs(draft, "model").values():
        sample, outputs = samples[0], dataset.classes or dataset.target_width
        try:
            model = made_by_keras(sample.use, sample.arguments, dataset.input_shape, outputs)
        except SweepError:
            continue  # of another number of outputs, which the loss asks for
        layer = None if model is None else _first_layer(model)
        if layer is not None and type(layer).__name__ in SCALING and getattr(layer, "scale", None) != 1:
            advice = "Leave that layer out, or give the dataset `scale: 1`"
            if any(column["spread"] != 1 for column in (dataset.preprocessing or {}).get("columns", ())):
                advice = "Leave that layer out, or `standardize`"
            told = f"{sample.use} begins with {type(layer).__name__}, and its inputs are scaled already, {seen}"
            yield f"{told}. {advice}"


def _unseeded(draft: Draft, dataset: Dataset) -> Iterator[str]:
    """Models with weights that no trial's seed has a part in, and those that are others whenever they are made."""
    loss = draft.sections.loss
    if loss is None or not (samples := sample_configs(draft, "model")):
        return
    from sweeps.training import initial_weights, losses, models
    from sweeps.training.adapters.model import Inputs

    inputs = Inputs(dataset.input_shape, dataset.input_dtype)
    for use, (sample, *_) in samples.items():
        try:
            outputs = losses.outputs_needed(loss.use, dataset, loss.arguments)
            model = models.build_model(use, sample.arguments, inputs.shape, outputs, inputs.dtype)
            fixed = initial_weights.unseeded(model)
            is_another = initial_weights.is_another(model, use, sample.arguments, inputs, outputs)
        except SweepError:
            continue  # which is a mistake, and told as one
        if fixed:
            more = f" and {len(fixed) - MOST_NAMED:,} more" if len(fixed) > MOST_NAMED else ""
            told = f"{use} begins every trial with the same {', '.join(fixed[:MOST_NAMED])}{more}, whatever its seed"
            yield f"{told}: were they meant to be loaded, or to have a seed of their own?"
        if is_another:
            told = f"{use} makes another model when it is called again with the same arguments"
            yield f"{told}: does it count, or draw at random, outside of its arguments? A trial cannot be repeated then"


def _scaled_to(dataset: Dataset) -> str:
    """What a model sees of inputs that are scaled, by the dataset or before; "" of others."""
    x, scale, offset = dataset.train.x, dataset.scale or 1.0, dataset.offset
    ends = sorted(float(end) * scale + offset for end in (x.min(), x.max()))
    is_small = x.dtype.kind == "f" and max(map(abs, ends)) <= SMALL
    columns = (dataset.preprocessing or {}).get("columns", ())
    is_scaled = (scale, offset) != (1, 0) or any(column["spread"] != 1 for column in columns)
    return f"from {ends[0]:.4g} to {ends[1]:.4g}" if is_scaled or is_small else ""


def _first_layer(model: Any) -> Any | None:
    """The first layer that does more than to give rows another shape, also within models in it."""
    for layer in getattr(model, "layers", ()):
        if type(layer).__name__ not in SHAPING:
            return _first_layer(layer) if getattr(layer, "layers", None) else layer
    return None
