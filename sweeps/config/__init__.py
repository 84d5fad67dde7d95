"""YAML to a `SweepConfig`, which is frozen and right; otherwise a `ConfigError` names every mistake and its line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sweeps.config.draft import Draft
from sweeps.config.json_schema import json_schema
from sweeps.config.names import metric_column
from sweeps.config.parameters import Choices, FloatRange, Frozen, IntRange, Parameter
from sweeps.config.schema import LEFT_TO_MODEL, Component, SweepConfig, are_pairs
from sweeps.config.values import Value
from sweeps.config.wording import one_line
from sweeps.config.yaml.file import load_text
from sweeps.config.yaml.from_python import plain, written
from sweeps.config.yaml.reader import Reading, read
from sweeps.config.yaml.writer import write
from sweeps.masking import without_passwords

__all__ = [
    "Choices",
    "Component",
    "Draft",
    "FloatRange",
    "IntRange",
    "Parameter",
    "SweepConfig",
    "Value",
    "as_draft",
    "concealed",
    "json_schema",
    "load_config",
    "metric_column",
    "parse_config",
    "read_draft",
    "to_yaml",
]


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> SweepConfig:
    """The config in the file at `path`, with overrides such as `"budget.trials=8"`.

    Raises:
        ConfigError: the file cannot be read, or holds mistakes; all of them are named.
    """
    return read_draft(path, overrides).config()


def read_draft(path: str | Path, overrides: Sequence[str] = ()) -> Draft:
    """The config in the file at `path` as it is, with its mistakes, so that others can add what they find.

    Raises:
        ConfigError: the file cannot be read at all.
    """
    return _draft(read(load_text(path)), one_line(str(path), 400), overrides)


def parse_config(
    tree_or_text: Mapping[str, Any] | str, overrides: Sequence[str] = (), where: str = "<config>"
) -> SweepConfig:
    """A config from Python values or from YAML text; `where` is what complaints call it.

    Raises:
        ConfigError: it holds mistakes; all of them are named.

    >>> config = parse_config('''
    ... {name: line, dataset: digits, model: "models.linear:Linear", loss: mean_squared_error, budget: {trials: 4},
    ...  search_space: {epochs: 3, batch_size: 32, learning_rate: {type: float, low: 1e-4, high: 1e-1, log: true}},
    ...  objective: {metric: valid_loss, direction: minimize}}''')
    >>> config.search_space["learning_rate"].low
    0.0001
    """
    return as_draft(tree_or_text, overrides, where).config()


def as_draft(tree_or_text: Mapping[str, Any] | str, overrides: Sequence[str] = (), where: str = "<config>") -> Draft:
    """What `parse_config` would read, with its mistakes, so that others can add what they find."""
    reading = read(tree_or_text) if isinstance(tree_or_text, str) else plain(tree_or_text)
    return _draft(reading, where, overrides)


def _draft(reading: Reading, where: str, overrides: Sequence[str]) -> Draft:
    draft = Draft(reading.value, where, reading.lines, reading.flaws, reading.written)
    for text in overrides:
        draft.override(text)
    return draft.check()


def to_yaml(config: SweepConfig) -> str:
    """The whole config as YAML; `load_config` reads it back as an equal one.

    Defaults are in it, except of what is left to the model.
    """
    given = [key for key in SweepConfig.model_fields if key not in LEFT_TO_MODEL or key in config.model_fields_set]
    tree: dict[str, Any] = {key: _written(getattr(config, key)) for key in given}
    for section in ("dataset", "model", "optimizer", "schedule"):
        if f"{section}.use" in config.search_space:
            del tree[section]["use"]
    if are_pairs(weights := tree["dataset"].get("class_weight")):
        tree["dataset"]["class_weight"] = dict(weights)
    if "loss" in config.search_space:
        del tree["loss"]["use"]
    return write(tree)


def _written(value: Any) -> Any:
    if isinstance(value, Frozen):
        return _written(written(value))
    if isinstance(value, Mapping):
        return {key: _written(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_written(item) for item in value]
    return value


def concealed(config: SweepConfig) -> SweepConfig:
    """The config as it may be left in a folder that others read: with the passwords masked in its components' URLs.

    The search space and `enqueue` stay as they are: values of hyperparameters are in the log and the tables too.
    """
    components = {name: getattr(config, name) for name in SweepConfig.model_fields}
    masked = {
        name: component.with_arguments(**{key: _masked(value) for key, value in component.arguments.items()})
        for name, component in components.items()
        if isinstance(component, Component)
    }
    return config.model_copy(update={name: each for name, each in masked.items() if each != components[name]})


def _masked(value: Value) -> Value:
    if isinstance(value, tuple):
        return tuple(map(_masked, value))
    return without_passwords(value) if isinstance(value, str) else value
