"""Axes hold what a sweep tried, and nothing that went wrong stretches them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sweeps.config.parameters import Choices, FloatRange, IntRange
from sweeps.report.scales import objective_scale, parameter_scale

LOG = FloatRange(type="float", low=1e-4, high=1e-1, log=True)


def test_an_axis_is_logarithmic_where_its_space_is() -> None:
    scale = parameter_scale("learning_rate", "p0", LOG, [1e-3])
    assert (scale.kind, scale.low, scale.high) == ("log", 1e-4, 1e-1)
    heights = scale.heights([{"learning_rate": value} for value in (1e-4, 1e-3, 1e-1)])
    assert heights == pytest.approx([0, 1 / 3, 1])
    linear = parameter_scale("epochs", "p0", IntRange(type="int", low=1, high=9), [])
    assert (linear.kind, linear.heights([{"epochs": 5}])[0]) == ("linear", 0.5)


def test_choices_have_places_numbers_among_them_by_size() -> None:
    scale = parameter_scale("batch_size", "p0", Choices(type="categorical", choices=[64, 32, 128]), [64])
    assert scale.labels == ("32", "64", "128")
    named = parameter_scale("use", "p0", Choices(type="categorical", choices=["sgd", "adam"]), ["adam", "lion"])
    assert named.labels == ("sgd", "adam", "lion")  # what was tried before the space changed has a place too
    params = [{"use": "adam"}, {"use": "adam"}, {}]
    assert named.values(params).tolist() == [1, 1, -1]
    places = named.places(params)
    assert places[0] != places[1]
    assert np.round(places[:2]).tolist() == [1, 1]
    assert math.isnan(places[2])


def test_values_of_mixed_types_are_choices_and_a_missing_one_is_none() -> None:
    scale = parameter_scale("x", "p0", None, [1, "one", None, [1, 2]])
    assert scale.labels == ("1", "one", "[1, 2]")
    assert parameter_scale("x", "p0", None, [10**400]).kind == "categorical"  # no float holds it
    assert parameter_scale("x", "p0", LOG, [None]).kind == "log"


@pytest.mark.parametrize("far", [1e9, math.inf, math.nan])
def test_a_value_far_out_does_not_stretch_the_axis_and_lies_at_its_worse_end(far: float) -> None:
    values = np.array([0.9, 0.8, 0.85, 0.95, far])
    scale = objective_scale(values, "minimize")
    assert (scale.low, scale.worst) == (0.8, scale.high)
    assert scale.high < 2
    assert scale.shown(values).tolist() == [0.9, 0.8, 0.85, 0.95, scale.high]


def test_the_better_end_always_holds_the_best() -> None:
    values = np.array([0.1, 0.1, 0.11, 0.12, 0.1, 0.98])
    assert objective_scale(values, "maximize").high == 0.98
    assert objective_scale(-values, "minimize").low == -0.98
    assert objective_scale(values, None).high == 0.98


def test_a_loss_over_several_magnitudes_is_drawn_on_a_logarithmic_axis() -> None:
    losses = np.geomspace(1e-4, 10, 20)
    assert objective_scale(losses, "minimize").is_log
    assert not objective_scale(losses - 1, "minimize").is_log
    assert not objective_scale(np.array([0.3, 0.4]), "minimize").is_log


@pytest.mark.parametrize("values", [[], [math.nan], [0.5], [0.5, 0.5]])
def test_an_axis_has_a_length_whatever_there_is(values: list[float]) -> None:
    for direction in ("minimize", "maximize"):
        low, high = objective_scale(np.array(values), direction).ends
        assert -math.inf < low < high < math.inf
