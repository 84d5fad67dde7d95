"""What must be on the disk is waited for; what can be written later does not stop anything; nothing is told twice."""

from __future__ import annotations

import errno
import io
import logging
import os
import threading
import time
from pathlib import Path

import pytest

from sweeps.errors import DiskError, ResultsError
from sweeps.log import jsonl
from sweeps.log.jsonl import LogWriter, read_log
from sweeps.stop_request import StopRequest
from sweeps.storage import retry
from sweeps.storage.files import replace_text
from sweeps.storage.retry import PASSING, Retry


class Disk:
    """Refuses so many times before it writes."""

    def __init__(self, refusals: float, number: int = errno.ENOSPC) -> None:
        self.refusals, self.number, self.tries = refusals, number, 0

    def write(self) -> str:
        self.tries += 1
        if self.tries <= self.refusals:
            error = OSError(self.number, os.strerror(self.number))
            raise ResultsError(f"results/a/trials.csv cannot be written: {error.strerror}") from error
        return "written"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "RETRY_S", 0.01)
    monkeypatch.setattr(retry, "GIVE_UP_S", 0.4)
    monkeypatch.setattr(retry, "_LOOK_S", 0.005)


def test_a_disk_that_takes_it_is_not_spoken_of(caplog: pytest.LogCaptureFixture) -> None:
    assert Retry().insist(Disk(0).write) == "written"
    assert Retry().attempt("the tables", Disk(0).write)
    assert caplog.messages == []


@pytest.mark.parametrize("number", sorted(PASSING), ids=errno.errorcode.get)
def test_a_refusal_is_told_once_and_tried_again_until_it_passes(number: int, caplog: pytest.LogCaptureFixture) -> None:
    assert Retry().insist(Disk(5, number).write) == "written"
    refusal = f"results/a/trials.csv cannot be written: {os.strerror(number)}"
    assert caplog.messages == [
        f"paused: {refusal}. Results are kept in memory; trying for 0.4 s",
        "the disk takes writes again: going on",
    ]


def test_patience_ends_and_is_not_begun_again(caplog: pytest.LogCaptureFixture) -> None:
    patient, started = Retry(), time.monotonic()
    with pytest.raises(DiskError, match=r"No space left on device\. The same command continues once"):
        patient.insist(Disk(float("inf")).write)
    assert 0.4 <= time.monotonic() - started < 2
    again = Disk(float("inf"))
    with pytest.raises(DiskError):
        patient.insist(again.write)
    assert again.tries == 1
    assert len(caplog.messages) == 1


def test_what_does_not_pass_is_raised_at_once() -> None:
    for disk in (Disk(1, errno.ENOTDIR), Disk(1, errno.ENAMETOOLONG)):
        with pytest.raises(ResultsError) as caught:
            Retry().insist(disk.write)
        assert not isinstance(caught.value, DiskError)
        assert disk.tries == 1
        with pytest.raises(ResultsError):
            Retry().attempt("the tables", Disk(1, disk.number).write)


def test_a_request_to_stop_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "GIVE_UP_S", 60.0)
    request = StopRequest()
    threading.Timer(0.1, request.make, ["SIGTERM"]).start()
    started = time.monotonic()
    with pytest.raises(DiskError):
        Retry(request).insist(Disk(float("inf")).write)
    assert time.monotonic() - started < 5


def test_a_run_that_is_to_stop_does_not_begin_to_wait(caplog: pytest.LogCaptureFixture) -> None:
    request, disk = StopRequest(), Disk(float("inf"))
    request.make("SIGTERM")
    with pytest.raises(DiskError):
        Retry(request).insist(disk.write)
    assert (disk.tries, caplog.messages) == (1, [])


def test_what_can_be_written_later_stops_nothing_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    patient, disk = Retry(), Disk(3)
    assert [patient.attempt("the tables", disk.write) for _ in range(5)] == [False, False, False, True, True]
    refusal = "results/a/trials.csv cannot be written: No space left on device"
    assert caplog.messages == [f"{refusal}. The sweep goes on; the tables follow when they can be written"]
    assert not patient.attempt("the parameters", Disk(1).write)
    assert caplog.messages[1:] == [f"{refusal}. The sweep goes on; the parameters follow when they can be written"]
    assert caplog.records[0].levelno == logging.WARNING
    assert caplog.records[0].name == "sweeps"


def test_a_full_disk_is_a_disk_error_that_names_the_bytes_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, kind in [(errno.ENOSPC, DiskError), (errno.EDQUOT, DiskError), (errno.EACCES, ResultsError)]:

        def refuse(descriptor: int, number: int = number) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", refuse)
        with pytest.raises(ResultsError, match=r"a\.csv cannot be written: .* \(5 bytes are needed\)") as caught:
            replace_text(tmp_path / "a.csv", "12345")
        assert type(caught.value) is kind


# ---- the log ---------------------------------------------------------------------------------------------------------


def ask(number: int) -> dict[str, object]:
    return {"kind": "ask", "number": number, "params": {}}


def numbers(folder: Path) -> list[int]:
    return [record["number"] for record in read_log(folder).records]


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_lines_that_were_refused_are_written_once_when_the_disk_takes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    writer = LogWriter(tmp_path, "local")
    writer.append(ask(0))
    writer.flush()
    writer.append(ask(1))
    refusing(monkeypatch, call, times=3)
    with pytest.raises(DiskError):
        writer.flush()
    writer.append(ask(2))
    Retry().insist(writer.flush)
    writer.close()
    assert numbers(tmp_path) == [0, 1, 2]
    assert read_log(tmp_path).damaged == []


def test_half_a_line_that_could_not_be_cut_off_is_cut_off_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = LogWriter(tmp_path, "local")
    writer.append(ask(0))
    writer.flush()
    whole = writer.path.read_bytes()
    writer.append(ask(1))
    with monkeypatch.context() as patch:
        refusing(patch, "write", times=1)
        refusing(patch, "ftruncate", times=3)  # after the write, before the next one, after that
        for _ in range(2):
            with pytest.raises(DiskError):
                writer.flush()
        assert writer.path.read_bytes()[len(whole) :] == b'{"kind":'
    writer.close()
    assert numbers(tmp_path) == [0, 1]
    assert read_log(tmp_path).damaged == []


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_lines_that_an_interrupt_came_between_are_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    writer = LogWriter(tmp_path, "local")
    writer.append(ask(0))
    with monkeypatch.context() as patch:
        refusing(patch, call, times=1, error=KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            writer.flush()
    writer.close()
    assert numbers(tmp_path) == [0]
    assert read_log(tmp_path).damaged == []


def refusing(patch: pytest.MonkeyPatch, call: str, times: int, error: type[BaseException] = OSError) -> None:
    """Lets a call of the log's file end in an error so many times: a write after eight bytes, a sync after all."""
    left = [times]
    real_write, real_fsync, real_ftruncate = jsonl._write_all, os.fsync, os.ftruncate

    def is_over() -> bool:
        left[0] -= 1
        return left[0] < 0

    def write(file: io.FileIO, content: bytes) -> None:
        refuses = not is_over()
        real_write(file, content[:8] if refuses else content)
        if refuses:
            raise error(errno.ENOSPC, "full")

    def fsync(descriptor: int) -> None:
        real_fsync(descriptor)
        if not is_over():
            raise error(errno.ENOSPC, "full")

    def ftruncate(descriptor: int, size: int) -> None:
        if not is_over():
            raise error(errno.ENOSPC, "full")
        real_ftruncate(descriptor, size)

    owner, name, replacement = {
        "write": (jsonl, "_write_all", write),
        "fsync": (os, "fsync", fsync),
        "ftruncate": (os, "ftruncate", ftruncate),
    }[call]
    patch.setattr(owner, name, replacement)
