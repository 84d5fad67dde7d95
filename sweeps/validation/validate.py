"""What a config promises, held against the things it names: data, model, optimizer, losses and metrics.

The rule: every mistake is found before anything compiles and joins the others in the draft; what the config does not
name as a Python object is checked without importing JAX.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from sweeps.config import Draft, Value
from sweeps.config.names import LOSSES, SCHEDULES, Options
from sweeps.config.optax_names import ARGUMENTS
from sweeps.config.wording import Path, did_you_mean
from sweeps.datasets import loading, targets
from sweeps.datasets.dataset import Dataset
from sweeps.datasets.loading import Datasets
from sweeps.errors import ModelError, SweepError
from sweeps.user_code import ArgumentFault, argument_faults, taken_by
from sweeps.validation import keras_defaults
from sweeps.validation.sample_configs import SampleConfig, sample_configs, samples

Found = TypeVar("Found")


def examine(draft: Draft, datasets: Datasets) -> Dataset | None:
    """Add to the draft what is wrong with the things it names; the dataset, where it is right."""
    found = _datasets(draft, datasets)
    keras_defaults.settle(draft, (look for looks in sample_configs(draft, "model").values() for look in looks), found)
    _optimizers(draft)
    _batch_sizes(draft, found)
    _augmentation(draft, found)
    _schedules(draft)
    _models(draft, found)
    return found[0] if found else None


def _optimizers(draft: Draft) -> None:
    for use, looks in sample_configs(draft, "optimizer").items():
        taken = _taken_by_optimizer(draft, use)
        if taken is None:
            continue
        rate = {"learning_rate"} & draft.sections.names
        for fault in argument_faults(use, taken, [*_names(looks), *rate]):
            if fault.name == "learning_rate" and not draft.sections.names:
                continue  # no search space at all is the mistake, and is told
            if fault.name != "learning_rate":
                _complain(draft, "optimizer", fault)
            elif "learning_rate" in taken:
                advice = "Give a number, or a range such as {type: float, low: 1e-5, high: 1e-1, log: true}"
                draft.complain(("search_space", "learning_rate"), f"{use} needs a learning rate", "", advice)
            else:
                draft.complain(("search_space", "learning_rate"), f"{use} takes no learning rate", "", "Remove it")


def _taken_by_optimizer(draft: Draft, use: str) -> Mapping[str, bool] | None:
    """The arguments of an optimizer, from the table of known ones or from the object; None where it takes any."""
    if use in ARGUMENTS:
        return ARGUMENTS[use]
    try:
        return taken_by(importlib.import_module("sweeps.training.optimizers").constructor(use))
    except ModelError as error:
        advice = "" if ":" in use else did_you_mean(use, tuple(ARGUMENTS))
        draft.complain(_use_place(draft, "optimizer", use), str(error), "", advice)
        return None


def _datasets(draft: Draft, datasets: Datasets) -> list[Dataset]:
    """The datasets that trials can have, where they are right."""
    found = []
    for use, looks in sample_configs(draft, "dataset").items():
        faults = _tried(draft, _use_place(draft, "dataset", use), loading.faults, use, dict.fromkeys(_names(looks)))
        for fault in faults or ():
            _complain(draft, "dataset", fault)
        if faults == []:
            found += [_tried(draft, look.place, datasets.get, use, look.arguments) for look in looks]
    return [dataset for dataset in found if dataset is not None]


def _batch_sizes(draft: Draft, found: list[Dataset]) -> None:
    entry = draft.sections.search_space.get("batch_size")
    if entry is None or not found:
        return
    rows = min(dataset.train.rows for dataset in found)
    for place, size in samples("batch_size", entry):
        if int(str(size)) > rows:
            draft.complain(place, f"a batch must not be larger than the {rows:,} training rows", f"{size:,}")


def _augmentation(draft: Draft, found: list[Dataset]) -> None:
    """Images alone are augmented, and none is moved out of its own frame."""
    given = draft.sections.augmentation.given if draft.sections.augmentation is not None else {}
    wanted: list[tuple[Path, Value]] = [(("augmentation", name), value) for name, value in given.items()]
    for name, entry in draft.sections.search_space.items():
        wanted += samples(name, entry) if name.startswith("augmentation.") else []
    for dataset in found if wanted else ():
        shape, dtype = dataset.input_shape, dataset.train.x.dtype
        if len(shape) not in (2, 3) or dtype == "int32":
            rule = "augmentation is for images, rows of height x width or height x width x channels that are no tokens"
            draft.complain(wanted[0][0][:2], rule, f"rows of shape {shape} ({dtype})", "Remove it")
            continue
        for place, value in wanted:
            if str(place[1]).endswith("shift") and int(str(value)) >= min(shape[:2]):
                rule = f"an image of {shape[0]} x {shape[1]} must be moved by fewer pixels than it has"
                draft.complain(place, rule, str(value))


class Shape(NamedTuple):
    """What a model must map from and to: an input's shape and dtype, and a number of outputs."""

    inputs: tuple[int, ...]
    outputs: int
    dtype: Any


def _models(draft: Draft, found: list[Dataset]) -> None:
    for use, looks in sample_configs(draft, "model").items():
        place = _use_place(draft, "model", use)
        if ":" not in use:
            draft.complain(place, "must be `module:name` of a model, such as `models.mlp:MLP`", repr(use))
            continue
        models = importlib.import_module("sweeps.training.models")
        faults = _tried(draft, place, models.faults, use, dict.fromkeys(_names(looks)))
        for fault in faults or ():
            _complain(draft, "model", fault)
        shapes = _shapes(draft, found)
        if faults == []:
            for look in looks:
                for shape in shapes:
                    built = _tried(draft, look.place, models.build_model, use, look.arguments, *shape)
                    if built is not None:
                        _suits(draft, look, built)


def _suits(draft: Draft, look: SampleConfig, built: Any) -> None:
    """Hold a model against the sections that it has to do with."""
    if built.is_whole and draft.sections.micro_batch not in {None, "auto"}:
        rule = f"{look.use} mixes the rows of a batch, or keeps a state, and takes batches whole"
        draft.complain(("micro_batch",), rule, "", "Remove it")
    meaning = importlib.import_module("sweeps.training.losses").meaning
    for loss in [each for looks in sample_configs(draft, "loss").values() for each in looks]:
        if built.ending and meaning(loss.use, loss.arguments) in ("softmax", "sigmoid"):
            rule = f"{look.use} ends in a {built.ending}, and {loss.use} takes what is before it (logits)"
            advice = "Leave that activation out of the model"
            draft.complain(look.place, rule, "", f"{advice}, or give the loss `from_logits: false`")


def _shapes(draft: Draft, found: list[Dataset]) -> list[Shape]:
    """The shapes that the data and the losses ask of a model; losses and metrics are held against the data here."""
    fit, losses = (importlib.import_module(f"sweeps.training.{name}") for name in ("check_signatures", "losses"))
    shapes = []
    for loss in _taken(draft, "loss", LOSSES):
        for dataset in [_tried(draft, loss.place, targets.under, loss.use, each) for each in found]:
            if dataset is None:
                continue
            outputs = _tried(draft, loss.place, losses.outputs_needed, loss.use, dataset)
            if outputs is None:
                continue
            shapes.append(Shape(dataset.input_shape, outputs, dataset.input_dtype))
            _tried(draft, loss.place, fit.check_loss, loss.use, outputs, dataset.train.y, loss.arguments)
            for index, metric in enumerate(draft.sections.metrics or ()):
                _tried(draft, ("metrics", index), fit.check_metric, metric, outputs, dataset.train.y)
    return list(dict.fromkeys(shapes))


def _schedules(draft: Draft) -> None:
    looks = [look for look in _taken(draft, "schedule", SCHEDULES) if (look.use, look.arguments) != ("constant", {})]
    for look in looks:
        if ":" in look.use:
            fit = importlib.import_module("sweeps.training.check_signatures")
            _tried(draft, look.place, fit.check_schedule, look.use, look.arguments)
    rated = {"learning_rate", "optimizer.learning_rate"} & draft.sections.names
    for use, optimizers in sample_configs(draft, "optimizer").items() if looks and not rated else ():
        if not all("learning_rate" in look.arguments for look in optimizers):
            rule = f"a schedule needs a learning rate, but {use} is given none"
            draft.complain(("schedule",), rule, "", "Add `learning_rate` to `search_space`")


def _taken(draft: Draft, section: str, known: Mapping[str, Options]) -> list[SampleConfig]:
    """How a loss or a schedule can look, but for those built-in ones that do not take their arguments."""
    taken = []
    for use, looks in sample_configs(draft, section).items():
        for look in looks:
            strange = [name for name in look.arguments if use in known and name not in known[use]]
            for name in strange:
                chosen = "loss" if section == "loss" else f"{section}.use"
                others = [each for each, options in known.items() if name in options]
                advice = f"Give it `when: {{{chosen}: [{', '.join(others)}]}}`" if others else "Remove it"
                draft.complain(_place(draft, section, name), f"{use} does not take this argument", "", advice)
            taken += [] if strange else [look]
    return taken


def _names(looks: list[SampleConfig]) -> list[str]:
    return list(dict.fromkeys(name for look in looks for name in look.arguments))


def _complain(draft: Draft, section: str, fault: ArgumentFault) -> None:
    draft.complain(_place(draft, section, fault.name), fault.rule, "", fault.advice)


def _place(draft: Draft, section: str, name: str) -> Path:
    """Where a component's argument is written: in its own section, or in the search space."""
    dotted = f"{section}.{name}"
    return ("search_space", dotted) if dotted in draft.sections.names else (section, name)


def _use_place(draft: Draft, section: str, use: str) -> Path:
    """Where a component's `use` is written: in its own section, or among the choices for it."""
    name = f"{section}.use"
    searched = samples(name, draft.sections.search_space[name]) if name in draft.sections.search_space else []
    return next((place for place, value in searched if value == use), (section, "use"))


def _tried(draft: Draft, path: Path, find: Callable[..., Found], *arguments: Any) -> Found | None:
    """What `find(*arguments)` finds; None, and a complaint about `path`, where it raises one of our errors."""
    try:
        return find(*arguments)
    except SweepError as error:
        draft.complain(path, str(error))
        return None
