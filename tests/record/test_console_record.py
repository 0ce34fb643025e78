"""console.log: whole when it is short, first and last megabytes when it is long."""

import os
import signal
import time
from pathlib import Path

import pytest

from gittrack.record import console
from gittrack.record.console import Console
from gittrack.runs import tail


def plain(data: bytes) -> bytes:
    return data


def text(directory: Path) -> bytes:
    return (directory / "console.log").read_bytes()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "HEAD", 1000)
    monkeypatch.setattr(tail, "KEPT", 1000)
    monkeypatch.setattr(tail, "SIZE", 1300)


def test_output_is_in_the_file_as_soon_as_its_line_has_ended(tmp_path: Path) -> None:
    record = Console(str(tmp_path), plain)
    record.feed(b"epoch 1\nepo")
    assert text(tmp_path) == b"epoch 1\n"
    record.feed(b"ch 2")
    record.finish()
    assert text(tmp_path) == b"epoch 1\nepoch 2"


def test_secrets_go_before_anything_is_written(tmp_path: Path) -> None:
    record = Console(str(tmp_path), lambda data: data.replace(b"s3cr3t", b"***"))
    record.feed(b"key s3c")
    record.feed(b"r3t\n")
    record.finish()
    assert text(tmp_path) == b"key ***\n"


def test_a_long_output_keeps_its_start_and_its_end(tmp_path: Path, small: None) -> None:
    lines = b"".join(b"line %06d\n" % n for n in range(1000))
    record = Console(str(tmp_path), plain)
    for at in range(0, len(lines), 97):
        record.feed(lines[at : at + 97])
    assert len(text(tmp_path)) <= 1000
    record.finish()
    start, _, end = text(tmp_path).partition(b"[gittrack: ")
    number, _, end = end.partition(b" bytes of output left out here]\n")
    assert lines.startswith(start) and len(start) > 980
    assert lines.endswith(end) and 980 < len(end) <= 1000
    assert len(start) + int(number) + len(end) == len(lines)
    assert not (tmp_path / tail.NAME).exists()


def test_nothing_is_left_out_where_start_and_end_meet(tmp_path: Path, small: None) -> None:
    lines = b"".join(b"line %06d\n" % n for n in range(150))
    record = Console(str(tmp_path), plain)
    record.feed(lines)
    record.finish()
    assert text(tmp_path) == lines


def test_the_end_is_there_after_the_recording_process_was_killed(tmp_path: Path, small: None) -> None:
    pid = os.fork()
    if pid == 0:
        record = Console(str(tmp_path), plain)
        for n in range(1000):
            record.feed(b"line %06d\n" % n)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    second = Console(str(tmp_path), plain)
    second.feed(b"and on\n")
    second.finish()
    assert text(tmp_path).endswith(b"line 000998\nline 000999\nand on\n")


def test_whoever_folds_a_dead_run_closes_the_tail(tmp_path: Path, small: None) -> None:
    record = Console(str(tmp_path), plain)
    record.feed(b"".join(b"line %06d\n" % n for n in range(1000)))
    tail.close(str(tmp_path))
    tail.close(str(tmp_path))
    assert text(tmp_path).endswith(b"line 000998\nline 000999\n")
    assert text(tmp_path).count(b"[gittrack: ") == 1


def test_a_disk_that_cannot_be_written_ends_the_record_only(tmp_path: Path) -> None:
    record = Console(str(tmp_path / "missing"), plain)
    record.feed(b"text\n")
    record.finish()
    assert isinstance(record.failed, FileNotFoundError)


def test_memory_and_time_do_not_follow_the_length(tmp_path: Path) -> None:
    record = Console(str(tmp_path), plain)
    block = b"x" * 99 + b"\n"
    block *= 10_000
    started = time.process_time()
    for _ in range(100):
        record.feed(block)
    record.finish()
    assert time.process_time() - started < 2
    assert os.path.getsize(tmp_path / "console.log") < 17 * 1024 * 1024
