"""Ray Tune: the ordinary JAX loop as a function trainable, a core for each trial, as many trials at once as cores.

On GPUs as many trials share a card as `TRIALS_A_GPU` says. Ray keeps a worker for trials that follow one another.

python -m benchmarks.peers.ray_tune WORKLOAD
"""

from __future__ import annotations

import os
import tempfile

from benchmarks.data import load_scaled
from benchmarks.peers.common import Timer, asked, print_result
from benchmarks.workloads import REPOSITORY, FixedTrial, Workload

workload, trials, _ = asked()
TRIALS_A_GPU = 4
os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
os.environ |= {"PYTHONPATH": str(REPOSITORY), "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # for Ray's workers

watch = Timer()
with watch.phase("import"):
    import ray
    from ray import tune

with watch.phase("data"):
    arrays = load_scaled(workload)


def train(config: dict, workload: Workload, data) -> None:
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    from benchmarks.peers.networks import forward, init_with_jax

    network, (_, learning_rate, batch_size, epochs) = forward(workload), config["trial"]
    optimizer = optax.adam(learning_rate)
    params = init_with_jax(workload, jax.random.key(config["trial"][0]))
    opt_state = optimizer.init(params)
    rng = np.random.default_rng(config["trial"][0])
    test_x, test_y = jnp.asarray(data.test_x), jnp.asarray(data.test_y)

    def loss_fn(params, x, y):
        return optax.softmax_cross_entropy_with_integer_labels(network(params, x), y).mean()

    @jax.jit
    def train_step(params, opt_state, x, y):
        grads = jax.grad(loss_fn)(params, x, y)
        updates, opt_state = optimizer.update(grads, opt_state)
        return optax.apply_updates(params, updates), opt_state

    @jax.jit
    def evaluate(params):
        logits = network(params, test_x)
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, test_y).mean()
        return loss, (logits.argmax(axis=1) == test_y).mean()

    for _ in range(epochs):
        order = rng.permutation(len(data.train_x))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            params, opt_state = train_step(params, opt_state, data.train_x[rows], data.train_y[rows])
        tune.report({"accuracy": float(evaluate(params)[1])})


def tuned(trials: tuple[FixedTrial, ...], folder: str) -> list[float]:
    """The final accuracy of each trial, in the order of the list."""
    gpus = ray.cluster_resources().get("GPU", 0)
    resources = {"cpu": 1, "gpu": 1 / TRIALS_A_GPU if gpus else 0}
    trainable = tune.with_resources(tune.with_parameters(train, workload=workload, data=arrays), resources)
    listed = [(number, *trial) for number, trial in enumerate(trials)]
    tuner = tune.Tuner(
        trainable,
        param_space={"trial": tune.grid_search(listed)},
        run_config=tune.RunConfig(storage_path=folder, verbose=0),
    )
    results = {result.config["trial"][0]: result.metrics["accuracy"] for result in tuner.fit()}
    return [results[number] for number in range(len(trials))]


if __name__ == "__main__":
    with watch.phase("sweep"), tempfile.TemporaryDirectory() as folder:
        ray.init(num_cpus=len(os.sched_getaffinity(0)), include_dashboard=False, log_to_driver=False)
        accuracies = tuned(trials, folder)
        ray.shutdown()
    print_result(accuracies, watch.seconds)
