"""`sweep predict`: new rows through the best model, to a CSV file with a line for each row, in their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

import sweeps
from sweeps.amounts import count
from sweeps.command import display
from sweeps.command.trust import require_trust
from sweeps.errors import DataError, ModelError
from sweeps.results.best import describe, signed_text
from sweeps.results.columns import TableColumn
from sweeps.results.csv_text import header, rows
from sweeps.results.predictor import ROWS, BestModel
from sweeps.storage.files import replace_bytes
from sweeps.storage.paths import RunFolder


def command(console: Console, folder: Path, inputs: Path, output: Path, *, trusts: bool = False) -> None:
    """Write what the best model of a sweep predicts for the rows of a file.

    Raises:
        SweepError: there is no such model or file, the folder is another person's and not trusted, or the rows are not
            what the model takes.
    """
    _check_output(inputs, output)
    results = sweeps.load(folder)
    described = describe(RunFolder(folder).best) if results.best is not None else {}
    require_trust(folder, signed_text(described), [described.get("signature")], trusts=trusts or not described)
    model = results.best_model()
    given = model.inputs(inputs)
    outputs = _outputs(model, given.x)
    columns = [*(TableColumn(name, "string", values) for name, values in given.names.items())]
    columns += predicted_columns(model, outputs)
    replace_bytes(output, header(column.name for column in columns) + rows(columns))
    if model.meaning == "probabilities" and not model.are_chances(outputs):
        rule = "outputs are not from 0 to 1, or those of a row do not add up to 1"
        display.line(console, f"note: {rule}: they are no probabilities, and the columns are called `output_…`")
    number = model.description["number"]
    display.line(console, f"{output}: {count(len(outputs), 'row')}, by trial {number} of {folder}")


def _check_output(inputs: Path, output: Path) -> None:
    """Raises: DataError where the output cannot be a file, or would replace the rows that are predicted."""
    if output.is_dir():
        raise DataError(f"{output} is a folder, and `-o` takes the name of a file to write")
    if output.exists() and inputs.exists() and output.samefile(inputs):
        raise DataError(f"{output} holds the rows to predict, and would be replaced. Give another file with `-o`")


def _outputs(model: BestModel, rows: np.ndarray) -> np.ndarray:
    from sweeps.engine.memory import is_out_of_memory  # JAX, as the model has it

    try:
        return model(rows)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        use = model.description["model"]["use"]
        raise ModelError(f"there is no memory to predict {ROWS} rows at once with {use}") from error


def predicted_columns(model: BestModel, outputs: np.ndarray) -> Iterator[TableColumn]:
    """The predicted class and a column for each, of probability if outputs are; without classes, the values alone."""
    classes = model.classes
    if classes is None:
        target = (model.description["preprocessing"] or {}).get("target") or "predicted"
        names = [target] if outputs.shape[1] == 1 else [f"{target}_{place}" for place in range(outputs.shape[1])]
        yield from _columns(names, outputs)
        return
    yield TableColumn("predicted", "string", [classes[place] for place in model.places(outputs)])
    if not model.are_chances(outputs):
        of_one = classes if outputs.shape[1] > 1 else classes[1:]
        yield from _columns([f"output_{name}" for name in of_one], outputs)
        return
    chances = np.concatenate([1 - outputs, outputs], axis=1) if outputs.shape[1] == 1 else outputs
    yield from _columns([f"probability_{name}" for name in classes], chances)


def _columns(names: Sequence[str], values: np.ndarray) -> Iterator[TableColumn]:
    return (TableColumn(name, "float64", values[:, place].tolist()) for place, name in enumerate(names))
