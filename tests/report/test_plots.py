"""Figures show what the tables say: compared with pandas."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bokeh.models import GlyphRenderer, LogScale, MultiLine, Step
from bokeh.plotting import figure as Figure
from made_up_sweep import CONFIG, records, run_record, sweep, trial_records

from sweeps.errors import ResultsError
from sweeps.report.overview import MOST_CURVES, MOST_POINTS
from sweeps.report.plots import Plots
from sweeps.results.results import Results


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return sweep(tmp_path_factory.mktemp("plots") / "made-up", records(400))


@pytest.fixture(scope="module")
def plot(results: Results) -> Plots:
    return results.plot


def renderers(figure: Figure, kind: type) -> list[GlyphRenderer]:
    return [each for each in figure.renderers if isinstance(each.glyph, kind)]


@pytest.mark.parametrize("along", ["trials", "seconds", "epochs"])
def test_the_best_so_far_is_the_running_maximum_of_completed_trials(results: Results, plot: Plots, along: str) -> None:
    table = results.trials.sort_values("datetime_complete", kind="stable")
    began = results.trials["datetime_start"].min() - pd.Timedelta(seconds=1)  # the run began a second before
    table["seconds"] = (table["datetime_complete"] - began).dt.total_seconds()
    table["epochs"] = table["epochs_run"].cumsum()
    column = {"trials": "number", "seconds": "seconds", "epochs": "epochs"}[along]
    table = table.sort_values(column, kind="stable")
    best = table[table["state"] == "COMPLETE"].groupby(column)["value"].max().cummax()  # some end at the same time
    steps = renderers(plot.history(along), Step)[0].data_source.data
    drawn = np.searchsorted(steps["x"], best.index.to_numpy(np.float64) + 1e-3, side="right") - 1
    assert np.asarray(steps["y"])[drawn] == pytest.approx(best.to_numpy())
    assert steps["x"][-1] == pytest.approx(table[column].max())


def test_a_point_per_trial_has_its_values(results: Results, plot: Plots) -> None:
    drawn = plot.slice("learning_rate").renderers[0].data_source.data
    assert drawn["number"].tolist() == results.trials["number"].tolist()
    assert drawn["value"] == pytest.approx(results.trials["value"].to_numpy(), nan_ok=True)
    assert drawn["seconds"] == pytest.approx(results.trials["train_seconds"].to_numpy())
    rates = results.trials["params_learning_rate"].to_numpy(np.float64)
    field = plot.slice("learning_rate").renderers[0].glyph.x
    assert drawn[field] == pytest.approx(rates, rel=1e-6)


def test_a_diverged_trial_is_marked_at_the_worse_edge_and_stretches_no_axis(results: Results, plot: Plots) -> None:
    figure = plot.history()
    drawn = next(each for each in figure.renderers if "outcome" in each.data_source.data)
    data = drawn.data_source.data
    shown = [value for value, outcome in zip(data["shown"], data["outcome"], strict=True) if outcome == "diverged"]
    sound = results.trials.loc[results.trials["outcome"].isin(["completed", "pruned"]), "value"]
    lower, upper = sound.quantile(0.25), sound.quantile(0.75)
    edge = max(sound.min(), lower - 3 * (upper - lower))
    assert shown
    assert shown == pytest.approx([edge] * len(shown))
    assert figure.y_range.start < edge < sound.max() < figure.y_range.end < 1.1
    marks = dict(zip(drawn.glyph.marker.transform.factors, drawn.glyph.marker.transform.markers, strict=True))
    assert marks["diverged"] == "x" != marks["completed"]


def test_curves_are_thinned_and_the_best_is_among_them(results: Results, plot: Plots) -> None:
    assert results.best is not None
    for figure in (plot.learning_curves(), plot.learning_curves("loss"), plot.parallel()):
        data = renderers(figure, MultiLine)[0].data_source.data
        assert len(data["number"]) == MOST_CURVES
        assert data["number"][-1] == results.best.number
    history = results.history[results.history["number"] == results.best.number]
    curve = renderers(plot.learning_curves(), MultiLine)[0].data_source.data
    assert curve["xs"][-1] == history["epoch"].tolist()
    assert curve["valid_accuracy"][-1] == pytest.approx(history["valid_accuracy"].tolist(), rel=1e-4)


def test_a_long_curve_keeps_its_first_and_last_epoch(tmp_path: Path) -> None:
    values = [0.5 + epoch / 10_000 for epoch in range(1000)]
    plot = sweep(tmp_path, [run_record(), *trial_records(0, values, params={"learning_rate": 0.1})]).plot
    data = renderers(plot.learning_curves(), MultiLine)[0].data_source.data
    assert len(data["xs"][0]) == MOST_POINTS
    assert (data["xs"][0][0], data["xs"][0][-1]) == (1, 1000)


def test_two_parameters_are_the_usual_ones_unless_others_are_named(plot: Plots) -> None:
    figure = plot.contour()
    assert (figure.xaxis[0].axis_label, figure.yaxis[0].axis_label) == ("learning_rate", "batch_size")
    assert isinstance(figure.x_scale, LogScale)
    assert figure.yaxis[0].major_label_overrides == {0: "32", 1: "64", 2: "128"}
    other = plot.contour("epochs", "learning_rate")
    assert isinstance(other.y_scale, LogScale)
    assert not isinstance(other.x_scale, LogScale)


def test_what_does_not_exist_is_refused_with_what_there_is(tmp_path: Path, plot: Plots) -> None:
    with pytest.raises(ResultsError, match=r"no parameter 'rate' is searched. There is: epochs, batch_size"):
        plot.slice("rate")
    with pytest.raises(ResultsError, match=r"no metric 'auc'. There is: loss, train_loss, valid_loss, valid_accuracy"):
        plot.learning_curves("auc")
    with pytest.raises(ResultsError, match="`along` must be one of trials, seconds, epochs, but got 'days'"):
        plot.history("days")
    before, after = CONFIG.split("search_space:")[0], CONFIG.split("objective:")[1]
    config = f"{before}search_space: {{epochs: {{type: int, low: 1, high: 3}}, batch_size: 32}}\nobjective:{after}"
    single = sweep(tmp_path, [run_record(config)], config)
    with pytest.raises(ResultsError, match="two parameters must be searched, but there is epochs"):
        single.plot.contour()


def test_a_sweep_without_trials_has_figures_too(tmp_path: Path) -> None:
    plot = sweep(tmp_path, [run_record()]).plot
    for figure in (plot.history(), plot.learning_curves(), plot.learning_curves("loss"), plot.contour(), plot.lanes()):
        assert isinstance(figure, Figure)
    assert isinstance(plot.parallel(), Figure)


def test_figures_of_one_object_share_their_trials_and_those_of_two_do_not(results: Results) -> None:
    plot = results.plot
    source = plot.history().renderers[-1].data_source
    assert plot.slice("epochs").renderers[0].data_source is source
    assert results.plot.slice("epochs").renderers[0].data_source is not source


def test_trials_that_have_not_ended_have_no_mark_but_a_curve(tmp_path: Path) -> None:
    rows = [run_record(), *trial_records(0, [0.5], params={"epochs": 3})]
    rows += trial_records(1, [0.6, 0.7], "running", {"epochs": 3})
    plot = sweep(tmp_path, rows).plot
    figure = plot.slice("epochs")
    assert figure.renderers[0].view.filter.indices == [0]
    assert math.isnan(figure.renderers[0].data_source.data["shown"][1])
    assert renderers(plot.learning_curves(), MultiLine)[0].data_source.data["number"] == [1, 0]
