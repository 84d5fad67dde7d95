"""hyperoptax, for what it can express: trials of one batch size side by side under its `vmap`, sizes one after another.

A batch size is a shape to it, so that each needs a search of its own; a number of epochs is the bound of a loop, which
under `vmap` runs until the longest trial ends. Its `GridSearch` runs over the trials' places in the list.

python -m benchmarks.peers.hyperoptax_grid WORKLOAD
"""

from __future__ import annotations

from benchmarks.data import load
from benchmarks.peers.common import Timer, asked, print_result

workload, trials, _ = asked()
watch = Timer()
with watch.phase("import"):
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax
    from hyperoptax import DiscreteSpace, GridSearch

    from benchmarks.peers.networks import forward, init_with_jax

with watch.phase("data"):
    arrays = load(workload)
    train_x, train_y, test_x, test_y = jax.device_put(arrays[:4])

network = forward(workload)
MOST_AT_ONCE = 64


def losses(params, x, y):
    logits = network(params, x.astype(jnp.float32) * arrays.scale)
    return optax.softmax_cross_entropy_with_integer_labels(logits, y), logits.argmax(axis=1) == y


def trainer(batch_size, learning_rates, epochs):
    """A function of a key and a trial's place in its group to the trial's final accuracy."""
    iterations = -(-len(train_x) // batch_size)

    def one_epoch(key, optimizer, state):
        rows = jnp.full(iterations * batch_size, -1).at[: len(train_x)].set(jax.random.permutation(key, len(train_x)))

        def step(state, rows):
            params, opt_state = state
            real = rows >= 0
            grads = jax.grad(lambda params: losses(params, train_x[rows], train_y[rows])[0].mean(where=real))(params)
            updates, opt_state = optimizer.update(grads, opt_state)
            return (optax.apply_updates(params, updates), opt_state), None

        return jax.lax.scan(step, state, rows.reshape(iterations, batch_size))[0]

    def train(key, config):
        place = config["place"].astype(jnp.int32)
        optimizer = optax.adam(learning_rates[place])
        params = init_with_jax(workload, key)
        _, accuracy = jax.lax.fori_loop(
            0,
            epochs[place],
            lambda epoch, carry: tested(one_epoch(jax.random.fold_in(key, epoch), optimizer, carry[0])),
            ((params, optimizer.init(params)), jnp.zeros(())),
        )
        return accuracy

    def tested(state):
        return state, losses(state[0], test_x, test_y)[1].mean()

    return train


def search(group):
    """The final accuracies of trials of one batch size."""
    learning_rates = jnp.array([trial.learning_rate for trial in group])
    epochs = jnp.array([trial.epochs for trial in group])
    space = {"place": DiscreteSpace(list(range(len(group))))}
    state, optimizer = GridSearch.init(space, n_parallel=len(group))
    train = trainer(group[0].batch_size, learning_rates, epochs)
    optimize = jax.jit(lambda state, key: optimizer.optimize(state, key, train, n_iterations=1)[1][1][0])
    return np.asarray(optimize(state, jax.random.key(0)))


if __name__ == "__main__":
    accuracies = np.zeros(len(trials))
    with watch.phase("sweep"):
        for size in dict.fromkeys(trial.batch_size for trial in trials):
            places = [place for place, trial in enumerate(trials) if trial.batch_size == size]
            for begin in range(0, len(places), MOST_AT_ONCE):
                chosen = places[begin : begin + MOST_AT_ONCE]
                accuracies[chosen] = search([trials[place] for place in chosen])
    print_result(accuracies, watch.seconds)
