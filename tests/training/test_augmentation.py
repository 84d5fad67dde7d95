"""Images that move and turn while they train: by draws of known frequencies, a lane's own, and never in validation."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sweeping
import tolerances
from reference import moved
from sweeping import (
    Trained,
    assert_same,
    config,
    counting_compilations,
    lane_trial,
    mapped,
    refer,
    train_in_lanes,
    vmapped,
)

from sweeps.config import SweepConfig, as_draft, parse_config, to_yaml
from sweeps.datasets.dataset import Dataset, Split
from sweeps.datasets.loading import Datasets
from sweeps.engine.devices import Policy
from sweeps.engine.programs import Programs
from sweeps.errors import ConfigError
from sweeps.training.augmentation import FLIP, SHIFT, taken
from sweeps.validation.validate import examine

pytestmark = pytest.mark.usefixtures("ordinary_promotion")
KEY = jax.random.key(7)
TRIALS = [
    {"batch_size": 8, "learning_rate": 0.3, "augmentation.shift": 2, "augmentation.flip": 0.5},
    {"batch_size": 16, "learning_rate": 0.2, "augmentation.shift": 0, "augmentation.flip": 1.0},
    {"batch_size": 5, "learning_rate": 0.1, "augmentation.shift": 3, "augmentation.flip": 0.0},
]
SPACE: dict[str, Any] = {
    "epochs": 2,
    "batch_size": {"type": "categorical", "choices": [5, 8, 16]},
    "learning_rate": {"type": "float", "low": 0.01, "high": 1.0},
    "augmentation.shift": {"type": "int", "low": 0, "high": 3},
    "augmentation.flip": {"type": "float", "low": 0.0, "high": 1.0},
}


def pictures(colours: int | None = None, rows: int = 53) -> Dataset:
    """Bytes of 6 x 5 pixels, of one value or several; a model sees -0.5 of a zero."""
    shape = (rows + 20, 6, 5) if colours is None else (rows + 20, 6, 5, colours)
    generator = np.random.default_rng(0)
    x, y = generator.integers(0, 256, shape).astype(np.uint8), generator.integers(0, 3, rows + 20).astype(np.int32)
    return Dataset(Split(x[:rows], y[:rows]), Split(x[rows:], y[rows:]), scale=1 / 255, offset=-0.5)


def dense(input_shape: tuple[int, ...], outputs: int) -> Any:
    """A linear model of all pixels."""
    size = int(np.prod(input_shape))

    def init(key: jax.Array) -> Any:
        return {"kernel": 0.1 * jax.random.normal(key, (size, outputs))}

    return init, lambda params, x: x.reshape(len(x), -1) @ params["kernel"]


def swept(**changes: Any) -> SweepConfig:
    tree = {"dataset": {"use": "test_augmentation:pictures"}, "model": {"use": "test_augmentation:dense"}}
    return config(**{**tree, "search_space": SPACE, "micro_batch": 16, **changes})


def programs_of(swept: SweepConfig, policy: Policy) -> Programs:
    return Programs(swept, Datasets(), policy, chunk_bytes=16 * 34)


def trained(swept: SweepConfig, policy: Policy) -> dict[int, Trained]:
    programs = programs_of(swept, policy)
    return train_in_lanes(programs, policy, [lane_trial(programs, swept, *each) for each in enumerate(TRIALS)])


def values(shift: float | None = None, flip: float | None = None) -> dict[str, jax.Array]:
    given = {SHIFT: shift, FLIP: flip}
    return {name: jnp.float32(value) for name, value in given.items() if value is not None}


def images(rows: int = 12, dtype: Any = np.uint8, channels: tuple[int, ...] = ()) -> np.ndarray:
    return np.random.default_rng(1).integers(1, 200, (rows, 6, 5, *channels)).astype(dtype)


# ---- what is done to an image ----------------------------------------------------------------------------------------


def test_offsets_are_within_the_shift_and_all_equally_frequent() -> None:
    rows, shift = 20_000, 2
    point = np.zeros((rows, 9, 7), np.uint8)
    point[:, 4, 3] = 1
    found = np.asarray(taken(jnp.asarray(point), jnp.arange(rows), values(shift=shift), KEY))
    counts = found.sum(axis=0, dtype=np.int64)
    assert counts.sum() == rows
    square = counts[4 - shift : 4 + shift + 1, 3 - shift : 3 + shift + 1]
    assert square.sum() == rows
    # Each of the 25 offsets is binomial; five deviations are passed by chance once in some 70,000 tests.
    expected = rows / 25
    assert np.abs(square - expected).max() < 5 * np.sqrt(expected * (1 - 1 / 25))


def test_as_many_images_are_mirrored_as_the_probability_says() -> None:
    rows, flip = 20_000, 0.3
    point = np.zeros((rows, 2, 3), np.uint8)
    point[:, 0, 0] = 1
    found = np.asarray(taken(jnp.asarray(point), jnp.arange(rows), values(flip=flip), KEY))
    count = int(found[:, 0, 2].sum())
    assert count + int(found[:, 0, 0].sum()) == rows
    assert abs(count - flip * rows) < 5 * np.sqrt(rows * flip * (1 - flip))


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_flip_of_1_mirrors_every_image_and_zeros_change_none(dtype: Any, channels: tuple[int, ...]) -> None:
    given, rows = images(dtype=dtype, channels=channels), np.array([3, 0, 11, 7])
    mirrored = taken(jnp.asarray(given), jnp.asarray(rows), values(flip=1), KEY)
    np.testing.assert_array_equal(mirrored, given[rows][:, :, ::-1])
    for none in (values(0, 0), values(shift=0), values(flip=0)):
        same = taken(jnp.asarray(given), jnp.asarray(rows), none, KEY)
        np.testing.assert_array_equal(same, given[rows])
        assert same.dtype == dtype


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize(("shift", "flip"), [(1, 0.5), (4, 1.0), (2, 0.0)])
def test_pixels_go_where_a_loop_over_pixels_puts_them(channels: tuple[int, ...], shift: int, flip: float) -> None:
    given, rows = images(channels=channels), np.arange(12)[::-1]
    found = taken(jnp.asarray(given), jnp.asarray(rows), values(shift, flip), KEY)
    np.testing.assert_array_equal(found, moved(given[rows], {"shift": shift, "flip": flip}, KEY))


def test_a_masked_row_stays_the_image_that_it_repeats() -> None:
    rows = jnp.array([5, 2, 9, 5, 5])
    found = np.asarray(taken(jnp.asarray(images()), rows, values(3, 0.5), KEY))
    np.testing.assert_array_equal(found[3:], found[[0, 0]])


def test_a_longer_part_draws_the_same_for_its_first_rows() -> None:
    given, rows = jnp.asarray(images()), jnp.arange(12)
    few, many = (taken(given, rows[:count], values(3, 0.5), KEY) for count in (5, 12))
    np.testing.assert_array_equal(few, many[:5])


# ---- in lanes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [mapped(3), vmapped(3)], ids=["mapped", "vmapped"])
@pytest.mark.parametrize("resident_bytes", [None, 0], ids=["resident", "streamed"])
def test_lanes_of_different_augmentations_are_each_the_trial_in_the_plain_loop(
    policy: Policy, resident_bytes: int | None
) -> None:
    for number, found in trained(swept(), policy._replace(resident_bytes=resident_bytes)).items():
        assert_same(found, refer(swept(), number, TRIALS[number], chunk_rows=16), tolerances.TRAINED)


def test_colours_move_together_in_lanes_too() -> None:
    coloured = swept(dataset={"use": "test_augmentation:pictures", "colours": 3})
    programs = Programs(coloured, Datasets(), mapped(1))
    found = train_in_lanes(programs, mapped(1), [lane_trial(programs, coloured, 0, TRIALS[0])])[0]
    assert_same(found, refer(coloured, 0, TRIALS[0]), tolerances.TRAINED)


def test_an_epoch_cut_into_many_calls_changes_no_bit() -> None:
    programs = programs_of(swept(), mapped(1))
    trial_in_lane = lane_trial(programs, swept(), 0, TRIALS[0])
    whole, cut = (sweeping.restart(programs, trial_in_lane) for _ in range(2))
    whole, report = whole.call(2**30)
    while int(cut.state.epoch) == 0:
        cut, last = cut.call(1)
    np.testing.assert_array_equal(last.scores, report.scores)
    assert_same(cut.state.params, whole.state.params, tolerances.EXACT)


def test_parts_of_a_batch_draw_for_themselves() -> None:
    # A batch of twins, in two parts: one draw for both would leave them alike.
    programs = programs_of(swept(micro_batch=8), mapped(1))
    trial_in_lane = lane_trial(programs, swept(micro_batch=8), 0, TRIALS[1] | {"augmentation.shift": 3})
    trial = sweeping.restart(programs, trial_in_lane)
    lane, data = trial.program.lane, trial.program.feed.open()(0)
    order = jnp.zeros(64, jnp.int32)  # always the same image
    seen = []
    for index in (jnp.int32(0), jnp.int32(1)):
        batch = lane.batch(trial.values, trial.state.update, data, order, index, 8)
        seen.append(np.asarray(lane.inputs(trial.values, trial.state, data, batch, index)))
    assert not np.array_equal(*seen)


def test_a_program_without_augmentation_does_not_know_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.training.augmentation.taken", None)
    plain = {name: entry for name, entry in SPACE.items() if "." not in name}
    assert sweeping.single(swept(search_space=plain), 0, {"batch_size": 8, "learning_rate": 0.1}).whole_epoch()
    with pytest.raises(TypeError):
        sweeping.single(swept(), 0, TRIALS[0])


def test_a_searched_augmentation_compiles_one_program(tmp_path: Path) -> None:
    space = {**SPACE, "epochs": 1}
    with counting_compilations() as compiled:
        results = sweeping.finish(swept(search_space=space, budget={"trials": 12}, lanes=2), tmp_path)
    assert results.trials["outcome"].tolist() == ["completed"] * 12
    assert results.trials["params_augmentation.shift"].nunique() > 1
    assert results.trials["params_augmentation.flip"].nunique() > 6
    assert len(compiled) == 1


def test_a_section_and_the_search_space_say_the_same() -> None:
    fixed = {"epochs": 1, "batch_size": 8, "learning_rate": 0.1}
    section = swept(search_space=fixed, augmentation={"shift": 2, "flip": 0.25})
    space = swept(search_space={**fixed, "augmentation.flip": 0.25}, augmentation={"shift": 2})
    one, other = (
        programs_of(each, mapped(1)).lane_trial(0, sweeping.space.resolve(each, {})) for each in (section, space)
    )
    assert one.program_key.float_names == ("augmentation.flip", "augmentation.shift", "learning_rate")
    assert one.program_key == other.program_key
    np.testing.assert_array_equal(one.floats, other.floats)
    np.testing.assert_array_equal(one.floats[:2], [0.25, 2])


# ---- configs ---------------------------------------------------------------------------------------------------------


def complaints(**changes: Any) -> list[str]:
    tree = config(**{"search_space": {"epochs": 1, "batch_size": 8, "learning_rate": 0.1}, **changes})
    draft = as_draft(to_yaml(tree))
    examine(draft, Datasets())
    return [str(complaint) for complaint in draft.complaints]


def words_of(**changes: Any) -> str:
    tree = {"dataset": {"use": "test_augmentation:pictures"}, "model": {"use": "test_augmentation:dense"}, **changes}
    said = complaints(**tree)
    assert len(said) == 1, said
    return said[0]


def tokens() -> Dataset:
    words = sweeping.tokens()
    splits = (Split(np.tile(split.x[:, :, None], 5), split.y) for split in (words.train, words.valid))
    return Dataset(*splits)


def test_images_are_accepted() -> None:
    tree = {"dataset": {"use": "test_augmentation:pictures"}, "model": {"use": "test_augmentation:dense"}}
    assert complaints(**tree, augmentation={"shift": 4, "flip": 0.5}) == []


def test_what_is_no_image_is_refused() -> None:
    said = words_of(dataset={"use": "sweeping:blobs"}, model={"use": "sweeping:curved"}, augmentation={"flip": 0.5})
    assert "augmentation.flip: augmentation is for images" in said
    assert "got rows of shape (5,) (float32). Remove it" in said


def test_tokens_are_no_images() -> None:
    said = words_of(dataset={"use": "test_augmentation:tokens"}, augmentation={"shift": 1})
    assert "that are no tokens, but got rows of shape (5, 5) (int32)" in said


@pytest.mark.parametrize("place", ["augmentation.shift", "search_space.augmentation.shift.high"])
def test_an_image_stays_within_its_frame(place: str) -> None:
    if place.startswith("search"):
        space = {"epochs": 1, "batch_size": 8, "learning_rate": 0.1}
        said = words_of(search_space={**space, "augmentation.shift": {"type": "int", "low": 0, "high": 5}})
    else:
        said = words_of(augmentation={"shift": 5})
    assert f"{place}: an image of 6 x 5 must be moved by fewer pixels than it has, but got 5" in said


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("augmentation.shift=-1", "augmentation.shift: must be at least 0, but got -1"),
        ("augmentation.shift=1.5", "augmentation.shift: must be a whole number, but got 1.5"),
        ("augmentation.flip=2", "augmentation.flip: must be at most 1, but got 2"),
        ("augmentation.zoom=2", "augmentation.zoom: unknown key"),
        ("augmentation=2", "augmentation: must be a mapping such as {shift: 2, flip: 0.5}, but got 2"),
        ("search_space.augmentation.zoom=2", "search_space.augmentation.zoom: unknown parameter"),
        ("search_space.augmentation.flip={type: float, low: 0, high: 2}", "augmentation.flip.high: must be at most 1"),
        ("search_space.augmentation.shift={type: float, low: 0, high: 2}", "must be `int` or `categorical` here"),
        ("search_space.augmentation.shift=[1, 2]", "To search, write {type: categorical, choices: [1, 2]}"),
    ],
)
def test_what_is_no_augmentation_is_refused(override: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(to_yaml(swept(search_space={"epochs": 1, "batch_size": 8})), [override])
    assert said in str(caught.value)


def test_a_value_in_two_places_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"augmentation\.flip: must be given in one place"):
        swept(augmentation={"flip": 0.5})


def test_the_example_of_the_documentation_is_read() -> None:
    text = (sweeping.ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    example = re.findall(r"```yaml\n(.*?)```", text.partition("## Augmentation")[2], re.DOTALL)[0]
    tree = to_yaml(swept(search_space={"epochs": 1, "batch_size": 8})).replace("augmentation: {}\n", example)
    assert parse_config(tree).augmentation.given == {"shift": 2, "flip": 0.5}


def test_a_config_with_augmentation_is_read_back_as_an_equal_one() -> None:
    made = swept(search_space={"epochs": 1, "batch_size": 8}, augmentation={"shift": 2})
    assert parse_config(to_yaml(made)) == made
    assert made.augmentation.given == {"shift": 2}
    assert dataclasses.asdict(sweeping.space.resolve(made, {}))["augmentation"] == {"shift": 2}
