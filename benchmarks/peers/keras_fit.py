"""Keras 3 on JAX: `Sequential`, `compile`, `fit` inside an Optuna objective, as Keras's own tutorials write it."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "jax"

from benchmarks.workloads import HIDDEN, INPUTS, OUTPUTS, Stopwatch, fixed_study, load_mnist, print_result, suggest

watch = Stopwatch()
with watch.phase("import"):
    import keras
    import optuna

with watch.phase("data"):
    images = load_mnist()
    train = images.train_x.astype("float32") / 255, images.train_y
    test = images.test_x.astype("float32") / 255, images.test_y


def objective(trial: optuna.Trial) -> float:
    learning_rate, batch_size, epochs = suggest(trial)
    keras.utils.set_random_seed(trial.number)
    model = keras.Sequential(
        [
            keras.Input((INPUTS,)),
            keras.layers.Dense(HIDDEN, activation="relu"),
            keras.layers.Dense(OUTPUTS),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = model.fit(*train, batch_size=batch_size, epochs=epochs, validation_data=test, verbose=0)
    return history.history["val_accuracy"][-1]


if __name__ == "__main__":
    study = fixed_study()
    with watch.phase("sweep"):
        study.optimize(objective, n_trials=8)
    print_result([trial.value for trial in study.trials], watch.seconds)
