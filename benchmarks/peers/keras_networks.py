"""The three networks in Keras 3 on JAX, compiled for training as Keras's own tutorials do it."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "jax"

import keras

from benchmarks.workloads import Workload


def compiled_model(workload: Workload, learning_rate: float, steps_per_execution: int = 1) -> keras.Model:
    """A fresh network with Adam, softmax cross-entropy and accuracy."""
    layers = {"mlp": _mlp, "cnn": _cnn, "lstm": _lstm}[workload.network](workload)
    model = keras.Sequential([keras.Input(workload.input_shape), *layers, keras.layers.Dense(workload.outputs)])
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=steps_per_execution,
    )
    return model


def _mlp(workload: Workload) -> list[keras.Layer]:
    return [keras.layers.Dense(width, activation="relu") for width in workload.arguments["hidden"]]


def _cnn(workload: Workload) -> list[keras.Layer]:
    layers: list[keras.Layer] = []
    for channels in workload.arguments["channels"]:
        layers += [keras.layers.Conv2D(channels, 3, padding="same", activation="relu"), keras.layers.MaxPooling2D()]
    return [*layers, keras.layers.Flatten(), keras.layers.Dense(workload.arguments["hidden"], activation="relu")]


def _lstm(workload: Workload) -> list[keras.Layer]:
    return [keras.layers.LSTM(workload.arguments["hidden"])]
