"""A config as it may be left in a folder that others read. The rule: it differs in the passwords of its URLs alone.

The search space and `enqueue` stay as they are: values of hyperparameters are in the log and the tables too.
"""

from __future__ import annotations

from sweeps.config.schema import Component, SweepConfig
from sweeps.config.values import Value
from sweeps.masking import without_passwords


def concealed(config: SweepConfig) -> SweepConfig:
    """The config with the passwords masked in what its components are given."""
    changed: dict[str, Component] = {}
    for name in SweepConfig.model_fields:
        section = getattr(config, name)
        if isinstance(section, Component):
            arguments = {key: _concealed(value) for key, value in section.arguments.items()}
            if arguments != section.arguments:
                changed[name] = section.with_arguments(**arguments)
    return config.model_copy(update=changed)


def _concealed(value: Value) -> Value:
    if isinstance(value, tuple):
        return tuple(map(_concealed, value))
    return without_passwords(value) if isinstance(value, str) else value
