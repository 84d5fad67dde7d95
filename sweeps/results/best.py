"""The best trial's parameters on disk: arrays and JSON, never pickle.

The rule: a name in `parameters.npz` is the parameter's path in the model (`hidden.0.kernel`), so that the arrays can be
used without this package. `best_json.py` says how the file beside it is checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax

from sweeps.errors import ResultsError
from sweeps.results import best_json
from sweeps.storage import npz
from sweeps.storage.files import replace_text
from sweeps.storage.paths import RunFolder
from sweeps.training.pytrees import named


def keep(folder: RunFolder, params: Any, description: Mapping[str, Any]) -> None:
    """Replace what `best/` holds by these parameters (a tree of arrays) and what is known of their trial."""
    digest = npz.write(folder.parameters, named(params))
    replace_text(folder.best, best_json.text({**description, "parameters_sha256": digest}))


def restore(folder: RunFolder, like: Any) -> Any:
    """The parameters in `best/` as a tree of the same structure as `like`.

    Raises:
        ResultsError: they are not there, are damaged, or are not this model's.
    """
    found = npz.read(folder.parameters).arrays
    try:
        leaves = [found[name] for name in named(like)]
    except KeyError as error:
        raise ResultsError(f"{folder.parameters} does not hold this model's parameters: {error}") from error
    return jax.tree.unflatten(jax.tree.structure(like), leaves)
