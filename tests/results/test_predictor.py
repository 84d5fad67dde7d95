"""The best model on new inputs: against the recorded scores, and against each library's own way to call its object."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import keras
import numpy as np
import orbax.checkpoint
import pytest
import sweeping
import user_models
from flax import nnx, serialization
from sweeping import config, finish, fixed, small
from typer.testing import CliRunner

import sweeps
from sweeps.cli import app
from sweeps.command.predict import predicted_columns
from sweeps.errors import DataError, ResultsError
from sweeps.results.predictor import BestModel
from sweeps.training.losses import meaning


def best_of(swept: Any, results: Path) -> BestModel:
    return finish(swept, results).best_model()


ONE = {"budget": {"trials": 1}, "search_space": fixed(epochs=2)}


# ---- what outputs mean -----------------------------------------------------------------------------------------------


def test_a_classifier_gives_probabilities_that_have_the_recorded_accuracy(tmp_path: Path) -> None:
    results = finish(config(**ONE), tmp_path)
    model, valid = results.best_model(), sweeping.blobs().valid
    chances = model(valid.x)
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-6)
    assert results.best is not None
    assert (chances.argmax(axis=1) == valid.y).mean() == pytest.approx(results.best.metrics["valid_accuracy"])
    assert -np.log(chances[np.arange(len(valid.y)), valid.y]).mean() == pytest.approx(results.best.value, rel=1e-5)
    assert model.classes == ("0", "1", "2")
    np.testing.assert_array_equal(model.predict(valid.x), chances.argmax(axis=1))


def test_images_are_scaled_as_they_were_for_training(tmp_path: Path) -> None:
    grey = {"use": "sweeping:blobs", "grey": True}
    results = finish(config(**ONE, dataset=grey), tmp_path)
    valid = sweeping.blobs(grey=True).valid
    chances = results.best_model()(valid.x)
    assert results.best is not None
    assert -np.log(chances[np.arange(len(valid.y)), valid.y]).mean() == pytest.approx(results.best.value, rel=1e-5)


def test_a_regression_gives_values(tmp_path: Path) -> None:
    results = finish(small(budget={"trials": 1}), tmp_path)
    model, valid = results.best_model(), sweeping.plane().valid
    assert repr(model) == f"<BestModel sweeping:flat of trial 0: rows {valid.x.shape[1:]} to 1 outputs>"
    assert model.classes is None
    assert results.best is not None
    assert ((model.predict(valid.x)[:, 0] - valid.y) ** 2).mean() == pytest.approx(results.best.value, rel=1e-5)


def test_tokens_reach_the_model_as_they_are(tmp_path: Path) -> None:
    swept = config(**ONE, dataset={"use": "sweeping:tokens"}, model={"use": "sweeping:embedding"})
    results = finish(swept, tmp_path)
    valid = sweeping.tokens().valid
    model = results.best_model()
    assert results.best is not None
    found = (model(valid.x).argmax(axis=1) == valid.y).mean()
    assert found == pytest.approx(results.best.metrics["valid_accuracy"])
    with pytest.raises(DataError, match="whole numbers"):
        model(valid.x.astype(np.float32))


def tilted(input_shape: tuple[int, ...], outputs: int, slope: float = 1.0) -> Any:
    """A linear model whose outputs depend on a number of the config, in training and afterwards."""
    init, apply = sweeping.flat(input_shape, outputs)
    return init, lambda params, x: slope * apply(params, x)


def test_a_searched_number_of_the_model_is_that_of_the_best_trial(tmp_path: Path) -> None:
    space = fixed(**{"model.slope": {"type": "float", "low": 0.5, "high": 4.0}})
    swept = config(model={"use": "test_predictor:tilted"}, budget={"trials": 3}, search_space=space)
    results = finish(swept, tmp_path)
    chances, valid = results.best_model()(sweeping.blobs().valid.x), sweeping.blobs().valid
    assert results.best is not None
    assert -np.log(chances[np.arange(len(valid.y)), valid.y]).mean() == pytest.approx(results.best.value, rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "arguments", "expected"),
    [
        ("softmax_cross_entropy", {"label_smoothing": 0.1}, "softmax"),
        ("binary_cross_entropy", {}, "sigmoid"),
        ("binary_cross_entropy", {"from_logits": False}, "probabilities"),
        ("huber", {}, "values"),
        ("own:loss", {}, "values"),
    ],
)
def test_the_loss_says_what_outputs_mean(loss: str, arguments: dict[str, Any], expected: str) -> None:
    assert meaning(loss, arguments) == expected


def test_rows_of_another_shape_are_refused(tmp_path: Path) -> None:
    model = best_of(config(**ONE), tmp_path)
    with pytest.raises(DataError, match=r"rows of shape \(5,\), but got an array of shape \(3, 4\)"):
        model(np.zeros((3, 4)))
    assert model(np.zeros((0, 5))).shape == (0, 3)


def test_many_rows_are_as_few(tmp_path: Path) -> None:
    model = best_of(config(**ONE), tmp_path)
    x = np.random.default_rng(0).normal(size=(1_100, 5))
    np.testing.assert_allclose(model(x)[700:703], model(x[700:703]), rtol=1e-6)


def test_a_sweep_without_a_model_says_so(tmp_path: Path) -> None:
    results = finish(config(**ONE), tmp_path)
    (tmp_path / "small" / "best" / "best.json").unlink()
    with pytest.raises(ResultsError, match=r"best\.json"):
        results.best_model()


def saying(meaning: str, outputs: int, classes: int | None = 3) -> BestModel:
    """A model that gives its inputs, trained with a loss to which outputs are `meaning`."""
    names = None if classes is None else ("cat", "dog", "owl")[:classes]
    told = {"model": {"use": "test_predictor:itself"}, "precision": "float32", "input_shape": [outputs]}
    told |= {"input_dtype": "float32", "dtype": "float32", "scale": 1.0, "offset": 0.0, "preprocessing": None}
    return BestModel(
        {**told, "outputs": outputs, "meaning": meaning, "classes": classes, "class_names": names, "number": 0},
        {"nothing": np.zeros(1, np.float32)},
    )


def itself() -> Any:
    return lambda key: {"nothing": jnp.zeros(1)}, lambda params, x: x + params["nothing"][None]


def columns(model: BestModel, x: np.ndarray) -> dict[str, list[Any]]:
    return {column.name: list(column.values) for column in predicted_columns(model, model(x))}


ROW = np.array([[4.0, 2.5, -1.5]], np.float32)


def test_logits_become_probabilities_and_scores_stay_what_they_are() -> None:
    exponentials = np.exp(ROW[0])
    found = columns(saying("softmax", 3), ROW)
    assert list(found) == ["predicted", "probability_cat", "probability_dog", "probability_owl"]
    np.testing.assert_allclose(
        [found[name][0] for name in list(found)[1:]], exponentials / exponentials.sum(), rtol=1e-6
    )
    for told in ("scores", "values"):  # the latter of a results folder whose loss said nothing
        found = columns(saying(told, 3), ROW)
        assert found == {"predicted": ["cat"], "output_cat": [4.0], "output_dog": [2.5], "output_owl": [-1.5]}
    assert columns(saying("scores", 1, 2), ROW[:, :1]) == {"predicted": ["dog"], "output_dog": [4.0]}


def test_one_logit_says_the_probability_of_both_classes() -> None:
    found = columns(saying("sigmoid", 1, 2), ROW[:, 2:])
    assert found["predicted"] == ["cat"]
    assert found["probability_dog"][0] == pytest.approx(1 / (1 + np.exp(1.5)), rel=1e-6)
    assert found["probability_cat"][0] == pytest.approx(1 / (1 + np.exp(-1.5)), rel=1e-6)


def test_what_is_said_to_be_a_probability_and_is_none_is_not_called_so() -> None:
    found = columns(saying("probabilities", 3), ROW)
    assert list(found) == ["predicted", "output_cat", "output_dog", "output_owl"]
    right = np.array([[0.25, 0.5, 0.25]], np.float32)
    assert list(columns(saying("probabilities", 3), right))[1:] == [
        "probability_cat",
        "probability_dog",
        "probability_owl",
    ]


def test_logarithms_of_counts_are_told_as_counts() -> None:
    assert columns(saying("log_counts", 1, None), ROW[:, 1:2]) == {"predicted": [pytest.approx(np.exp(2.5), rel=1e-6)]}
    assert columns(saying("counts", 1, None), ROW[:, 1:2]) == {"predicted": [2.5]}


# ---- the user's own object -------------------------------------------------------------------------------------------


@pytest.fixture
def as_their_libraries_expect() -> Iterator[None]:
    jax.config.update("jax_numpy_rank_promotion", "allow")
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    yield
    jax.config.update("jax_numpy_rank_promotion", "raise")
    jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.mark.usefixtures("as_their_libraries_expect")
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's, when it saves
@pytest.mark.parametrize("use", ["sequential", "NnxNet", "LinenNet", "equinox_mlp"])
def test_the_users_own_object_predicts_the_same(use: str, tmp_path: Path) -> None:
    model = best_of(config(**ONE, model={"use": f"user_models:{use}"}), tmp_path)
    x = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    own: Any = model.own
    if use == "sequential":
        outputs = own.predict(x, verbose=0)
        own.save(tmp_path / "own.keras")
        again = keras.models.load_model(tmp_path / "own.keras")
        np.testing.assert_array_equal(again.predict(x, verbose=0), outputs)
    elif use == "LinenNet":
        module, variables = own
        outputs = module.apply(variables, x, train=False)
    elif use == "equinox_mlp":
        outputs = jax.vmap(own)(jnp.asarray(x))
    else:
        own.eval()
        outputs = own(jnp.asarray(x))
    np.testing.assert_allclose(jax.nn.softmax(np.asarray(outputs)), model(x), rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("as_their_libraries_expect")
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's, when it saves
@pytest.mark.parametrize("use", ["functional", "Subclassed", "NnxNet", "LinenNet", "EquinoxNet"])
def test_the_users_own_object_is_saved_in_its_own_format_and_read_back(use: str, tmp_path: Path) -> None:
    model = best_of(config(**ONE, model={"use": f"user_models:{use}"}), tmp_path)
    x = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    outputs = SAVED[use](model.own, tmp_path, x)
    np.testing.assert_allclose(jax.nn.softmax(np.asarray(outputs)), model(x), rtol=1e-4, atol=1e-6)


def whole_keras(own: Any, folder: Path, x: np.ndarray) -> Any:
    own.save(folder / "own.keras")
    return keras.models.load_model(folder / "own.keras").predict(x, verbose=0)


def keras_weights(own: Any, folder: Path, x: np.ndarray) -> Any:
    """A subclass without a `get_config` is saved as its weights alone."""
    own.save_weights(folder / "own.weights.h5")
    again = user_models.Subclassed(outputs=3)
    again(x)
    again.load_weights(folder / "own.weights.h5")
    return again.predict(x, verbose=0)


def nnx_state(own: Any, folder: Path, x: np.ndarray) -> Any:
    kept = nnx.Not(nnx.RngState)
    again = user_models.NnxNet(3, rngs=nnx.Rngs(99))
    state = nnx.state(again, kept)
    with orbax.checkpoint.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder / "own", nnx.to_pure_dict(nnx.state(own, kept)))
        checkpointer.wait_until_finished()
        nnx.replace_by_pure_dict(state, checkpointer.restore(folder / "own", nnx.to_pure_dict(state)))
    nnx.update(again, state)
    again.eval()
    return again(jnp.asarray(x))


def linen_bytes(own: Any, folder: Path, x: np.ndarray) -> Any:
    module, variables = own
    (folder / "own.msgpack").write_bytes(serialization.to_bytes(variables))
    fresh = module.init(jax.random.key(99), jnp.zeros((1, 5)), train=False)
    again = serialization.from_bytes(fresh, (folder / "own.msgpack").read_bytes())
    return module.apply(again, x, train=False)


def equinox_leaves(own: Any, folder: Path, x: np.ndarray) -> Any:
    eqx.tree_serialise_leaves(folder / "own.eqx", own)
    fresh = eqx.nn.make_with_state(user_models.EquinoxNet)(3, key=jax.random.key(99))
    module, state = eqx.tree_deserialise_leaves(folder / "own.eqx", fresh)
    module = eqx.nn.inference_mode(module)
    return jax.vmap(lambda row: module(row, state)[0], axis_name="batch")(jnp.asarray(x))


SAVED = {
    "functional": whole_keras,
    "Subclassed": keras_weights,
    "NnxNet": nnx_state,
    "LinenNet": linen_bytes,
    "EquinoxNet": equinox_leaves,
}


def test_of_plain_functions_the_parameters_are_given(tmp_path: Path) -> None:
    model = best_of(config(**ONE), tmp_path)
    assert {name: leaf.shape for name, leaf in model.own.items()} == {"hidden": (5, 6), "out": (6, 3)}


# ---- the command -----------------------------------------------------------------------------------------------------

TABLE = "width,kind,noise,animal\n" + "".join(
    f"{row % 7},{'red' if row % 2 else 'blue'},{row * 37 % 11},{'cat' if row % 7 > 3 else 'dog'}\n" for row in range(90)
)


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pets.csv").write_text(TABLE)
    return tmp_path


def pets(**changes: Any) -> Any:
    dataset = {"use": "csv", "path": "pets.csv", "target": "animal", "one_hot": ["kind"], "standardize": True}
    space = {"epochs": 20, "batch_size": 8, "learning_rate": 0.3}
    return config(**{"dataset": dataset, "budget": {"trials": 1}, "search_space": space, **changes})


def predict(folder: Path, *arguments: str) -> list[dict[str, str]]:
    result = CliRunner().invoke(app, ["predict", *arguments, "-o", str(folder / "out.csv")])
    assert result.exit_code == 0, result.output
    with (folder / "out.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_new_rows_of_a_table_get_classes_by_name_with_probabilities(table: Path) -> None:
    finish(pets(), table / "results")
    (table / "new.csv").write_text("kind,remark,noise,width\nred,a,3,6\nblue,b,4,0\n")
    rows = predict(table, "results/small", "new.csv")
    assert [row["predicted"] for row in rows] == ["cat", "dog"]
    assert list(rows[0]) == ["predicted", "probability_cat", "probability_dog"]
    for row in rows:
        chances = {name: float(row[f"probability_{name}"]) for name in ("cat", "dog")}
        assert sum(chances.values()) == pytest.approx(1, rel=1e-6)
        assert chances[row["predicted"]] > 0.5


def test_one_output_says_both_probabilities(table: Path) -> None:
    finish(pets(loss="binary_cross_entropy"), table / "results")
    (table / "new.csv").write_text("kind,noise,width\nred,3,6\nblue,4,0\n")
    rows = predict(table, "results/small", "new.csv")
    assert [row["predicted"] for row in rows] == ["cat", "dog"]
    assert float(rows[0]["probability_cat"]) + float(rows[0]["probability_dog"]) == pytest.approx(1, rel=1e-6)


def test_values_are_written_under_the_name_of_their_target(table: Path) -> None:
    dataset = {"use": "csv", "path": "pets.csv", "target": "width", "features": ["noise"], "task": "regression"}
    model = {"use": "sweeping:flat"}
    finish(pets(dataset=dataset, model=model, loss="huber", metrics=[], search_space=fixed()), table / "results")
    (table / "new.csv").write_text("noise\n3\n4\n5\n")
    assert [list(row) for row in predict(table, "results/small", "new.csv")] == [["width"]] * 3


def test_a_dataset_without_a_description_takes_as_many_columns_as_numbers_or_an_array(table: Path) -> None:
    model = best_of(config(**ONE), table / "results")
    x = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    (table / "new.csv").write_text("a,b,c,d,e\n" + "".join(",".join(map(repr, row)) + "\n" for row in x.tolist()))
    np.save(table / "new.npy", x)
    np.testing.assert_allclose(model.read("new.csv"), x, rtol=1e-6)
    by_table, by_array = (predict(table, "results/small", name) for name in ("new.csv", "new.npy"))
    assert by_table == by_array
    assert [int(row["predicted"]) for row in by_array] == model.predict(x).tolist()
    (table / "narrow.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="a column for each of the 5 numbers of a row, but has 2"):
        model.read("narrow.csv")


def test_an_array_that_is_not_there_is_told_in_a_line(table: Path) -> None:
    model = best_of(config(**ONE), table / "results")
    with pytest.raises(DataError, match=r"there is no file nothing\.npy"):
        model.read("nothing.npy")


def test_a_missing_column_is_named(table: Path) -> None:
    finish(pets(), table / "results")
    (table / "new.csv").write_text("kind,nois,width\nred,3,6\n")
    with pytest.raises(DataError, match=r"there is no column 'noise'; the nearest are 'nois'"):
        sweeps.load("results/small").best_model().read("new.csv")


# ---- a sweep beside its data, from elsewhere -------------------------------------------------------------------------

BESIDE = """
name: beside
dataset: {use: npz, path: rows.npz}
model: {use: "my_beside:line"}
loss: mean_squared_error
optimizer: sgd
search_space: {epochs: 1, batch_size: 8, learning_rate: 0.1}
objective: {metric: valid_loss, direction: minimize}
budget: {trials: 1}
"""
LINE = """
import jax.numpy as jnp
def line(input_shape, outputs):
    return lambda key: {"kernel": jnp.ones((*input_shape, outputs))}, lambda params, x: x @ params["kernel"]
"""


def test_the_model_beside_a_config_predicts_and_is_replayed_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    for folder in (project, elsewhere):
        folder.mkdir()
    (project / "sweep.yaml").write_text(BESIDE)
    (project / "my_beside.py").write_text(LINE)
    x = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    np.savez(project / "rows.npz", x=x, y=x.sum(axis=1))
    monkeypatch.chdir(elsewhere)
    results = sweeps.run(project / "sweep.yaml")
    assert results.path == Path("results/beside")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_beside")
    model = sweeps.load(elsewhere / "results" / "beside").best_model()
    (kernel,) = model.parameters.values()
    np.testing.assert_allclose(model(x), x @ kernel, rtol=1e-5, atol=1e-6)
    replayed = CliRunner().invoke(app, ["replay", str(elsewhere / "results" / "beside"), "0"])
    assert replayed.exit_code == 0, replayed.output
    assert replayed.output.splitlines()[-1] == "identical"
