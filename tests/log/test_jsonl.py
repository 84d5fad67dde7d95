"""What was flushed is on the disk and is never changed; damage never stops a reader."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.errors import ResultsError
from sweeps.log.jsonl import LogWriter, read_log, timestamp
from sweeps.log.line import encode


def record(number: int, time: str = "2026-01-01T00:00:00.000000+00:00") -> dict[str, Any]:
    return {"kind": "ask", "time": time, "number": number, "params": {"model.hidden": (128, 64), "learning_rate": 0.1}}


def write(folder: Path, *numbers: int, worker: str = "local") -> Path:
    with LogWriter(folder, worker) as writer:
        for number in numbers:
            writer.append(record(number))
    return writer.path


def numbers(folder: Path) -> list[int]:
    return [found["number"] for found in read_log(folder).records]


def test_records_come_back_as_append_returned_them(tmp_path: Path) -> None:
    with LogWriter(tmp_path / "log", "local") as writer:
        appended = [writer.append(record(number)) for number in range(3)]
    replay = read_log(tmp_path / "log")
    assert replay.records == appended
    assert replay.records[0] == record(0) | {"worker": "local"}
    assert replay.damaged == []


def test_opening_again_appends(tmp_path: Path) -> None:
    before = write(tmp_path, 0, 1).read_bytes()
    assert write(tmp_path, 2).read_bytes().startswith(before)
    assert numbers(tmp_path) == [0, 1, 2]


def test_nothing_is_written_before_the_flush_and_everything_after(tmp_path: Path) -> None:
    with LogWriter(tmp_path, "local") as writer:
        writer.append(record(0))
        assert numbers(tmp_path) == []
        writer.flush()
        assert numbers(tmp_path) == [0]


def test_a_flush_is_one_sync_however_many_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LogWriter(tmp_path, "local") as writer:
        synced: list[int] = []
        monkeypatch.setattr(os, "fsync", synced.append)
        for number in range(10):
            writer.append(record(number))
        writer.flush()
        writer.flush()
        assert len(synced) == 1


def test_a_missing_folder_is_an_empty_log(tmp_path: Path) -> None:
    assert read_log(tmp_path / "nowhere") == ([], [])


def test_other_files_in_the_folder_are_not_read(tmp_path: Path) -> None:
    write(tmp_path, 0)
    (tmp_path / "local.torn-1").write_bytes(b"garbage")
    (tmp_path / "folder.jsonl").mkdir()
    assert read_log(tmp_path).damaged == []


def test_a_damaged_line_in_the_middle_is_skipped_and_listed(tmp_path: Path) -> None:
    path = write(tmp_path, 0, 1, 2)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b"0.1", b"0.2") + b"\n" + lines[2])
    replay = read_log(tmp_path)
    assert [found["number"] for found in replay.records] == [0, 2]
    assert [(damage.file, damage.line) for damage in replay.damaged] == [(path, 2), (path, 3)]
    assert "checksum" in replay.damaged[0].reason


def test_a_torn_last_line_is_listed_and_nothing_before_it_is_lost(tmp_path: Path) -> None:
    path = write(tmp_path, 0, 1)
    path.write_bytes(path.read_bytes()[:-5])
    replay = read_log(tmp_path)
    assert [found["number"] for found in replay.records] == [0]
    assert [damage.line for damage in replay.damaged] == [2]


@pytest.mark.parametrize("cut", [1, 2, 30])
def test_opening_sets_a_torn_last_line_aside(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path, 0, 1)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with LogWriter(tmp_path, "local") as writer:
        writer.append(record(2))
    assert writer.set_aside == tmp_path / "local.torn-1"
    assert writer.set_aside.read_bytes() == encode(record(1))[:-cut]
    assert numbers(tmp_path) == [0, 2]
    assert read_log(tmp_path).damaged == []


def test_a_last_line_with_a_bad_checksum_is_set_aside_too(tmp_path: Path) -> None:
    path = write(tmp_path, 0)
    path.write_bytes(path.read_bytes() + b"\0" * 50 + b"\n" + b"x\n")
    with LogWriter(tmp_path, "local") as writer:
        assert writer.set_aside is not None
        assert writer.set_aside.read_bytes() == b"\0" * 50 + b"\n" + b"x\n"
    assert path.read_bytes() == encode(record(0))


def test_a_second_torn_line_does_not_replace_the_first(tmp_path: Path) -> None:
    path = write(tmp_path, 0)
    for tail in (b"first", b"second"):
        path.write_bytes(path.read_bytes() + tail)
        LogWriter(tmp_path, "local").close()
    assert [(tmp_path / f"local.torn-{number}").read_bytes() for number in (1, 2)] == [b"first", b"second"]


def test_a_whole_log_is_left_alone_on_opening(tmp_path: Path) -> None:
    path = write(tmp_path, 0, 1)
    before = path.read_bytes()
    with LogWriter(tmp_path, "local") as writer:
        assert writer.set_aside is None
    assert path.read_bytes() == before
    assert [left.name for left in tmp_path.iterdir()] == ["local.jsonl"]


@given(data=st.data())
@settings(max_examples=200)
def test_no_damage_raises_or_makes_a_wrong_record(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("log")
    path = write(folder, *range(4))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(content)))
        kind = data.draw(st.sampled_from(["truncate", "flip", "garbage", "nul", "newline"]))
        if kind == "truncate":
            del content[position:]
        elif kind == "flip" and position < len(content):
            content[position] ^= 1 << data.draw(st.integers(0, 7))
        elif kind != "flip":
            content[position:position] = {"garbage": data.draw(st.binary()), "nul": bytes(9), "newline": b"\n"}[kind]
    path.write_bytes(content)

    right = [record(number) | {"worker": "local"} for number in range(4)]
    survivors = read_log(folder).records
    assert all(found in right for found in survivors)
    assert [found["number"] for found in survivors] == sorted(found["number"] for found in survivors)
    with LogWriter(folder, "local") as writer:
        last = writer.append(record(4))
    assert read_log(folder).records == [*survivors, last]


def test_a_log_cut_at_any_byte_keeps_every_line_before_the_cut(tmp_path: Path) -> None:
    path = write(tmp_path, 0, 1)
    whole = path.read_bytes()
    ends = [whole.index(b"\n") + 1, len(whole)]
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        assert numbers(tmp_path) == list(range(sum(cut >= end for end in ends)))


def test_workers_are_merged_by_time_and_each_keeps_its_own_order(tmp_path: Path) -> None:
    times = {"a": [(1, "10:00"), (2, "10:02"), (3, "10:01"), (4, "10:05")], "b": [(5, "10:01"), (6, "10:04")]}
    for worker, entries in times.items():
        with LogWriter(tmp_path, worker) as writer:
            for number, time in entries:
                writer.append(record(number, f"2026-01-01T{time}:00.000000+00:00"))
    assert numbers(tmp_path) == [1, 5, 2, 3, 6, 4]
    assert {found["number"]: found["worker"] for found in read_log(tmp_path).records}[6] == "b"


def test_a_log_that_another_writer_holds_is_refused(tmp_path: Path) -> None:
    with LogWriter(tmp_path, "local"), pytest.raises(ResultsError, match="being written by another sweep"):
        LogWriter(tmp_path, "local")
    LogWriter(tmp_path, "local").close()


def test_a_writer_that_was_killed_leaves_what_it_flushed_and_no_lock(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from sweeps.log.jsonl import LogWriter\n"
        "writer = LogWriter(Path(sys.argv[1]), 'local')\n"
        "writer.append({'kind': 'ask', 'number': 0}); writer.flush()\n"
        "writer.append({'kind': 'ask', 'number': 1}); os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, cwd=Path(__file__).parents[2])
    assert numbers(tmp_path) == [0]
    write(tmp_path, 2)
    assert numbers(tmp_path) == [0, 2]


def test_a_full_disk_is_one_clear_line_and_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, 0)
    before = path.read_bytes()

    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    writer = LogWriter(tmp_path, "local")
    writer.append(record(1))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(ResultsError, match=r"local\.jsonl cannot be written: No space left on device"):
            writer.flush()
        assert path.read_bytes() == before
    writer.close()
    assert numbers(tmp_path) == [0, 1]


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResultsError, match="cannot be written"):
        LogWriter(tmp_path / "file" / "log", "local")


@pytest.mark.parametrize("worker", ["", "../local", "a/b", ".hidden", "a b", "a\n"])
def test_a_worker_name_that_is_no_plain_file_name_is_refused(tmp_path: Path, worker: str) -> None:
    with pytest.raises(ResultsError, match="a worker's name"):
        LogWriter(tmp_path, worker)


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, "local")
    writer.close()
    writer.close()


def test_a_timestamp_is_utc_with_microseconds_and_sorts_as_text() -> None:
    first, second = timestamp(), timestamp()
    assert len(first) == len("2026-01-01T00:00:00.000000+00:00")
    assert first.endswith("+00:00")
    assert first <= second


def test_the_log_loads_no_third_party_library() -> None:
    program = (
        "import sys, sweeps.log.jsonl; print([name for name in ('numpy', 'pandas', 'yaml') if name in sys.modules])"
    )
    root = Path(__file__).parents[2]
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root
    ).stdout
    assert output.strip() == "[]"


def test_random_blocks_of_zeros_never_raise(tmp_path: Path) -> None:
    chance = random.Random(1)
    path = write(tmp_path, *range(20))
    whole = path.read_bytes()
    for _ in range(100):
        start, length = chance.randrange(len(whole)), chance.randrange(600)
        path.write_bytes(whole[:start] + b"\0" * min(length, len(whole) - start) + whole[start + length :])
        assert set(numbers(tmp_path)) <= set(range(20))
