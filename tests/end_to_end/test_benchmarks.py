"""The parts of `benchmarks/` that need no peer: the lists, what a log says, the page, and the running of programs."""

from __future__ import annotations

import doctest
import importlib
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import comparison, gpu_limits, harness, measurements, occupancy, process, rates, tables
from benchmarks.measurements import CPU, GPU, Measurement
from benchmarks.process import Program, Run
from benchmarks.search.replay import Replay, config_of
from benchmarks.search.tasks import Table
from benchmarks.workloads import (
    DIGITS_CSV,
    DIGITS_MLP,
    MNIST_MLP,
    WORKLOADS,
    Workload,
    rate_sweep,
    sweep_of,
    target_sweep,
)
from sweeps.config import parse_config
from sweeps.study import Study

FACTS = [("device", "CPU, 2 cores")]


@pytest.fixture(params=WORKLOADS.values(), ids=WORKLOADS)
def workload(request: pytest.FixtureRequest) -> Workload:
    given: Workload = request.param
    return given


@pytest.mark.parametrize("name", ["markdown", "rates", "gpu_limits", "process", "workloads"])
def test_what_docstrings_show_is_so(name: str) -> None:
    tested = doctest.testmod(importlib.import_module(f"benchmarks.{name}"))
    assert tested.attempted > 0
    assert tested.failed == 0


def test_a_list_is_a_sweep_that_tries_its_trials_in_order(workload: Workload) -> None:
    config = parse_config(sweep_of(workload, workload.trials))
    assert [dict(known) for known in config.enqueue] == [trial._asdict() for trial in workload.trials]
    assert config.budget.trials == len(workload.trials)


@pytest.mark.parametrize("tree", [rate_sweep("rate_32", (32,), 8), target_sweep(0.99)], ids=["rate", "target"])
def test_the_other_sweeps_are_valid_configs(tree: dict[str, Any]) -> None:
    assert parse_config(tree).name == tree["name"]


def test_a_longer_list_begins_again() -> None:
    assert MNIST_MLP.listed(10) == (*MNIST_MLP.trials, *MNIST_MLP.trials[:2])


def test_the_digits_list_is_drawn_once_and_for_all() -> None:
    assert len(DIGITS_MLP.trials) == 256
    assert DIGITS_MLP.trials[0] == (1.47e-2, 128, 11)
    assert {trial.batch_size for trial in DIGITS_MLP.trials} == {16, 32, 64, 128, 256}
    assert {trial.epochs for trial in DIGITS_MLP.trials} == set(range(5, 21))


def test_every_peer_gets_rows_of_the_workload_s_shape(workload: Workload) -> None:
    from benchmarks.data import load, load_scaled

    arrays, scaled = load(workload), load_scaled(workload)
    assert arrays.train_x.shape[1:] == workload.input_shape == arrays.test_x.shape[1:]
    assert set(arrays.train_y.tolist()) == set(range(workload.outputs)) == set(arrays.test_y.tolist())
    assert scaled.train_x.dtype == "float32"
    assert abs(scaled.test_x).max() <= (1 if arrays.train_x.dtype == "uint8" else 5)


def test_the_csv_file_s_rows_are_those_that_numpy_reads_each_in_one_split() -> None:
    import numpy as np

    from benchmarks.data import digits, load_scaled

    def joined(arrays: Any) -> np.ndarray:
        x = np.concatenate([arrays.train_x, arrays.test_x]) * arrays.scale * 16
        return np.column_stack([x, np.concatenate([arrays.train_y, arrays.test_y])]).astype(int)

    ours, by_numpy = load_scaled(DIGITS_CSV), digits()
    assert (len(ours.train_y), len(ours.test_y)) == (1_438, 359)
    assert sorted(joined(ours).tolist()) == sorted(joined(by_numpy).tolist())


def test_the_hand_written_networks_are_as_large_as_the_project_s_own(workload: Workload) -> None:
    import jax
    import numpy as np
    from flax import nnx

    from benchmarks.peers.networks import forward, init_with_numpy, shapes

    module, _, name = workload.model.partition(":")
    model = getattr(importlib.import_module(module), name)
    arguments = dict(workload.arguments)
    zoo = nnx.eval_shape(lambda: model(workload.input_shape, workload.outputs, **arguments, rngs=nnx.Rngs(0)))
    sizes = [leaf.size for leaf in jax.tree.leaves(nnx.state(zoo, nnx.Param))]
    assert sum(int(np.prod(shape)) for shape in shapes(workload).values()) == sum(sizes)
    params = init_with_numpy(workload, np.random.default_rng(0))
    with jax.numpy_rank_promotion("allow"):
        logits = forward(workload)(params, np.zeros((3, *workload.input_shape), np.float32))
    assert logits.shape == (3, workload.outputs)


def record(kind: str, second: float, **fields: Any) -> dict[str, Any]:
    return {"kind": kind, "time": f"2026-01-01T00:00:{second:09.6f}+00:00", **fields}


def epoch(second: float, seconds: float, number: int = 0) -> dict[str, Any]:
    return record("epoch", second, number=number, epoch=2, examples=200, seconds=seconds)


LOG = [  # two lanes: trial 0 from 10 to 20, trial 1 from 10 to 14, trial 2 from 16 to 22 in the lane that trial 1 left
    record("start", 10, number=0),
    record("start", 10, number=1),
    epoch(14, 4.0, number=1),
    record("outcome", 14, number=1),
    record("start", 16, number=2),
    epoch(20, 9.0, number=0),
    record("outcome", 20, number=0),
    epoch(22, 5.5, number=2),
    record("outcome", 22, number=2),
]


def test_a_lane_that_waits_for_a_trial_is_not_busy() -> None:
    # The stretch is 10 to 16; one of two lanes was empty from 14 to 16.
    assert occupancy.full_stretch(LOG) == pytest.approx((occupancy.moment(LOG[0]), occupancy.moment(LOG[4])))
    assert occupancy.lanes_busy(LOG) == pytest.approx(10 / 12)


def test_a_thread_without_a_device_call_is_idle() -> None:
    # Within 10 to 16, one call lasts from 10 to 14 and one from 11 to 20.
    assert occupancy.device_idle(LOG, threads=2) == pytest.approx(1 - (4 + 5) / 12)


def test_lanes_that_advance_together_count_their_seconds_once() -> None:
    together = [epoch(10, 4.25, number=0), epoch(10.001, 4.25, number=1)]
    assert occupancy.examples_per_device_second(together) == pytest.approx(200 / 4.25)


def test_mixing_that_costs_nothing_is_one() -> None:
    # An example of each size takes 1, 2, 3, 4 and 5 seconds; mixed, 5 examples take 15.
    rate = {"32": 1.0, "64": 1 / 2, "128": 1 / 3, "256": 1 / 4, "512": 1 / 5, "mixed": 5 / 15}
    assert rates.mixed_over_uniform(rate) == pytest.approx(1)


def test_the_bound_of_a_gpu_is_each_of_its_limits_in_turn() -> None:
    bare = {"gflop_per_second": {"128": 1e9}, "bytes_per_second": 1e18, "launch_seconds": 1e-12, "lanes": 1}

    def largest(**limits: Any) -> str:
        seconds = gpu_limits.bound(bare | limits, 128)
        return max(seconds, key=lambda name: seconds[name])

    assert largest(gflop_per_second={"128": 1.0}) == "products"
    assert largest(bytes_per_second=1.0) == "memory"
    assert largest(launch_seconds=1.0) == "launches"


def fixed_list_runs(peer: str, walls: Sequence[float], accuracies: Sequence[float], **more: Any) -> list[Run]:
    result = {"accuracies": list(accuracies), "seconds": {"sweep": walls[0]}}
    return [Run(f"mnist_mlp/{peer}", wall, 2 * wall, result, **more) for wall in walls]


RUNS = [
    *fixed_list_runs("ours", [2.0, 3.0, 1.0], [0.9, 0.8]),
    *fixed_list_runs("ours", [0.5], [0.9, 0.8], is_warm=True),
    *fixed_list_runs("ordinary", [10.0], [0.91, 0.8]),
    *fixed_list_runs("strong", [1.0], [0.88, 0.85]),
]


def test_a_peer_s_row_has_its_ratio_its_goal_and_its_accuracy() -> None:
    (section,) = comparison.comparisons({run.name: [r for r in RUNS if r.name == run.name] for run in RUNS}, CPU)
    ours, warm, strong, ordinary = (line.strip("| ").split(" | ") for line in section.splitlines()[4:])
    assert ours[1:3] == ["3", "2.00 (1.00–3.00)"]
    assert warm[:3] == ["the same, warm", "1", "0.50"]
    assert strong[3:5] == ["0.50", "≥ 1.5: **missed**"]
    assert ordinary[3:5] == ["5.00", "≥ 2.5: met"]
    assert strong[7:] == ["0.8650", "+0.0100", "0.0500"]


def test_without_the_ordinary_loop_accuracies_stand_beside_ours() -> None:
    runs = [run for run in RUNS if not run.name.endswith("ordinary")]
    (section,) = comparison.comparisons({run.name: [r for r in runs if r.name == run.name] for run in runs}, CPU)
    heads, _, ours, _, strong = (line.strip("|").split("|") for line in section.splitlines()[2:])
    assert heads[8].strip() == "mean − ours"
    assert [cell.strip() for cell in ours[8:]] == ["", ""]
    assert [cell.strip() for cell in strong[7:]] == ["0.8650", "+0.0150", "0.0500"]


def test_a_failed_program_is_named_and_has_no_row() -> None:
    page = tables.page([*RUNS, Run("mnist_mlp/keras", 1.0, 1.0, None)], CPU, FACTS)
    assert "Failed, and left out below: mnist_mlp/keras" in page
    assert "Keras" not in page


def test_what_sweep_does_by_itself_has_rows_with_goals() -> None:
    facts = {"trials": 64, "compilations": 1, "lanes_busy": 0.97, "device_idle": 0.03, "test_accuracy": 0.991}
    runs = [
        Run("mnist", 35.0, 60.0, {**facts, "best_value": 0.976}),
        Run("target", 40.0, 60.0, {**facts, "best_value": 0.993}),
        Run("rate", 9.0, 9.0, {"examples_per_second": dict.fromkeys(("32", "64", "128", "256", "512", "mixed"), 6e5)}),
    ]
    growth = {"variant": "tpe", "trials": 10_000, "trials_per_second": 190.0, "memory_growth_mib": 10.0}
    runs.append(Run("growth/tpe", 50.0, 50.0, {**growth, "rates": [200.0, 190.0]}))
    page = tables.page(runs, CPU, FACTS)
    assert "| 10,000 trials of nothing, tpe: trials/s | 190 | ≥ 200: **missed** |" in page
    assert "| 10,000 trials of nothing, tpe: memory growth in MB | 10 | ≤ 50: met |" in page
    assert "| lanes busy under hyperband | 97.0 % | ≥ 95%: met |" in page
    assert "| devices idle between epochs | 3.0 % | ≤ 2%: **missed** |" in page
    assert "| 600,000 | 1.00 | ≥ 0.8: met |" in page
    assert "40.00, 64 trials | reported; reached: 0.9910 on the test images |" in page


def test_a_gpu_s_rates_stand_beside_its_bound() -> None:
    rate = dict.fromkeys(("32", "64", "128", "256", "512", "mixed"), 60e6)
    limits = {"gflop_per_second": dict.fromkeys(("32", "64", "128", "256", "512"), 4e4)}
    limits |= {"bytes_per_second": 3.35e12, "launch_seconds": 2e-6, "lanes": 64}
    page = tables.page([Run("rate", 9.0, 9.0, {"examples_per_second": rate}), Run("limits", 9.0, 9.0, limits)], GPU, [])
    assert "| 128 | 1,000 | 1,630 | 2,507 | 8,529 | 61% (products) | ≥ 1000: met |" in page


@pytest.mark.parametrize("device", [CPU, GPU])
def test_every_goal_and_every_limit_on_repeats_belongs_to_a_measurement(device: str) -> None:
    names = {measurement.name for measurement in measurements.measurements(CPU)}
    assert {f"{workload}/{peer}" for workload, peer in [*measurements.LEAST, *measurements.AT_MOST]} <= names
    assert len({each.name for each in measurements.measurements(device)}) == len(measurements.measurements(device))


def test_only_patterns_choose_measurements() -> None:
    every = measurements.measurements(CPU)
    chosen = harness.chosen_by(["digits_mlp/str*", "rate"], every)
    assert [each.name for each in chosen] == ["digits_mlp/strong", "digits_mlp/strong_ahead", "rate"]
    with pytest.raises(SystemExit, match="'digit/' matches none of"):
        harness.chosen_by(["digit/"], every)


def test_what_is_missing_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert harness.is_installed(Measurement("here", ("benchmarks.matmul",)))
    assert not harness.is_installed(Measurement("gone", ("benchmarks.matmul",), "no_such.package"))
    assert not harness.is_installed(Measurement("gone", ("benchmarks.no_such",)))
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith("gone is left out: there is no module") for line in lines] == [True, True]


def test_programs_take_turns_and_the_long_ones_stop_early(monkeypatch: pytest.MonkeyPatch) -> None:
    def pretend(measurement: Measurement, device: str) -> Iterator[str]:
        yield measurement.name

    monkeypatch.setattr(harness, "cold_and_warm", pretend)
    chosen = [Measurement("a", ("a",)), Measurement("b", ("b",), at_most=1)]
    assert list(harness.interleaved(chosen, 3, CPU)) == ["a", "b", "a", "a"]


def test_a_program_runs_in_its_home_and_its_last_line_is_read(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"accuracies": [0.5]}')
    run = process.run(Program("tool", ("json.tool", "--compact", str(tmp_path / "result.json")), CPU), str(tmp_path))
    assert run.result == {"accuracies": [0.5]}
    assert 0 < run.wall < 30


def test_a_program_that_fails_has_no_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = process.run(Program("tool", ("json.tool", str(tmp_path / "missing")), CPU), str(tmp_path))
    assert run.result is None
    assert "tool failed with exit code" in capsys.readouterr().err


def test_a_run_sees_no_settings_of_what_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--anything")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/anywhere")
    cold = process.environment("/home", CPU)
    assert (cold["HOME"], cold["JAX_PLATFORMS"]) == ("/home", "cpu")
    assert not {"XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR"} & set(cold)
    assert "JAX_PLATFORMS" not in process.environment("/home", GPU)


@pytest.mark.slow
def test_sweep_run_and_the_hand_written_loops_learn_the_same(tmp_path: Path) -> None:
    programs = [("benchmarks.peers.ours",), ("benchmarks.peers.strong",), ("benchmarks.peers.ordinary",)]
    accuracies = []
    for program in programs:
        run = process.run(Program(program[0], (*program, "digits_mlp", "--trials", "3"), CPU), str(tmp_path))
        assert run.result is not None
        accuracies.append(run.result["accuracies"])
    for ours, strong, ordinary in zip(*accuracies, strict=True):
        assert ours == pytest.approx(ordinary, abs=0.04)
        assert strong == pytest.approx(ordinary, abs=0.04)


@pytest.mark.slow
def test_sweep_run_and_scikit_learn_learn_the_same_from_a_csv_file(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the peers are not installed")
    accuracies = []
    for program in (("benchmarks.peers.ours",), ("benchmarks.peers.scikit_learn",)):
        run = process.run(Program(program[0], (*program, "digits_csv", "--trials", "3"), CPU), str(tmp_path))
        assert run.result is not None
        accuracies.append(run.result["accuracies"])
    for ours, scikit_learn in zip(*accuracies, strict=True):
        assert ours == pytest.approx(scikit_learn, abs=0.04)


def test_the_command_says_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        harness.main(["--help"])
    assert "--repeats" in capsys.readouterr().out


def test_nothing_slow_is_imported_to_read_the_lists() -> None:
    source = "import sys, json, benchmarks.peers.common; print(json.dumps(sorted(sys.modules)))"
    import subprocess

    listed = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert not {"numpy", "jax", "optuna", "sweeps"} & set(json.loads(listed.stdout))


# ---- searches on recorded curves -------------------------------------------------------------------------------------


class Bowl:
    """A loss that falls with every epoch, the lower the nearer the learning rate is to 1e-3."""

    name, longest, typical, best = "bowl", 9, 1.0, 0.0
    space: Mapping[str, Mapping[str, Any]] = {"learning_rate": {"type": "float", "low": 1e-5, "high": 0.1, "log": True}}

    def losses(self, params: Mapping[str, Any]) -> np.ndarray:
        return abs(math.log10(params["learning_rate"]) + 3) + 1 / np.arange(1, 10)


def test_a_replay_of_random_search_trains_every_trial_whole_and_has_the_least_loss_so_far() -> None:
    config = config_of(Bowl(), {"sampler": "random", "pruner": "none"}, seed=3)
    study, expected = Study(config), []
    for _ in range(4):
        proposal = study.ask()
        assert proposal is not None
        expected += Bowl().losses({"learning_rate": proposal.params["learning_rate"]}).tolist()
    replay = Replay(Bowl(), config, lanes=1, budget=30)
    np.testing.assert_allclose(replay.best[:30], np.minimum.accumulate(expected)[:30])


def test_a_replay_of_waves_spends_its_epochs_as_successive_halving_does() -> None:
    config = config_of(Bowl(), {"sampler": "random", "pruner": {"use": "waves"}}, seed=3)
    replay = Replay(Bowl(), config, lanes=9, budget=4 * (9 + 3 * 2 + 6))
    for wave in (range(9), range(9, 18)):
        assert sorted(replay.epochs[number] for number in wave) == [1, 1, 1, 1, 1, 1, 3, 3, 9]


def test_a_table_answers_with_its_nearest_configuration(tmp_path: Path) -> None:
    parameters = np.array([[1e-4, 0.1], [1e-2, 0.1], [1e-2, 0.9]], np.float32)
    losses = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.savez(tmp_path / "made_up.npz", names=["learning_rate", "beta"], parameters=parameters, valid_loss=losses)
    task = Table(tmp_path / "made_up.npz")
    assert task.losses({"learning_rate": 8e-4, "beta": 0.2}).tolist() == [1, 2, 3]
    assert task.losses({"learning_rate": 2e-3, "beta": 0.2}).tolist() == [5, 6, 7]
    assert (task.best, task.typical, task.longest) == (1, 5, 3)
