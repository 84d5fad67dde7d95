"""A second process finds the programs that the first one compiled; a user's own settings stand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sweeping import records

from sweeps.engine.compile_cache import make_room

PROGRAM = """
import json, sys
from pathlib import Path
import jax
from sweeping import finish, small
saved, hits = [], []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event))
finish(small(), Path(sys.argv[1]))
print(json.dumps([sum(hit.endswith("/cache_hits") for hit in hits), jax.config.jax_compilation_cache_dir]))
"""


def run(results: Path, home: Path, **settings: str) -> tuple[int, str | None]:
    """A small sweep in a process of its own: how often JAX found a program, and in which folder it looked."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment |= {"XDG_CACHE_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[1]), **settings}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, results], env=environment, capture_output=True, text=True, check=True
    )
    hits, folder = json.loads(done.stdout.splitlines()[-1])
    return hits, folder


def compilations(results: Path) -> list[int]:
    return [record["compilations"] for record in records(results, "finish")]


def test_a_second_run_finds_the_programs_of_the_first_and_compiles_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert run(tmp_path / "first", home)[0] == 0
    hits, folder = run(tmp_path / "second", home)
    assert hits >= 2  # init and epoch
    assert compilations(tmp_path / "first") == [1]
    assert compilations(tmp_path / "second") == [0]
    assert folder is not None
    assert Path(folder).is_relative_to(home / "sweep")
    first, second = ((tmp_path / name / "small" / "history.csv").read_text() for name in ("first", "second"))
    assert without_seconds(first) == without_seconds(second)


def without_seconds(table: str) -> list[str]:
    return [line.rpartition(",")[0] for line in table.splitlines()]


@pytest.mark.parametrize("setting", ["JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE"])
def test_a_users_own_settings_stand(tmp_path: Path, setting: str) -> None:
    own = str(tmp_path / "own") if setting.endswith("DIR") else "false"
    _, folder = run(tmp_path / "results", tmp_path / "home", **{setting: own})
    assert folder == (own if setting.endswith("DIR") else None)
    assert not (tmp_path / "home").exists()


def test_a_home_folder_that_cannot_be_made_costs_only_the_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    _, folder = run(tmp_path / "results", tmp_path / "file")
    assert folder is None
    assert compilations(tmp_path / "results") == [1]


def test_the_oldest_entries_make_room(tmp_path: Path) -> None:
    for age, name in enumerate(["new", "older", "oldest"]):
        entry = tmp_path / name
        entry.write_bytes(bytes(10))
        os.utime(entry, (1_000 - age, 1_000 - age))
    make_room(tmp_path, most_bytes=25)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["new", "older"]
