"""Keras 3 on JAX: `Sequential`, `compile`, `fit` inside an Optuna objective, as Keras's own tutorials write it.

python -m benchmarks.peers.keras_fit WORKLOAD [--many-steps]

`--many-steps` sets `steps_per_execution` to 32. Keras 3.15 on JAX dispatches the steps of an execution one by one from
Python all the same: what it saves is a callback's work between two steps, and nothing moves onto the device.
"""

from __future__ import annotations

from benchmarks.data import load_scaled
from benchmarks.peers.common import Timer, asked, optimize, print_result, suggest

workload, trials, options = asked()
watch = Timer()
with watch.phase("import"):
    import optuna

    from benchmarks.peers.keras_networks import compiled_model, keras

with watch.phase("data"):
    arrays = load_scaled(workload)


def objective(trial: optuna.Trial) -> float:
    learning_rate, batch_size, epochs = suggest(trial)
    keras.utils.set_random_seed(trial.number)
    model = compiled_model(workload, learning_rate, 32 if "--many-steps" in options else 1)
    history = model.fit(
        arrays.train_x,
        arrays.train_y,
        batch_size=batch_size,
        epochs=epochs,
        validation_data=(arrays.test_x, arrays.test_y),
        verbose=0,
    )
    return history.history["val_accuracy"][-1]


if __name__ == "__main__":
    with watch.phase("sweep"):
        accuracies = optimize(trials, objective)
    print_result(accuracies, watch.seconds)
