"""The strong loop: hand-written sequential JAX, one `lax.scan` per epoch. The rule: whatever made it faster, stayed.

The data stay uint8 on the device; a step gathers its rows itself; the learning rate is traced, so that one program per
batch size serves every trial; the last, short batch is masked; the state is donated; initial values and permutations
come from NumPy, which compiles nothing and is quicker. With `--compile-ahead` a thread compiles the programs to come
while trials train. README.md lists what was tried and dropped.
"""

from __future__ import annotations

import sys
from concurrent.futures import Future, ThreadPoolExecutor

from benchmarks.workloads import (
    HIDDEN,
    INPUTS,
    OUTPUTS,
    TRAINING_ROWS,
    TRIALS,
    Stopwatch,
    fixed_study,
    load_mnist,
    print_result,
    suggest,
)

watch = Stopwatch()
with watch.phase("import"):
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax
    import optuna

with watch.phase("data"):
    train_x, train_y, test_x, test_y = jax.device_put(tuple(load_mnist()))


def init_params(rng):
    w1 = rng.normal(0, INPUTS**-0.5, (INPUTS, HIDDEN)).astype(np.float32)
    w2 = rng.normal(0, HIDDEN**-0.5, (HIDDEN, OUTPUTS)).astype(np.float32)
    return {"w1": w1, "b1": np.zeros(HIDDEN, np.float32), "w2": w2, "b2": np.zeros(OUTPUTS, np.float32)}


def forward(params, images):
    x = images.astype(jnp.float32) / 255
    return jax.nn.relu(x @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]


def losses(params, x, y):
    return optax.softmax_cross_entropy_with_integer_labels(forward(params, x), y)


def train_epoch(state, learning_rate, batches, x, y):
    """One epoch over `batches`: row numbers i32[iterations, batch_size], -1 where the last batch has no more rows."""
    optimizer = optax.adam(learning_rate)

    def step(state, rows):
        params, opt_state = state
        real = rows >= 0
        grads = jax.grad(lambda params: losses(params, x[rows], y[rows]).mean(where=real))(params)
        updates, opt_state = optimizer.update(grads, opt_state)
        return (optax.apply_updates(params, updates), opt_state), None

    return jax.lax.scan(step, state, batches)[0]


@jax.jit
def init_state(params):
    return params, optax.adam(0.0).init(params)


@jax.jit
def evaluate(params, x, y):
    logits = forward(params, x)
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()
    return loss, (logits.argmax(axis=1) == y).mean()


def shuffled_batches(rng, batch_size):
    iterations = -(-TRAINING_ROWS // batch_size)
    rows = np.full(iterations * batch_size, -1, np.int32)
    rows[:TRAINING_ROWS] = rng.permutation(TRAINING_ROWS)
    return rows.reshape(iterations, batch_size)


def compile_epoch(batch_size):
    rng = np.random.default_rng(0)
    state = jax.eval_shape(init_state, init_params(rng))
    arguments = (state, np.float32(0), shuffled_batches(rng, batch_size), train_x, train_y)
    return jax.jit(train_epoch, donate_argnums=0).lower(*arguments).compile()


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
        state = init_state(init_params(rng))
    with watch.phase("train"):
        for epoch in range(1, epochs + 1):
            batches = shuffled_batches(rng, batch_size)
            state = epoch_program(state, np.float32(learning_rate), batches, train_x, train_y)
            _, accuracy = evaluate(state[0], test_x, test_y)
            trial.report(float(accuracy), epoch)
    return float(accuracy)


if __name__ == "__main__":
    if "--compile-ahead" in sys.argv[1:]:
        pool = ThreadPoolExecutor(1)
        sizes = dict.fromkeys(trial.batch_size for trial in TRIALS)
        programs |= {size: pool.submit(compile_epoch, size) for size in sizes}
    study = fixed_study()
    study.optimize(objective, n_trials=len(TRIALS))
    print_result([trial.value for trial in study.trials], watch.seconds)
