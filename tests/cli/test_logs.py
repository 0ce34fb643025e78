"""`git track logs`: what was printed, byte for byte, while it is printed and afterwards."""

import json
import os
import subprocess
import sys
import threading

import pytest

TRAIN = """
import sys, time
print("one", flush=True)
sys.stdin.readline()
print("two", flush=True)
sys.stderr.write("three: n\\u00e9\\n")
"""


@pytest.fixture
def running(repo):
    """A run that has printed `one` and waits for a line on its input."""
    (repo / "slow.py").write_text(TRAIN)
    process = subprocess.Popen(
        ["git-track", "run", sys.executable, "slow.py"],
        cwd=repo, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert process.stdout.readline() == b"one\n"
    yield process
    process.kill()
    process.communicate()


def test_the_console_of_a_finished_run(running, track):
    running.communicate(b"\n", timeout=60)
    assert track("logs").stdout == "one\ntwo\nthree: né\n"
    assert track("logs", "latest", "-n", "2").stdout == "two\nthree: né\n"
    assert track("logs", "-n", "0").stdout == ""
    assert track("logs", "-f").stdout == "one\ntwo\nthree: né\n"


def test_following_shows_what_comes_and_ends_with_the_run(running, repo):
    follower = subprocess.Popen(["git-track", "logs", "-f"], cwd=repo, stdout=subprocess.PIPE)
    watchdog = threading.Timer(60, follower.kill)
    watchdog.start()
    assert follower.stdout.readline() == b"one\n"
    running.communicate(b"\n", timeout=60)
    assert follower.stdout.read() == "two\nthree: né\n".encode()
    assert follower.wait() == 0
    watchdog.cancel()


def test_a_live_run_is_listed_with_its_progress(running, track):
    out = track("ps").stdout.splitlines()
    assert out[0].split() == ["id", "state", "elapsed", "step", "metrics", "host", "command"]
    assert "running" in out[1]
    assert " slow." in out[1]  # a long path to python leaves no room for all of it
    assert track("logs").stdout == "one\n"
    assert track("ps", "-q").stdout.strip() == track("ls", "-q").stdout.strip()
    running.communicate(b"\n", timeout=60)
    assert track("ps").stdout == ""
    assert "no run is going on" in track("ps").stderr


def test_a_run_that_printed_nothing_says_so(repo, track):
    track("run", "true")
    done = track("logs")
    assert done.stdout == ""
    assert "printed nothing" in done.stderr


def test_json_has_the_lines_and_nothing_that_drives_a_terminal(repo, track):
    code = "print('one'); print('\\x1b[31mtwo'); print('end', end='')"
    track("run", "-q", sys.executable, "-c", code)
    done = track("logs", "--json")
    assert "\x1b" not in done.stdout
    found = json.loads(done.stdout)
    assert (found["lines"], found["live"]) == (["one", "\x1b[31mtwo", "end"], False)
    assert found["run"] == track("ls", "-q").stdout.strip()
    assert json.loads(track("logs", "--json", "-n", "1").stdout)["lines"] == ["end"]
    assert "--follow" in track("logs", "-f", "--json", code=2).stderr


def test_json_of_a_run_that_printed_nothing(repo, track):
    track("run", "-q", "true")
    assert json.loads(track("logs", "--json").stdout)["lines"] == []
