"""What a GPU allows W1 at most: products, memory traffic and launches, measured bare, and the bound that they make.

A bound counts only what no program can avoid. For each update of a lane: the products of a training step, one
read of parameters, gradient and Adam's two moments, one write of all but the gradient, and a few kernel launches, which
lanes that walk in step share.

python -m benchmarks.gpu_limits
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from benchmarks.workloads import HIDDEN, INPUTS, OUTPUTS, RATE_BATCH_SIZES, training_gflop_per_example

LANES = 64
EXAMPLES = 60_000
PARAMETERS = INPUTS * HIDDEN + HIDDEN + HIDDEN * OUTPUTS + OUTPUTS
ADAM_BYTES = 4 * 7 * PARAMETERS  # float32: four arrays read, three written
KERNELS = 8  # five products, one gather of rows, one of everything between the products, one of Adam
GIB = 1 << 30


def bound(limits: dict[str, Any], batch_size: int) -> dict[str, float]:
    """Seconds that an epoch of one lane takes at least, by what limits it; the largest is the bound.

    >>> bare = {"gflop_per_second": {"128": 4e4}, "bytes_per_second": 3.35e12, "launch_seconds": 2e-6, "lanes": 64}
    >>> {name: round(1 / seconds) for name, seconds in bound(bare, 128).items()}
    {'products': 1630, 'memory': 2507, 'launches': 8529}
    """
    updates = -(-EXAMPLES // batch_size)
    return {
        "products": EXAMPLES * training_gflop_per_example() / limits["gflop_per_second"][str(batch_size)],
        "memory": updates * ADAM_BYTES / limits["bytes_per_second"],
        "launches": updates * KERNELS * limits["launch_seconds"] / limits["lanes"],
    }


def main(lanes: int = LANES, copied_bytes: int = GIB, seconds: float = 0.5) -> None:
    """Print one JSON line: what each of the three reaches bare."""
    limits = {
        "gflop_per_second": {size: round(products(size, lanes, seconds), 1) for size in RATE_BATCH_SIZES},
        "bytes_per_second": round(copying(copied_bytes, seconds)),
        "launch_seconds": round(launching(seconds), 9),
        "lanes": lanes,
    }
    print(json.dumps(limits))


def products(batch_size: int, lanes: int, seconds: float) -> float:
    """GFLOP/s of the products of a training step, `lanes` of them side by side, in JAX's default precision."""
    import jax
    import numpy as np

    from benchmarks.matmul import orthonormal_operands, steps

    operands = [np.broadcast_to(each, (lanes, *each.shape)) for each in orthonormal_operands(batch_size)]
    side_by_side = jax.jit(jax.vmap(steps, in_axes=(None, 0, 0, 0, 0)))
    on_device = jax.device_put(operands)
    once = _seconds_each(lambda count: side_by_side(count, *on_device), seconds)
    return lanes * batch_size * training_gflop_per_example() / once


def copying(size: int, seconds: float) -> float:
    """Bytes per second of a loop that reads and writes `size` bytes."""
    import jax
    import jax.numpy as jnp

    array = jnp.zeros(size // 4, jnp.float32)
    loop = jax.jit(lambda count, x: jax.lax.fori_loop(0, count, lambda _, x: x * 0.5 + 1.0, x))
    return 2 * size / _seconds_each(lambda count: loop(count, array), seconds)


def launching(seconds: float, kernels: int = 64) -> float:
    """Seconds of one smallest kernel in a chain of them, each waiting for the one before."""
    import jax
    import jax.numpy as jnp

    def chain(_: int, x: jax.Array) -> jax.Array:
        for _ in range(kernels):
            x = jnp.sin(x @ x)  # a product is a kernel of its own
        return x

    loop = jax.jit(lambda count, x: jax.lax.fori_loop(0, count, chain, x))
    array = jnp.eye(16, dtype=jnp.float32)
    return _seconds_each(lambda count: loop(count, array), seconds) / kernels


def _seconds_each(run: Callable[[int], Any], seconds: float) -> float:
    """Wall seconds of one turn of a loop on the device: the best of three, each about `seconds` long."""
    import jax

    def timed(count: int) -> float:
        start = time.perf_counter()
        jax.block_until_ready(run(count))
        return time.perf_counter() - start

    timed(1)
    count = max(1, round(10 * seconds / timed(10)))
    return min(timed(count) for _ in range(3)) / count


if __name__ == "__main__":
    main()
