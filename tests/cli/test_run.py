"""`git track run`: what is recorded, what is said, what is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

from common import TRACK
from recorded import Git, Track, console, nothing_is_live, record, refs, show


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
    assert "leave out the quotes" in track("run", "python train.py", code=127).stderr
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


def test_a_dry_run_at_a_host_shows_what_is_sent_besides(repo: Path, track: Track) -> None:
    (repo / "gittrack.yaml").write_text("inputs: [data]\nsnapshot_large: 1000\n")
    (repo / ".gitignore").write_text("data\n")
    (repo / "data" / "deep").mkdir(parents=True)
    (repo / "data" / "deep" / "a.bin").write_bytes(bytes(50))
    (repo / "data" / "key.pem").write_text("secret")
    (repo / "large.bin").write_bytes(bytes(2000))
    done = track("run", "-H", "nowhere.invalid", "--dry-run", "true")
    assert "Besides, 2 inputs would be sent" in done.stdout and "key.pem" in done.stdout.splitlines()[-1]
    document = json.loads(track("run", "--container", "--dry-run", "--json", "true").stdout)
    assert document["inputs"] == [{"path": "data/deep/a.bin", "size": 50}, {"path": "large.bin", "size": 2000}]
    assert "input" not in track("run", "--dry-run", "true").stdout
    (repo / "gittrack.yaml").write_text("inputs: [nothing]\n")
    assert "nothing fits" in track("run", "--container", "--dry-run", "true", code=2).stderr


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


def test_no_label_reason_or_file_carries_a_secret_into_the_record(repo: Path, track: Track) -> None:
    secret = "value-of-the-token"
    (repo / "gittrack.yaml").write_text("params: [params.yaml]\n")
    (repo / "params.yaml").write_text(f"lr: 0.1\ndb: {{password: hunter2hunter2, url: 'x{secret}'}}\n")
    (repo / f"{secret}.pem").write_text("x\n")
    labels = ("--name", f"a {secret}", "--tag", secret, "--note", secret, "--experiment", secret)
    track("run", *labels, "true", API_TOKEN=secret)
    params = record(repo, "params")
    assert params["lr"]["value"] == 0.1 and params["db.password"]["value"] == "[redacted]"
    assert secret not in json.dumps([record(repo, name) for name in ("run", "params", "status")])


def test_settings_of_git_may_be_many_and_no_text(repo: Path, track: Track, git: Git) -> None:
    with open(repo / ".git" / "config", "ab") as config:
        config.write(b'[remote "origin"]\n\turl = /tmp/caf\xe9\n')
        for number in range(1500):
            config.write(b'[branch "feature/with-a-long-name-%d"]\n\tremote = origin\n\tmerge = x\n' % number)
    track("run", "sleep", "0.3")
    assert record(repo, "environment/git")["remotes"] == {"origin": b"/tmp/caf\xe9"}
