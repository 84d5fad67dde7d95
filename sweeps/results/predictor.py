"""The best model of a sweep, to call on new inputs, which are prepared as the training rows were.

What is in `best/` is enough: the parameters as arrays, and beside them as JSON how to make the model, what was done to
the data, and what the outputs mean. Only the model's own code must still be there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sweeps.config.values import freeze
from sweeps.datasets import new_rows
from sweeps.datasets.new_rows import NewRows, TrainedOn
from sweeps.errors import DataError, ResultsError
from sweeps.training.lane import as_input
from sweeps.training.models import build_model, in_bfloat16, own_object
from sweeps.training.pytrees import named, on_host
from sweeps.user_code import project_folders

ROWS = 512
CLOSE = 1e-3
"""By how much probabilities may miss 1: those of a model in bfloat16 have three digits."""


class PreparedRows(np.ndarray):
    """Rows as `BestModel.read` gives them, prepared as those that trained."""


@dataclass(frozen=True, eq=False)
class BestModel:
    """Call it on rows: `model(x)` is f32 `[rows, outputs]`; `meaning` says what these are.

    They are probabilities where the loss takes logits or probabilities, after softmax or sigmoid if need be; counts
    where it takes their logarithms; else what the model gives. Values are in the units of the data's targets, also
    where these were scaled to train on (`scale_target`); they are f64 then, since float32 does not tell large numbers
    apart that are close together. `x` is an array of shape `[rows, *input_shape]` as the dataset has it, before `scale`
    and `offset`. `description` is what `best/best.json` says, `parameters` are the arrays by name, and the model's code
    is in the working directory or in `project`.
    """

    description: Mapping[str, Any]
    parameters: Mapping[str, np.ndarray]
    project: Path | None = None

    def __repr__(self) -> str:
        rows = f"rows {tuple(self.description['input_shape'])} to {self.description['outputs']} outputs"
        return f"<BestModel {self.description['model']['use']} of trial {self.description['number']}: {rows}>"

    def __call__(self, x: Any, *, prepared: bool = False) -> np.ndarray:
        """The outputs for rows: an array, what `read` gives, or a DataFrame, whose columns are known by their names.

        `prepared` says of an array that a table's columns have been standardized and made numbers as for training.

        Raises:
            DataError: `x` has another shape or kind than the data that the model was trained on, or it is an array of
                which nothing says whether it has been prepared.
        """
        rows = self._checked(self._rows(x, is_prepared=prepared or isinstance(x, PreparedRows)))
        dtype = self.description["input_dtype"]
        starts = range(0, len(rows), ROWS)
        parts = [on_host(self._compiled(rows[start : start + ROWS].astype(dtype))) for start in starts]
        outputs = np.concatenate(parts) if parts else np.zeros((0, self.description["outputs"]), np.float32)
        scaling = self.description.get("target_scaling")
        return outputs if scaling is None else _in_units(outputs, **scaling)

    def predict(self, x: Any, *, prepared: bool = False) -> np.ndarray:
        """The most probable class of each row, `[rows]`: its name, or its number where the data's classes are numbers.

        Where there are no classes, it is what a call gives, to which `x` and `prepared` go.
        """
        return self.decide(self(x, prepared=prepared))

    def decide(self, outputs: np.ndarray) -> np.ndarray:
        """`predict`, of what a call gave. A single output means the second class where it is above a half.

        A single score means it above 0.
        """
        classes = self.classes
        if classes is None:
            return outputs
        told = self.description
        numbers = None if told["class_names"] else range(len(classes))
        labels: np.ndarray = np.array(told.get("labels") or numbers or classes)
        chosen: np.ndarray = labels[self.places(outputs)]
        return chosen

    def places(self, outputs: np.ndarray) -> np.ndarray:
        """The number of the most probable class among `classes`, i64 `[rows]`, of what a call gave."""
        half = 0.0 if self.meaning == "scores" else 0.5
        found = outputs[:, 0] > half if outputs.shape[1] == 1 else outputs.argmax(axis=1)
        places: np.ndarray = found.astype(np.int64)
        return places

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes, in the order of the outputs; numbers as text where they have no names."""
        count, names = self.description["classes"], self.description["class_names"]
        if count is None or self.description["outputs"] not in (1, count):
            return None
        if self.description["outputs"] == 1 and (self.description["meaning"] == "values" or count != 2):
            return None
        return tuple(names) if names else tuple(map(str, range(count)))

    @property
    def meaning(self) -> str:
        """What a call gives: "probabilities", "scores" (of classes; the highest wins), "counts" or "values"."""
        told = str(self.description["meaning"])
        if told == "values" and self.classes is not None:
            return "scores"  # of a loss that said nothing, as earlier versions let it
        return {"softmax": "probabilities", "sigmoid": "probabilities", "log_counts": "counts"}.get(told, told)

    def are_chances(self, outputs: np.ndarray) -> bool:
        """Whether what a call gave are probabilities: said to be, from 0 to 1, and those of classes adding up to 1."""
        is_right = self.meaning == "probabilities" and bool(((outputs >= -CLOSE) & (outputs <= 1 + CLOSE)).all())
        if not is_right or self.classes is None or outputs.shape[1] == 1 or self.description["meaning"] == "sigmoid":
            return is_right
        return bool((np.abs(outputs.sum(axis=1) - 1) <= CLOSE).all())

    def read(self, path: str | Path) -> np.ndarray:
        """The rows of a file, prepared as the training data were: `[rows, *input_shape]`; `inputs` says of which kinds.

        Raises:
            DataError: there is no such file, or it does not hold what the dataset's rows are made of.
        """
        return self.inputs(path).x

    def inputs(self, path: str | Path) -> NewRows:
        """The rows of a file, and which is which, by what the model was trained on.

        Of a table the file needs the columns that are features, in any order; what else it has is passed over. Of
        images it is a folder or an image. Of a series or a text it is one like it: each step that has a whole window up
        to it makes a row. An `.npy` or `.npz` file has rows as they are, for any dataset.

        Raises:
            DataError: as `read`.
        """
        found = new_rows.read(str(path), self._trained_on)
        return found._replace(x=found.x.view(PreparedRows))

    @property
    def _trained_on(self) -> TrainedOn:
        told = self.description
        return TrainedOn(tuple(told["input_shape"]), told.get("dtype", "uint8"), told["preprocessing"] or {})

    def _rows(self, x: Any, *, is_prepared: bool) -> np.ndarray:
        if hasattr(x, "columns") and not is_prepared:
            return new_rows.of_frame(x, self._trained_on).x
        if not is_prepared and new_rows.is_unclear(self._trained_on.preprocessing):
            raise DataError(
                "the model was trained on columns that were prepared (standardized, or categories as numbers), and an "
                "array does not say whether it is so. Give raw values as a DataFrame with the columns' names or as a "
                "file to `read`; say `prepared=True` of rows that are as `read` gives them"
            )
        return np.asarray(x)

    @cached_property
    def own(self) -> Any:
        """The user's own object with the trained weights in it.

        A Flax NNX or Equinox module or a Keras model; of Flax Linen the module and its variables; of a plain pair of
        functions the parameters. It computes what it was trained to: logits, targets that are scaled.
        """
        with project_folders(self.project):
            # Copies, for Keras donates its weights to what it computes with them.
            return own_object(*self._made_of, jax.tree.map(jnp.copy, self._tree))

    def _checked(self, x: np.ndarray) -> np.ndarray:
        shape = tuple(self.description["input_shape"])
        if x.shape[1:] != shape or x.ndim == 0:
            advice = ". One row is `x[None]`" if x.shape == shape else ""
            raise DataError(f"the model takes rows of shape {shape}, but got an array of shape {x.shape}{advice}")
        wanted = "whole numbers" if self.description["input_dtype"] == "int32" else "numbers"
        if x.dtype.kind not in ("iu" if wanted == "whole numbers" else "fiub"):
            raise DataError(f"the model takes {wanted}, but got {x.dtype}")
        return x

    @property
    def _made_of(self) -> tuple[str, dict[str, Any], tuple[int, ...], int, Any]:
        told = self.description
        arguments = {name: freeze(value) for name, value in told["model"].items() if name != "use"}
        dtype = jnp.dtype(told["input_dtype"]).type
        return told["model"]["use"], arguments, tuple(told["input_shape"]), told["outputs"], dtype

    @cached_property
    def _model(self) -> Any:
        with project_folders(self.project):
            model = build_model(*self._made_of)
        return in_bfloat16(model) if self.description["precision"] == "bfloat16" else model

    @cached_property
    def _tree(self) -> Any:
        """The parameters, and the state where there is one, as the model has them."""
        like = self._model.shapes.tree
        try:
            leaves = [jnp.asarray(self.parameters[name]) for name in named(like)]
        except KeyError as error:
            raise ResultsError(f"best/parameters.npz does not hold this model's parameters: {error}") from error
        return jax.tree.unflatten(jax.tree.structure(like), leaves)

    @cached_property
    def _compiled(self) -> Any:
        told = self.description
        offset = told["offset"] if "offset" in told else told["shift"]  # its name in earlier versions
        affine = jnp.array([told["scale"], offset], jnp.float32)
        variables = self._model.variables(self._tree)
        links = {"softmax": jax.nn.softmax, "sigmoid": jax.nn.sigmoid, "log_counts": jnp.exp}
        final = links.get(self.description["meaning"], lambda same: same)

        def forward(x: jax.Array) -> jax.Array:
            outputs = self._model.apply(*variables, as_input(x, affine), jax.random.key(0), False)[0]
            made: jax.Array = final(outputs)
            return made

        return jax.jit(forward)


def _in_units(outputs: np.ndarray, center: Sequence[float], spread: Sequence[float]) -> np.ndarray:
    """Outputs for scaled targets, `[rows, outputs]`, in the units that the targets came in, as f64."""
    values: np.ndarray = outputs.astype(np.float64) * np.array(spread)[None] + np.array(center)[None]
    return values
