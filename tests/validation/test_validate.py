"""All that a config names is tried before anything compiles, each choice once, and all mistakes come together."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import optax
import pytest

from sweeps.config import as_draft
from sweeps.config.optax_names import ARGUMENTS
from sweeps.datasets.loading import Datasets
from sweeps.user_code import project_folders
from sweeps.validation import sample_configs, validate

PARTS = """\
import jax.numpy as jnp
import numpy as np


def model(width=8, *, input_shape, outputs, kind="plain", extra=None):
    if width > 100:
        raise ValueError("too wide\\nfor us")
    if (kind == "extra") != (extra is not None):
        raise ValueError("extra goes with kind=extra")
    return lambda key: jnp.zeros((input_shape[0], outputs)), lambda params, x: x @ params


def wrong_shape(outputs):
    return lambda key: jnp.zeros(()), lambda params, x: x


def data(rows=100, width=3, classes=2):
    return np.zeros((rows, width)), np.arange(rows) % classes


def regression():
    return np.zeros((50, 3)), np.zeros((50, 2))


def loss(outputs, targets):
    return outputs.mean(axis=-1)


def by_row(outputs, targets):
    return outputs.mean(axis=-1)


def one_number(outputs, targets):
    return outputs.mean()


def broadcast(outputs, targets):
    return ((outputs - targets[None]) ** 2).mean(axis=-1)


def in_order(outputs, targets):
    return jnp.sort(outputs.mean(axis=-1))


def whole(outputs, targets):
    return outputs.argmax(axis=-1)


def picky(outputs, targets):
    return outputs.reshape(7, 7)


def optimizer(learning_rate, warmth):
    raise AssertionError("not called before training")
"""

CONFIG: Mapping[str, Any] = {
    "name": "preflight",
    "dataset": {"use": "parts:data"},
    "model": {"use": "parts:model"},
    "loss": "softmax_cross_entropy",
    "metrics": ["accuracy"],
    "optimizer": {"use": "adam"},
    "search_space": {"epochs": 1, "batch_size": 16, "learning_rate": 0.1},
    "objective": {"metric": "valid_accuracy", "direction": "maximize"},
    "budget": {"trials": 1},
}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "parts.py").write_text(PARTS)
    monkeypatch.chdir(tmp_path)
    with project_folders(None):
        yield
    sys.modules.pop("parts", None)


def said(*overrides: str) -> list[str]:
    """What is wrong with the config under overrides, without the places."""
    draft = as_draft(dict(CONFIG), overrides)
    validate.examine(draft, Datasets())
    return [str(complaint).removeprefix(f"{complaint.where}: ") for complaint in draft.complaints]


def test_a_right_config_has_no_complaints() -> None:
    assert said() == []


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("model.use=parts:modle", "model.use: module parts has no 'modle'. Did you mean `model`?"),
        ("model.use=MLP", "model.use: must be `module:name` of a model, such as `models.mlp:MLP`, but got 'MLP'"),
        ("model.wide=3", "model.wide: unknown argument. Did you mean `width`?"),
        ("model.outputs=3", "model.outputs: comes from the data and is not for a config to give. Remove it"),
        ("model.width=200", "model: model parts:model failed at {parts}:7: ValueError: too wide"),
        ("model.use=parts:wrong_shape", "model: model parts:wrong_shape must map ('rows', 3) to ('rows', 2)"),
        ("search_space.model.width={type: int, low: 1, high: 101}", "search_space.model.width.high: model parts:model"),
        (
            "search_space.model.width={type: categorical, choices: [1, 101, 8]}",
            "search_space.model.width.choices[1]: model parts:model failed at",
        ),
        ("search_space.model.wide=3", "search_space.model.wide: unknown argument. Did you mean `width`?"),
        (
            "dataset.use=minst",
            (
                "dataset.use: a dataset must be `csv`, `fashion_mnist`, `images`, `linear_regression`, `mnist`, `npy`, "
                "`npz`, `parquet`, `series`, `sine_sequences`, `text`, `two_moons` or `module:function`"
            ),
        ),
        ("dataset.row=3", "dataset.row: unknown argument. Did you mean `rows`?"),
        ("dataset.rows=1", "dataset: valid_fraction and test_fraction must leave rows"),
        ("search_space.batch_size=81", "search_space.batch_size: a batch must not be larger than the 80 training rows"),
        (
            "search_space.batch_size={type: int, low: 1, high: 1000}",
            "search_space.batch_size.high: a batch must not be larger than the 80 training rows, but got 1,000",
        ),
        (
            "search_space.batch_size={type: categorical, choices: [16, 128]}",
            "search_space.batch_size.choices[1]: a batch must not be larger than the 80 training rows, but got 128",
        ),
        (
            "search_space.dataset.rows={type: categorical, choices: [100, 15]}",
            "search_space.batch_size: a batch must not be larger than the 12 training rows, but got 16",
        ),
        ("optimizer.use=adm", "optimizer.use: optax 0."),
        ("optimizer.b3=0.9", "optimizer.b3: unknown argument. adam takes learning_rate, b1, b2"),
        ("optimizer.use=lbfgs", "optimizer.use: optimizer lbfgs(learning_rate="),
        ("optimizer.nestrov=true", "optimizer.nestrov: unknown argument. Did you mean `nesterov`?"),
        ("optimizer.use=polyak_sgd", "search_space.learning_rate: polyak_sgd takes no learning rate. Remove it"),
        ("optimizer.use=parts:optimizer", "optimizer.warmth: parts:optimizer needs this argument"),
        ("dataset.use=parts:regression", "loss: softmax_cross_entropy needs class labels"),
        ("loss=parts:one_number", "loss: loss parts:one_number must give one number a row"),
        ("loss=parts:picky", "loss: loss parts:picky does not take outputs of shape [rows, 2] with targets"),
        (
            "loss=parts:by_row",
            "loss: parts:by_row is a loss of your own, so say what a model's outputs are to it. Give",
        ),
        ("loss={use: 'parts:by_row', outputs: logit}", "loss: `outputs` of parts:by_row must be one of probabilities,"),
        (
            "loss={use: 'parts:by_row', outputs: logits, number_of_outputs: 3}",
            "loss: `number_of_outputs` of parts:by_row must be 1 or 2 for 2 classes, but got 3",
        ),
        (
            "loss={use: 'parts:broadcast', outputs: values}",
            "loss: loss parts:broadcast must give a row's loss by this row alone, but it changes with others",
        ),
        ("loss={use: 'parts:loss', depth: 2}", "loss: loss parts:loss does not take outputs of shape [rows, 2]"),
        (
            "loss={use: 'parts:in_order', outputs: values}",
            "loss: loss parts:in_order must give a row's loss by this row alone, but it changes with others",
        ),
        ("loss={use: 'parts:whole', outputs: values}", "loss: loss parts:whole must give floats, to be learnt by, but"),
        ("schedule={use: 'parts:loss', depth: 2}", "schedule: schedule parts:loss failed"),
        ("loss=parts:lss", "loss: module parts has no 'lss'. Did you mean `loss`?"),
        ("metrics=[accuracy, 'parts:picky']", "metrics[1]: metric parts:picky does not take outputs"),
        ("metrics=[accuracy, 'parts:by_row']", "metrics[1]: metric parts:by_row must give one number, but got shape"),
        ("metrics=[accuracy, f1_macro, auc, top_2]", "metrics[3]: metric top_2 does not take outputs of shape"),
        ("metrics=[accuracy, mean_absolute_error]", "metrics[1]: metric mean_absolute_error does not take outputs"),
    ],
)
def test_a_mistake_is_told_at_its_path(override: str, complaint: str, tmp_path: Path) -> None:
    lines = said(override)
    assert len(lines) == 1, lines
    (line,) = lines
    assert line.startswith(complaint.format(parts=tmp_path / "parts.py"))
    assert "\n" not in line


@pytest.mark.parametrize(
    "override",
    [
        "loss=mse",
        "search_space.loss={type: categorical, choices: [mse, huber]}",
        "metrics=[acc]",
        "schedule=CosineDecay",
        "optimizer.use=Adam",
        "sampler=bayes",
    ],
)
def test_a_name_of_another_library_is_one_line_with_ours(override: str) -> None:
    draft = as_draft({**CONFIG, "loss": {}} if "space.loss" in override else dict(CONFIG), [override])
    validate.examine(draft, Datasets())
    (told,) = draft.complaints
    assert told.advice.startswith("Did you mean `")


def test_a_section_or_parameter_with_a_typo_is_not_missing_too() -> None:
    for right, typo in [("loss", "los"), ("budget", "bugdet"), ("dataset", "datset"), ("search_space", "serch_space")]:
        draft = as_draft({typo if key == right else key: value for key, value in CONFIG.items()})
        validate.examine(draft, Datasets())
        assert [complaint.path for complaint in draft.complaints] == [typo]
    for right, typo in [("learning_rate", "learning_rte"), ("learning_rate", "lr"), ("epochs", "epoch")]:
        space = {typo if key == right else key: value for key, value in CONFIG["search_space"].items()}
        draft = as_draft({**CONFIG, "search_space": space})
        validate.examine(draft, Datasets())
        assert [complaint.path for complaint in draft.complaints] == [f"search_space.{typo}"]


def test_a_sampler_whose_package_is_lacking_is_a_mistake_of_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (told,) = said("sampler=gp")
    assert told.startswith("sampler.use: sampler `gp` needs torch, not installed here. Run `pip install torch`")


def test_a_file_for_each_split_is_answered_with_the_column_that_splits() -> None:
    (told,) = said("dataset.valid_path=valid.csv")
    assert told.startswith(
        "dataset.valid_path: unknown argument. A dataset is one file: put the rows together, and name"
    )


def test_an_argument_that_only_some_losses_take_needs_a_condition() -> None:
    space = {
        "loss": {"type": "categorical", "choices": ["mean_squared_error", "huber"]},
        "loss.delta": {"type": "float", "low": 0.5, "high": 1.0},
    }
    draft = as_draft({**CONFIG, "loss": {}, "search_space": {**CONFIG["search_space"], **space}})
    validate.examine(draft, Datasets())
    (told,) = (str(complaint) for complaint in draft.complaints)
    assert told.endswith("mean_squared_error does not take this argument. Give it `when: {loss: [huber]}`")
    space["loss.delta"]["when"] = {"loss": "huber"}
    draft = as_draft({**CONFIG, "loss": {}, "search_space": {**CONFIG["search_space"], **space}})
    validate.examine(draft, Datasets())
    assert draft.complaints == []


def test_a_schedule_wants_a_learning_rate() -> None:
    space = "search_space={epochs: 1, batch_size: 16}"
    (told,) = said(space, "optimizer=adadelta", "schedule=cosine")
    assert told.startswith(
        "schedule: a schedule needs a learning rate, but adadelta is given none. Add `learning_rate`"
    )
    assert said(space, "optimizer={use: adadelta, learning_rate: 1.0}", "schedule=cosine") == []
    assert said(space, "optimizer=adadelta") == []


def test_an_unknown_optimizer_is_told_with_the_nearest() -> None:
    assert said("optimizer.use=adm")[0].endswith("has no optimizer 'adm'. Did you mean `adam`?")


def test_a_missing_learning_rate_is_told_with_what_to_write() -> None:
    draft = as_draft({**CONFIG, "search_space": {"epochs": 1, "batch_size": 16}})
    validate.examine(draft, Datasets())
    (complaint,) = draft.complaints
    assert complaint.path == "search_space.learning_rate"
    assert complaint.rule == "adam needs a learning rate"
    assert "Give a number, or a range such as" in complaint.advice


RATE = "{type: float, low: 1e-5, high: 1e-1, log: true, when: {optimizer.use: adam}}"
SGD = {"type": "float", "low": 0.1, "high": 1.0, "when": {"optimizer.use": "sgd"}}
ADAM = {"type": "float", "low": 0.001, "high": 0.1, "when": {"optimizer.use": "adam"}}


def rated(uses: list[str], rate: Any, **more: Any) -> list[str]:
    """What is wrong with a config that searches these optimizers with this learning rate."""
    chosen = {"type": "categorical", "choices": uses}
    space = {"epochs": 1, "batch_size": 16, "optimizer.use": chosen, "learning_rate": rate}
    tree = {**CONFIG, "search_space": {name: entry for name, entry in space.items() if entry is not None}, **more}
    del tree["optimizer"]
    draft = as_draft(tree)
    validate.examine(draft, Datasets())
    return [str(complaint).removeprefix("<config>: ") for complaint in draft.complaints]


def test_a_learning_rate_that_some_choices_of_the_optimizer_lack_is_refused() -> None:
    lacks = "search_space.learning_rate: adam needs a learning rate, and trials with `optimizer.use: adam` have none. "
    assert rated(["sgd", "adam"], SGD) == [f"{lacks}Make it a list, with {RATE} for instance"]
    assert rated(["sgd", "adam"], [SGD]) == [f"{lacks}Add to the list, for instance, {RATE}"]
    assert rated(["sgd", "adam"], [SGD, ADAM]) == []
    assert rated(["sgd", "adadelta"], SGD) == []  # which has a default
    (told,) = rated(["sgd", "adadelta"], SGD, schedule="cosine")
    assert told.startswith(
        "search_space.learning_rate: a schedule needs a learning rate, and trials with `optimizer.use:"
    )
    assert rated(["sgd", "polyak_sgd"], SGD) == []  # which takes none
    (told,) = rated(["sgd", "polyak_sgd"], 0.1)
    assert told.endswith("polyak_sgd takes no learning rate. Give it `when: {optimizer.use: [sgd]}`")


def test_one_missing_learning_rate_is_one_complaint_with_a_schedule_too() -> None:
    (told,) = rated(["sgd"], None, schedule="cosine")
    assert told.startswith("search_space.learning_rate: sgd needs a learning rate")


def test_a_learning_rate_among_the_optimizers_own_arguments_is_enough() -> None:
    draft = as_draft(
        {**CONFIG, "search_space": {"epochs": 1, "batch_size": 16}, "optimizer": {"use": "adam", "learning_rate": 0.1}}
    )
    validate.examine(draft, Datasets())
    assert draft.complaints == []


def test_mistakes_of_every_kind_are_told_together() -> None:
    lines = said(
        "dataset.use=minst", "model.use=parts:modle", "optimizer.use=adm", "sampler=tp", "search_space.epochs=0"
    )
    assert sorted(line.partition(":")[0] for line in lines) == [
        "dataset.use",
        "model.use",
        "optimizer.use",
        "sampler.use",
        "search_space.epochs",
    ]


@pytest.mark.parametrize(("section", "choice"), [("dataset", "mnits"), ("model", "parts:modle"), ("optimizer", "adm")])
def test_an_unknown_name_among_choices_is_told_at_the_choice(section: str, choice: str) -> None:
    right = CONFIG[section]["use"]
    space = {**CONFIG["search_space"], f"{section}.use": {"type": "categorical", "choices": [right, choice]}}
    draft = as_draft({**{key: value for key, value in CONFIG.items() if key != section}, "search_space": space})
    validate.examine(draft, Datasets())
    assert [complaint.path for complaint in draft.complaints] == [f"search_space.{section}.use.choices[1]"]


def test_every_wrong_choice_is_told_once() -> None:
    lines = said("search_space.model.width={type: categorical, choices: [101, 8, 102]}")
    assert [line.partition(":")[0] for line in lines] == ["model", "search_space.model.width.choices[2]"]


def test_a_conditional_argument_is_tried_under_its_condition_only() -> None:
    """The model refuses `extra` under any other kind, and the kind `extra` without it."""
    condition = "{type: categorical, choices: [1, 2], when: {model.kind: extra}}"
    kinds = "{type: categorical, choices: [plain, extra]}"
    assert said(f"search_space.model.kind={kinds}", f"search_space.model.extra={condition}") == []


def test_values_are_tried_one_parameter_at_a_time() -> None:
    draft = as_draft(
        {**CONFIG, "search_space": {**CONFIG["search_space"], "model.width": {"type": "int", "low": 1, "high": 9}}}
    )
    samples = sample_configs.sample_configs(draft, "model")["parts:model"]
    assert [(sample.arguments["width"], sample.place) for sample in samples] == [
        (1, ("model",)),
        (9, ("search_space", "model.width", "high")),
    ]


def test_what_is_checked_for_an_optimizer_of_optax_needs_no_jax(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sweeps.training.optimizers", None)  # importing from it fails
    draft = as_draft({**CONFIG, "dataset": "linear_regression", "model": {"use": "none"}, "optimizer": {"use": "sgd"}})
    validate._optimizers(draft, Datasets())
    assert draft.complaints == []


def test_an_argument_that_only_the_installed_optax_knows_is_right_and_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARGUMENTS, "adam", {name: needed for name, needed in ARGUMENTS["adam"].items() if name != "b2"})
    draft = as_draft(dict(CONFIG), ["optimizer.b2=0.99"])
    validate.examine(draft, Datasets())
    assert draft.complaints == []
    assert draft.notes == [
        "optimizer.b2: the installed optax has an argument of adam that this version of sweep does not know"
    ]


def test_arguments_that_the_table_knows_are_not_noted() -> None:
    draft = as_draft(dict(CONFIG), ["optimizer.b2=0.99", "optimizer.b3=0.9"])
    validate.examine(draft, Datasets())
    assert draft.notes == []
    assert [complaint.path for complaint in draft.complaints] == ["optimizer.b3"]


def descending(learning_rate: float) -> optax.GradientTransformation:
    parts = optax.clip_by_global_norm(1.0), optax.scale_by_adam(), optax.scale_by_learning_rate(learning_rate)
    return optax.chain(*parts)


@pytest.mark.usefixtures("ordinary_promotion")
@pytest.mark.parametrize("use", ["scale_by_adam", "identity", "scale_by_rms"])
def test_a_part_of_an_optimizer_by_which_the_loss_rises_is_refused(use: str) -> None:
    tree = {**CONFIG, "optimizer": {"use": use}, "search_space": {"epochs": 1, "batch_size": 16}}
    draft = as_draft(tree)
    validate.examine(draft, Datasets())
    (told,) = map(str, draft.complaints)
    assert f"{use} moves parameters along the gradient, so that the loss rises: it is a part of an optimizer" in told
    assert said("optimizer.use=test_validate:descending") == []  # which is what the advice says
