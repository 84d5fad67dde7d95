"""What `best/best.json` says of the parameters beside it. The rule: it is believed only if its own checksum is right.

Its last key, `crc32`, is the CRC-32 of the others as JSON on one line; `parameters_sha256` is the checksum of the
arrays that it describes, so that two files which were not written together are known for what they are.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweeps.errors import ResultsError
from sweeps.storage import npz
from sweeps.storage.paths import RunFolder


def text(description: Mapping[str, Any]) -> str:
    """A description with its checksum, as the file's text."""
    return json.dumps({**description, "crc32": _checksum(description)}, indent=2, ensure_ascii=False) + "\n"


def read(path: Path) -> dict[str, Any]:
    """The description, without its checksum.

    Raises: ResultsError where the file is missing, may not be read, or is damaged.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        checksum = found.pop("crc32")
        is_whole = checksum == _checksum(found) and path.read_text(encoding="utf-8") == text(found)
    except OSError as error:
        raise ResultsError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        is_whole = False
    if not is_whole:
        raise ResultsError(f"{path} is damaged: its checksum does not match")
    described: dict[str, Any] = found
    return described


def holds(folder: RunFolder, number: int) -> bool:
    """Whether both files are there, are whole, and are of this trial."""
    try:
        described = read(folder.best)
        is_theirs = described["parameters_sha256"] == npz.digest(folder.parameters)
        return bool(is_theirs and described["number"] == number)
    except ResultsError:
        return False


def _checksum(description: Mapping[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(description).encode('ascii')):08x}"
