"""Raw files through `sweep predict` come to the very scores that the sweep recorded for the same rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sweeping import config, finish, fixed
from typer.testing import CliRunner

import sweeps
from sweeps.cli import app
from sweeps.datasets import loading, new_rows
from sweeps.datasets.builtin import mnist
from sweeps.datasets.new_rows import TrainedOn
from sweeps.errors import DataError
from sweeps.results.predictor import BestModel


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def flattened(input_shape: tuple[int, ...], outputs: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A linear model of all numbers of a row."""
    size = int(np.prod(input_shape))

    def init(key: jax.Array) -> Any:
        return {"kernel": 0.1 * jax.random.normal(key, (size, outputs)), "bias": jnp.zeros(outputs)}

    return init, lambda params, x: x.reshape(len(x), size) @ params["kernel"] + params["bias"][None]


def swept(dataset: dict[str, Any], **changes: Any) -> sweeps.Results:
    space = fixed(epochs=2, learning_rate=changes.pop("learning_rate", 0.05), batch_size=changes.pop("batch_size", 8))
    sections = {"model": {"use": "test_new_rows:flattened"}, "budget": {"trials": 1}, "search_space": space, **changes}
    return finish(config(dataset=dataset, **sections), Path("results"))


def predicted(*inputs: str) -> pd.DataFrame:
    result = CliRunner().invoke(app, ["predict", "results/small", *inputs, "-o", "out.csv"])
    assert result.exit_code == 0, result.output
    return pd.read_csv("out.csv", dtype={"predicted": str, "after": str}, keep_default_na=False)


def refused(path: str) -> str:
    with pytest.raises(DataError) as caught:
        sweeps.load("results/small").best_model().read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- images ----------------------------------------------------------------------------------------------------------


def pictures(folder: Path, rows: int, seed: int, size: tuple[int, ...] = (9, 7, 3)) -> None:
    generator = np.random.default_rng(seed)
    for number in range(rows):
        name, third = ("ant", "bee", "cat")[number % 3], size[0] // 3
        bright = np.arange(size[0])[:, None, None] // third == number % 3
        pixels = np.clip(generator.normal(100, 90, size) + 40 * bright, 0, 255).astype(np.uint8)
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name / f"{number:02}.png")


def test_images_are_resized_and_turned_grey_as_those_that_trained(project: Path) -> None:
    for seed, (name, rows) in enumerate({"train": 60, "valid": 21, "test": 24}.items()):
        pictures(project / "pets" / name, rows, seed)
    results = swept({"use": "images", "path": "pets", "size": [4, 6], "channels": 1}, learning_rate=0.1)
    assert results.best is not None
    for split, recorded in (("valid", results.best.metrics), ("test", results.best.test)):
        table = predicted(f"pets/{split}")
        assert list(table.columns) == ["file", "predicted", "probability_ant", "probability_bee", "probability_cat"]
        assert list(table.file) == sorted(table.file)
        accuracy = (table.predicted == table.file.str.partition("/")[0]).mean()
        assert accuracy == pytest.approx(recorded[f"{split}_accuracy"])
        assert 0.4 < accuracy < 1
    alone = predicted(f"pets/test/{table.file[3]}")
    assert alone.file.tolist() == ["09.png"]
    assert alone.loc[0, "probability_ant"] == pytest.approx(table.loc[3, "probability_ant"], rel=1e-5)


def test_an_image_of_another_size_is_refused_unless_training_resized(project: Path) -> None:
    pictures(project / "pets", 30, 0)
    swept({"use": "images", "path": "pets"})
    pictures(project / "large", 1, 0, size=(18, 14, 3))
    assert refused("large") == (
        "large: images must be 9 x 7 as those that trained, but ant/00.png is 18 x 14. Resize it"
    )
    Path("pets.csv").write_text("a\n1\n")
    Path("empty").mkdir()
    for name in ("pets.csv", "empty"):
        assert refused(name) == f"images are read from a folder or a file (.png, .jpg, .jpeg), but {name} has none"
    assert "there is no file nothing.png" in refused("nothing.png")


def test_hidden_files_and_other_kinds_are_no_images(project: Path) -> None:
    pictures(project / "pets", 30, 0)
    swept({"use": "images", "path": "pets"})
    before = len(predicted("pets"))
    Path("pets/notes.txt").write_text("seen in May")
    Path("pets/.cache").mkdir()
    Path("pets/.cache/a.png").write_text("")
    Path("pets/.b.png").write_text("")
    assert len(predicted("pets")) == before == 30


def test_digits_are_read_from_arrays_and_from_image_files_alike(project: Path) -> None:
    results = swept({"use": "mnist"}, batch_size=1000, metrics=["accuracy"])
    x, y = mnist.read("t10k")
    np.savez("test.npz", x=x, y=y)
    table = predicted("test.npz")
    assert results.best is not None
    assert (table.predicted.astype(int) == y).mean() == pytest.approx(results.best.test["test_accuracy"])
    Path("digits").mkdir()
    for number in range(12):
        Image.fromarray(x[number]).save(f"digits/{number:02}.png")
    np.testing.assert_allclose(predicted("digits").probability_3, table.probability_3[:12], rtol=1e-5)
    np.save("one.npy", x[5])
    assert predicted("one.npy").predicted.tolist() == [table.predicted[5]]


# ---- arrays ----------------------------------------------------------------------------------------------------------


def test_the_array_of_a_file_is_the_one_that_the_config_named(project: Path) -> None:
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, 60)
    x = generator.normal(y[:, None, None], 1.0, (60, 2, 5))
    np.savez("data.npz", images=x, labels=y)
    np.savez("only.npz", new=x)
    np.savez("two.npz", new=x, more=x)
    results = swept({"use": "npz", "path": "data.npz", "x": "images", "y": "labels", "scale": 0.5, "offset": -1.0})
    dataset = loading.load("npz", {"path": "data.npz", "x": "images", "y": "labels"})
    table = predicted("data.npz")
    rows = [int(np.flatnonzero((x.astype(np.float32) == row).all(axis=(1, 2)))[0]) for row in dataset.valid.x]
    accuracy = (table.predicted.astype(int)[rows] == y[rows]).mean()
    assert results.best is not None
    assert accuracy == pytest.approx(results.best.metrics["valid_accuracy"])
    assert predicted("only.npz").equals(table)
    assert refused("two.npz") == "two.npz must have one array, or one called 'images', but it has new, more"
    np.save("nan.npy", np.where(np.arange(60)[:, None, None] == 7, np.nan, x))
    assert refused("nan.npy") == "nan.npy: x: row 7 has a NaN or an infinity (rows count from 0)"
    assert "which are not made of images, but got new.png. Give it a .npy file" in refused("new.png")


def test_the_offset_of_a_best_model_of_an_earlier_version_was_called_shift(project: Path) -> None:
    generator = np.random.default_rng(0)
    np.savez("data.npz", x=generator.normal(size=(60, 3)), y=generator.integers(0, 3, 60))
    model = swept({"use": "npz", "path": "data.npz", "offset": -1.5}).best_model()
    described = dict(model.description)
    earlier = BestModel({**described, "shift": described.pop("offset")}, model.parameters)
    rows = generator.normal(size=(4, 3))
    np.testing.assert_array_equal(earlier(rows), model(rows))


def test_rows_that_no_image_can_be_are_refused_with_their_shape() -> None:
    for shape, dtype in (((5,), "uint8"), ((4, 4, 2), "uint8"), ((4, 4), "float32")):
        with pytest.raises(DataError, match="which are not made of images"):
            new_rows.read("a.png", TrainedOn(shape, dtype, {}))


# ---- tables ----------------------------------------------------------------------------------------------------------


def test_a_table_that_trained_comes_to_its_recorded_accuracy(project: Path) -> None:
    generator = np.random.default_rng(0)
    kind = generator.choice(["dog", "cat", "eel"], 150)
    width = generator.normal(100, 30, 150) + 20 * (kind == "cat")
    table = pd.DataFrame({"width": width, "kind": kind, "colour": generator.choice(["red", "blue"], 150)})
    table["part"] = generator.choice(["train", "valid", "test"], 150)
    table.loc[::11, "width"] = np.nan
    table.to_csv("pets.csv", index=False)
    dataset = {"use": "csv", "path": "pets.csv", "target": "kind", "split": "part", "one_hot": ["colour"]}
    results = swept({**dataset, "missing": "median", "standardize": True})
    told = predicted("pets.csv")
    assert results.best is not None
    for split, recorded in (("valid", results.best.metrics), ("test", results.best.test)):
        rows = table.part == split
        assert (told.predicted == table.kind)[rows].mean() == pytest.approx(recorded[f"{split}_accuracy"])


def test_an_empty_cell_that_nothing_fills_is_told_with_what_to_do(project: Path) -> None:
    Path("pets.csv").write_text("width,kind\n" + "".join(f"{row / 7},{row % 2}\n" for row in range(40)))
    swept({"use": "csv", "path": "pets.csv", "target": "kind"})
    Path("new.csv").write_text('width\n1\n""\n')
    assert refused("new.csv") == (
        "new.csv:3: every cell of column 'width' must be a finite number in float32, but got an empty cell. "
        "Fill it in, or leave its row out"
    )


def wine(rows: int = 120) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    kind = generator.integers(1, 4, rows)
    table = pd.DataFrame(
        {"acid": 1000 + 40 * kind + generator.normal(0, 9, rows), "ash": generator.normal(0.1, 1, rows)}
    )
    table["cork"] = generator.choice(["red", "blue"], rows)
    return table.assign(kind=kind)


@pytest.mark.parametrize("use", ["csv", "parquet"])
def test_a_dataframe_is_prepared_by_the_names_of_its_columns_as_a_file_is(project: Path, use: str) -> None:
    table = wine()
    table.to_csv("wine.csv", index=False) if use == "csv" else table.to_parquet("wine.parquet", index=False)
    path = f"wine.{use}"
    dataset = {"use": use, "path": path, "target": "kind", "one_hot": ["cork"], "standardize": True}
    model = swept(dataset, learning_rate=0.1).best_model()
    wanted = model(model.read(path))
    for frame in (table, table[["cork", "ash", "acid"]], table.drop(columns="kind").assign(more="x")):
        np.testing.assert_array_equal(model(frame), wanted)
        np.testing.assert_array_equal(model(frame.sample(frac=1, random_state=0).sort_index()), wanted)
    assert (model.predict(table) == table.kind).mean() > 0.8
    assert set(np.unique(model.predict(table))) <= {1, 2, 3}
    np.testing.assert_array_equal(predicted(path).predicted.astype(int), model.predict(table))
    with pytest.raises(DataError, match="the DataFrame: there is no column 'acid'; the nearest are 'acids'"):
        model(table.rename(columns={"acid": "acids"}))
    with pytest.raises(
        DataError, match="the DataFrame, row 0 from 0: every cell of column 'cork' must be one of its 2"
    ):
        model(table.assign(cork="green"))


def test_an_array_that_may_be_raw_is_refused_with_the_two_ways_to_say_it(project: Path) -> None:
    table = wine()
    table.to_csv("wine.csv", index=False)
    dataset = {"use": "csv", "path": "wine.csv", "target": "kind", "features": ["acid", "ash"]}
    model = swept({**dataset, "standardize": True}).best_model()
    read = model.read("wine.csv")
    for raw in (table[["acid", "ash"]].to_numpy(), np.array(read), table.drop(columns="cork").to_numpy()):
        for call in (model, model.predict):
            with pytest.raises(DataError) as caught:
                call(raw)
            for way in ("as a DataFrame with the columns' names or as a file to `read`", "`prepared=True`"):
                assert way in str(caught.value)
    np.testing.assert_array_equal(model(np.array(read), prepared=True), model(read))
    np.testing.assert_array_equal(model(read[3:7]), model(read)[3:7])
    plain = swept(dataset, name="plain", learning_rate=0.0001).best_model()  # whose numbers are as in the file
    np.testing.assert_array_equal(plain(table[["acid", "ash"]].to_numpy(np.float32)), plain(plain.read("wine.csv")))


def test_a_dataframe_of_a_dataset_without_names_has_a_column_for_each_number(project: Path) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 3))
    np.savez("data.npz", x=x, y=generator.integers(0, 3, 60))
    model = swept({"use": "npz", "path": "data.npz"}).best_model()
    np.testing.assert_array_equal(model(pd.DataFrame(x)), model(x))
    with pytest.raises(DataError, match="must have a column for each of the 3 numbers of a row, but has 2"):
        model(pd.DataFrame(x[:, :2]))


def test_a_series_is_predicted_from_a_dataframe_as_from_a_file(project: Path) -> None:
    days = pd.date_range("2024-01-01", periods=60).strftime("%d/%m/%Y")
    table = pd.DataFrame({"day": days, "heat": np.sin(np.arange(60) / 4) * 9 + 20})
    table.to_csv("weather.csv", index=False)
    dataset = {"use": "series", "path": "weather.csv", "target": "heat", "time": "day", "time_format": "%d/%m/%Y"}
    model = swept(
        {**dataset, "window": 5, "standardize": True}, loss="mean_squared_error", metrics=[], learning_rate=0.001
    ).best_model()
    wanted = model(model.read("weather.csv"))
    np.testing.assert_array_equal(model(table), wanted)
    np.testing.assert_array_equal(model(table.iloc[::-1]), wanted)
    np.testing.assert_array_equal(model(table.assign(day=pd.to_datetime(table.day, dayfirst=True))), wanted)


def test_labels_come_back_in_the_type_that_the_data_had(project: Path) -> None:
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, 60)
    x = y[:, None] * 4.0 + generator.normal(size=(60, 1))
    kinds: dict[str, tuple[Any, type]] = {
        "from 0": (y, np.int64), "from 5": (y + 5, np.int64), "words": (np.array(["ant", "bee", "cat"])[y], np.str_),
        "truth": (y > 0, np.bool_), "one-hot": (np.eye(3)[y], np.int64),
    }  # fmt: skip
    for kind, (labels, dtype) in kinds.items():
        if kind == "one-hot":
            np.savez("data.npz", x=x, y=labels)
            dataset: dict[str, Any] = {"use": "npz", "path": "data.npz"}
        else:
            pd.DataFrame({"x": x[:, 0], "y": labels}).to_csv("data.csv", index=False)
            dataset = {"use": "csv", "path": "data.csv", "target": "y"}
        model = swept(dataset, name=kind.replace(" ", "_").replace("-", "_")).best_model()
        found = model.predict(x)
        assert np.issubdtype(found.dtype, dtype), kind
        classes = np.arange(3) if kind == "one-hot" else np.unique(labels)
        np.testing.assert_array_equal(found, classes[model(x).argmax(axis=1)], kind)


def test_labels_of_a_best_model_of_an_earlier_version_are_its_names_or_numbers(project: Path) -> None:
    Path("pets.csv").write_text(
        "width,kind\n" + "".join(f"{row},{'cat' if row > 20 else 'dog'}\n" for row in range(40))
    )
    model = swept({"use": "csv", "path": "pets.csv", "target": "kind"}, learning_rate=0.1).best_model()
    described = {name: value for name, value in model.description.items() if name != "labels"}
    earlier = BestModel(described, model.parameters)
    x = np.arange(40.0)[:, None]
    np.testing.assert_array_equal(earlier.predict(x), model.predict(x))
    assert set(BestModel({**described, "class_names": None}, model.parameters).predict(x)) <= {0, 1}


# ---- sequences -------------------------------------------------------------------------------------------------------


def test_a_series_is_predicted_after_every_step_that_has_a_window(project: Path) -> None:
    generator = np.random.default_rng(0)
    days = pd.date_range("2024-01-01", periods=90).strftime("%Y-%m-%d")
    table = pd.DataFrame({"day": days, "heat": np.sin(np.arange(90) / 4) * 9 + 20, "rain": generator.normal(3, 1, 90)})
    table.iloc[::-1].to_csv("weather.csv", index=False)  # in any order, since `time` says which
    dataset = {"use": "series", "path": "weather.csv", "target": "heat", "time": "day", "window": 5, "horizon": 2}
    results = swept(
        {**dataset, "standardize": True, "stride": 3, "valid_fraction": 0.3},
        loss="mean_squared_error", metrics=[], learning_rate=0.001,
    )  # fmt: skip
    told = predicted("weather.csv")
    assert list(told.columns) == ["after", "heat"]
    assert told.after.tolist() == days[4:].tolist()
    last_steps = 63 + np.arange(0, 27 - 5 - 2 + 1, 3) + 4  # of the windows of the last 27 steps, every third
    heat = told.set_index("after").heat
    errors = [heat[days[step]] - table.heat[step + 2] for step in last_steps]
    assert results.best is not None
    assert np.square(errors).mean() == pytest.approx(results.best.value, rel=1e-5)
    Path("short.csv").write_text("day,heat,rain\n" + "".join(f"2024-01-0{day},3,4\n" for day in range(1, 5)))
    assert refused("short.csv") == "short.csv must have at least 5 steps, one window, but it has 4"
    assert refused(".") == "a series is read from a file, but . is a folder"
    Path("narrow.csv").write_text("day,heet,rain\n2024-01-01,3,4\n")
    assert refused("narrow.csv") == "narrow.csv: there is no column 'heat'; the nearest are 'heet'"


def test_steps_without_a_time_are_called_by_their_rows(project: Path) -> None:
    Path("steps.csv").write_text("level\n" + "".join(f"{row % 5}.5\n" for row in range(40)))
    dataset = {"use": "series", "path": "steps.csv", "target": "level", "window": 3}
    swept(dataset, loss="mean_squared_error", metrics=[], learning_rate=0.001)
    Path("new.csv").write_text("level\n1.5\n2.5\n3.5\n4.5\n")
    assert predicted("new.csv").after.tolist() == ["2", "3"]


def test_a_text_is_predicted_after_every_character_that_has_a_window(project: Path) -> None:
    content = "".join(np.random.default_rng(0).choice(list("ab, \n"), 300, p=[0.5, 0.2, 0.1, 0.1, 0.1]))
    Path("book.txt").write_text(content)
    dataset = {"use": "text", "path": "book.txt", "window": 4, "valid_fraction": 0.2}
    results = swept(dataset, model={"use": "sweeping:embedding"})
    told = predicted("book.txt")
    assert told.after.tolist() == [str(place) for place in range(3, 300)]
    ends = np.arange(240 + 3, 299)
    hits = [told.predicted[end - 3] == content[end + 1] for end in ends]
    assert results.best is not None
    assert np.mean(hits) == pytest.approx(results.best.metrics["valid_accuracy"])
    Path("new.txt").write_text("ab,\nab\xe9")
    assert refused("new.txt") == "new.txt:2: '\xe9' is not one of the 5 characters that the model was trained on"
    for short in ("ab", ""):
        Path("new.txt").write_text(short)
        assert refused("new.txt") == f"new.txt must have at least 4 steps, one window, but it has {len(short)}"


# ---- targets that were scaled ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("use", ["npz", "csv", "series"])
def test_predictions_are_in_the_units_of_targets_that_were_scaled(project: Path, use: str) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(80, 3))
    y = 5000 + 1200 * (x @ np.array([0.6, -0.8, 0.3]) + 0.1 * generator.normal(size=80))
    np.savez("data.npz", x=x, y=y)
    table = pd.DataFrame(x, columns=list("abc")).assign(price=y)
    table.to_csv("data.csv", index=False)
    dataset = {
        "npz": {"path": "data.npz"},
        "csv": {"path": "data.csv", "target": "price"},
        "series": {"path": "data.csv", "target": "price", "features": ["a", "b"], "window": 2},
    }[use]
    results = swept(
        {"use": use, **dataset, "scale_target": True},
        loss="mean_squared_error", metrics=["r2", "mean_absolute_error"], learning_rate=0.1,
    )  # fmt: skip
    plain, scaled = (loading.load(use, {**dataset, "scale_target": each}) for each in (False, True))
    said = results.best_model()(plain.valid.x)[:, 0]
    assert results.best is not None
    recorded, spread = results.best.metrics, plain.train.y.std()
    assert np.square(said - plain.valid.y).mean() == pytest.approx(recorded["valid_loss"] * spread**2, rel=1e-4)
    assert np.abs(said - plain.valid.y).mean() == pytest.approx(
        recorded["valid_mean_absolute_error"] * spread, rel=1e-4
    )
    left = np.square(said - plain.valid.y).sum() / np.square(plain.valid.y - plain.valid.y.mean()).sum()
    assert 1 - left == pytest.approx(recorded["valid_r2"], rel=1e-4)
    assert (scaled.train.y.mean(), scaled.train.y.std()) == pytest.approx((0, 1), abs=1e-5)
    np.testing.assert_allclose(scaled.valid.y, (plain.valid.y - plain.train.y.mean()) / spread, rtol=1e-3, atol=1e-5)
    if use != "npz":
        lines = predicted("data.csv")
        assert lines.price.mean() == pytest.approx(y.mean(), rel=0.2)


def test_each_of_several_targets_has_its_own_scale(project: Path) -> None:
    x = np.random.default_rng(0).normal(size=(80, 3))
    y = np.stack([1e4 + 1e3 * x[:, 0], 1e-3 * x[:, 1], np.full(80, 7.0)], axis=1)
    np.savez("data.npz", x=x, y=y)
    dataset = {"use": "npz", "path": "data.npz", "scale_target": True}
    results = swept(dataset, loss="mean_squared_error", metrics=[], learning_rate=0.1)
    said = predicted("data.npz")
    assert said.predicted_0.corr(pd.Series(y[:, 0])) > 0.8
    assert said.predicted_0.mean() == pytest.approx(1e4, rel=0.1)
    assert said.predicted_1.abs().max() < 0.01
    assert said.predicted_2.mean() == pytest.approx(7, abs=1)
    assert results.best_model()(np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        (
            {"use": "two_moons", "scale_target": True},
            "scale_target is for numbers to regress on, but these targets are",
        ),
        ({"use": "linear_regression", "scale_target": "yes"}, "scale_target must be true or false, but got 'yes'"),
    ],
)
def test_only_numbers_are_scaled(dataset: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        loading.load(dataset["use"], {name: value for name, value in dataset.items() if name != "use"})


def test_a_prediction_replaces_neither_the_rows_that_are_predicted_nor_a_folder(project: Path) -> None:
    wine().to_csv("wine.csv", index=False)
    swept({"use": "csv", "path": "wine.csv", "target": "kind", "features": ["acid", "ash"]})
    before = Path("wine.csv").read_bytes()
    Path("linked.csv").symlink_to("wine.csv")
    for output, said in [
        ("wine.csv", "wine.csv holds the rows to predict, and would be replaced"),
        ("linked.csv", "linked.csv holds the rows to predict, and would be replaced"),
        (".", ". is a folder, and `-o` takes the name of a file to write"),
    ]:
        result = CliRunner().invoke(app, ["predict", "results/small", "wine.csv", "-o", output])
        assert isinstance(result.exception, DataError)
        assert said in str(result.exception)
    assert Path("wine.csv").read_bytes() == before
