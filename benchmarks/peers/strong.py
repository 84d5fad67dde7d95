"""The strong loop: hand-written sequential JAX, an epoch a call. What made it faster stayed.

The data keep their storage type on the device; a step gathers its rows itself; the learning rate is traced, so that one
program per batch size serves every trial; the last, short batch is masked; the state is donated; initial values and
permutations come from NumPy, which compiles nothing and is quicker. With `--compile-ahead` a thread compiles the
programs to come while trials train. README.md lists what was tried and dropped.

python -m benchmarks.peers.strong WORKLOAD [--compile-ahead]
"""

from __future__ import annotations

import functools
from concurrent.futures import Future, ThreadPoolExecutor

from benchmarks.data import load
from benchmarks.peers.common import Timer, asked, optimize, print_result, suggest

workload, trials, options = asked()
watch = Timer()
with watch.phase("import"):
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax
    import optuna

    from benchmarks.peers.networks import forward, init_with_numpy

with watch.phase("data"):
    arrays = load(workload)
    train_x, train_y, test_x, test_y = jax.device_put(arrays[:4])

network = forward(workload)
# XLA's convolutions are 30 to 50 times slower in a loop on a CPU, so there the steps of an epoch are dispatched singly.
DISPATCHED = workload.network == "cnn" and jax.default_backend() == "cpu"


def losses(params, x, y):
    logits = network(params, x.astype(jnp.float32) * arrays.scale)
    return optax.softmax_cross_entropy_with_integer_labels(logits, y), logits.argmax(axis=1) == y


def train_step(state, rows, learning_rate, x, y):
    """One update on row numbers i32[batch_size], -1 where the last batch has no more rows."""
    params, opt_state = state
    real = rows >= 0
    grads = jax.grad(lambda params: losses(params, x[rows], y[rows])[0].mean(where=real))(params)
    updates, opt_state = optax.adam(learning_rate).update(grads, opt_state)
    return optax.apply_updates(params, updates), opt_state


def train_epoch(state, batches, learning_rate, x, y):
    """One epoch over `batches`, row numbers i32[iterations, batch_size]."""
    return jax.lax.scan(lambda state, rows: (train_step(state, rows, learning_rate, x, y), None), state, batches)[0]


@jax.jit
def init_state(params):
    return params, optax.adam(0.0).init(params)


@jax.jit
def evaluate(params, x, y):
    loss, is_right = losses(params, x, y)
    return loss.mean(), is_right.mean()


def shuffled_batches(rng, batch_size):
    iterations = -(-len(train_x) // batch_size)
    rows = np.full(iterations * batch_size, -1, np.int32)
    rows[: len(train_x)] = rng.permutation(len(train_x))
    return rows.reshape(iterations, batch_size)


def compile_epoch(batch_size):
    rng = np.random.default_rng(0)
    state = jax.eval_shape(init_state, init_with_numpy(workload, rng))
    batches = shuffled_batches(rng, batch_size)
    if not DISPATCHED:
        return compiled(train_epoch, state, batches)
    step = compiled(train_step, state, batches[0])
    return lambda state, batches, *more: functools.reduce(lambda state, rows: step(state, rows, *more), batches, state)


def compiled(function, state, rows):
    return jax.jit(function, donate_argnums=0).lower(state, rows, np.float32(0), train_x, train_y).compile()


programs: dict[int, Future] = {}


def program(batch_size):
    if batch_size not in programs:
        programs[batch_size] = Future()
        programs[batch_size].set_result(compile_epoch(batch_size))
    return programs[batch_size].result()


def objective(trial: optuna.Trial) -> float:
    learning_rate, batch_size, epochs = suggest(trial)
    rng = np.random.default_rng(trial.number)
    with watch.phase("compile"):
        epoch_program = program(batch_size)
        state = init_state(init_with_numpy(workload, rng))
    with watch.phase("train"):
        for epoch in range(1, epochs + 1):
            batches = shuffled_batches(rng, batch_size)
            state = epoch_program(state, batches, np.float32(learning_rate), train_x, train_y)
            _, accuracy = evaluate(state[0], test_x, test_y)
            trial.report(float(accuracy), epoch)
    return float(accuracy)


if __name__ == "__main__":
    if "--compile-ahead" in options:
        pool = ThreadPoolExecutor(1)
        sizes = dict.fromkeys(trial.batch_size for trial in trials)
        programs |= {size: pool.submit(compile_epoch, size) for size in sizes}
    print_result(optimize(trials, objective), watch.seconds)
