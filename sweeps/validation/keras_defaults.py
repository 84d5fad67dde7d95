"""What a config leaves to its model: loss, optimizer and metrics that a Keras model was compiled with.

What the config says wins, each section by itself. A draft that has been settled says everything itself, so no reader of
a run's config needs the model for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sweeps.config import Draft
from sweeps.config.schema import LEFT_TO_MODEL
from sweeps.config.wording import show
from sweeps.datasets.dataset import Dataset
from sweeps.errors import SweepError
from sweeps.validation.sample_configs import SampleConfig

DEFAULTS: dict[str, Any] = {"optimizer": {"use": "adam"}, "metrics": []}


def settle(draft: Draft, samples: Iterable[SampleConfig], datasets: Sequence[Dataset]) -> None:
    """Fill in the sections that are left to the model; what a compiled model has brought is `draft.brought` too.

    Nothing happens while the data or the model's arguments are wrong, since those are mistakes of their own.
    """
    left = [section for section in LEFT_TO_MODEL if draft.leaves_to_model(section)]
    made = _made(draft, samples, datasets, tell="loss" in left) if left else []
    for section in left if made else ():
        try:
            found = [_section(draft, section, model) for model in made]
        except SweepError as error:
            draft.complain((section,), str(error))
            continue
        if any(other != found[0] for other in found):
            one, other = found[0], next(other for other in found if other != found[0])
            rule = "the search space leads to models that are compiled differently, so the config must say which"
            advice = f"Give `{section}` in the config, and search what differs there"
            draft.complain((section,), rule, f"{show(one)} and {show(other)}", advice)
        elif found[0] is not None:
            draft.brought[section] = found[0]
            if section == "optimizer" and "schedule" not in draft.tree:
                _note_schedule(draft, made[0])
            draft.settle(section, found[0])
        elif section in DEFAULTS:
            draft.settle(section, DEFAULTS[section])
        else:
            advice = "For instance `loss: softmax_cross_entropy`, or `compile` the model with one if it is of Keras"
            draft.complain((section,), "must be given, for the model brings none", "", advice)


def _made(draft: Draft, samples: Iterable[SampleConfig], datasets: Sequence[Dataset], *, tell: bool) -> list[Any]:
    """Every model that trials can have, None in the place of one that is not of Keras; [] where one cannot be made.

    With `tell`, what is wrong with it is a complaint: without a loss, no model is built later on.
    """
    made = []
    for sample in samples:
        if ":" not in sample.use:
            return []
        from sweeps.training import models

        try:
            if models.faults(sample.use, sample.arguments):
                return []
            for dataset in datasets:
                outputs = dataset.classes or dataset.target_width  # until the loss is known
                made.append(models.made_by_keras(sample.use, sample.arguments, dataset.input_shape, outputs))
        except SweepError as error:
            if tell:
                draft.complain(sample.place, str(error))
            return []
    return made


def _section(draft: Draft, section: str, model: Any) -> Any:
    """A section as the model has it, without what the search space says of it."""
    if model is None or not model.compiled:
        return None
    from sweeps.training.adapters import compiled_keras as compiled

    if section == "optimizer":
        is_rated = {"learning_rate", "optimizer.learning_rate"} & draft.sections.names
        found = compiled.optimizer(model, needs_rate=not is_rated)
    elif section == "metrics":
        return compiled.metrics(model, _threshold(draft))
    else:
        found = compiled.loss(model)
    searched = {name for name in found or {} if f"{section}.{name}" in draft.sections.names}
    return found and {name: value for name, value in found.items() if name not in searched}


def _note_schedule(draft: Draft, model: Any) -> None:
    """Say that a schedule of the model's own counts for nothing, where the config has the learning rate."""
    from sweeps.training.adapters import compiled_keras as compiled

    if kind := compiled.schedule(model):
        told = f"the learning rate is the search space's, and the {kind} of the compiled model is left out"
        draft.notes.append(f"optimizer: {told}. `schedule` gives one that spans each trial")


def _threshold(draft: Draft) -> float:
    """Which value of a single output divides two classes under the config's loss."""
    from sweeps.training.losses import decision_threshold

    loss = draft.sections.loss
    return decision_threshold(loss.use, loss.arguments) if loss is not None else 0.5
