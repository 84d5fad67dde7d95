"""What a model was made with besides its arguments: arrays that its function has read from a file, such as weights.

They are constants of the model's trace, because nothing of the trial leads to them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import jax

from sweeps.training.adapters.model import Model, abstract_key, abstract_values
from sweeps.training.lane_placeholder import within
from sweeps.training.models import build_anew, build_model
from sweeps.training.pytrees import to_host


def constants_checksum(
    use: str, arguments: Mapping[str, Any], input_shape: tuple[int, ...], outputs: int, input_dtype: Any
) -> str:
    """Twelve hexadecimal digits of the SHA-256 of a model's constants; see `build_model` for the arguments.

    "" where it has none, and where they are others each time that the model is made, as random ones are.
    """
    shape = (input_shape, outputs, input_dtype)
    found = _checksum(build_model(use, arguments, *shape))
    return found if not found or found == _checksum(build_anew(use, arguments, *shape)) else ""


def _checksum(model: Model) -> str:
    def init(key: jax.Array, values: Any) -> Any:
        return within(values, model.init)(key)

    made = jax.make_jaxpr(init)(abstract_key(), abstract_values(model.numbers))
    constants = [*made.consts, *model.constants]
    if not constants:
        return ""
    digest = hashlib.sha256()
    for array in to_host(constants).values():
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:12]
