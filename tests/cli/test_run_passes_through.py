"""`git track run` on real commands: streams, signals, exit codes, environment and many at once."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from common import TRACK, wait_until
from recorded import Git, Track, console, nothing_is_live, record, refs, show


def test_the_command_keeps_its_directory_input_and_environment(repo: Path, track: Track) -> None:
    (repo / "sub").mkdir()
    script = "import os, sys; print(os.getcwd(), sys.stdin.read(), os.environ['MARK'])"
    done = track("run", sys.executable, "-c", script, cwd=repo / "sub", text_in="typed", MARK="left")
    assert done.stdout.split() == [str((repo / "sub").resolve()), "typed", "left"]
    assert record(repo, "run")["cwd"] == "sub"


def test_the_environment_changes_in_nothing_else(repo: Path, track: Track) -> None:
    plain = dict(
        line.partition("=")[::2]
        for line in subprocess.run(["env"], capture_output=True, text=True, env={**os.environ}).stdout.splitlines()
    )
    under = dict(line.partition("=")[::2] for line in track("run", "-q", "env").stdout.splitlines())
    changed = {name for name in {*plain, *under} if plain.get(name) != under.get(name)} - {
        "_",
        "PWD",
        "OLDPWD",
        "SHLVL",
    }
    assert changed == {"GITTRACK_RUN_ID", "GITTRACK_RUN_DIR", "PYTHONPATH"}
    off = dict(line.partition("=")[::2] for line in track("run", "-q", "--no-autolog", "env").stdout.splitlines())
    assert "PYTHONPATH" not in off and off["GITTRACK_AUTOLOG"] == "0"


def test_extra_descriptors_reach_the_command(repo: Path) -> None:
    reader, writer = os.pipe()
    script = f"import os; os.write({writer}, b'here')"
    subprocess.run([TRACK, "run", "-q", sys.executable, "-c", script], cwd=repo, pass_fds=[writer], check=True)
    os.close(writer)
    assert os.read(reader, 100) == b"here"
    os.close(reader)


def test_a_nested_run_is_a_child_run(repo: Path, track: Track) -> None:
    track("run", "--name", "outer", "git-track", "run", "--name", "inner", "true")
    facts = {record(repo, "run", ref)["name"]: record(repo, "run", ref) for ref in refs(repo)}
    assert facts["inner"]["parent"] == facts["outer"]["id"] and facts["outer"]["parent"] is None


def test_an_environment_that_outlived_its_run_makes_no_parent(repo: Path, track: Track) -> None:
    leaked = dict(
        line.partition("=")[::2]
        for line in track("run", "-q", "env").stdout.splitlines()
        if line.startswith(("GITTRACK_", "PYTHONPATH"))
    )
    [first] = refs(repo)
    track("run", "true", **leaked)
    [second] = [ref for ref in refs(repo) if ref != first]
    assert record(repo, "run", second)["parent"] is None
    done = subprocess.run(
        [sys.executable, "-c", "import argparse; argparse.ArgumentParser().parse_args([]); print('fine')"],
        cwd=repo,
        env={**os.environ, **leaked, "GITTRACK_STRICT": "0"},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("fine\n", "")


def test_odd_arguments_survive(repo: Path, track: Track) -> None:
    odd = ["", "ü", "a b", "$x", "new\nline", "x" * 10_000]
    done = track("run", sys.executable, "-c", "import sys; print(len(sys.argv[1:]))", *odd)
    assert done.stdout == "6\n"
    assert record(repo, "run")["argv"][3:] == odd


def test_arguments_that_are_not_text_survive(repo: Path) -> None:
    subprocess.run([TRACK.encode(), b"run", b"-q", b"echo", b"\xff"], cwd=repo, check=True)
    assert record(repo, "run")["argv"][0] == "echo"
    assert console(repo) == b"\xff\n"


def test_a_linked_worktree_shares_the_runs(repo: Path, track: Track, git: Git, tmp_path: Path) -> None:
    other = tmp_path / "other"
    git("worktree", "add", "-q", str(other))
    (other / "train.py").write_text("print('other')\n")
    running = [
        subprocess.Popen([TRACK, "run", "-q", "sh", "-c", "cat train.py"], cwd=place, stdout=subprocess.PIPE)
        for place in (repo, other)
    ]
    assert [each.communicate()[0] for each in running] == [b'print("trained")\n', b"print('other')\n"]
    snapshots = {record(repo, "run", ref)["snapshot"] for ref in refs(repo)}
    assert len(snapshots) == 2


def test_sixteen_runs_at_once(repo: Path, git: Git) -> None:
    script = "import gittrack; run = gittrack.init(); [run.log({'x': i}, step=i) for i in range(100)]"
    running = [subprocess.Popen([TRACK, "run", "-q", sys.executable, "-c", script], cwd=repo) for _ in range(16)]
    assert [each.wait() for each in running] == [0] * 16
    assert len(refs(repo)) == 16
    assert all(record(repo, "summary", ref)["metrics"]["x"]["count"] == 100 for ref in refs(repo))
    assert git("fsck", "--strict") == "" and nothing_is_live(repo)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1])
def test_a_signal_goes_through_and_comes_out_again(repo: Path, number: signal.Signals) -> None:
    running = subprocess.Popen(
        [TRACK, "run", "-q", "sh", "-c", "echo up; exec sleep 600"], cwd=repo, stdout=subprocess.PIPE
    )
    assert running.stdout and running.stdout.readline() == b"up\n"
    running.send_signal(number)
    assert running.wait(60) == -number
    status = record(repo, "status")
    assert (status["status"], status["signal"], status["exit_code"]) == ("killed", number.name, None)


def test_a_command_that_handles_the_signal_ends_as_it_likes(repo: Path) -> None:
    script = (
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "print('up', flush=True)\ntime.sleep(600)"
    )
    running = subprocess.Popen([TRACK, "run", "-q", sys.executable, "-c", script], cwd=repo, stdout=subprocess.PIPE)
    assert running.stdout and running.stdout.readline() == b"up\n"
    running.terminate()
    assert running.wait(60) == 7
    assert record(repo, "status")["status"] == "failed"


def test_a_command_that_dies_of_a_signal_takes_us_with_it(repo: Path, track: Track) -> None:
    done = track("run", "sh", "-c", "kill -9 $$", code=-9)
    assert "killed by SIGKILL" in done.stderr
    assert record(repo, "status")["signal"] == "SIGKILL"


def test_ignored_signals_stay_ignored(repo: Path) -> None:
    running = subprocess.Popen(
        ["sh", "-c", f"trap '' HUP; exec {TRACK} run -q sh -c 'echo up; exec sleep 1'"],
        cwd=repo,
        stdout=subprocess.PIPE,
    )
    assert running.stdout and running.stdout.readline() == b"up\n"
    running.send_signal(signal.SIGHUP)
    assert running.wait(60) == 0


def test_a_reader_that_has_enough_ends_the_command(repo: Path) -> None:
    done = subprocess.run(
        f"{TRACK} run -q yes | head -3; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        cwd=repo,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == ["y", "y", "y", "141"]
    assert record(repo, "status")["signal"] == "SIGPIPE"


def test_streams_that_are_one_stay_in_order(repo: Path) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9; do echo out $i; echo err $i >&2; done"
    done = subprocess.run(
        [TRACK, "run", "-q", "sh", "-c", script], cwd=repo, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    expected = b"".join(b"out %d\nerr %d\n" % (n, n) for n in range(1, 10))
    assert done.stdout == expected == console(repo)


def test_closed_streams_are_no_trouble(repo: Path) -> None:
    done = subprocess.run(["sh", "-c", f"{TRACK} run sh -c 'echo a; echo b >&2' >&- 2>&- <&-"], cwd=repo)
    assert done.returncode == 0 and record(repo, "status")["status"] == "completed"


def test_progress_bars_keep_their_last_state(repo: Path, track: Track) -> None:
    script = "import sys\nfor i in range(101): sys.stdout.write(f'\\r{i}%'); sys.stdout.flush()\nprint()"
    assert track("run", "-q", sys.executable, "-c", script).stdout.count("%") == 101
    assert console(repo) == b"100%\n"


def test_a_background_child_that_holds_the_output_does_not_delay_the_end(repo: Path, track: Track) -> None:
    (repo / "hold").touch()
    script = "echo first; (while [ -e hold ]; do sleep 0.1; done; echo late) & exit 0"
    began = time.monotonic()
    done = track("run", "sh", "-c", script)  # comes back, or holds the test up for ever
    returned = time.monotonic() - began
    assert done.stdout == "first\n" and "still run" in done.stderr
    assert not nothing_is_live(repo)
    time.sleep(1)
    (repo / "hold").unlink()
    wait_until(lambda: refs(repo) and nothing_is_live(repo))
    assert console(repo) == b"first\nlate\n"
    status = record(repo, "status")
    assert status["status"] == "completed" and status["duration"] <= returned


def test_a_background_process_that_logs_keeps_its_run_open(repo: Path, track: Track) -> None:
    (repo / "bg.py").write_text(
        "import gittrack, os, time\nrun = gittrack.init()\nrun.log({'x': 1}, step=1)\nopen('joined', 'w')\n"
        "while not os.path.exists('over'): time.sleep(0.05)\nrun.log({'x': 2}, step=2)\n"
    )
    waits = "while [ ! -e joined ]; do sleep 0.05; done"
    done = track("run", "sh", "-c", f"{sys.executable} bg.py > /dev/null 2>&1 & {waits}")
    assert "still run" in done.stderr
    (repo / "over").touch()
    wait_until(lambda: refs(repo) and nothing_is_live(repo))
    assert record(repo, "summary")["metrics"]["x"]["last"] == 2
    assert record(repo, "status")["status"] == "completed"


def test_a_background_process_may_join_after_the_command_has_ended(repo: Path, track: Track) -> None:
    (repo / "bg.py").write_text(
        "import time; time.sleep(0.7)\nimport gittrack\ngittrack.init().log({'x': 1}, step=1)\n"
    )
    track("run", "sh", "-c", f"{sys.executable} bg.py &")
    wait_until(lambda: refs(repo) and nothing_is_live(repo))
    assert record(repo, "summary")["metrics"]["x"]["last"] == 1
    assert record(repo, "status")["exit_code"] == 0


def test_a_hundred_megabytes_pass_whole(repo: Path) -> None:
    line = "x" * 98
    script = f"import sys\nfor _ in range(100): sys.stdout.write({(line + chr(10))!r} * 10101)"
    done = subprocess.run(
        f'{TRACK} run -q {sys.executable} -c "$SCRIPT" | wc -c',
        shell=True,
        cwd=repo,
        capture_output=True,
        text=True,
        env={**os.environ, "SCRIPT": script},
    )
    assert int(done.stdout) == 99 * 10101 * 100
    kept = b"".join(
        show(repo, f"console/000/{n:02d}.log")
        for n in range(17)
        if n
        < len(
            subprocess.run(
                ["git", "ls-tree", "--name-only", refs(repo)[0] + ":console/000"], cwd=repo, capture_output=True
            ).stdout.split()
        )
    )
    assert 15_000_000 < len(kept) < 17_000_000 and b" bytes of output left out here]\n" in kept


def test_a_full_disk_stops_the_record_not_the_training(repo: Path) -> None:
    if os.getuid() != 0 or not shutil.which("mount"):
        pytest.skip("needs a small tmpfs")
    live = repo / ".git" / "track" / "live"
    live.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(live)]).returncode:
        pytest.skip("cannot mount")
    try:
        script = "for i in range(20000): print('a line that needs some room', i)"
        done = subprocess.run(
            [TRACK, "run", sys.executable, "-c", script], cwd=repo, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0 and len(done.stdout.splitlines()) == 20000
        assert "No space left" in done.stderr
        assert subprocess.run(["git", "fsck", "--strict"], cwd=repo).returncode == 0
    finally:
        subprocess.run(["umount", "-l", str(live)], check=True)


def test_an_interrupt_before_the_command_starts_leaves_nothing(repo: Path, tmp_path: Path) -> None:
    slow, held, live = tmp_path / "slow", tmp_path / "held", repo / ".git" / "track" / "live"
    slow.mkdir()
    hold = f"touch {held}; exec sleep 600"
    (slow / "git").write_text(
        f'#!/bin/sh\n[ -z "$(ls {live} 2>/dev/null)" ] || {{ {hold}; }}\nexec {shutil.which("git")} "$@"\n'
    )
    (slow / "git").chmod(0o755)
    env = {**os.environ, "PATH": f"{slow}:{os.environ['PATH']}"}
    running = subprocess.Popen([TRACK, "run", "touch", "ran"], cwd=repo, env=env, stderr=subprocess.PIPE)
    wait_until(held.exists)
    running.send_signal(signal.SIGINT)
    assert running.wait(60) == 130
    assert running.stderr and b"Traceback" not in running.stderr.read()
    assert nothing_is_live(repo) and not (repo / "ran").exists() and refs(repo) == []
