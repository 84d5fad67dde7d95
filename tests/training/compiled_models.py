"""Keras models that were compiled, as configs name them: `compiled_models:name`."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

RATE = 0.05
"""What `flat` is compiled with; a test changes it between two runs."""


def notebook(rate: float = 0.02, activation: str = "tanh", regularizer: str | None = "l2") -> keras.Model:
    """As a beginner's notebook ends: probabilities, names for loss and metrics, an optimizer with a rate."""
    hidden = layers.Dense(6, activation=activation, kernel_regularizer=regularizer)
    model = keras.Sequential([keras.Input((5,)), hidden, layers.Dense(3, activation="softmax")])
    model.compile(optimizer=keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def compiled(**arguments: Any) -> keras.Model:
    model = keras.Sequential([keras.Input((5,)), layers.Dense(3)])
    model.compile(**arguments)
    return model


def scheduled() -> keras.Model:
    rate = keras.optimizers.schedules.CosineDecay(0.1, 100)
    return compiled(optimizer=keras.optimizers.SGD(rate), loss=keras.losses.CategoricalCrossentropy(from_logits=True))


def flat() -> keras.Model:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(RATE), loss="mse")
    return model


def of_poisson() -> keras.Model:
    return compiled(optimizer=keras.optimizers.Ftrl(), loss="poisson", metrics=[keras.metrics.RootMeanSquaredError()])


def binary(outputs: int) -> keras.Model:
    model = keras.Sequential([keras.Input((2,)), layers.Dense(outputs)])
    model.compile(optimizer="sgd", loss=keras.losses.BinaryCrossentropy(from_logits=True), metrics=["acc", "AUC"])
    return model


class Subclassed(keras.Model):
    """Compiles itself."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.out = layers.Dense(outputs)
        self.compile(optimizer=keras.optimizers.RMSprop(0.01), loss=keras.losses.CategoricalCrossentropy(True))

    def call(self, x: Any) -> Any:
        return self.out(x)


def uncompiled() -> keras.Model:
    return keras.Sequential([keras.Input((5,)), layers.Dense(3)])
