"""Arrays, and JSON about them, in a file with a checksum. Never pickle.

A file is an ordinary `.npz`, so that `numpy.load(path, allow_pickle=False)` reads it without this package. Its last 64
bytes, where a zip file has room for a comment, are the SHA-256 of all bytes before them. Equal arrays make equal files.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sweeps.errors import ResultsError
from sweeps.storage.files import replace_bytes

ABOUT = "about.json"
_DIGITS = 64


class Contents(NamedTuple):
    """What a file holds: arrays by their names, and what is known of them ({} where nothing was written)."""

    arrays: Mapping[str, np.ndarray]
    about: Mapping[str, Any]


def write(path: Path, arrays: Mapping[str, Any], about: Mapping[str, Any] | None = None) -> str:
    """Make these arrays, of any shape and of NumPy's own dtypes, the whole content of `path`; the file's SHA-256.

    Raises: ResultsError where the disk refuses.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            # `numpy.savez` takes arrays as keywords, and so refuses one that is named like its own.
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
        if about is not None:
            archive.writestr(zipfile.ZipInfo(ABOUT), json.dumps(about))
        archive.comment = b"0" * _DIGITS
    body = buffer.getvalue()[:-_DIGITS]
    digest = hashlib.sha256(body).hexdigest()
    replace_bytes(path, body + digest.encode("ascii"))
    return digest


def read(path: Path) -> Contents:
    """What `write` put there.

    Raises: ResultsError where the file is missing, may not be read, or is not what was written.
    """
    content = checked(path)
    with np.load(io.BytesIO(content), allow_pickle=False) as members:
        about = json.loads(members[ABOUT]) if ABOUT in members.files else {}
        return Contents({name: members[name] for name in members.files if name != ABOUT}, about)


def checked(path: Path) -> bytes:
    """The bytes of a file that `write` made, once its checksum has been found right.

    Raises: ResultsError as `read` does.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ResultsError(f"{path} cannot be read: {error.strerror or error}") from error
    if hashlib.sha256(content[:-_DIGITS]).hexdigest().encode("ascii") != content[-_DIGITS:]:
        raise ResultsError(f"{path} is damaged: its checksum does not match")
    return content


def digest(path: Path) -> str:
    """The SHA-256 of a whole file, as `write` returned it.

    Raises: ResultsError as `read` does.
    """
    return checked(path)[-_DIGITS:].decode("ascii")
