"""Fashion-MNIST is found where it is, else downloaded once; a wrong byte is never kept. No test uses the network."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import io
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from sweeps.datasets import loading
from sweeps.datasets.builtin import fashion_mnist as fashion
from sweeps.datasets.builtin.download import RemoteFile
from sweeps.errors import DataError

ROWS = {"train": 40, "t10k": 10}
PIXELS = {name: np.random.default_rng(0).integers(0, 256, (rows, 28, 28), np.uint8) for name, rows in ROWS.items()}


def write(folder: Path) -> Path:
    """Four files as those of Fashion-MNIST, of fewer images."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in ROWS.items():
        labels = (np.arange(rows) % 10).astype(np.uint8)
        for kind, head, array in (("images-idx3", 16, PIXELS[name]), ("labels-idx1", 8, labels)):
            content = gzip.compress(bytes(head) + array.tobytes(), mtime=0)
            (folder / f"{name}-{kind}-ubyte.gz").write_bytes(content)
    return folder


class Handler(http.server.SimpleHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_arguments: object) -> None:
        pass


class Served:
    """A server of this machine, and what it was asked for."""

    def __init__(self, url: str, folder: Path, asked: list[str]) -> None:
        self.url, self.folder, self.asked = url, folder, asked


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    folder, asked = write(tmp_path / "served"), []
    handler = type("Recording", (Handler,), {"asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Served(f"http://127.0.0.1:{server.server_port}/", folder, asked)
        server.shutdown()
        thread.join()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: Served) -> Path:
    """An empty home folder, and the files as the server has them for the right ones."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(fashion, "SOURCES", (served.url,))
    monkeypatch.setattr(fashion, "ROWS", ROWS)
    monkeypatch.setattr(fashion, "DEBIAN", tmp_path / "debian")
    files = []
    for wanted in fashion.FILES:
        content = (served.folder / wanted.name).read_bytes()
        files.append(RemoteFile(wanted.name, hashlib.md5(content).hexdigest(), len(content)))
    monkeypatch.setattr(fashion, "FILES", tuple(files))
    return tmp_path / "home"


def cache(home: Path) -> Path:
    return home / ".cache" / "sweep" / "datasets" / "fashion_mnist"


def refused(make: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        make()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_it_is_downloaded_once_and_then_found(home: Path, served: Served) -> None:
    dataset = loading.load("fashion_mnist", {"valid_fraction": 0.25})
    assert [split.rows for split in dataset.splits.values()] == [30, 10, 10]
    assert dataset.test is not None
    assert (dataset.test.x == PIXELS["t10k"]).all()
    assert (dataset.classes, dataset.scale, dataset.notes) == (10, 1 / 255, (f"from {cache(home)}",))
    assert dataset.class_names is not None
    assert dataset.class_names[:2] == ("T-shirt/top", "Trouser")
    assert len(served.asked) == 4
    again = loading.load("fashion_mnist", {"valid_fraction": 0.25})
    assert (again.train.x == dataset.train.x).all()
    assert len(served.asked) == 4


def test_only_what_is_lacking_is_downloaded(home: Path, served: Served) -> None:
    (write(cache(home)) / fashion.FILES[3].name).unlink()
    loading.load("fashion_mnist", {})
    assert served.asked == [f"/{fashion.FILES[3].name}"]


def test_the_files_of_keras_are_taken(home: Path, served: Served) -> None:
    folder = write(home / ".keras" / "datasets" / "fashion-mnist")
    assert loading.load("fashion_mnist", {}).notes == (f"from {folder}",)
    assert served.asked == []


def test_the_files_of_debians_package_are_taken(home: Path, served: Served, tmp_path: Path) -> None:
    folder = write(tmp_path / "debian")
    assert loading.load("fashion_mnist", {}).notes == (f"from {folder}",)
    assert served.asked == []


def test_a_path_is_the_only_place_that_is_looked_in(home: Path, served: Served, tmp_path: Path) -> None:
    folder = write(tmp_path / "mine")
    assert loading.load("fashion_mnist", {"path": str(folder)}).notes == (f"from {folder}",)
    (folder / fashion.FILES[1].name).unlink()
    said = refused(lambda: loading.load("fashion_mnist", {"path": str(folder)}))
    assert said.endswith("but lacks train-labels-idx1-ubyte.gz")
    assert served.asked == []


def test_a_file_with_another_checksum_is_not_kept(home: Path, served: Served) -> None:
    file = served.folder / fashion.FILES[0].name
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    said = refused(lambda: loading.load("fashion_mnist", {}))
    assert f"{served.url}{file.name}: what came has another checksum" in said
    assert not cache(home).exists()


def test_another_source_is_tried(home: Path, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fashion, "SOURCES", (f"{served.url}none/", served.url))
    assert loading.load("fashion_mnist", {}).train.rows == 36


def test_without_a_network_one_line_says_where_to_put_the_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fashion, "SOURCES", ("http://127.0.0.1:9/",))
    said = refused(lambda: loading.load("fashion_mnist", {}))
    assert said.startswith(f"fashion_mnist is not in {home}/.keras/datasets/fashion-mnist or {cache(home)}, and cannot")
    assert "http://127.0.0.1:9/train-images-idx3-ubyte.gz: " in said
    assert said.endswith("Put its four .gz files there, or say where they are with `path`")


def test_a_cache_that_cannot_be_written_is_told(home: Path) -> None:
    home.mkdir()
    (home / ".cache").write_text("a file where a folder should be")
    assert "cannot be written" in refused(lambda: loading.load("fashion_mnist", {}))


@pytest.mark.parametrize("damage", ["cut", "changed", "few"])
def test_a_damaged_file_is_told(home: Path, damage: str) -> None:
    file = write(cache(home)) / "train-images-idx3-ubyte.gz"
    whole = file.read_bytes()
    damaged = {
        "cut": whole[:500],
        "changed": whole[:3000] + bytes(50) + whole[3050:],
        "few": gzip.compress(gzip.decompress(whole)[: 16 + 784]),
    }
    file.write_bytes(damaged[damage])
    said = refused(lambda: loading.load("fashion_mnist", {}))
    assert f"{cache(home)}/train-….gz" in said
    assert ("must have 40 images and labels, but has 1 and 40" if damage == "few" else "is damaged") in said


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_how_far_it_is_and_nothing_else_does(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", terminal)
        loading.load("fashion_mnist", {})
    seen = terminal.getvalue().split("\r")
    assert any(line.startswith("train-images-idx3-ubyte.gz ━") and line.endswith(" MB") for line in seen)
    assert max(map(len, seen)) < 80
    assert seen[-1] == ""
    for file in cache(home).iterdir():
        file.unlink()
    loading.load("fashion_mnist", {})
    assert capfd.readouterr() == ("", "")
