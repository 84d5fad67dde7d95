"""`best/`: the best trial's parameters as arrays, and beside them, as JSON, what is known of their trial. Never pickle.

A name in `parameters.npz` is the parameter's path in the model (`hidden.0.kernel`), so that the arrays can be used
without this package. The last key of `best.json`, `crc32`, is the CRC-32 of the others as JSON on one line. Its
`parameters_sha256` is the checksum of the arrays that it describes: two files that were not written together differ.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweeps.errors import ResultsError
from sweeps.origin import signature
from sweeps.storage import npz
from sweeps.storage.files import replace_text
from sweeps.storage.paths import RunFolder


def keep(folder: RunFolder, params: Any, description: Mapping[str, Any]) -> None:
    """Replace what `best/` holds by these parameters (a tree of arrays) and what is known of their trial."""
    from sweeps.training.pytrees import named  # imports JAX, which a reader does not need

    digest = npz.write(folder.parameters, named(params))
    signed = {"signature": signature(signed_text(description))}
    replace_text(folder.best, text({**description, **signed, "parameters_sha256": digest}))


def restore(folder: RunFolder, like: Any) -> Any:
    """The parameters in `best/` as a tree of the same structure as `like`.

    Raises:
        ResultsError: they are not there, are damaged, or are not this model's.
    """
    import jax

    from sweeps.training.pytrees import named

    found = npz.read(folder.parameters).arrays
    try:
        leaves = [found[name] for name in named(like)]
    except KeyError as error:
        raise ResultsError(f"{folder.parameters} does not hold this model's parameters: {error}") from error
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def signed_text(description: Mapping[str, Any]) -> str:
    """What of a description a `signature` is of: the model, which is called when the parameters are used."""
    return json.dumps(description.get("model"), sort_keys=True)


def text(description: Mapping[str, Any]) -> str:
    """A description with its checksum, as the text of `best.json`."""
    return json.dumps({**description, "crc32": _checksum(description)}, indent=2, ensure_ascii=False) + "\n"


def describe(path: Path) -> dict[str, Any]:
    """What a `best.json` says, without its checksum.

    Raises:
        ResultsError: the file is missing, may not be read, or is damaged.
    """
    try:
        content = path.read_text(encoding="utf-8")
        found: dict[str, Any] = json.loads(content)
        is_whole = found.pop("crc32") == _checksum(found) and content == text(found)
        is_whole &= isinstance(found["number"], int) and isinstance(found["parameters_sha256"], str)
    except OSError as error:
        raise ResultsError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        is_whole = False
    if not is_whole:
        raise ResultsError(f"{path} is damaged: its checksum does not match")
    return found


def holds(folder: RunFolder, number: int) -> bool:
    """Whether both files are there, are whole, and are of this trial."""
    try:
        described = describe(folder.best)
        return bool(described["parameters_sha256"] == npz.digest(folder.parameters) and described["number"] == number)
    except ResultsError:
        return False


def _checksum(description: Mapping[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(description).encode('ascii')):08x}"
