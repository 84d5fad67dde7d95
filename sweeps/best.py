"""The best trial's parameters on disk: arrays and JSON, never pickle.

The rule: a name in `parameters.npz` is the parameter's path in the model (`hidden.0.kernel`), so that the arrays can be
used without this package.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sweeps.errors import ResultsError
from sweeps.files import replace_text, replacing
from sweeps.run_folder import RunFolder


def keep(folder: RunFolder, params: Any, description: Mapping[str, Any]) -> None:
    """Replace what `best/` holds by these parameters (a tree of arrays) and what is known of their trial."""
    with replacing(folder.parameters) as temporary:
        _write_npz(temporary, named(params))
    replace_text(folder.best, json.dumps(description, indent=2, ensure_ascii=False) + "\n")


def restore(folder: RunFolder, like: Any) -> Any:
    """The parameters in `best/` as a tree of the same structure as `like`.

    Raises:
        ResultsError: they are not there, or are not this model's.
    """
    try:
        with np.load(folder.parameters, allow_pickle=False) as arrays:
            leaves = [arrays[name] for name in named(like)]
    except (OSError, KeyError, ValueError) as error:
        raise ResultsError(f"{folder.parameters} does not hold this model's parameters: {error}") from error
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _write_npz(path: Path, arrays: Mapping[str, Any]) -> None:
    """As `numpy.savez`, which takes arrays as keywords and so refuses one that is named like its own."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)


def named(params: Any) -> dict[str, Any]:
    """The leaves of a tree of arrays by their dotted paths, in the tree's order."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    return {".".join(_word(key) for key in path): leaf for path, leaf in leaves}


def _word(key: Any) -> str:
    for attribute in ("key", "idx", "name"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)
