"""The ordinary loop: Optuna, a jitted train step, a Python loop over NumPy minibatches. Written as its user would.

python -m benchmarks.peers.ordinary WORKLOAD
"""

from __future__ import annotations

from benchmarks.data import load_scaled
from benchmarks.peers.common import Timer, asked, optimize, print_result, suggest

workload, trials, _ = asked()
watch = Timer()
with watch.phase("import"):
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax
    import optuna

    from benchmarks.peers.networks import forward, init_with_jax

with watch.phase("data"):
    arrays = load_scaled(workload)
    train_x, train_y = arrays.train_x, arrays.train_y
    test_x, test_y = jnp.asarray(arrays.test_x), jnp.asarray(arrays.test_y)

network = forward(workload)


def loss_fn(params, x, y):
    return optax.softmax_cross_entropy_with_integer_labels(network(params, x), y).mean()


@jax.jit
def evaluate(params):
    logits = network(params, test_x)
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, test_y).mean()
    return loss, (logits.argmax(axis=1) == test_y).mean()


def objective(trial: optuna.Trial) -> float:
    learning_rate, batch_size, epochs = suggest(trial)
    optimizer = optax.adam(learning_rate)
    params = init_with_jax(workload, jax.random.key(trial.number))
    opt_state = optimizer.init(params)
    rng = np.random.default_rng(trial.number)

    @jax.jit
    def train_step(params, opt_state, x, y):
        grads = jax.grad(loss_fn)(params, x, y)
        updates, opt_state = optimizer.update(grads, opt_state)
        return optax.apply_updates(params, updates), opt_state

    for epoch in range(1, epochs + 1):
        order = rng.permutation(len(train_x))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            params, opt_state = train_step(params, opt_state, train_x[rows], train_y[rows])
        _, accuracy = evaluate(params)
        trial.report(float(accuracy), epoch)
    return float(accuracy)


if __name__ == "__main__":
    with watch.phase("sweep"):
        accuracies = optimize(trials, objective)
    print_result(accuracies, watch.seconds)
