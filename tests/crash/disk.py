"""A disk in memory, to which a trace of operations is done: what a kill, or a power cut, leaves at any moment.

It is the strictest reading of POSIX. A file's content is safe once the file was synced, and a name is safe once its
folder was. Of what is not safe, a power cut may leave anything; two extremes are tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from crash.shim import Operation

Files = Mapping[str, bytes | None]
"""Files by path; a folder is None."""


@dataclass
class _File:
    content: bytes = b""
    safe: bytes = b""


_FOLDER = _File()


class Disk:
    """Begins with an empty folder `root`. `do` takes one operation of a trace."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._names: dict[str, _File] = {self._root: _FOLDER}
        self._safe_names = dict(self._names)

    def do(self, operation: Operation) -> None:
        kind, path, names = operation.kind, operation.path, self._names
        if kind == "mkdir":
            names[path] = _FOLDER
        elif kind == "create":
            names[path] = _File()
        elif kind in {"unlink", "rmdir"}:
            del names[path]
        elif kind == "rename":
            names[operation.second] = names.pop(path)
        elif kind == "fsync" and names.get(path) is _FOLDER:
            self._sync_folder(path)
        elif path in names:  # a temporary file without a name is nobody's
            _change(names[path], operation)

    def files(self) -> Files:
        """What is there as long as the power is; also what a killed process leaves."""
        return {path: None if file is _FOLDER else file.content for path, file in self._names.items()}

    def safe_files(self) -> Files:
        """What a power cut leaves at least: safe names, safe contents."""
        return _reachable(self._safe_names, self._root)

    def hasty_files(self) -> Files:
        """What a power cut leaves where names reach the disk before contents: all names, safe contents."""
        return _reachable(self._names, self._root)

    def _sync_folder(self, folder: str) -> None:
        for path in [path for path in self._safe_names if _parent(path) == folder]:
            del self._safe_names[path]
        self._safe_names.update({path: file for path, file in self._names.items() if _parent(path) == folder})


def _change(file: _File, operation: Operation) -> None:
    if operation.kind == "fsync":
        file.safe = file.content
    elif operation.kind == "truncate":
        file.content = file.content[: operation.offset].ljust(operation.offset, b"\0")
    elif operation.kind == "write":
        end = operation.offset + len(operation.content)
        before = file.content[: operation.offset].ljust(operation.offset, b"\0")
        file.content = before + operation.content + file.content[end:]


def _reachable(names: Mapping[str, _File], root: str) -> Files:
    """The safe contents of what can be reached from the root."""
    found: dict[str, bytes | None] = {root: None}
    for path, file in sorted(names.items(), key=lambda pair: len(pair[0])):
        if _parent(path) in found and found[_parent(path)] is None:
            found[path] = None if file is _FOLDER else file.safe
    return found


def _parent(path: str) -> str:
    return str(PurePath(path).parent)


def lay_out(files: Files, root: Path, place: Path) -> None:
    """Make the files that lay in `root` in the folder `place` instead."""
    for path in sorted(files, key=len):
        target, content = place / Path(path).relative_to(root), files[path]
        if content is None:
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.write_bytes(content)
