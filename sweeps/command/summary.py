"""`sweep summary`: the layers of a sweep's models as a table, from traced shapes. Nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from sweeps.command import display
from sweeps.command.terminal import clean
from sweeps.config import SweepConfig, read_draft, space
from sweeps.datasets.loading import Datasets
from sweeps.engine.programs import Programs
from sweeps.training.adapters.layers import Layer, numbers
from sweeps.training.adapters.model import Model
from sweeps.user_code import project_folders
from sweeps.validation import sample_configs, validate

MOST = 8
"""Models to show: choices of a search space make one each."""
OWN = "(its own)"
"""What a model holds outside of any layer that it calls."""


def command(console: Console, file: Path, overrides: Sequence[str]) -> None:
    """Print a table for each model that a trial can have.

    Raises:
        SweepError: the file has mistakes (a ConfigError, which holds all of them), or a choice cannot be built.
    """
    draft, datasets = read_draft(file, overrides), Datasets()
    with project_folders(file):
        validate.examine(draft, datasets)
        config = draft.config()
        found = models(config, Programs(config, datasets))
        for index, (name, model) in enumerate(list(found.items())[:MOST]):
            if index:
                display.line(console, "")
            display.line(console, name)
            console.print(table(outline(model)))
            display.line(console, totals(model))
    if len(found) > MOST:
        display.line(console, f"… and {len(found) - MOST} more: `sweep plan` counts them")


def models(config: SweepConfig, programs: Programs) -> dict[str, Model]:
    """The models of sample trials, by how a config writes them."""
    found: dict[str, Model] = {}
    for _, chosen in sample_configs.assignments(config.search_space):
        trial = space.resolve(config, space.active_params(config, chosen))
        program_key = programs.lane_trial(0, trial).program_key
        use, arguments = program_key.model
        found.setdefault(_words(use, dict(arguments)), programs.model(program_key))
    return found


def outline(model: Model) -> list[Layer]:
    """The layers, and what is in none of them. A pair of plain functions has arrays only."""
    layers = model.layers()
    if not layers:
        tree = model.shapes.tree
        named = tree if isinstance(tree, Mapping) else {"parameters": tree}
        return [Layer(name, "", None, numbers(arrays)) for name, arrays in named.items()]
    rest = numbers(model.shapes) - sum(layer.numbers for layer in layers)
    return [*layers, Layer(OWN, "", None, rest)] if rest > 0 else layers


def table(layers: Sequence[Layer]) -> Table:
    """A row for each layer: its name and kind, the shape of what it gives, and how many numbers it holds."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    made.add_column("layer", overflow="fold")
    made.add_column("kind", overflow="fold")
    made.add_column("output shape", overflow="fold")
    made.add_column("parameters", justify="right")
    for layer in layers:
        made.add_row(clean(layer.name), clean(layer.kind), shape(layer.shape), f"{layer.numbers:,}")
    return made


def shape(each: tuple[int, ...] | None) -> str:
    """That of a batch.

    >>> shape((28, 28, 16)), shape(()), shape(None)
    ('(rows, 28, 28, 16)', '(rows)', '')
    """
    return "" if each is None else f"({', '.join(['rows', *map(str, each)])})"


def totals(model: Model) -> str:
    """How many numbers are trained, and how many are kept from batch to batch."""
    trained, kept = numbers(model.shapes.params), numbers(model.shapes.state)
    return f"total {trained + kept:,}: {trained:,} trained, {kept:,} not"


def _words(use: str, arguments: Mapping[str, Any]) -> str:
    return f"{use} {display.parameters(arguments)}".strip()
