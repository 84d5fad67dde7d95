"""Every layer that a beginner's Keras notebook lists, and Keras 3 still has, trains in lanes; what cannot, says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from sweeping import config, lane_trial, make_programs, mapped, train_in_lanes, vmapped

from sweeps.engine import program
from sweeps.engine.devices import Policy
from sweeps.errors import ModelError
from sweeps.training.models import build_model

pytestmark = pytest.mark.usefixtures("any_promotion")
Layers = list[Any]
SHAPES = {
    "flat": (6,),
    "steps": (6, 4),
    "image": (6, 6, 2),
    "volume": (4, 4, 4, 2),
    "film": (3, 6, 6, 2),
    "words": (5,),
}


def merged(kind: Callable[[], Any]) -> Callable[[Any], Any]:
    """Two dense layers of the same input, merged."""
    return lambda x: kind()([layers.Dense(4)(x), layers.Dense(4)(x)])


LAYERS: dict[str, tuple[str, Callable[[], Layers]]] = {
    "Dense": ("flat", lambda: [layers.Dense(4, activation="tanh")]),
    "Activation": ("flat", lambda: [layers.Dense(4), layers.Activation("gelu")]),
    "Reshape": ("flat", lambda: [layers.Reshape((3, 2)), layers.Dense(2)]),
    "Permute": ("steps", lambda: [layers.Permute((2, 1))]),
    "RepeatVector": ("flat", lambda: [layers.RepeatVector(3)]),
    "Lambda": ("flat", lambda: [layers.Lambda(lambda x: 2 * x)]),
    "Masking": ("steps", lambda: [layers.Masking(0.0), layers.LSTM(3)]),
    "Embedding": ("words", lambda: [layers.Embedding(10, 3)]),
    "Embedding with a mask": ("words", lambda: [layers.Embedding(10, 3, mask_zero=True), layers.GRU(3)]),
    "Conv1D": ("steps", lambda: [layers.Conv1D(3, 3)]),
    "Conv2D": ("image", lambda: [layers.Conv2D(3, 3, padding="same")]),
    "Conv3D": ("volume", lambda: [layers.Conv3D(2, 2)]),
    "Conv1DTranspose": ("steps", lambda: [layers.Conv1DTranspose(2, 3, strides=2)]),
    "Conv2DTranspose": ("image", lambda: [layers.Conv2DTranspose(2, 3, strides=2)]),
    "Conv3DTranspose": ("volume", lambda: [layers.Conv3DTranspose(2, 2)]),
    "SeparableConv1D": ("steps", lambda: [layers.SeparableConv1D(3, 3)]),
    "SeparableConv2D": ("image", lambda: [layers.SeparableConv2D(3, 3)]),
    "DepthwiseConv1D": ("steps", lambda: [layers.DepthwiseConv1D(3)]),
    "DepthwiseConv2D": ("image", lambda: [layers.DepthwiseConv2D(3)]),
    "MaxPooling1D": ("steps", lambda: [layers.MaxPooling1D(2)]),
    "MaxPooling2D": ("image", lambda: [layers.MaxPooling2D(2)]),
    "MaxPooling3D": ("volume", lambda: [layers.MaxPooling3D(2)]),
    "AveragePooling1D": ("steps", lambda: [layers.AveragePooling1D(2)]),
    "AveragePooling2D": ("image", lambda: [layers.AveragePooling2D(2)]),
    "AveragePooling3D": ("volume", lambda: [layers.AveragePooling3D(2)]),
    "GlobalMaxPooling1D": ("steps", lambda: [layers.GlobalMaxPooling1D()]),
    "GlobalMaxPooling2D": ("image", lambda: [layers.GlobalMaxPooling2D()]),
    "GlobalMaxPooling3D": ("volume", lambda: [layers.GlobalMaxPooling3D()]),
    "GlobalAveragePooling1D": ("steps", lambda: [layers.GlobalAveragePooling1D()]),
    "GlobalAveragePooling2D": ("image", lambda: [layers.GlobalAveragePooling2D()]),
    "GlobalAveragePooling3D": ("volume", lambda: [layers.GlobalAveragePooling3D()]),
    "RNN": ("steps", lambda: [layers.RNN(layers.SimpleRNNCell(3))]),
    "RNN of stacked cells": ("steps", lambda: [layers.RNN([layers.GRUCell(3), layers.LSTMCell(2)])]),
    "SimpleRNN": ("steps", lambda: [layers.SimpleRNN(3)]),
    "GRU": ("steps", lambda: [layers.GRU(3, return_sequences=True)]),
    "LSTM": ("steps", lambda: [layers.LSTM(3, dropout=0.1, recurrent_dropout=0.1)]),
    "ConvLSTM2D": ("film", lambda: [layers.ConvLSTM2D(2, 3)]),
    "Bidirectional": ("steps", lambda: [layers.Bidirectional(layers.LSTM(2))]),
    "TimeDistributed": ("steps", lambda: [layers.TimeDistributed(layers.Dense(2))]),
    "BatchNormalization": ("flat", lambda: [layers.BatchNormalization()]),
    "BatchNormalization over images": ("image", lambda: [layers.Conv2D(2, 3), layers.BatchNormalization()]),
    "LayerNormalization": ("flat", lambda: [layers.Dense(5), layers.LayerNormalization()]),
    "GroupNormalization": ("image", lambda: [layers.Conv2D(4, 3), layers.GroupNormalization(2)]),
    "UnitNormalization": ("flat", lambda: [layers.UnitNormalization()]),
    "Dropout": ("flat", lambda: [layers.Dense(16), layers.Dropout(0.2)]),
    "SpatialDropout1D": ("steps", lambda: [layers.SpatialDropout1D(0.2)]),
    "SpatialDropout2D": ("image", lambda: [layers.SpatialDropout2D(0.2)]),
    "SpatialDropout3D": ("volume", lambda: [layers.SpatialDropout3D(0.2)]),
    "AlphaDropout": ("flat", lambda: [layers.AlphaDropout(0.1)]),
    "GaussianDropout": ("flat", lambda: [layers.GaussianDropout(0.1)]),
    "GaussianNoise": ("flat", lambda: [layers.GaussianNoise(0.1)]),
    "Add": ("flat", lambda: [merged(layers.Add)]),
    "Subtract": ("flat", lambda: [merged(layers.Subtract)]),
    "Multiply": ("flat", lambda: [merged(layers.Multiply)]),
    "Average": ("flat", lambda: [merged(layers.Average)]),
    "Maximum": ("flat", lambda: [merged(layers.Maximum)]),
    "Minimum": ("flat", lambda: [merged(layers.Minimum)]),
    "Concatenate": ("flat", lambda: [merged(layers.Concatenate)]),
    "Dot": ("flat", lambda: [merged(lambda: layers.Dot(axes=1))]),
    "ReLU": ("flat", lambda: [layers.Dense(8), layers.ReLU()]),
    "LeakyReLU": ("flat", lambda: [layers.LeakyReLU()]),
    "PReLU": ("flat", lambda: [layers.PReLU()]),
    "ELU": ("flat", lambda: [layers.ELU()]),
    "Softmax": ("flat", lambda: [layers.Softmax()]),
    "UpSampling1D": ("steps", lambda: [layers.UpSampling1D(2)]),
    "UpSampling2D": ("image", lambda: [layers.UpSampling2D(2)]),
    "UpSampling3D": ("volume", lambda: [layers.UpSampling3D(2)]),
    "ZeroPadding1D": ("steps", lambda: [layers.ZeroPadding1D(1)]),
    "ZeroPadding2D": ("image", lambda: [layers.ZeroPadding2D(1)]),
    "ZeroPadding3D": ("volume", lambda: [layers.ZeroPadding3D(1)]),
    "Cropping1D": ("steps", lambda: [layers.Cropping1D(1)]),
    "Cropping2D": ("image", lambda: [layers.Cropping2D(1)]),
    "Cropping3D": ("volume", lambda: [layers.Cropping3D(1)]),
    "Attention": ("steps", lambda: [lambda x: layers.Attention()([x, x])]),
    "MultiHeadAttention": ("steps", lambda: [lambda x: layers.MultiHeadAttention(2, 3)(x, x)]),
}
SIDE_BY_SIDE = ("Conv2D", "MaxPooling2D", "LSTM", "BatchNormalization", "Dropout", "Embedding", "GaussianNoise")


def model(layer: str) -> keras.Model:
    shape, made = LAYERS[layer]
    inputs = keras.Input(SHAPES[shape], dtype="int32" if shape == "words" else "float32")
    outputs = inputs
    for each in made():
        outputs = each(outputs)
    return keras.Model(inputs, layers.Dense(1)(layers.Flatten()(outputs)))


def points(layer: str) -> Any:
    """Random inputs, and a target that hangs on the first of their numbers."""
    shape, generator = LAYERS[layer][0], np.random.default_rng(0)
    x = generator.standard_normal((80, *SHAPES[shape])).astype(np.float32)
    if shape == "words":
        x = generator.integers(0, 10, (80, 5)).astype(np.int32)
    return x, 2.0 + x.reshape(80, -1)[:, :3].sum(axis=1).astype(np.float32) / 3


def added() -> keras.Model:
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Dense(1)(layers.ActivityRegularization(l2=0.1)(inputs)))


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs are compiled without optimizations, in a fraction of the time."""
    monkeypatch.setattr(program, "TRAINING", program.ONCE)


@pytest.mark.rotating
@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_trains_in_two_lanes(layer: str) -> None:
    assert_lanes_learn(layer, mapped(2))


@pytest.mark.parametrize("layer", SIDE_BY_SIDE)
def test_a_layer_trains_in_two_lanes_side_by_side(layer: str) -> None:
    assert_lanes_learn(layer, vmapped(2))


def test_a_layer_that_adds_a_loss_is_refused_with_the_reason() -> None:
    with pytest.raises(ModelError, match="adds a loss of what its layers give"):
        build_model("test_keras_layers:added", {}, (6,), 1)


def assert_lanes_learn(layer: str, policy: Policy) -> None:
    """An epoch leaves two trials with less of a loss on the validation split than one that has stood still has."""
    swept = config(
        dataset={"use": "test_keras_layers:points", "layer": layer},
        model={"use": "test_keras_layers:model", "layer": layer},
        loss="mean_squared_error",
        metrics=[],
        search_space={"epochs": 1, "batch_size": 8, "learning_rate": {"type": "float", "low": 1e-30, "high": 0.1}},
    )
    programs = make_programs(swept, policy)
    trials_in_lanes = [lane_trial(programs, swept, 0, {"learning_rate": rate}) for rate in (1e-30, 0.001, 0.002)]
    from_lanes = train_in_lanes(
        programs,
        policy,
        [trial_in_lane._replace(number=number) for number, trial_in_lane in enumerate(trials_in_lanes)],
    )
    still, slow, quick = (from_lanes[number].scores[-1] for number in range(3))
    assert np.isfinite([slow, quick]).all()
    assert quick[1] < slow[1] < still[1]
