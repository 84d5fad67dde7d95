"""The lane policy: how many lanes, in how many lane groups, on which devices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tolerances
from sweeping import CPU, ROOT, fixed, small

from sweeps.engine.devices import MOST_LANES, mapped_policy, memory, vmapped_policy

GRID = {"type": "categorical", "choices": [8, 20, 53]}


def gpu(limit: int | None = None) -> Any:
    return SimpleNamespace(platform="gpu", memory_stats=lambda: None if limit is None else {"bytes_limit": limit})


@pytest.mark.parametrize(
    ("changes", "devices", "groups", "lanes"),
    [
        ({"lanes": "auto", "budget": {"trials": 10_000}}, 1, 2, MOST_LANES // 2),
        ({"lanes": "auto", "budget": {"trials": 10_000}}, 4, 8, MOST_LANES // 2),
        ({"lanes": "auto", "budget": {"minutes": 5}}, 1, 2, MOST_LANES // 2),
        ({"lanes": "auto", "budget": {"trials": 64}}, 1, 2, 32),
        ({"lanes": "auto", "budget": {"trials": 5}}, 4, 5, 1),
        ({"lanes": "auto", "budget": {"trials": 1}}, 1, 1, 1),
        ({"lanes": 1_000, "budget": {"trials": 5}}, 1, 2, 500),
        ({"lanes": 3}, 2, 3, 1),
        ({"lanes": "auto", "sampler": {"use": "grid"}, "budget": {}, "search_space": fixed(batch_size=GRID)}, 1, 2, 2),
    ],
)
def test_lanes_side_by_side_are_as_many_as_there_are_trials_up_to_a_cap(
    changes: dict[str, Any], devices: int, groups: int, lanes: int
) -> None:
    policy = vmapped_policy(tuple(gpu() for _ in range(devices)), small(**changes))
    assert (policy.groups, policy.lanes_per_group) == (groups, lanes)
    assert not policy.is_mapped


def test_mapped_lanes_are_twice_the_threads() -> None:
    policy = mapped_policy(CPU, small(lanes="auto"), threads=3)
    assert (policy.lanes, policy.threads_per_device, policy.is_mapped) == (6, 3, True)


def test_the_smallest_device_says_how_much_memory_there_is() -> None:
    assert memory((gpu(300), gpu(200))) == 200
    assert memory((gpu(300), gpu())) is None
    assert memory((CPU,)) is None


# ---- several devices -------------------------------------------------------------------------------------------------

SEVERAL = """\
import json, sys
import jax
import sweeping
from pathlib import Path
from sweeps.engine import devices

here = tuple(jax.local_devices())
tables = {}
for count in (1, len(here)):
    devices.choose_policy = lambda config, *_: devices.vmapped_policy(here[:count], config)
    swept = sweeping.small(lanes=8, micro_batch=8, budget={"trials": 16})
    found = sweeping.finish(swept, Path(sys.argv[1]) / str(count))
    tables[count] = found.trials[["value", "device", "outcome", "epochs_run"]].to_dict("list")
print(json.dumps(tables))
"""


def test_four_devices_are_all_used_and_come_to_the_tables_of_one(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
    }
    ended = subprocess.run(
        [sys.executable, "-c", SEVERAL, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=200,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    tables = json.loads(ended.stdout)
    assert set(tables["4"]["device"]) == {"cpu:0", "cpu:1", "cpu:2", "cpu:3"}
    assert set(tables["1"]["device"]) == {"cpu:0"}
    assert tables["4"]["outcome"] == tables["1"]["outcome"] == ["completed"] * 16
    assert tables["4"]["epochs_run"] == tables["1"]["epochs_run"]
    np.testing.assert_allclose(tables["4"]["value"], tables["1"]["value"], **tolerances.TRAINED)
