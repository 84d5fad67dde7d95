"""KerasTuner with Keras 3 on JAX: a `HyperModel` searched by a `Tuner`, whose oracle proposes the fixed list.

python -m benchmarks.peers.kerastuner WORKLOAD
"""

from __future__ import annotations

import os
import tempfile

from benchmarks.data import load_scaled
from benchmarks.peers.common import Timer, asked, print_result

workload, trials, _ = asked()
watch = Timer()
os.environ["KERAS_BACKEND"] = "jax"
with watch.phase("import"):
    import keras
    import keras_tuner

    from benchmarks.peers.keras_networks import compiled_model

with watch.phase("data"):
    arrays = load_scaled(workload)


class FixedList(keras_tuner.Oracle):
    """Proposes the fixed list, in order."""

    def populate_space(self, _):
        number = len(self.start_order)
        if number >= len(trials):
            return {"status": "STOPPED", "values": None}
        return {"status": "RUNNING", "values": trials[number]._asdict()}


class Network(keras_tuner.HyperModel):
    def build(self, hp):
        return compiled_model(workload, hp.Float("learning_rate", 1e-5, 1e-1, sampling="log"))

    def fit(self, hp, model, *args, **kwargs):
        batch_size = hp.Choice("batch_size", [16, 32, 64, 128, 256])
        return model.fit(*args, batch_size=batch_size, epochs=hp.Int("epochs", 1, 20), **kwargs)


class LastAccuracy(keras.callbacks.Callback):
    """Keeps the accuracy after each trial's last epoch, where KerasTuner keeps the best one."""

    def __init__(self, kept: list[float]) -> None:
        super().__init__()
        self.kept = kept

    def __deepcopy__(self, memo: dict) -> LastAccuracy:  # KerasTuner copies callbacks for each trial
        return LastAccuracy(self.kept)

    def on_train_end(self, logs=None):
        self.kept.append(float(logs["val_accuracy"]))


def search(folder: str) -> list[float]:
    objective = keras_tuner.Objective("val_accuracy", "max")
    oracle = FixedList(objective=objective, max_trials=len(trials), seed=0)
    tuner = keras_tuner.Tuner(oracle=oracle, hypermodel=Network(), directory=folder)
    accuracies: list[float] = []
    tuner.search(
        arrays.train_x,
        arrays.train_y,
        validation_data=(arrays.test_x, arrays.test_y),
        callbacks=[LastAccuracy(accuracies)],
        verbose=0,
    )
    return accuracies


if __name__ == "__main__":
    with watch.phase("sweep"), tempfile.TemporaryDirectory() as folder:
        accuracies = search(folder)
    print_result(accuracies, watch.seconds)
