"""The ordinary loop: Optuna, a jitted train step, a Python loop over NumPy minibatches. Written as its user would."""

from __future__ import annotations

from benchmarks.workloads import HIDDEN, INPUTS, OUTPUTS, Stopwatch, fixed_study, load_mnist, print_result, suggest

watch = Stopwatch()
with watch.phase("import"):
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax
    import optuna

with watch.phase("data"):
    images = load_mnist()
    train_x, train_y = images.train_x.astype(np.float32) / 255, images.train_y
    test_x, test_y = jnp.asarray(images.test_x, jnp.float32) / 255, jnp.asarray(images.test_y)


def init_params(key):
    key_1, key_2 = jax.random.split(key)
    init = jax.nn.initializers.lecun_normal()
    return {
        "w1": init(key_1, (INPUTS, HIDDEN)),
        "b1": jnp.zeros(HIDDEN),
        "w2": init(key_2, (HIDDEN, OUTPUTS)),
        "b2": jnp.zeros(OUTPUTS),
    }


def forward(params, x):
    return jax.nn.relu(x @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]


def loss_fn(params, x, y):
    return optax.softmax_cross_entropy_with_integer_labels(forward(params, x), y).mean()


@jax.jit
def evaluate(params):
    logits = forward(params, test_x)
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, test_y).mean()
    return loss, (logits.argmax(axis=1) == test_y).mean()


def objective(trial: optuna.Trial) -> float:
    learning_rate, batch_size, epochs = suggest(trial)
    optimizer = optax.adam(learning_rate)
    params = init_params(jax.random.key(trial.number))
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
    study = fixed_study()
    with watch.phase("sweep"):
        study.optimize(objective, n_trials=8)
    print_result([trial.value for trial in study.trials], watch.seconds)
