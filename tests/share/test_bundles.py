"""`git track export` and `import`: runs in a file, without a server."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import builder
import pytest

TRAIN = """
import os, gittrack
run = gittrack.init(params={"lr": 0.1})
open("model.bin", "wb").write(os.urandom(3_000_000))
run.log({"loss": 0.5}, step=1)
run.checkpoint(1, {"loss": 0.5}, path="model.bin")
"""


@pytest.fixture
def made(repo, git, track):
    """A run with uncommitted code and a large file, tagged."""
    (repo / ".gitignore").write_text("model.bin\n")
    git("add", ".")
    git("commit", "-q", "-m", "Ignore models")
    (repo / "train.py").write_text(TRAIN)
    run = json.loads(track("run", "--json", sys.executable, "train.py").stdout)["id"]
    track("tag", run[:7], "good")
    return run


@pytest.fixture
def clone(repo, git, tmp_path):
    target = tmp_path / "clone"
    git("clone", "-q", str(repo), str(target))
    return target


def ids(track, cwd):
    return track("ls", "-q", cwd=cwd).stdout.split()


def refs(git, cwd):
    return git("for-each-ref", "--format=%(objectname) %(refname)", "refs/track", cwd=cwd).splitlines()


def test_a_run_comes_whole_code_files_and_what_was_said_of_it(repo, git, track, made, clone):
    assert "1 run, 1 snapshot, 1 file" in track("export", made[:7], "-o", "one.bundle").stdout
    said = track("import", str(repo / "one.bundle"), cwd=clone).stdout
    assert "1 new run" in said
    assert ids(track, clone) == [made]
    [row] = json.loads(track("ls", "--json", cwd=clone).stdout)
    assert row["tags"] == ["good"]
    track("checkout", made[:7], "-o", "out", cwd=clone)
    assert (clone / "out" / "train.py").read_text() == TRAIN
    assert (clone / "out" / "model.bin").read_bytes() == (repo / "model.bin").read_bytes()
    assert git("fsck", "--strict", cwd=clone) == ""
    assert not (clone / ".git" / "refs" / "track" / "data").exists()


def test_plain_git_reads_the_file(repo, git, track, made, tmp_path):
    track("export", made[:7], "-o", "one.bundle")
    empty = tmp_path / "empty"
    git("init", "-q", str(empty))
    git("bundle", "verify", str(repo / "one.bundle"), cwd=empty)
    git("fetch", "-q", str(repo / "one.bundle"), "refs/track/*:refs/track/*", cwd=empty)
    assert '"lr"' in git("show", f"refs/track/runs/{made[-2:]}/{made}:params.json", cwd=empty)
    assert git("fsck", "--strict", cwd=empty) == ""


def test_it_changes_nothing_when_done_again_and_an_undo_takes_it_back(repo, git, track, made, clone):
    track("export", made[:7], "-o", "one.bundle")
    bundle = str(repo / "one.bundle")
    assert "nothing new" not in track("import", bundle, "--dry-run", cwd=clone).stdout
    assert json.loads(track("import", bundle, "--dry-run", "--json", cwd=clone).stdout)["runs"] == 1
    assert refs(git, clone) == []
    track("import", bundle, cwd=clone)
    before = refs(git, clone)
    assert track("import", bundle, cwd=clone).stdout == "nothing new\n"
    assert refs(git, clone) == before
    assert "nothing new" in track("import", bundle, "--dry-run", cwd=clone).stdout
    assert track("import", bundle, cwd=repo).stdout == "nothing new\n"
    track("undo", cwd=clone)
    assert ids(track, clone) == []


def test_the_repository_that_exports_is_as_it_was(repo, git, track, made):
    before = (refs(git, repo), git("count-objects", "-v"), git("status", "--porcelain"))
    track("export", "--all", "-o", "../all.bundle")
    assert (refs(git, repo), git("count-objects", "-v"), git("status", "--porcelain")) == before
    assert not [name for name in os.listdir(repo / ".git" / "track" / "tmp") if "desk" in name]


def test_history_that_the_other_has_can_be_left_out(repo, git, track, made, clone, tmp_path):
    (clone / "other.txt").write_text("x")
    assert "1 snapshot" in track("export", made[:7], "-o", "thin.bundle", "--since", "main").stdout
    assert "requires this ref" in git("bundle", "verify", "thin.bundle")
    empty = tmp_path / "empty"
    git("init", "-q", str(empty))
    assert "not here" in track("import", str(repo / "thin.bundle"), cwd=empty, code=69).stderr
    git("checkout", "-q", "--", ".")
    git("pull", "-q", "origin", "main", cwd=clone)
    track("import", str(repo / "thin.bundle"), cwd=clone)
    track("checkout", made[:7], "--code", "-o", "out", cwd=clone)
    assert (clone / "out" / "train.py").read_text() == TRAIN
    assert "no such commit" in track("export", made[:7], "-o", "x", "--since", "nowhere", code=2).stderr


def test_a_run_of_a_commit_that_was_left_out_keeps_that_commit(repo, git, track, clone):
    run = json.loads(track("run", "--json", "true").stdout)["id"]
    track("export", run[:7], "-o", "thin.bundle", "--since", "main")
    track("import", str(repo / "thin.bundle"), cwd=clone)
    assert [line for line in refs(git, clone) if "/code/" in line] == [
        line for line in refs(git, repo) if "/code/" in line
    ]


def test_code_and_files_can_be_left_out(repo, git, track, made, clone):
    track("export", made[:7], "-o", "small.bundle", "--no-code", "--no-artifacts")
    assert os.path.getsize(repo / "small.bundle") < 100_000
    heads = git("bundle", "list-heads", "small.bundle").splitlines()
    assert [head.split("/")[2] for head in heads] == ["log", "runs"]
    track("import", str(repo / "small.bundle"), cwd=clone)
    assert ids(track, clone) == [made]


def test_an_archived_run_is_exported_as_if_it_were_not(repo, git, track, made, clone):
    tip = git("rev-parse", f"refs/track/runs/{made[-2:]}/{made}")
    track("archive", made[:7])
    assert not [line for line in refs(git, repo) if "/runs/" in line]
    track("export", made[:7], "-o", "one.bundle")
    track("import", str(repo / "one.bundle"), cwd=clone)
    assert f"{tip} refs/track/runs/{made[-2:]}/{made}" in refs(git, clone)
    track("checkout", made[:7], "-o", "out", cwd=clone)
    assert (clone / "out" / "train.py").read_text() == TRAIN


def test_runs_come_out_of_another_repositorys_folder(repo, git, track, made, clone):
    second = json.loads(track("run", "--json", "true").stdout)["id"]
    track("archive", made[:7])
    assert "this repository itself" in track("import", ".", code=2).stderr
    track("import", str(repo), cwd=clone)
    assert set(ids(track, clone)) == {made, second}
    track("checkout", made[:7], "-o", "out", cwd=clone)
    assert (clone / "out" / "model.bin").read_bytes() == (repo / "model.bin").read_bytes()
    assert track("import", str(repo), cwd=clone).stdout == "nothing new\n"


def test_a_file_is_not_replaced_unasked(repo, track, made):
    (repo / "one.bundle").write_text("mine")
    assert "--force" in track("export", made[:7], "-o", "one.bundle", code=82).stderr
    assert (repo / "one.bundle").read_text() == "mine"
    track("export", made[:7], "-o", "one.bundle", "--force")
    assert "say which runs" in track("export", "-o", "x.bundle", code=2).stderr
    assert "cannot write" in track("export", made[:7], "-o", "no/such/folder/x", code=73).stderr


def test_what_is_no_bundle_or_a_damaged_one_is_said(repo, git, track, made, clone, tmp_path):
    track("export", made[:7], "-o", "one.bundle")
    data = (repo / "one.bundle").read_bytes()
    (tmp_path / "cut.bundle").write_bytes(data[: len(data) // 2])
    (tmp_path / "flipped.bundle").write_bytes(data[:-5000] + bytes([data[-5000] ^ 1]) + data[-4999:])
    (tmp_path / "text").write_text("hello")
    (tmp_path / "folder").mkdir()
    assert "cannot be read" in track("import", str(tmp_path / "cut.bundle"), cwd=clone, code=69).stderr
    assert "cannot be read" in track("import", str(tmp_path / "flipped.bundle"), cwd=clone, code=69).stderr
    assert "no git bundle" in track("import", str(tmp_path / "text"), cwd=clone, code=2).stderr
    assert "no git bundle" in track("import", str(tmp_path / "folder"), cwd=clone, code=2).stderr
    assert refs(git, clone) == []
    git("fsck", "--strict", cwd=clone)


def test_a_forged_run_in_a_bundle_is_refused_and_the_others_come(repo, git, track, made, clone, tmp_path):
    other = tmp_path / "other"
    git("clone", "-q", str(repo), str(other))
    git("fetch", "-q", "origin", "refs/track/*:refs/track/*", cwd=other)
    forged = "f" * 18 + "00"
    git(
        "update-ref", f"refs/track/runs/00/{forged}", git("rev-parse", f"refs/track/runs/{made[-2:]}/{made}"), cwd=other
    )
    git("bundle", "create", "-q", str(tmp_path / "forged.bundle"), "--glob=refs/track/*", cwd=other)
    said = track("import", str(tmp_path / "forged.bundle"), cwd=clone)
    assert f"refused: refs/track/runs/00/{forged}" in said.stderr
    assert ids(track, clone) == [made]


def test_another_record_of_a_run_that_is_here_does_not_replace_it(repo, git, track, made, clone, tmp_path):
    track("export", made[:7], "-o", "one.bundle")
    track("import", str(repo / "one.bundle"), cwd=clone)
    ref = f"refs/track/runs/{made[-2:]}/{made}"
    tip = git("rev-parse", ref, cwd=clone)
    tree = git("rev-parse", f"{ref}^{{tree}}")
    git("update-ref", ref, git("commit-tree", tree, "-m", "another history"))
    git("bundle", "create", "-q", str(tmp_path / "other.bundle"), ref)
    assert "kept aside" in track("import", str(tmp_path / "other.bundle"), cwd=clone).stderr
    assert git("rev-parse", ref, cwd=clone) == tip


def test_a_journal_recorded_elsewhere_is_folded_here(repo, git, track, tmp_path):
    place = journal(tmp_path, repo)
    kept = {name.name: name.read_bytes() for name in place.iterdir() if name.is_file()}
    assert "would import run" in track("import", str(place), "--dry-run").stdout
    assert track("ls", "-q").stdout == ""
    said = track("import", str(place)).stdout
    assert "imported run" in said
    [row] = json.loads(track("ls", "--json").stdout)
    assert row["metrics"]["loss"]["last"] == 0.25
    assert {name.name: name.read_bytes() for name in place.iterdir() if name.is_file()} == kept
    assert "here already" in track("import", str(place)).stdout
    track("undo")
    assert track("ls", "-q").stdout == ""


def test_a_journal_that_still_goes_on_waits(repo, track, tmp_path):
    place = journal(tmp_path, repo)
    with open(place / "run.jsonl", "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "still going" in track("import", str(place), code=2).stderr
    assert track("ls", "-q").stdout == ""


def test_a_journal_without_a_sound_start_is_refused(repo, git, track, tmp_path):
    place = journal(tmp_path, repo)
    text = (place / "run.jsonl").read_text()
    (place / "run.jsonl").write_text(text.replace('"id":"', '"id":"../', 1))
    assert "no journal" in track("import", str(place), code=65).stderr
    (place / "run.jsonl").write_text(text.replace('"status":"completed"', '"status":7', 1))
    track("import", str(place), code=None)
    git("fsck", "--strict")


def journal(tmp_path: Path, repo: Path) -> Path:
    """The folder of a run, as a job leaves it on a machine where the repository is not."""
    place = tmp_path / "job" / "run"
    place.mkdir(parents=True)
    (place / "run.jsonl").write_bytes(builder.journal(1, {"lr": 0.1}, [0.5, 0.25]))
    (place / "console.log").write_bytes(b"epoch 1\n")
    return place


def test_an_export_that_is_killed_leaves_nothing_behind(repo, git, track, made, tmp_path):
    command = [str(Path(sys.executable).parent / "git-track"), "export", made[:7], "-o", str(tmp_path / "x.bundle")]
    process = subprocess.Popen(command, cwd=repo, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < until:
        if any("desk" in name for name in os.listdir(repo / ".git" / "track" / "tmp")):
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    assert not (tmp_path / "x.bundle").exists() or process.returncode == 0
    track("export", made[:7], "-o", str(tmp_path / "y.bundle"))
    git("bundle", "verify", "-q", str(tmp_path / "y.bundle"))
    assert not [name for name in os.listdir(repo / ".git" / "track" / "tmp") if "desk" in name]


def test_refs_that_are_none_of_gittracks_are_not_taken(repo, git, track, made, clone):
    head = git("rev-parse", "HEAD")
    for ref in ("refs/track/odd", "refs/track/runs/zz/not-an-id", "refs/heads/evil", "refs/tags/evil"):
        git("update-ref", ref, head)
    git("bundle", "create", "-q", "odd.bundle", "--all")
    said = track("import", str(repo / "odd.bundle"), cwd=clone)
    assert "refused: refs/track/odd" in said.stderr
    assert "refused: refs/track/runs/zz/not-an-id" in said.stderr
    assert ids(track, clone) == [made]
    assert "evil" not in git("for-each-ref", cwd=clone)


def test_files_that_wait_in_a_journal_are_kept_when_it_is_imported(repo, git, track, tmp_path):
    place = journal(tmp_path, repo)
    text = (place / "run.jsonl").read_bytes()
    (place / "run.jsonl").write_bytes(text[: text.rindex(b'{"e":"end"')])
    script = tmp_path / "train.py"
    script.write_text(
        "import gittrack\nrun = gittrack.init()\nopen('m.bin', 'wb').write(bytes(3_000_000))\n"
        "run.checkpoint(5, {'loss': 0.1}, path='m.bin')\n"
    )
    with open(place / "run.jsonl", "ab") as starter:  # whoever started the run holds this
        fcntl.flock(starter, fcntl.LOCK_EX)
        there = {**os.environ, "GITTRACK_RUN_DIR": str(place), "GITTRACK_RUN_ID": builder.run_id(1)}
        subprocess.run([sys.executable, str(script)], cwd=tmp_path, env=there, check=True)
    assert any((place / "parcels").iterdir())
    track("import", str(place))
    assert "m.bin" in track("artifacts", builder.run_id(1)[:7]).stdout
    track("checkout", f"{builder.run_id(1)[:7]}@5", "--artifacts", "-o", "out")
    assert (repo / "out" / "m.bin").read_bytes() == bytes(3_000_000)
    assert not list((repo / ".git" / "track" / "live").iterdir())


def test_a_run_that_was_known_and_is_archived_by_now_is_not_new(repo, git, track, clone):
    for _ in range(2):
        track("run", "-q", "true")
    assert "2 new runs" in track("import", str(repo), cwd=clone).stdout
    track("run", "-q", "true")
    track("archive", "--all", "--yes")
    said = track("import", str(repo), cwd=clone).stdout
    assert "1 archived run," in said
