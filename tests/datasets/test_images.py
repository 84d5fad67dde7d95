"""Images arrive as their pixels are, labelled by their folders; whatever is not like the others is named."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sweeps.datasets import loading
from sweeps.datasets.dataset import Dataset
from sweeps.errors import DataError

GREY = np.random.default_rng(0).integers(0, 256, (12, 5, 7), np.uint8)
COLOURS = np.random.default_rng(1).integers(0, 256, (12, 5, 7, 3), np.uint8)


def save(folder: Path, pixels: np.ndarray[Any, Any], suffix: str = "png") -> Path:
    """Images as class folders: a third each of ant, bee and cat."""
    for number, each in enumerate(pixels):
        place = folder / ("ant", "bee", "cat")[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(each).save(place / f"{number:02}.{suffix}")
    return folder


def load(folder: Path, **arguments: Any) -> Dataset:
    return loading.load("images", {"path": str(folder), **arguments})


def refused(make: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        make()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("pixels", [GREY, COLOURS], ids=["grey", "colours"])
def test_pixels_are_those_of_the_files_and_labels_those_of_the_folders(
    tmp_path: Path, pixels: np.ndarray[Any, Any]
) -> None:
    dataset = load(save(tmp_path, pixels), valid_fraction=0.25, test_fraction=0.25)
    assert [split.rows for split in dataset.splits.values()] == [6, 3, 3]
    assert (dataset.input_shape, dataset.train.x.dtype, dataset.scale) == (pixels.shape[1:], np.uint8, 1 / 255)
    assert (dataset.classes, dataset.class_names) == (3, ("ant", "bee", "cat"))
    found = {x.tobytes(): int(y) for split in dataset.splits.values() for x, y in zip(*split, strict=True)}
    assert found == {each.tobytes(): number % 3 for number, each in enumerate(pixels)}


def test_folders_of_splits_are_the_splits(tmp_path: Path) -> None:
    for name, rows in {"train": slice(0, 6), "val": slice(6, 9), "test": slice(9, 12)}.items():
        save(tmp_path / name, GREY[rows])
    dataset = load(tmp_path)
    for split, rows in zip(dataset.splits.values(), (slice(0, 6), slice(6, 9), slice(9, 12)), strict=True):
        assert {x.tobytes() for x in split.x} == {each.tobytes() for each in GREY[rows]}
    said = refused(lambda: load(tmp_path, valid_fraction=0.3))
    assert said == "valid_fraction is for data without a valid split, but these have one. Remove it"


def test_a_size_resizes_and_channels_turn_grey(tmp_path: Path) -> None:
    dataset = load(save(tmp_path, COLOURS), size=(4, 6), channels=1)
    assert dataset.input_shape == (4, 6)
    first = Image.fromarray(COLOURS[0]).convert("L").resize((6, 4), Image.Resampling.BILINEAR)
    assert any((x == np.asarray(first)).all() for split in dataset.splits.values() for x in split.x)
    assert dataset.notes == (f"{tmp_path}: 12 images", "resized to 4 x 6: 12 images")
    assert dataset.preprocessing == {
        "kind": "images", "size": [4, 6], "resize": True, "channels": 1, "classes": ["ant", "bee", "cat"],
    }  # fmt: skip


def test_an_image_that_says_it_lies_on_its_side_is_set_upright(tmp_path: Path) -> None:
    save(tmp_path, np.transpose(GREY, (0, 2, 1)))
    turned = Image.fromarray(GREY[0])
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned right by a quarter
    turned.save(tmp_path / "ant" / "00.png", exif=exif)
    dataset = load(tmp_path)
    upright = np.rot90(GREY[0], -1)
    assert any((x == upright).all() for split in dataset.splits.values() for x in split.x)


def test_transparency_and_palettes_become_colours(tmp_path: Path) -> None:
    save(tmp_path, COLOURS)
    Image.fromarray(COLOURS[0]).convert("RGBA").save(tmp_path / "ant" / "00.png")
    Image.fromarray(COLOURS[3]).quantize(256).save(tmp_path / "ant" / "03.png")
    dataset = load(tmp_path)
    assert dataset.input_shape == (5, 7, 3)
    assert any((x == COLOURS[0]).all() for split in dataset.splits.values() for x in split.x)


def test_jpeg_is_read_and_other_files_are_left_alone(tmp_path: Path) -> None:
    save(tmp_path, COLOURS, "JPG")
    (tmp_path / "ant" / "notes.txt").write_text("seen in May")
    (tmp_path / "ant" / ".hidden.png").write_text("")
    (tmp_path / ".cache").mkdir()
    assert sum(split.rows for split in load(tmp_path).splits.values()) == 12


@pytest.mark.parametrize("grey_one", [0, 5])
@pytest.mark.parametrize("layout", ["classes", "splits"])
def test_one_grey_image_among_colours_takes_none_away_and_is_told(tmp_path: Path, grey_one: int, layout: str) -> None:
    pixels = COLOURS.copy()
    if layout == "classes":
        save(tmp_path, pixels)
        name = f"{('ant', 'bee', 'cat')[grey_one % 3]}/{grey_one:02}.png"
    else:
        for split, rows in {"train": slice(0, 6), "val": slice(6, 12)}.items():
            save(tmp_path / split, pixels[rows])
        name = f"train/{('ant', 'bee', 'cat')[grey_one % 3]}/{grey_one:02}.png"
    Image.fromarray(GREY[grey_one]).save(tmp_path / name)
    pixels[grey_one] = GREY[grey_one][:, :, None]
    dataset = load(tmp_path)
    assert {x.tobytes() for split in dataset.splits.values() for x in split.x} == {each.tobytes() for each in pixels}
    told = "11 images are in colours and 1 grey: all are read as 3 channels, those that are grey too"
    assert told in dataset.notes
    assert dataset.preprocessing is not None
    assert dataset.preprocessing["channels"] == 3
    assert "11 images are in colours and 1 grey: all are read as grey" in load(tmp_path, channels=1).notes


def test_files_that_are_left_out_are_counted_by_their_kinds(tmp_path: Path) -> None:
    save(tmp_path, COLOURS)
    for number, suffix in enumerate(["bmp", "bmp", "bmp", "gif", "tif", "webp"]):
        Image.fromarray(GREY[number]).save(tmp_path / "bee" / f"other{number}.{suffix}")
    (tmp_path / "cat" / "more").mkdir()
    for number in range(2):
        Image.fromarray(GREY[number]).save(tmp_path / "cat" / "more" / f"{number}.png")
    (tmp_path / "labels").write_text("")
    (tmp_path / "cat" / ".hidden.png").write_text("")
    found = load(tmp_path).notes[-1]
    assert found.startswith("files that were left out: 9, 3 .bmp, 2 .png in other folders, ")
    assert sorted(found.partition(", 2 .png in other folders, ")[2].split(", ")) == [
        "1 .gif", "1 .tif", "1 .webp", "1 without a suffix",
    ]  # fmt: skip


def test_a_class_without_images_is_told_with_what_it_has(tmp_path: Path) -> None:
    save(tmp_path / "test_set", COLOURS)
    Image.fromarray(GREY[0]).save(tmp_path / "test_set" / "a.bmp")
    assert refused(lambda: load(tmp_path)) == (
        f"{tmp_path}: folder 'test_set' has no images (.png, .jpg, .jpeg); in it and its folders there are "
        "12 .png in other folders, 1 .bmp. Folders of splits are called train, valid and test: rename 'test_set' to "
        "'test'"
    )


@pytest.mark.parametrize(
    ("keys", "scale"), [({}, 1 / 255), ({"scale": 1.0}, 1.0), ({"scale": 1.0, "offset": -127.5}, 1)]
)
def test_a_scale_that_is_given_is_what_is_done(tmp_path: Path, keys: dict[str, float], scale: float) -> None:
    dataset = load(save(tmp_path, GREY), **keys)
    assert (dataset.scale, dataset.offset) == (scale, keys.get("offset", 0.0))


def test_what_is_no_folder_of_such_images_is_refused(tmp_path: Path) -> None:
    assert "there is no file " in refused(lambda: load(tmp_path / "none"))
    assert "must have a folder for each class" in refused(lambda: load(tmp_path))
    (tmp_path / "dog").mkdir()
    assert "folder 'dog' has no images (.png, .jpg, .jpeg)" in refused(lambda: load(tmp_path))
    (tmp_path / "dog" / "1.png").write_text("no image")
    assert "dog/1.png cannot be read as an image: UnidentifiedImageError" in refused(lambda: load(tmp_path))
    (tmp_path / "file.png").write_text("")
    assert "must be a folder" in refused(lambda: load(tmp_path / "file.png"))


def test_images_of_several_sizes_are_refused_with_both(tmp_path: Path) -> None:
    Image.fromarray(GREY[0, :4]).save(save(tmp_path, GREY) / "bee" / "01.png")
    assert "images must have one size, but ant/00.png is 5 x 7 and bee/01.png 4 x 7. `size: [5, 7]`" in refused(
        lambda: load(tmp_path)
    )


def test_a_torn_image_is_named(tmp_path: Path) -> None:
    file = save(tmp_path, GREY) / "cat" / "02.png"
    file.write_bytes(file.read_bytes()[:60])
    # what Pillow says of it, and not its class alone
    assert "cat/02.png cannot be read as an image: OSError: image file is truncated" in refused(lambda: load(tmp_path))


def test_16_bits_a_channel_are_refused_rather_than_cut_off(tmp_path: Path) -> None:
    Image.fromarray(GREY[0].astype(np.uint16) * 200).save(save(tmp_path, GREY) / "ant" / "00.png")
    assert "ant/00.png must have 8 bits a channel, but its mode is I;16" in refused(lambda: load(tmp_path))


def test_a_class_that_is_never_trained_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "train", GREY[:2])
    save(tmp_path / "test", GREY[2:])
    assert "class 'cat' of split test has no folder among those that train" in refused(lambda: load(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"size": 0}, "size must be a number of pixels or [height, width], but got 0"),
        ({"size": (4, 5, 6)}, "size must be a number of pixels or [height, width], but got (4, 5, 6)"),
        ({"size": "4"}, "size must be a whole number or a list of whole numbers, but got '4'"),
        ({"channels": 2}, "channels must be 1 (grey), 3 (colours) or 4 (and opacity), but got 2"),
    ],
)
def test_a_wrong_shape_is_refused(tmp_path: Path, arguments: dict[str, Any], said: str) -> None:
    assert said in refused(lambda: load(save(tmp_path, GREY), **arguments))


def test_without_pillow_the_command_that_installs_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, GREY)
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert refused(lambda: load(tmp_path)) == ("images need Pillow, which is not installed: pip install pillow")


def test_an_image_made_to_fill_the_memory_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    said = refused(lambda: load(save(tmp_path, GREY)))
    assert "it has more than 20 pixels, as a file has that is made to fill the memory. Make it smaller" in said


def test_folders_that_hold_splits_under_other_names_are_told_with_the_right_ones(tmp_path: Path) -> None:
    for name, rows in {"training_set": slice(0, 9), "test_set": slice(9, 12)}.items():
        save(tmp_path / name, GREY[rows])
    said = refused(lambda: load(tmp_path))
    assert said.endswith("are called train, valid and test: rename 'test_set' to 'test' and 'training_set' to 'train'")
    for name in ("training_set", "test_set"):
        (tmp_path / name).rename(tmp_path / name.replace("ing", "").removesuffix("_set"))
    assert load(tmp_path).test is not None


# --- transparency -----------------------------------------------------------------------------------------------------


def transparent(folder: Path, mode: str) -> None:
    """The first 3 of 12 images have a pixel that is not opaque."""
    for number, each in enumerate(COLOURS):
        image = Image.fromarray(each).convert("L" if mode == "LA" else "RGB")
        if mode == "P":
            image = image.quantize(8)
            given = {"transparency": image.getpixel((0, 0))} if number < 3 else {}
        else:
            alpha = np.full(each.shape[:2], 255, np.uint8)
            alpha[0, 0] = 100 if number < 3 else 255
            image.putalpha(Image.fromarray(alpha))
            given = {}
        place = folder / ("ant", "bee", "cat")[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        image.save(place / f"{number:02}.png", **given)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_that_is_left_out_is_told_with_counts_and_kept_where_it_is_asked_for(
    mode: str, tmp_path: Path
) -> None:
    transparent(tmp_path, mode)
    dataset = load(tmp_path)
    (said,) = dataset.doubts
    told = "3 images have transparent pixels, such as ant/00.png; transparency is left out. `channels: 4` keeps it"
    assert said == told
    assert dataset.input_shape == ((5, 7) if mode == "LA" else (5, 7, 3))
    kept = load(tmp_path, channels=4)
    assert (kept.doubts, kept.input_shape) == ((), (5, 7, 4))
    opacity = sorted(int(x[..., 3].min()) for split in kept.splits.values() for x in split.x)
    assert opacity == [0 if mode == "P" else 100] * 3 + [255] * 9


def test_images_without_transparency_are_opaque_in_a_fourth_channel(tmp_path: Path) -> None:
    dataset = load(save(tmp_path, GREY), channels=4)
    assert dataset.doubts == ()
    assert (dataset.train.x[..., 3] == 255).all()
    np.testing.assert_array_equal(dataset.train.x[..., 0], dataset.train.x[..., 2])
