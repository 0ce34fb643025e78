"""Files of a run come back as they were, where they were, and take nothing of the user's with them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import builder
import keeping
import pytest

from gittrack.core import layout
from gittrack.git import objects
from gittrack.git.repository import RefChange
from gittrack.runs import checkout, folding, placing
from gittrack.store.local import open_local

TRACK = str(Path(sys.executable).parent / "git-track")
SCRIPT = """
import os, gittrack
run = gittrack.init()
os.makedirs("out", exist_ok=True)
for step in range(3):
    with open("out/model.pt", "wb") as file:
        file.write(b"weights %d " % step * 200_000)
    with open("out/run.sh", "w") as file:
        file.write("#!/bin/sh\\necho %d\\n" % step)
    os.chmod("out/run.sh", 0o755)
    if not os.path.lexists("out/last"):
        os.symlink("model.pt", "out/last")
    run.checkpoint(step=step, metrics={"loss": (step - 1) ** 2}, primary_metric=("loss", "minimize"), path="out")
with open("table.csv", "w") as file:
    file.write("a,b\\n")
run.log_artifact("table.csv")
"""
MODEL = [b"weights %d " % step * 200_000 for step in range(3)]


@pytest.fixture
def trained(repo, git, track):
    """A run with three checkpoints of a folder, a logged file, and code with all kinds of files."""
    (repo / "train.py").write_text(SCRIPT)
    (repo / "tool").write_text("#!/bin/sh\n")
    (repo / "tool").chmod(0o755)
    (repo / "data").symlink_to("/nowhere/data")
    (repo / ".gitignore").write_text("out/\n*.csv\n")
    git("add", ".")
    git("commit", "-q", "-m", "A training")
    (repo / "README").write_text("uncommitted\n")
    (repo / "new.py").write_text("untracked = True\n")
    track("run", "-q", "python", "train.py")
    return repo


@pytest.fixture
def kept(store):
    """`kept(files, mode=…)`: a finished run with a checkpoint of these files, written journal line by journal line."""

    def make(*files: dict[str, bytes], where="store", mode="100644"):
        run = keeping.Run(store.paths)
        for number, group in enumerate(files):
            run.write(keeping.point(number), keeping.checkpoint(number, number))
            run.keep(number, group, where=where, mode=mode)
        return run

    return make


def tree(folder: Path) -> dict[str, object]:
    """Content of files, target of links; executables are marked."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name.startswith(".git/") or name == ".git":
            continue
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        elif path.is_file():
            found[name + "*" * os.access(path, os.X_OK)] = path.read_bytes()
    return found


def test_code_and_files_come_back_exactly(trained, track, tmp_path):
    out = tmp_path / "out"
    said = track("checkout", "latest", "-o", str(out)).stdout
    assert tree(out) == {
        ".gitignore": b"out/\n*.csv\n",
        "README": b"uncommitted\n",
        "data": "-> /nowhere/data",
        "new.py": b"untracked = True\n",
        "out/last": "-> model.pt",
        "out/model.pt": MODEL[2],
        "out/run.sh*": b"#!/bin/sh\necho 2\n",
        "table.csv": b"a,b\n",
        "tool*": b"#!/bin/sh\n",
        "train.py": SCRIPT.encode(),
    }
    assert "restored 10 files" in said
    assert "10 files there and the same already" in track("checkout", "latest", "-o", str(out)).stdout


def test_a_checkpoint_is_chosen_by_step_or_as_the_best_and_logged_files_come_along(trained, track, tmp_path):
    for number, selector in enumerate(("latest@0", "latest@best", "latest@latest")):
        out = tmp_path / str(number)
        track("checkout", selector, "--artifacts", "-o", str(out))
        assert (out / "out" / "model.pt").read_bytes() == MODEL[number]
        assert (out / "table.csv").exists()
        assert not (out / "train.py").exists()
    assert "nearest" in track("checkout", "latest@7", "--artifacts", code=66).stderr


def test_in_a_pipe_nothing_is_overwritten_and_the_files_are_named(trained, track):
    (trained / "README").write_text("mine\n")
    before = tree(trained)
    refused = track("checkout", "latest@0", code=82)
    assert "  README\n" in refused.stderr
    assert "  out/model.pt\n" in refused.stderr
    assert "--force" in refused.stderr
    assert tree(trained) == before


def test_force_overwrites_and_undo_brings_everything_back(trained, track, git):
    (trained / "README").write_text("mine\n")
    (trained / "new.py").unlink()
    (trained / "out" / "last").unlink()
    (trained / "out" / "last").symlink_to("elsewhere")
    before = tree(trained)
    said = track("checkout", "latest@0", "--force").stdout
    assert "git track undo" in said
    assert (trained / "out" / "model.pt").read_bytes() == MODEL[0]
    assert (trained / "README").read_text() == "uncommitted\n"
    assert "git track checkout latest@0 --force" in track("log").stdout
    track("undo")
    assert tree(trained) == before


def test_index_head_stash_and_branches_are_left_alone(trained, track, git):
    (trained / "README").write_text("staged\n")
    git("add", "README")
    git("stash", "-q")
    (trained / "README").write_text("staged again\n")
    git("add", "README")

    def state() -> list[str]:
        return [git("ls-files", "-s"), git("for-each-ref", "refs/heads", "refs/stash"), git("reflog"), git("branch")]

    before = state()
    index = (trained / ".git" / "index").read_bytes()
    track("checkout", "latest", "--force")
    assert (trained / ".git" / "index").read_bytes() == index
    assert state() == before


def test_on_a_terminal_it_shows_what_would_change_and_asks(trained, terminal):
    (trained / "README").write_text("mine\n")
    seen = terminal("checkout", "latest", "--code", typed=b"n\n")
    assert "would be overwritten  README" in seen
    assert "nothing was restored" in seen
    assert (trained / "README").read_text() == "mine\n"
    assert "restored 1 file" in terminal("checkout", "latest", "--code", typed=b"y\n")
    assert (trained / "README").read_text() == "uncommitted\n"


def test_single_files_and_folders_can_be_chosen(trained, track, tmp_path):
    out = tmp_path / "out"
    track("checkout", "latest", "--path", "out/model.pt", "--path", "train.py", "-o", str(out))
    assert sorted(tree(out)) == ["out/model.pt", "train.py"]
    track("checkout", "latest", "-p", "out/", "-o", str(out))
    assert sorted(tree(out)) == ["out/last", "out/model.pt", "out/run.sh*", "train.py"]
    assert "out/model.pt" in track("checkout", "latest", "-p", "no.pt", "-o", str(out), code=66).stderr


def test_a_dry_run_says_all_of_it_and_does_nothing(trained, track, tmp_path):
    (trained / "README").write_text("mine\n")
    (trained / "table.csv").unlink()
    before = tree(trained)
    said = track("checkout", "latest", "--dry-run").stdout
    assert "would be overwritten  README" in said
    assert "table.csv" in said
    assert tree(trained) == before
    found = json.loads(track("checkout", "latest", "--dry-run", "--json").stdout)
    assert found["restored"] is None
    states = {one["path"]: (one["from"], one["state"]) for one in found["files"]}
    assert states["README"] == ("code", "differs")
    assert states["table.csv"] == ("artifact", "new")
    assert states["out/model.pt"] == ("artifact", "same")
    assert not (trained / ".git" / "track" / "undo").exists()


def test_json_says_what_was_done(trained, track, tmp_path):
    found = json.loads(track("checkout", "latest", "-o", str(tmp_path / "out"), "--json").stdout)
    assert (found["restored"], len(found["files"]), found["folder"]) == (10, 10, str(tmp_path / "out"))


def test_files_go_where_the_run_had_them(repo, git, track, tmp_path):
    (repo / "sub").mkdir()
    (repo / "sub" / "train.py").write_text(SCRIPT)
    git("add", ".")
    git("commit", "-q", "-m", "Below")
    track("run", "-q", "python", "train.py", cwd=repo / "sub")
    (repo / "sub" / "table.csv").unlink()
    track("checkout", "latest", "--artifacts")
    assert (repo / "sub" / "table.csv").exists()
    track("checkout", "latest", "-o", str(tmp_path / "both"))
    assert {"sub/train.py", "sub/table.csv", "README"} <= tree(tmp_path / "both").keys()
    track("checkout", "latest", "--artifacts", "-o", str(tmp_path / "files"))
    assert "table.csv" in tree(tmp_path / "files")
    track("checkout", "latest", "--artifacts", "-p", "out/model.pt", "-o", "rel", cwd=repo / "sub")
    assert sorted(tree(repo / "sub" / "rel")) == ["out/model.pt"]


def test_a_folder_or_a_link_in_the_way_is_named_and_nothing_is_done_not_even_by_force(trained, track, tmp_path):
    out, outside = tmp_path / "out", tmp_path / "outside"
    (out / "README").mkdir(parents=True)
    outside.mkdir()
    (out / "out").symlink_to(outside)
    refused = track("checkout", "latest", "-o", str(out), "--force", code=82).stderr
    assert "README: what is there is a folder" in refused
    assert "out/model.pt: out is there and is no folder of its own" in refused
    assert list(outside.iterdir()) == []
    assert sorted(path.name for path in out.iterdir()) == ["README", "out"]


@pytest.mark.parametrize("where", [".git", ".git/hooks", ".git/track/new"])
def test_gits_own_folder_is_no_place_to_restore_into(trained, track, where):
    assert "inside of git" in track("checkout", "latest", "-o", where, code=2).stderr


def test_without_work_tree_it_asks_for_a_folder(trained, track, git, tmp_path):
    git("clone", "-q", "--bare", str(trained), str(tmp_path / "bare.git"))
    git("fetch", "-q", str(trained), "refs/track/*:refs/track/*", cwd=tmp_path / "bare.git")
    assert "-o DIR" in track("checkout", "latest", "--code", cwd=tmp_path / "bare.git", code=2).stderr
    track("checkout", "latest", "--code", "-o", str(tmp_path / "out"), cwd=tmp_path / "bare.git")
    assert (tmp_path / "out" / "new.py").exists()


def test_what_is_not_in_this_clone_is_said(trained, track, git, tmp_path):
    other = tmp_path / "other"
    git("clone", "-q", f"file://{trained}", str(other))
    git("fetch", "-q", "origin", "refs/track/runs/*:refs/track/runs/*", cwd=other)
    gone = track("checkout", "latest", "--code", "-o", str(tmp_path / "o"), cwd=other, code=69).stderr
    assert "refs/track/code" in gone
    git("remote", "remove", "origin", cwd=other)
    missing = track("checkout", "latest", "--artifacts", "-o", str(tmp_path / "o"), cwd=other, code=80).stderr
    assert "out/model.pt" in missing
    assert not (tmp_path / "o" / "out" / "model.pt").exists()
    track("checkout", "latest", "--artifacts", "-p", "table.csv", "-o", str(tmp_path / "o"), cwd=other)
    assert (tmp_path / "o" / "table.csv").read_text() == "a,b\n"


def test_damaged_content_is_never_put_in_place(trained, track, tmp_path):
    for path in (trained / ".git" / "track" / "objects" / "chunks").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            data = bytearray(path.read_bytes())
            data[0] ^= 1
            path.write_bytes(bytes(data))
    out = tmp_path / "out"
    assert "out/model.pt" in track("checkout", "latest", "--artifacts", "-o", str(out), code=81).stderr
    assert not (out / "out" / "model.pt").exists()
    assert [path.name for path in out.iterdir() if path.name.startswith(placing.STAGING)] == []


def test_submodules_are_left_as_they_are_and_said(trained, track, git, tmp_path):
    (trained / "module").mkdir()
    git("update-index", "--add", "--cacheinfo", f"160000,{git('rev-parse', 'HEAD')},module")
    git("commit", "-q", "-m", "With a submodule")
    track("run", "-q", "true")
    said = track("checkout", "latest", "--code", "-o", str(tmp_path / "out"))
    assert "submodules are left as they are: module" in said.stderr
    assert (tmp_path / "out" / "train.py").exists()


def test_a_run_without_files_says_how_they_come_to_be(repo, track, tmp_path):
    track("run", "-q", "true")
    assert "run.checkpoint(path=…)" in track("checkout", "latest", "--artifacts", code=66).stderr
    assert "3 files" in track("checkout", "latest", "-o", str(tmp_path / "out")).stdout or (tmp_path / "out").exists()


HOSTILE = (
    "../escaped", "a/../../escaped", "/tmp/gittrack-escaped", ".git/hooks/post-checkout", "x/.GIT/config", "C:escaped",
    "git~1/config", "ok/../../escaped",
)  # fmt: skip


def write_by_hand(store, lines, files=()):
    """A finished record of format 2 with exactly these lines of artifacts, as no gittrack would write it."""
    ref = layout.run_ref(keeping.ID)
    run = keeping.Run(store.paths)
    run.write(keeping.point(0), keeping.checkpoint(0, 0), keeping.end())
    folding.fold_dead(store, builder.T0 * 2)
    tip = store.refs()[ref]
    documents = builder.files_of(store, tip)
    more = {"checkpoints/000/00.jsonl": keeping.lines(keeping.checkpoint(0, 0))}
    documents |= {**more, "artifacts/000/00.jsonl": keeping.lines(*lines), **dict(files)}
    builder.record(store, documents, ref, tip)


def test_paths_of_a_hostile_record_lead_nowhere(store, call, tmp_path):
    good = keeping.kept(0, "good.txt", b"good", where="store")
    run_files = [keeping.kept(0, path, b"evil", where="store") for path in HOSTILE]
    write_by_hand(store, [*run_files, good, keeping.whole(0, len(run_files) + 1)])
    content = open_local(os.path.join(store.paths.common_dir, "track"))
    content.put_bytes(b"evil")
    content.put_bytes(b"good")
    out = tmp_path / "deep" / "out"
    out.mkdir(parents=True)
    before = tree(tmp_path / "repo")
    call("checkout", keeping.ID, "--artifacts", "-o", str(out), code=83)
    assert ".git/hooks/post-checkout: its path leads into .git" in call.err
    assert tree(tmp_path / "deep") == {"out/good.txt": b"good"}
    assert not (tmp_path / "escaped").exists()
    assert not Path("/tmp/gittrack-escaped").exists()
    assert not (tmp_path / "repo" / ".git" / "hooks" / "post-checkout").exists()
    call("checkout", keeping.ID, "--artifacts", code=83)
    assert not (tmp_path / "repo" / ".git" / "hooks" / "post-checkout").exists()
    assert tree(tmp_path / "repo") == before | {"good.txt": b"good"}


def test_a_link_that_a_record_plants_is_no_way_out(store, call, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    links = [
        keeping.kept(0, "way", str(outside).encode(), where="store", mode="120000"),
        keeping.kept(0, "up", b"../outside", where="store", mode="120000"),
        keeping.kept(0, "in", b"sub", where="store", mode="120000"),
        keeping.kept(0, "in/twist", b"x", where="store"),
        keeping.kept(0, "way/x", b"x", where="store"),
    ]
    write_by_hand(store, [*links, keeping.whole(0, len(links))])
    content = open_local(os.path.join(store.paths.common_dir, "track"))
    for data in (str(outside).encode(), b"../outside", b"sub", b"x"):
        content.put_bytes(data)
    out = tmp_path / "out"
    call("checkout", keeping.ID, "--artifacts", "-o", str(out), code=83)
    assert f"way: it is a link that leads out of the folder, to {outside}" in call.err
    assert "in/twist: in is no folder" in call.err
    assert list(outside.iterdir()) == []
    assert tree(out) == {"in": "-> sub", "way/x": b"x"}


def test_a_record_that_names_another_digest_gives_nothing(store, call, tmp_path):
    line = keeping.kept(0, "small.txt", b"expected", where="git")
    write_by_hand(store, [line, keeping.whole(0)], {layout.file_path(0, "small.txt"): b"replaced"})
    call("checkout", keeping.ID, "--artifacts", "-o", str(tmp_path / "out"), code=80)
    assert not (tmp_path / "out" / "small.txt").exists()
    call("cat", f"{keeping.ID}:small.txt", code=80)


def test_a_snapshot_with_a_hostile_tree_writes_nothing_outside(store, call, track, tmp_path):
    evil = objects.blob(b"evil", store.algorithm)
    row = b"100644 ..\0" + bytes.fromhex(evil.oid)
    inner = objects.make("tree", b"100644 config\0" + bytes.fromhex(evil.oid), store.algorithm)
    rows = b"40000 .git\0" + bytes.fromhex(inner.oid) + row + b"100644 good\0" + bytes.fromhex(evil.oid)
    root = objects.make("tree", rows, store.algorithm)
    commit = objects.commit(root.oid, [], "Eve <eve@example.org>", int(builder.T0), "evil", store.algorithm)
    for made in (evil, inner, root, commit):
        subprocess.run(
            ["git", "hash-object", "-w", "--literally", "-t", made.kind, "--stdin"], input=made.data, check=True,
            cwd=store.paths.worktree, capture_output=True,
        )  # fmt: skip
    store.update_refs([RefChange(layout.code_ref(commit.oid), None, commit.oid)])
    builder.write_runs(store, [builder.journal(1, {}, [0.1], snapshot=commit.oid)])
    out = tmp_path / "deep" / "out"
    found = track("checkout", builder.run_id(1), "--code", "-o", str(out), code=83)
    assert "leads into .git" in found.stderr
    assert tree(tmp_path / "deep") == {"out/good": b"evil"}
    assert not (out / ".git").exists()


def test_killed_in_the_middle_it_leaves_whole_files_and_goes_on_when_called_again(store, kept, track, tmp_path):
    many = {f"d{number % 10}/f{number}": b"%d " % number * 5000 for number in range(1500)}
    run = kept(many)
    run.write(keeping.end())
    track("ls")
    out = tmp_path / "out"
    process = subprocess.Popen(
        [TRACK, "checkout", keeping.ID, "--artifacts", "-o", str(out)], cwd=store.paths.worktree, stdout=subprocess.PIPE
    )
    while not (out / "d5").is_dir():
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    found = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("f*") if path.parent.name[0] == "d"}
    assert 0 < len(found) < len(many)
    assert all(many[path] == data for path, data in found.items())
    track("checkout", keeping.ID, "--artifacts", "-o", str(out))
    assert tree(out) == many


def test_a_full_disk_is_said_and_nothing_is_half_written(store, kept, track, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    kept({"a-small.bin": b"s" * 1000, "large.bin": os.urandom(3_000_000)}).write(keeping.end())
    track("ls")
    script = 'mount -t tmpfs -o size=1m none "$1" || exit 99; "$2" checkout "$3" --artifacts -o "$1"; code=$?; '
    script += 'find "$1" -type f -size +0; exit $code'
    unshare = ["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"])]
    argv = [*unshare, "sh", "-c", script, "sh", str(small), TRACK, keeping.ID]
    done = subprocess.run(argv, cwd=store.paths.worktree, capture_output=True, text=True)
    if done.returncode == 99 or done.stderr.startswith("unshare:"):
        pytest.skip("needs a small tmpfs")
    assert done.returncode == 73, done.stderr
    assert "No space left" in done.stderr
    assert done.stdout.split() == [str(small / "a-small.bin")]


def test_the_lines_that_are_shown_of_many_files_are_few():
    text = checkout._lines([str(number) for number in range(100)])
    assert text.count("\n") == checkout.LISTED
    assert text.endswith("and 92 more")
