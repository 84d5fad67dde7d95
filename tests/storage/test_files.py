"""A file is replaced whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sweeps.errors import ResultsError
from sweeps.storage import files
from sweeps.storage.files import lock, make_folder, remove_leftovers, replace_bytes, replace_text, replacing


def test_the_new_content_takes_the_place_of_the_old(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "config.yaml"
    replace_text(path, "name: größer\n")
    replace_text(path, "name: kleiner\n")
    assert path.read_bytes() == b"name: kleiner\n"
    assert [left.name for left in path.parent.iterdir()] == ["config.yaml"]


def test_an_error_halfway_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    replace_bytes(path, b"old")

    def write_half() -> None:
        with replacing(path) as temporary:
            temporary.write_bytes(b"half")
            raise KeyError("stopped")

    with pytest.raises(KeyError):
        write_half()
    assert path.read_bytes() == b"old"
    assert [left.name for left in tmp_path.iterdir()] == ["trials.csv"]


def test_what_a_killed_writer_leaves_can_be_removed_and_nothing_else_is(tmp_path: Path) -> None:
    replace_bytes(tmp_path / "best" / "best.json", b"kept")
    (tmp_path / "a.partial.csv").write_text("a user's")
    for left in (tmp_path / ".trials.0123abcd.partial.csv", tmp_path / "best" / ".best.0123abcd.partial.json"):
        left.write_text("half")
    remove_leftovers(tmp_path)
    names = {path.name for path in tmp_path.rglob("*")}
    assert names == {"best", "best.json", "a.partial.csv"}


def test_every_folder_that_is_made_has_its_name_forced_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(files, "sync_folder", synced.append)
    (tmp_path / "there").mkdir()
    make_folder(tmp_path / "there" / "results" / "small" / "log")
    assert synced == [tmp_path / "there", tmp_path / "there" / "results", tmp_path / "there" / "results" / "small"]
    make_folder(tmp_path / "there" / "results" / "small" / "log")
    assert len(synced) == 3


def test_the_old_file_stands_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    replace_bytes(path, b"old")
    with replacing(path) as temporary:
        temporary.write_bytes(b"new")
        assert path.read_bytes() == b"old"
        assert temporary.parent == path.parent
    assert path.read_bytes() == b"new"


def test_the_temporary_name_keeps_the_suffix_so_that_numpy_adds_none(tmp_path: Path) -> None:
    with replacing(tmp_path / "parameters.npz") as temporary:
        assert temporary.suffix == ".npz"
        temporary.touch()


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResultsError, match=r"x\.csv cannot be written: (Not a directory|File exists)"):
        replace_text(tmp_path / "file" / "x.csv", "")


def test_the_file_is_forced_to_the_disk_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (order.append("fsync"), real_fsync(descriptor))[1])
    monkeypatch.setattr(Path, "replace", lambda old, new: (order.append("rename"), real_replace(old, new))[1])
    replace_text(tmp_path / "a", "text")
    assert order == ["fsync", "rename", "fsync"]


def test_a_locked_file_is_not_locked_twice(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with path.open("a") as first, path.open("a") as second:
        assert lock(first.fileno())
        assert not lock(second.fileno())
    with path.open("a") as third:
        assert lock(third.fileno())


def test_where_there_are_no_locks_nobody_can_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", unsupported)
    with (tmp_path / "file").open("w") as file:
        assert lock(file.fileno()) is None
