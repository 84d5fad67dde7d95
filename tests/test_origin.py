"""Signatures of what a user has written, and what is asked before another person's folder is run."""

from __future__ import annotations

import io
import json
import shutil
import stat
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from sweeping import finish, small

from sweeps.command import predict, replay
from sweeps.errors import ResultsError
from sweeps.origin import is_own, key_file, signature
from sweeps.results import best
from sweeps.storage.paths import RunFolder


def as_another_user(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(home))


def test_a_signature_is_right_for_its_text_and_its_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_another_user(monkeypatch, tmp_path / "one")
    signed = signature("use: m:f")
    assert is_own("use: m:f", signed)
    assert not any(is_own(text, given) for text, given in [("use: m:g", signed), ("use: m:f", ""), ("use: m:f", None)])
    assert stat.S_IMODE(key_file().stat().st_mode) == 0o600
    assert [path.name for path in key_file().parent.iterdir()] == ["key"]
    as_another_user(monkeypatch, tmp_path / "two")
    assert not is_own("use: m:f", signed)


def test_without_a_place_for_a_key_nothing_is_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    as_another_user(monkeypatch, tmp_path / "file")
    assert signature("text") == ""
    assert not is_own("text", "")


def test_a_folder_of_ones_own_may_be_moved_and_one_of_another_person_is_run_only_where_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(small(budget={"trials": 1}), tmp_path)
    shutil.move(tmp_path / "small", tmp_path / "moved")
    folder, rows, out = tmp_path / "moved", tmp_path / "rows.npy", tmp_path / "out.csv"
    np.save(rows, np.zeros((2, 4), np.float32))
    console = Console(file=io.StringIO())

    def both(**trust: Any) -> None:
        assert replay.command(console, folder, 0, **trust)
        predict.command(console, folder, rows, out, **trust)

    both()
    as_another_user(monkeypatch, tmp_path / "home")
    for command in (lambda: replay.command(console, folder, 0), lambda: predict.command(console, folder, rows, out)):
        with pytest.raises(ResultsError, match=r"was not made by you.*sweeping:flat.*--trust"):
            command()
    both(trusts=True)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda text: "y" if "sweeping:flat" in text else "n")
    both()
    monkeypatch.setattr("builtins.input", lambda _: "")
    with pytest.raises(ResultsError, match="nothing was run"):
        both()


def test_the_model_of_a_description_cannot_be_changed_under_its_signature(tmp_path: Path) -> None:
    finish(small(budget={"trials": 1}), tmp_path)
    file = RunFolder(tmp_path / "small").best
    described = best.describe(file)
    described["model"]["use"] = "os:abort"
    file.write_text(best.text(described))
    with pytest.raises(ResultsError, match=r"os:abort"):
        predict.command(Console(file=io.StringIO()), tmp_path / "small", tmp_path / "rows.npy", tmp_path / "out.csv")
    assert json.loads(file.read_text())["model"]["use"] == "os:abort"
