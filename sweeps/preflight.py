"""What a config promises, held against the things it names: data, model, optimizer, losses and metrics.

The rule: every mistake is found before anything compiles and joins the others in the draft; what the config does not
name as a Python object is checked without importing JAX.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from sweeps import space
from sweeps.config import Choices, Component, Draft, Value
from sweeps.datasets import loading
from sweeps.datasets.base import Dataset
from sweeps.datasets.loading import Datasets
from sweeps.errors import ModelError, SweepError
from sweeps.locate import ArgumentFault, argument_faults, locate, taken_by
from sweeps.training.optax_names import ARGUMENTS
from sweeps.wording import Path, did_you_mean

Found = TypeVar("Found")


class Variant(NamedTuple):
    """One `use` that a component can have, with the arguments that it then gets (those searched, by a sample)."""

    use: str
    arguments: dict[str, Value]


def examine(draft: Draft, datasets: Datasets) -> Dataset | None:
    """Add to the draft what is wrong with the things it names; the dataset, where it is right."""
    _optimizers(draft)
    _named_objects(draft)
    found = [_dataset(draft, variant, datasets) for variant in variants(draft, "dataset")]
    dataset = found[0] if found else None
    if dataset is not None:
        _batch_sizes(draft, dataset)
    for variant in variants(draft, "model"):
        _model(draft, variant, dataset)
    return dataset


def variants(draft: Draft, section: str) -> list[Variant]:
    """Every `use` of a component that the search space allows; none where the section itself is wrong."""
    component: Component | None = getattr(draft.sections, section)
    if component is None:
        return []
    searched = {
        name.partition(".")[2]: entry
        for name, entry in draft.sections.search_space.items()
        if name.startswith(f"{section}.")
    }
    uses = _samples(searched.pop("use", component.use))
    return [Variant(str(use), {**component.arguments, **_given(section, searched, use)}) for use in uses]


def _given(section: str, searched: Mapping[str, Any], use: Value) -> dict[str, Value]:
    """A sample of each searched argument that exists when the component is `use`."""
    given = {}
    for name, entry in searched.items():
        wanted = (getattr(entry, "when", None) or {}).get(f"{section}.use", use)
        if space.meets(use, wanted):
            given[name] = _samples(entry)[0]
    return given


def _samples(entry: Any) -> tuple[Value, ...]:
    if isinstance(entry, Choices):
        return tuple(entry.choices)
    return (getattr(entry, "low", entry),)


def _optimizers(draft: Draft) -> None:
    for use, arguments in variants(draft, "optimizer"):
        taken = _taken_by_optimizer(draft, use)
        if taken is None:
            continue
        rate = {"learning_rate"} & draft.sections.names
        for fault in argument_faults(use, taken, {*arguments, *rate}):
            if fault.name == "learning_rate":
                rule = f"{use} needs a learning rate: give a number, or a range to search"
                draft.complain(
                    ("search_space", "learning_rate"), rule if taken.get(fault.name) else f"{use} takes none"
                )
            else:
                _complain(draft, "optimizer", fault)


def _taken_by_optimizer(draft: Draft, use: str) -> Mapping[str, bool] | None:
    """The arguments of an optimizer, from the table of known ones or from the object; None where it takes any."""
    if use in ARGUMENTS:
        return ARGUMENTS[use]
    try:
        return taken_by(importlib.import_module("sweeps.training.optimizers").find_optimizer(use))
    except ModelError as error:
        draft.complain(_place(draft, "optimizer", "use"), str(error), "", did_you_mean(use, tuple(ARGUMENTS)))
        return None


def _named_objects(draft: Draft) -> None:
    """Losses and metrics of the user's own."""
    losses = [str(use) for use in _samples(draft.sections.search_space.get("loss", ()))] if draft.sections.names else []
    named: list[tuple[Path, str]] = [
        (("loss",), use) for use in losses or ([draft.sections.loss.use] if draft.sections.loss else [])
    ]
    named += [(("metrics", index), use) for index, use in enumerate(draft.sections.metrics or ())]
    for path, use in named:
        if ":" in use:
            _tried(draft, path, functools.partial(locate, use, ModelError))


def _dataset(draft: Draft, variant: Variant, datasets: Datasets) -> Dataset | None:
    faults = _tried(draft, _place(draft, "dataset", "use"), lambda: loading.faults(variant.use, variant.arguments))
    for fault in faults or ():
        _complain(draft, "dataset", fault)
    if faults is None or faults:
        return None
    return _tried(draft, ("dataset",), lambda: datasets.get(variant.use, variant.arguments))


def _batch_sizes(draft: Draft, dataset: Dataset) -> None:
    entry = draft.sections.search_space.get("batch_size")
    if entry is None:
        return
    rule = f"a batch must not be larger than the {dataset.train.rows:,} training rows"
    for place, size in _largest(entry).items():
        if size > dataset.train.rows:
            draft.complain(("search_space", "batch_size", *place), rule, f"{size:,}")


def _largest(entry: Any) -> dict[Path, int]:
    """Where batch sizes are given, and the largest there."""
    if isinstance(entry, Choices):
        return {("choices", index): int(str(size)) for index, size in enumerate(entry.choices)}
    return {("high",): entry.high} if hasattr(entry, "high") else {(): int(entry)}


def _model(draft: Draft, variant: Variant, dataset: Dataset | None) -> None:
    if ":" not in variant.use:
        rule = "must be `module:name` of a model, such as `models.mlp:MLP`"
        draft.complain(_place(draft, "model", "use"), rule, repr(variant.use))
        return
    models = importlib.import_module("sweeps.training.models")
    faults = _tried(draft, _place(draft, "model", "use"), lambda: models.faults(variant.use, variant.arguments))
    for fault in faults or ():
        _complain(draft, "model", fault)
    loss = draft.sections.loss
    if faults is None or faults or dataset is None or loss is None:
        return
    needed = importlib.import_module("sweeps.training.losses").outputs_needed
    outputs = _tried(draft, ("loss",), lambda: needed(loss.use, dataset.classes, dataset.target_width))
    if outputs is not None:
        _tried(
            draft,
            ("model",),
            lambda: models.build_model(variant.use, variant.arguments, dataset.input_shape, outputs),
        )


def _complain(draft: Draft, section: str, fault: ArgumentFault) -> None:
    draft.complain(_place(draft, section, fault.name), fault.rule, "", fault.advice)


def _place(draft: Draft, section: str, name: str) -> Path:
    """Where a component's argument is written: in its own section, or in the search space."""
    dotted = f"{section}.{name}"
    return ("search_space", dotted) if dotted in draft.sections.names else (section, name)


def _tried(draft: Draft, path: Path, find: Callable[[], Found]) -> Found | None:
    """What `find` finds; None, and a complaint about `path`, where it raises one of our errors."""
    try:
        return find()
    except SweepError as error:
        draft.complain(path, str(error))
        return None
