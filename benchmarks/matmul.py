"""The matrix-product rate that JAX itself reaches on this machine, for the shapes of one training step of the MLP.

It runs nothing but the five products that training needs, at their own shapes, in a loop that stays on the device.
The operands are orthonormal, so that products fed into products neither grow nor fade. Three ways to use the cores: one
thread, one thread per core (each with a device and an executable of its own), and XLA's threads inside one product.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

from benchmarks.workloads import HIDDEN, INPUTS, OUTPUTS, RATE_BATCH_SIZES, training_gflop_per_example

CORES = len(os.sched_getaffinity(0))
SECONDS = 0.3  # of each measurement; the best of REPEATS is kept, as a ceiling should be
REPEATS = 3


def main() -> None:
    """Print one JSON line: GFLOP/s by way and batch size."""
    import jax

    jax.config.update("jax_num_cpu_devices", CORES)
    one_thread = {"xla_cpu_multi_thread_eigen": False}
    rates: dict[str, dict[int, float]] = {"one thread": {}, f"{CORES} threads": {}, "XLA's threads": {}}
    for batch_size in RATE_BATCH_SIZES:
        rates["one thread"][batch_size] = rate(batch_size, jax.devices()[:1], one_thread)
        rates[f"{CORES} threads"][batch_size] = rate(batch_size, jax.devices(), one_thread)
        rates["XLA's threads"][batch_size] = rate(batch_size, jax.devices()[:1], {})
    print(json.dumps({"gflop_per_second": rates, "jax": jax.__version__, "python": sys.version.split()[0]}))


def rate(batch_size: int, devices: list, compiler_options: dict[str, bool]) -> float:
    """GFLOP/s of all `devices` together, one host thread each, running the products of a training step."""
    import jax

    runs = []
    for device in devices:
        operands = jax.device_put(orthonormal_operands(batch_size), device)
        compiled = jax.jit(steps).lower(1, *operands).compile(compiler_options=compiler_options)
        runs.append(
            lambda count, compiled=compiled, operands=operands: jax.block_until_ready(compiled(count, *operands))
        )
    timed(runs, 10)
    count = max(10, round(100 * SECONDS / timed(runs, 100)))
    seconds = min(timed(runs, count) for _ in range(REPEATS))
    return round(len(runs) * count * batch_size * training_gflop_per_example() / seconds, 1)


def timed(runs: list, count: int) -> float:
    """Wall seconds until every run has done `count` steps, all running at the same time."""
    threads = [threading.Thread(target=run, args=(count,)) for run in runs]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


def steps(count, x, h, w1, w2):
    """`count` times the five products of a step: two of the first layer, three of the second.

    With orthonormal rows of `x` and columns of `h`, `xᵀ(x w)` and `hᵀ(h w)` are projections: repeated, they stay put.
    """
    import jax
    import jax.numpy as jnp

    def step(_, carry):
        w1, w2, _ = carry
        hidden = x @ w1
        logits = h @ w2
        return x.T @ hidden, h.T @ logits, logits @ w2.T

    return jax.lax.fori_loop(0, count, step, (w1, w2, jnp.zeros_like(h)))


def orthonormal_operands(batch_size: int) -> tuple:
    """Float32 `x[batch, 784]`, `h[batch, 128]`, `w1[784, 128]` and `w2[128, 10]`."""
    import numpy as np

    rng = np.random.default_rng(0)

    def orthonormal(rows: int, columns: int):
        tall = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))[0]
        return (tall if rows >= columns else tall.T).astype(np.float32)

    shapes = ((batch_size, INPUTS), (batch_size, HIDDEN), (INPUTS, HIDDEN), (HIDDEN, OUTPUTS))
    return tuple(orthonormal(*shape) for shape in shapes)


if __name__ == "__main__":
    main()
