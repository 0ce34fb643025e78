"""`git track run` on real commands: what passes through, what is recorded, what is refused."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gittrack.core import codec

Git = Callable[..., str]
Track = Callable[..., "subprocess.CompletedProcess[str]"]
TRACK = str(Path(sys.executable).parent / "git-track")


def refs(repo: Path) -> list[str]:
    listed = subprocess.run(
        ["git", "for-each-ref", "--format=%(refname)", "refs/track/runs"], cwd=repo, capture_output=True, text=True
    )
    return listed.stdout.split()


def show(repo: Path, path: str, ref: str = "") -> bytes:
    """A file of the record of the only run (or of `ref`)."""
    if not ref:
        [ref] = refs(repo)
    return subprocess.run(["git", "show", f"{ref}:{path}"], cwd=repo, capture_output=True, check=True).stdout


def record(repo: Path, name: str, ref: str = "") -> Any:
    return codec.loads(show(repo, f"{name}.json", ref))


def console(repo: Path, ref: str = "") -> bytes:
    return show(repo, "console/000/00.log", ref)


def wait_until(what: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def nothing_is_live(repo: Path) -> bool:
    live = repo / ".git" / "track" / "live"
    return not live.exists() or not list(live.iterdir())


def test_a_command_runs_as_without_us_and_is_recorded(repo: Path, track: Track, git: Git) -> None:
    done = track("run", "sh", "-c", "echo out; echo err >&2; exit 3", code=3)
    assert done.stdout == "out\n"
    lines = done.stderr.splitlines()
    [ref] = refs(repo)
    short = ref.rpartition("/")[2][:7]
    assert lines[0] == f"gittrack: run {short}" and "err" in lines
    assert f"run {short} failed with exit code 3" in lines[2] and lines[-1] == f"  see: git track show {short}"
    status = record(repo, "status")
    assert (status["status"], status["exit_code"], status["signal"]) == ("failed", 3, None)
    facts = record(repo, "run")
    assert facts["argv"] == ["sh", "-c", "echo out; echo err >&2; exit 3"] and facts["cwd"] == "."
    assert facts["base"] == facts["snapshot"] == git("rev-parse", "HEAD")
    assert facts["user"] == {"name": "Ann Example", "email": "ann@example.org"}
    assert sorted(console(repo).splitlines()) == [b"err", b"out"]
    assert git("fsck", "--strict") == ""
    assert nothing_is_live(repo)


def test_uncommitted_edits_and_new_files_are_the_snapshot(repo: Path, track: Track, git: Git) -> None:
    (repo / "train.py").write_text("print('edited')\n")
    (repo / "new.py").write_text("x = 1\n")
    before = git("status", "--porcelain")
    track("run", sys.executable, "train.py")
    facts = record(repo, "run")
    assert git("show", f"{facts['snapshot']}:train.py") == "print('edited')"
    assert git("show", f"{facts['snapshot']}:new.py") == "x = 1"
    assert git("rev-parse", f"{facts['snapshot']}^") == facts["base"]
    assert git("rev-parse", f"refs/track/code/{facts['snapshot'][-2:]}/{facts['snapshot']}") == facts["snapshot"]
    assert git("status", "--porcelain") == before


def test_the_code_outlives_amend_and_gc(repo: Path, track: Track, git: Git) -> None:
    track("run", "true")
    snapshot = record(repo, "run")["snapshot"]
    git("commit", "-q", "--amend", "--allow-empty", "-m", "other")
    git("reflog", "expire", "--expire=now", "--all")
    git("gc", "-q", "--prune=now")
    assert git("show", f"{snapshot}:train.py")


def test_options_become_facts(repo: Path, track: Track) -> None:
    track(
        "run", "--name", "first", "--tag", "a", "--tag", "b", "--note", "a note", "--experiment", "iris",
        "-p", "lr=0.1", "--param", "opt=adam", "-p", "on=true", "--", "true",
    )  # fmt: skip
    facts = record(repo, "run")
    assert (facts["name"], facts["tags"], facts["note"], facts["experiment"]) == ("first", ["a", "b"], "a note", "iris")
    params = record(repo, "params")
    assert {name: each["value"] for name, each in params.items()} == {"lr": 0.1, "opt": "adam", "on": True}
    assert {each["source"] for each in params.values()} == {"command"}


def test_options_after_the_command_are_its_own(repo: Path, track: Track) -> None:
    done = track("run", "echo", "--name", "x", "-p", "--", "--help")
    assert done.stdout == "--name x -p -- --help\n"
    assert record(repo, "run")["name"] is None


def test_a_name_that_could_not_be_selected_is_refused(repo: Path, track: Track) -> None:
    assert "looks like the beginning of a run id" in track("run", "--name", "abcdef1", "touch", "ran", code=2).stderr
    track("run", "--name", "latest", "touch", "ran", code=2)
    assert not (repo / "ran").exists() and refs(repo) == []


def test_what_is_left_out_is_said_with_how_to_keep_it(repo: Path, track: Track) -> None:
    (repo / ".env").write_text("KEY=1\n")
    with open(repo / "big.bin", "wb") as file:
        file.truncate(20_000_000)
    said = track("run", "true").stderr
    assert "left out: .env" in said and "left out: big.bin (larger than 10 MB)" in said
    assert "--include big.bin" in said
    left = record(repo, "run")["left_out"]
    assert [(each["path"], each["size"]) for each in left] == [(".env", 6), ("big.bin", 20_000_000)]


def test_quiet_prints_nothing_of_ours(repo: Path, track: Track) -> None:
    done = track("run", "--quiet", "echo", "hi")
    assert (done.stdout, done.stderr) == ("hi\n", "")


def test_json_comes_after_the_output(repo: Path, track: Track) -> None:
    done = track("run", "--json", "sh", "-c", "echo hi; exit 2", code=2)
    first, second = done.stdout.splitlines()
    document = json.loads(second)
    assert first == "hi" and done.stderr == ""
    assert document["status"] == "failed" and document["exit_code"] == 2 and document["metrics"] == {}
    assert refs(repo)[0].endswith(document["id"])


def test_a_command_that_is_not_there_makes_no_run(repo: Path, track: Track) -> None:
    done = track("run", "no-such-command", code=127)
    assert "no-such-command: command not found" in done.stderr
    done = track("run", "./train.py", code=126)
    assert "not executable" in done.stderr and "git track run python ./train.py" in done.stderr
    track("run", ".", code=127)
    track("run", "./", code=126)
    assert refs(repo) == [] and nothing_is_live(repo)


def test_a_script_without_a_first_line_is_run_by_the_shell(repo: Path, track: Track) -> None:
    script = repo / "go"
    script.write_text('echo "went $1"\n')
    script.chmod(0o755)
    assert track("run", "./go", "far").stdout == "went far\n"


def test_a_file_that_is_no_program_makes_no_run(repo: Path, track: Track) -> None:
    script = repo / "go"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    assert "./go" in track("run", "./go", code=126).stderr
    assert refs(repo) == [] and nothing_is_live(repo)


def test_outside_a_repository_it_says_what_to_do(tmp_path: Path, track: Track) -> None:
    done = track("run", "true", cwd=tmp_path, code=68)
    assert "not in a git repository" in done.stderr and "git init" in done.stderr


def test_an_empty_repository_and_a_detached_head_are_fine(tmp_path: Path, track: Track, git: Git, repo: Path) -> None:
    empty = tmp_path / "empty"
    subprocess.run(["git", "init", "-q", str(empty)], check=True)
    (empty / "a.py").write_text("1\n")
    track("run", "true", cwd=empty)
    facts = record(empty, "run")
    assert facts["base"] is None and git("show", f"{facts['snapshot']}:a.py", cwd=empty) == "1"
    git("checkout", "-q", "--detach")
    track("run", "true")
    assert record(repo, "run")["base"] == git("rev-parse", "HEAD")


def test_a_read_only_repository_is_refused_before_anything_runs(repo: Path) -> None:
    unprivileged = [] if os.getuid() else ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    (repo / ".git").chmod(0o555)
    try:
        done = subprocess.run([*unprivileged, TRACK, "run", "touch", "ran"], cwd=repo, capture_output=True, text=True)
    finally:
        (repo / ".git").chmod(0o755)
    assert done.returncode == 73 and "cannot write" in done.stderr and "writable" in done.stderr
    assert not (repo / "ran").exists()


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


def test_no_snapshot_keeps_no_code(repo: Path, track: Track, git: Git) -> None:
    track("run", "--no-snapshot", "true")
    facts = record(repo, "run")
    assert facts["snapshot"] is None and facts["base"] == git("rev-parse", "HEAD")
    assert git("for-each-ref", "refs/track/code") == ""


def test_dry_run_runs_nothing_and_shows_what_would_be_kept(repo: Path, track: Track, git: Git) -> None:
    (repo / "new.py").write_text("x\n")
    done = track("run", "--dry-run", "touch", "ran")
    assert "new.py" in done.stdout and not (repo / "ran").exists()
    document = json.loads(track("run", "--dry-run", "--json", "true").stdout)
    assert [each["path"] for each in document["files"]] == ["new.py"]
    assert git("for-each-ref", "refs/track") == ""


def test_an_ignored_file_is_kept_when_it_is_wanted(repo: Path, track: Track, git: Git) -> None:
    (repo / ".gitignore").write_text("*.bin\n")
    (repo / "sub").mkdir()
    (repo / "sub" / "weights.bin").write_text("w\n")
    track("run", "--include", "weights.bin", "true", cwd=repo / "sub")
    assert git("show", f"{record(repo, 'run')['snapshot']}:sub/weights.bin") == "w"
    assert "no such file" in track("run", "--include", "nothing.bin", "true", code=2).stderr


def test_argparse_parameters_and_packages_come_by_themselves(repo: Path, track: Track) -> None:
    (repo / "train.py").write_text(
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('--lr', type=float, default=0.1)\n"
        "p.add_argument('--n', type=int)\np.parse_args()\n"
    )
    track("run", sys.executable, "train.py", "--n", "3")
    params = record(repo, "params")
    assert {name: each["value"] for name, each in params.items()} == {"lr": 0.1, "n": 3}
    assert b"pytest==" in show(repo, "environment/requirements.txt")
    assert record(repo, "environment/python")["executable"]
    assert (
        record(repo, "environment/git")["version"]
        in subprocess.run(["git", "--version"], capture_output=True, text=True).stdout
    )
    assert record(repo, "environment/system")["cpu"]["count"]


def test_no_autolog_looks_into_nothing(repo: Path, track: Track) -> None:
    (repo / "train.py").write_text(
        "import argparse, sys\nassert 'gittrack' not in ' '.join(sys.path)\nargparse.ArgumentParser().parse_args()\n"
    )
    track("run", "--no-autolog", sys.executable, "-P" if sys.version_info >= (3, 11) else "-s", "train.py")
    assert record(repo, "params") == {}


def test_metrics_of_a_script_that_joins(repo: Path, track: Track) -> None:
    (repo / "train.py").write_text(
        "import gittrack\nrun = gittrack.init(params={'a': 1})\n"
        "for i in range(3): run.log({'loss': 1 / (i + 1)}, step=i)\n"
        "run.checkpoint(step=2, metrics={'loss': 0.3}, primary_metric=('loss', 'minimize'))\n"
    )
    done = track("run", sys.executable, "train.py")
    assert "loss 0.3" in done.stderr
    summary = record(repo, "summary")
    assert summary["metrics"]["loss"]["count"] == 4 and summary["checkpoints"]["count"] == 1


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


def test_secrets_do_not_reach_the_record(repo: Path, track: Track) -> None:
    script = "import os; print('key', os.environ['API_TOKEN'])"
    track(
        "run",
        "-p",
        "password=hunter2hunter2",
        sys.executable,
        "-c",
        script,
        "--token",
        "abcdef123456",
        API_TOKEN="value-of-the-token",
    )
    assert b"value-of-the-token" not in console(repo) and b"key" in console(repo)
    assert "abcdef123456" not in json.dumps(record(repo, "run"))
    assert "hunter2" not in json.dumps(record(repo, "params"))


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
        [TRACK, "run", "-q", "sh", "-c", "echo up; exec sleep 60"], cwd=repo, stdout=subprocess.PIPE
    )
    assert running.stdout and running.stdout.readline() == b"up\n"
    running.send_signal(number)
    assert running.wait(20) == -number
    status = record(repo, "status")
    assert (status["status"], status["signal"], status["exit_code"]) == ("killed", number.name, None)


def test_a_command_that_handles_the_signal_ends_as_it_likes(repo: Path) -> None:
    script = (
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "print('up', flush=True)\ntime.sleep(60)"
    )
    running = subprocess.Popen([TRACK, "run", "-q", sys.executable, "-c", script], cwd=repo, stdout=subprocess.PIPE)
    assert running.stdout and running.stdout.readline() == b"up\n"
    running.terminate()
    assert running.wait(20) == 7
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
    assert running.wait(20) == 0


def test_a_reader_that_has_enough_ends_the_command(repo: Path) -> None:
    done = subprocess.run(
        f"{TRACK} run -q yes | head -3; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        cwd=repo,
        capture_output=True,
        text=True,
        timeout=30,
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
    started = time.monotonic()
    done = track("run", "sh", "-c", "echo first; (sleep 3; echo late) & exit 0")
    assert time.monotonic() - started < 2.5
    assert done.stdout == "first\n" and "still run" in done.stderr
    wait_until(lambda: refs(repo) and nothing_is_live(repo))
    assert console(repo) == b"first\nlate\n"
    status = record(repo, "status")
    assert status["status"] == "completed" and status["duration"] < 2


def test_a_background_process_that_logs_keeps_its_run_open(repo: Path, track: Track) -> None:
    (repo / "bg.py").write_text(
        "import gittrack, time\nrun = gittrack.init()\n"
        "run.log({'x': 1}, step=1)\ntime.sleep(2.5)\nrun.log({'x': 2}, step=2)\n"
    )
    done = track("run", "sh", "-c", f"{sys.executable} bg.py > /dev/null 2>&1 & sleep 1")
    assert "still run" in done.stderr
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


def test_a_hundred_megabytes_pass_at_the_speed_of_a_pipe(repo: Path) -> None:
    line = "x" * 98
    script = f"import sys\nfor _ in range(100): sys.stdout.write({(line + chr(10))!r} * 10101)"
    started = time.monotonic()
    done = subprocess.run(
        f'{TRACK} run -q {sys.executable} -c "$SCRIPT" | wc -c',
        shell=True,
        cwd=repo,
        capture_output=True,
        text=True,
        env={**os.environ, "SCRIPT": script},
    )
    assert int(done.stdout) == 99 * 10101 * 100
    assert time.monotonic() - started < 10
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
    slow = tmp_path / "slow"
    slow.mkdir()
    (slow / "git").write_text(f'#!/bin/sh\nsleep 0.5\nexec {shutil.which("git")} "$@"\n')
    (slow / "git").chmod(0o755)
    env = {**os.environ, "PATH": f"{slow}:{os.environ['PATH']}"}
    running = subprocess.Popen([TRACK, "run", "touch", "ran"], cwd=repo, env=env, stderr=subprocess.PIPE)
    wait_until(lambda: not nothing_is_live(repo))
    time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    assert running.wait(20) == 130
    assert running.stderr and b"Traceback" not in running.stderr.read()
    assert nothing_is_live(repo) and not (repo / "ran").exists() and refs(repo) == []
