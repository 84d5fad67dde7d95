"""A thousand trials in one process take less than 50 MB more memory, once the first two hundred have been trained.

A run that is not long trains four hundred, which may take as much for each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from counts import IS_LONG, counted

PROJECT = Path(__file__).parents[2]
WARM_UP, TRIALS = (200, 1000) if IS_LONG else (100, 400)
MOST_MB = 50 * TRIALS / 1000
PROGRAM = f"""\
import gc, json, resource, sys
from pathlib import Path
from sweeping import config, start, Datasets

def resident_bytes():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

swept = config(
    budget={{"trials": {WARM_UP + TRIALS}}}, sampler={{"use": sys.argv[2]}}, pruner={{"use": "hyperband"}},
    checkpoints={{"seconds": 1}},
)
before = 0
for progress in start.follow(swept, Path(sys.argv[1]), Datasets()):
    if not before and progress.done >= {WARM_UP}:
        before, done = resident_bytes(), progress.done
grown = resident_bytes() - before
print(json.dumps({{"trials": progress.done - done, "grown_mb": grown / 1e6, "outcomes": progress.outcomes}}))
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="this system does not say how much memory is resident"
)
@pytest.mark.parametrize("sampler", [pytest.param("random", marks=pytest.mark.long), "tpe"])
def test_trials_after_the_first_hundreds_take_less_than_50_kb_each(tmp_path: Path, sampler: str) -> None:
    """By then every program is compiled, the libraries for tables are loaded and the tables were written."""
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'tests'}"}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), sampler]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250, check=True)
    said = json.loads(ended.stdout.splitlines()[-1])
    assert said["trials"] >= 0.99 * TRIALS
    counted(f"memory that {said['trials']:,} trials of {sampler} in one process take", f"{said['grown_mb']:.1f} MB")
    assert {"completed", "pruned"} <= said["outcomes"].keys()
    assert said["grown_mb"] < MOST_MB, said
