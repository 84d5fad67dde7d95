"""What a compiled Keras model brings: losses, updates and metrics as Keras's own, unless the config says otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import compiled_models
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import sweeping
from reference import batches
from rich.console import Console
from sweeping import host

from sweeps.command.check import check
from sweeps.config import Draft, SweepConfig, as_draft, load_config, parse_config, space, to_yaml
from sweeps.datasets.loading import Datasets
from sweeps.errors import ConfigError, ModelError, ResultsError
from sweeps.runner import start
from sweeps.training import optimizers
from sweeps.training.adapters import compiled_keras
from sweeps.training.losses import build_loss
from sweeps.training.metrics import build_metric
from sweeps.user_code import project_folders
from sweeps.validation import validate

pytestmark = pytest.mark.usefixtures("any_promotion")
LOSSES, METRICS, OPTIMIZERS = keras.losses, keras.metrics, keras.optimizers
GENERATOR = np.random.default_rng(0)
LABELS = GENERATOR.integers(0, 4, 40).astype(np.int32)
LOGITS = GENERATOR.normal(0, 2, (40, 4)).astype(np.float32)
SOFTMAX = np.asarray(jax.nn.softmax(LOGITS))
BITS = GENERATOR.integers(0, 2, 40).astype(np.int32)
CHANCES = GENERATOR.uniform(0.01, 0.99, (40, 1)).astype(np.float32)
COLUMN = LOGITS[:, :1]
SURE = np.array([[1.0, 0.0, 0.0, 0.0]] * 40, np.float32)
TREE: Mapping[str, Any] = {
    "name": "compiled",
    "dataset": {"use": "sweeping:blobs", "rows": 157},
    "search_space": {"epochs": 2, "batch_size": 8},
    "objective": {"metric": "valid_loss", "direction": "minimize"},
    "sampler": "random",
    "budget": {"trials": 1},
}


def drafted(use: str, **changes: Any) -> Draft:
    draft = as_draft({**TREE, "model": {"use": f"compiled_models:{use}"}, **changes})
    validate.examine(draft, Datasets())
    return draft


def settled(use: str, **changes: Any) -> SweepConfig:
    return drafted(use, **changes).config()


def mistakes(use: str, **changes: Any) -> list[str]:
    return [str(complaint).removeprefix("<config>: ") for complaint in drafted(use, **changes).complaints]


def model(**arguments: Any) -> keras.Model:
    return compiled_models.compiled(**arguments)


def named(given: Any) -> str:
    """A test's name for an argument that is the same in every process: no addresses, no numbers drawn at random."""
    if isinstance(given, dict):
        return "-".join(f"{key}={named(value)}" for key, value in given.items())
    if isinstance(given, np.ndarray):
        return "x".join(map(str, given.shape))
    return str(given) if isinstance(given, str | float | list) else getattr(given, "__name__", type(given).__name__)


# ---- losses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "outputs", "targets"),
    [
        ("mse", LOGITS, LOGITS[::-1]),
        ("mean_squared_error", COLUMN, BITS),
        (LOSSES.MeanSquaredError(), LOGITS, LOGITS[::-1]),
        (LOSSES.mean_absolute_error, LOGITS, LOGITS[::-1]),
        (LOSSES.MeanAbsoluteError(), COLUMN, COLUMN[::-1, 0]),
        ("huber", LOGITS, LOGITS[::-1]),
        (LOSSES.Huber(delta=0.4), LOGITS, LOGITS[::-1]),
        ("binary_crossentropy", CHANCES, BITS),
        (LOSSES.BinaryCrossentropy(label_smoothing=0.2), CHANCES, BITS),
        (LOSSES.BinaryCrossentropy(from_logits=True, label_smoothing=0.1), COLUMN, BITS),
        ("sparse_categorical_crossentropy", SOFTMAX, LABELS),
        ("sparse_categorical_crossentropy", SURE, LABELS),
        (["sparse_categorical_crossentropy"], 3 * SOFTMAX, LABELS),
        (LOSSES.SparseCategoricalCrossentropy(from_logits=True), LOGITS, LABELS),
        (LOSSES.CategoricalCrossentropy(), SOFTMAX, LABELS),
        (LOSSES.CategoricalCrossentropy(label_smoothing=0.1), SOFTMAX, LABELS),
        (LOSSES.CategoricalCrossentropy(from_logits=True, label_smoothing=0.3), LOGITS, LABELS),
    ],
    ids=named,
)
def test_a_loss_becomes_ours_of_the_same_values_and_slopes(given: Any, outputs: Any, targets: Any) -> None:
    found = compiled_keras.loss(model(loss=given))
    assert found is not None
    ours = build_loss(found.pop("use"), found)
    function = given[0] if isinstance(given, list) else given
    theirs = LOSSES.get(function)
    is_hot = "Categorical" in type(theirs).__name__ and "Sparse" not in type(theirs).__name__
    wanted = np.eye(4, dtype=np.float32)[targets] if is_hot else targets.reshape(40, -1)

    def keras_loss(outputs: Any) -> Any:
        return jnp.mean(theirs(jnp.asarray(wanted), outputs))

    def our_loss(outputs: Any) -> Any:
        return ours(outputs, jnp.asarray(targets)).mean()

    (left, left_slope), (right, right_slope) = (
        jax.value_and_grad(each)(jnp.asarray(outputs)) for each in (our_loss, keras_loss)
    )
    assert float(left) == pytest.approx(float(right), rel=2e-6)
    np.testing.assert_allclose(left_slope, right_slope, rtol=1e-4, atol=1e-7)


def own_loss(targets: Any, outputs: Any) -> Any:
    return (outputs - targets) ** 2


class OwnHuber(LOSSES.Huber):  # type: ignore[misc]  # Keras is untyped
    pass


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"loss": "poisson"}, "the loss poisson, which has no equal"),
        ({"loss": LOSSES.LogCosh()}, "the loss LogCosh, which has no equal"),
        ({"loss": own_loss}, "the loss own_loss, which has no equal"),
        ({"loss": OwnHuber()}, "the loss OwnHuber, which has no equal"),
        ({"loss": "nonsense"}, "'nonsense', which Keras does not know"),
        ({"loss": LOSSES.MeanSquaredError(reduction="sum")}, "with another reduction than the mean"),
        ({"loss": LOSSES.SparseCategoricalCrossentropy(ignore_class=2)}, "with ignore_class=2"),
        ({"loss": "mse", "loss_weights": [0.5]}, "`loss_weights`"),
    ],
    ids=named,
)
def test_a_loss_without_an_equal_is_refused_by_name(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ModelError, match=rf"{named}.*Give `loss` in the config"):
        compiled_keras.loss(model(**given))


# ---- optimizers ------------------------------------------------------------------------------------------------------


def moved_by_keras(optimizer: Any, gradients: np.ndarray) -> np.ndarray:
    variable = keras.Variable(np.ones_like(gradients[0]))
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply([jnp.asarray(gradient)], [variable])
    return np.asarray(variable.value) - 1


def moved_by_ours(found: dict[str, Any], gradients: np.ndarray) -> np.ndarray:
    use = found.pop("use")
    assert optimizers.traceable(use, found) >= {"learning_rate"}
    optimizer = optimizers.build(use, found, lambda: jax.random.key(0))
    params = jnp.ones_like(gradients[0])
    state = optimizer.init(params)
    for gradient in gradients:
        changes, state = optimizer.update(jnp.asarray(gradient), state, params, value=jnp.zeros(()))
        params = params + changes
    return np.asarray(params) - 1


@pytest.mark.rotating
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-6], ids="gradients near {}".format)
@pytest.mark.parametrize(
    "make",
    [
        lambda: OPTIMIZERS.SGD(0.3),
        lambda: OPTIMIZERS.SGD(0.3, nesterov=True),
        lambda: OPTIMIZERS.SGD(0.3, momentum=0.9),
        lambda: OPTIMIZERS.SGD(0.3, momentum=0.9, nesterov=True, weight_decay=0.0),
        lambda: OPTIMIZERS.Adam(0.3),
        lambda: OPTIMIZERS.Adam(0.3, beta_1=0.0, beta_2=0.9, epsilon=1e-3),
        lambda: OPTIMIZERS.Adam(0.3, weight_decay=0.1),
        lambda: OPTIMIZERS.AdamW(0.3),
        lambda: OPTIMIZERS.Adamax(0.3),
        lambda: OPTIMIZERS.RMSprop(0.3),
        lambda: OPTIMIZERS.RMSprop(0.3, rho=0.8, momentum=0.7, centered=True),
        lambda: OPTIMIZERS.Adagrad(0.3),
        lambda: OPTIMIZERS.Adagrad(0.3, initial_accumulator_value=0.0, epsilon=1e-4),
        lambda: OPTIMIZERS.Adadelta(0.3),
        lambda: OPTIMIZERS.Lion(0.3),
        lambda: OPTIMIZERS.Lion(0.3, weight_decay=0.1),
    ],
)
def test_an_optimizer_makes_the_updates_of_keras_s_own(make: Callable[[], Any], scale: float) -> None:
    gradients = (scale * np.random.default_rng(0).standard_normal((20, 4, 3))).astype(np.float32)
    gradients[:, 0] = 0  # a weight that nothing pulls at, such as one behind a dead unit
    found = compiled_keras.optimizer(model(optimizer=make()), needs_rate=True)
    assert found is not None
    assert found["learning_rate"] == 0.3
    expected = moved_by_keras(make(), gradients)
    # Weights near 1 move by float32 steps of 1.2e-7, twenty times over.
    np.testing.assert_allclose(moved_by_ours(found, gradients), expected, rtol=1e-4, atol=3e-6)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (OPTIMIZERS.Ftrl(), "the optimizer Ftrl, which has no equal in optax"),
        (OPTIMIZERS.Nadam(), "the optimizer Nadam, which has no equal in optax"),
        (OPTIMIZERS.Adafactor(), "the optimizer Adafactor, which has no equal in optax"),
        (OPTIMIZERS.Adam(amsgrad=True), "the optimizer Adam with amsgrad"),
        (OPTIMIZERS.SGD(weight_decay=0.1), "the optimizer SGD with weight_decay"),
        (OPTIMIZERS.SGD(clipnorm=1.0), "the optimizer SGD with clipnorm"),
        (OPTIMIZERS.Adam(use_ema=True), "the optimizer Adam with use_ema"),
        (OPTIMIZERS.Adam(gradient_accumulation_steps=2), "the optimizer Adam with gradient_accumulation_steps"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_an_optimizer_without_an_equal_is_refused_by_name(given: Any, named: str) -> None:
    with pytest.raises(ModelError, match=rf"{named}.*Give `optimizer` in the config"):
        compiled_keras.optimizer(model(optimizer=given), needs_rate=True)


def test_weights_that_are_not_to_decay_are_refused() -> None:
    optimizer = OPTIMIZERS.AdamW(0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    with pytest.raises(ModelError, match="AdamW with exclude_from_weight_decay"):
        compiled_keras.optimizer(model(optimizer=optimizer), needs_rate=True)


# ---- metrics ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "name", "outputs", "targets"),
    [
        (METRICS.SparseCategoricalAccuracy(), "accuracy", LOGITS, LABELS),
        (METRICS.BinaryAccuracy(), "accuracy", CHANCES, BITS),
        (METRICS.SparseTopKCategoricalAccuracy(k=2), "top_2", LOGITS, LABELS),
        (METRICS.MeanAbsoluteError(), "mean_absolute_error", LOGITS, LOGITS[::-1]),
        ("mae", "mean_absolute_error", LOGITS, LOGITS[::-1]),
        (METRICS.mean_squared_error, "mean_squared_error", LOGITS, LOGITS[::-1]),
        (METRICS.Precision(), "precision", CHANCES, BITS),
        (METRICS.Recall(thresholds=0.5), "recall", CHANCES, BITS),
        (METRICS.AUC(num_thresholds=20_000), "auc", CHANCES, BITS),
        (METRICS.R2Score(), "r2", LOGITS, LOGITS[::-1]),
    ],
    ids=named,
)
def test_a_metric_becomes_ours_of_the_same_value(given: Any, name: str, outputs: Any, targets: Any) -> None:
    assert compiled_keras.metrics(model(metrics=[given]), 0.5) == [name]
    theirs = METRICS.get(given.__name__ if callable(given) and not isinstance(given, METRICS.Metric) else given)
    theirs.update_state(targets.reshape(len(outputs), -1), outputs)
    ours = build_metric(name, 0.5)(jnp.asarray(outputs), jnp.asarray(targets))
    assert float(ours) == pytest.approx(float(theirs.result()), rel=1e-4)


def test_accuracy_is_ours_whatever_the_loss_and_is_listed_once() -> None:
    given = [["acc", "accuracy"], METRICS.CategoricalAccuracy()]
    assert compiled_keras.metrics(model(metrics=given), 0.0) == ["accuracy"]
    assert compiled_keras.metrics(model(metrics={"out": ["accuracy"]}), 0.5) == ["accuracy"]
    assert compiled_keras.metrics(model(), 0.5) == []


@pytest.mark.parametrize(
    ("given", "threshold"),
    [
        (METRICS.RootMeanSquaredError(), 0.5),
        (METRICS.BinaryAccuracy(), 0.0),
        (METRICS.BinaryAccuracy(threshold=0.3), 0.5),
        (METRICS.AUC(curve="PR"), 0.5),
        (METRICS.Precision(top_k=2), 0.5),
        (METRICS.Recall(thresholds=[0.2, 0.8]), 0.5),
        (own_loss, 0.5),
        ("nonsense", 0.5),
    ],
    ids=named,
)
def test_a_metric_without_an_equal_is_refused_by_name(given: Any, threshold: float) -> None:
    called = given if isinstance(given, str) else getattr(given, "__name__", type(given).__name__)
    with pytest.raises(ModelError, match=rf"{called}.*Give `metrics` in the config"):
        compiled_keras.metrics(model(metrics=[given]), threshold)


def test_weighted_metrics_are_refused() -> None:
    with pytest.raises(ModelError, match="`weighted_metrics`"):
        compiled_keras.metrics(model(weighted_metrics=["accuracy"]), 0.5)


# ---- a config that leaves them to the model --------------------------------------------------------------------------


def test_twenty_iterations_have_the_losses_of_the_compiled_model_s_own_step() -> None:
    swept = settled("notebook")
    trial, sums = sweeping.single(swept), [0.0]
    own = compiled_models.notebook()
    for variable, value in zip(own.trainable_variables, host(trial.state.params).values(), strict=True):
        variable.assign(value)
    for _ in range(19):
        trial, _ = trial.call(1)
        sums.append(float(trial.state.loss_sum))
    _, report = trial.call(1)
    rows = batches(157, 8, seed=0, number=0, epoch=0)
    ours = np.diff([*sums, float(report.scores[0]) * 157]) / [len(each) for each in rows]
    x, y = sweeping.blobs(157).train
    theirs = [float(own.train_on_batch(x[each], y[each])[0]) for each in rows]
    assert np.mean(theirs[-5:]) < np.mean(theirs[:5])
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_what_is_left_out_is_the_model_s() -> None:
    swept = settled("notebook", objective={"metric": "valid_accuracy", "direction": "maximize"})
    assert swept.loss is not None
    assert (swept.loss.use, swept.loss.arguments) == ("softmax_cross_entropy", {"from_logits": False})
    assert swept.optimizer.use == "sweeps.training.keras_optimizers:adam"
    assert swept.optimizer.arguments == {"learning_rate": 0.02, "b1": 0.9, "b2": 0.999, "eps": 1e-7}
    assert swept.metrics == ("accuracy",)


def test_a_model_that_compiles_itself_and_one_that_gets_its_outputs_bring_theirs_too() -> None:
    subclassed = settled("Subclassed")
    assert subclassed.loss is not None
    assert (subclassed.loss.use, subclassed.optimizer.use) == ("softmax_cross_entropy", "rmsprop")
    two = settled("binary", dataset={"use": "two_moons", "rows": 40})
    assert two.loss is not None
    assert (two.loss.use, two.loss.arguments, two.metrics) == ("binary_cross_entropy", {}, ("accuracy", "auc"))


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("loss", {"use": "softmax_cross_entropy", "from_logits": False, "label_smoothing": 0.1}),
        ("optimizer", {"use": "sgd", "learning_rate": 0.5}),
        ("metrics", ["top_2"]),
    ],
)
def test_what_the_config_says_wins_each_section_by_itself(section: str, value: Any) -> None:
    left, said = settled("notebook"), settled("notebook", **{section: value})
    for name in ("loss", "optimizer", "metrics"):
        assert (getattr(said, name) == getattr(left, name)) is (name != section)
    assert getattr(said, section) == getattr(parse_config({**TREE, "model": "a:b", section: value}), section)


def test_a_section_whose_use_is_searched_is_given() -> None:
    rate = {"optimizer.use": {"type": "categorical", "choices": ["sgd", "adam"]}, "learning_rate": 0.1}
    swept = settled("notebook", search_space={**TREE["search_space"], **rate})
    assert swept.optimizer.arguments == {}


def test_the_search_space_wins_over_the_model_s_arguments_and_can_search_them() -> None:
    wider = {"learning_rate": 0.3, "optimizer.b1": {"type": "float", "low": 0.5, "high": 0.95}}
    swept = settled("notebook", search_space={**TREE["search_space"], **wider})
    assert swept.optimizer.arguments == {"b2": 0.999, "eps": 1e-7}
    trial = space.resolve(swept, {"optimizer.b1": 0.75})
    assert (trial.learning_rate, trial.optimizer.arguments["b1"]) == (0.3, 0.75)


def test_a_schedule_of_keras_is_refused_unless_the_config_has_a_learning_rate() -> None:
    (told,) = mistakes("scheduled")
    assert told == (
        "optimizer: the model is compiled with the learning rate CosineDecay, which counts iterations, while a sweep's "
        "schedule spans each trial's own. Give `schedule` in the config, and `learning_rate` in its `search_space`"
    )
    rated = {"search_space": {**TREE["search_space"], "learning_rate": 0.1}}
    assert settled("scheduled", **rated).optimizer.use == "sgd"
    (note,) = drafted("scheduled", **rated).notes
    assert "the CosineDecay of the compiled model is left out" in note
    assert drafted("scheduled", schedule="cosine", **rated).notes == drafted("notebook", **rated).notes == []


def test_what_has_no_equal_is_refused_at_its_section_unless_the_config_gives_that() -> None:
    assert [each.partition(":")[0] for each in mistakes("of_poisson")] == ["loss", "optimizer", "metrics"]
    given = {"loss": "softmax_cross_entropy", "metrics": [], "optimizer": {"use": "sgd", "learning_rate": 0.1}}
    assert mistakes("of_poisson", **given) == []


def test_the_objective_is_held_against_what_the_model_brings() -> None:
    objective = {"metric": "valid_f1", "direction": "maximize"}
    (told,) = mistakes("notebook", objective=objective)
    assert told == (
        "objective.metric: must be `train_loss`, `valid_loss` or `valid_accuracy`, but got 'valid_f1'. "
        "Add `f1` to `metrics`"
    )


@pytest.mark.parametrize("use", ["compiled_models:uncompiled", "sweeping:curved"])
def test_a_loss_that_nobody_gives_is_one_mistake(use: str) -> None:
    rate = {**TREE["search_space"], "learning_rate": 0.1}
    (told,) = mistakes("", model={"use": use}, search_space=rate)
    assert told == (
        "loss: must be given, for the model brings none. For instance `loss: softmax_cross_entropy`, or `compile` the "
        "model with one if it is of Keras"
    )


def test_models_that_are_compiled_differently_leave_nothing_to_themselves() -> None:
    rates = {**TREE["search_space"], "model.rate": {"type": "float", "low": 0.01, "high": 0.1}}
    assert [each.partition(",")[0] for each in mistakes("notebook", search_space=rates)] == [
        "optimizer: the search space leads to models that are compiled differently"
    ]
    assert mistakes("notebook", search_space={**rates, "learning_rate": 0.1}) == []


def test_a_model_that_cannot_be_made_is_told_of_though_the_loss_is_left_to_it() -> None:
    found = mistakes("notebook", model={"use": "compiled_models:notebook", "activation": "nonsense"})
    assert len(found) == 1
    assert "model compiled_models:notebook failed at" in found[0]


def test_the_documented_notebook_goes_into_a_sweep_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    codes, configs = (re.findall(rf"^```{each}\n(.*?)^```", text, re.MULTILINE | re.DOTALL) for each in ("py", "yaml"))
    (tmp_path / "my_models.py").write_text("\n".join(codes), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    draft = as_draft(next(each for each in configs if each.startswith("name: notebook")))
    with project_folders(None):
        validate.examine(draft, Datasets())
    assert draft.config().metrics == ("accuracy",)
    assert set(draft.brought) == {"loss", "optimizer", "metrics"}


def test_check_says_in_one_line_what_came_from_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = {**TREE, "model": "compiled_models:notebook", "metrics": ["top_2"]}
    (tmp_path / "a.yaml").write_text(to_yaml(parse_config(config)), encoding="utf-8")
    check(Console(width=300), tmp_path / "a.yaml", ())
    said = capsys.readouterr().out
    assert said.splitlines()[1] == "from the compiled model: loss, optimizer"
    assert "softmax_cross_entropy from_logits=false\n" in said
    assert "sweeps.training.keras_optimizers:adam learning_rate=0.02 b1=0.9 b2=0.999 eps=1e-07\n" in said
    given = {"loss": "softmax_cross_entropy", "optimizer": {"use": "sgd", "learning_rate": 0.1}}
    config = {**config, **given, "model": "compiled_models:uncompiled"}
    (tmp_path / "b.yaml").write_text(to_yaml(parse_config(config)), encoding="utf-8")
    check(Console(width=300), tmp_path / "b.yaml", ())
    assert "compiled model" not in capsys.readouterr().out


# ---- configs and runs ------------------------------------------------------------------------------------------------


def test_an_unsettled_config_reads_back_as_itself_and_leaves_as_much_to_its_model(tmp_path: Path) -> None:
    swept = parse_config({**TREE, "model": "compiled_models:notebook"})
    (tmp_path / "left.yaml").write_text(to_yaml(swept), encoding="utf-8")
    again = load_config(tmp_path / "left.yaml")
    assert again == swept
    assert {"loss", "optimizer", "metrics"} & again.model_fields_set == set()
    with pytest.raises(ValueError, match="a trial needs a loss"):
        space.resolve(again, {})


def test_a_settled_config_says_everything_itself() -> None:
    swept = settled("notebook")
    assert {"loss", "optimizer", "metrics"} <= swept.model_fields_set
    assert parse_config(to_yaml(swept)) == swept
    plain = settled(
        "uncompiled", loss="softmax_cross_entropy", search_space={**TREE["search_space"], "learning_rate": 1}
    )
    assert parse_config(to_yaml(plain)).model_fields_set >= {"optimizer", "metrics"}


def test_null_is_no_loss() -> None:
    with pytest.raises(ConfigError, match="loss: must be a name, or a mapping with `use`"):
        parse_config({**TREE, "model": "a:b", "loss": None})


def test_a_run_keeps_what_the_model_brought_and_is_not_continued_with_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = {
        **TREE,
        "name": "kept",
        "dataset": {"use": "sweeping:plane"},
        "model": "compiled_models:flat",
        "search_space": {"epochs": 1, "batch_size": 53},
    }
    start.run(tree, tmp_path)
    kept = load_config(tmp_path / "kept" / "config.yaml")
    assert kept.loss is not None
    assert (kept.loss.use, kept.optimizer.arguments) == ("mean_squared_error", {"learning_rate": 0.05})
    start.run(parse_config({**tree, "budget": {"trials": 2}}), tmp_path)
    monkeypatch.setattr(compiled_models, "RATE", 0.25)
    with pytest.raises(ResultsError, match=r"optimizer.learning_rate: 0.05 before, 0.25 now"):
        start.run(tree, tmp_path)
