"""Records that are hostile, content that is damaged, a process that is killed: no file is wrong or half written."""

import os
import signal
import subprocess
from pathlib import Path

import builder
import keeping
import pytest
from checked_out import tree
from common import TRACK

from gittrack.core import layout
from gittrack.git import objects
from gittrack.git.repository import RefChange
from gittrack.runs import folding
from gittrack.store.local import open_local

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


@pytest.fixture
def kept(store, track):
    """`kept(files)`: a finished run with a checkpoint of these files, which are large ones."""

    def make(files: dict[str, bytes]) -> None:
        run = keeping.Run(store.paths)
        run.write(keeping.point(0), keeping.checkpoint(0, 0))
        run.keep(0, files, where="store")
        run.write(keeping.end())
        track("ls")

    return make


def test_damaged_content_is_never_put_in_place(store, kept, track, tmp_path):
    kept({"out/model.pt": b"weights " * 100_000})
    for path in Path(store.paths.common_dir, "track", "objects", "chunks").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            data = bytearray(path.read_bytes())
            data[0] ^= 1
            path.write_bytes(bytes(data))
    out = tmp_path / "out"
    assert "out/model.pt" in track("checkout", keeping.ID, "--artifacts", "-o", str(out), code=81).stderr
    assert not out.exists(), "nothing was done, and nothing is left"


def test_killed_in_the_middle_it_leaves_whole_files_and_goes_on_when_called_again(store, kept, track, tmp_path):
    many = {f"d{number % 10}/f{number}": b"%d " % number * 5000 for number in range(1500)}
    kept(many)
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


def test_a_full_disk_is_said_and_nothing_is_half_written(store, kept, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    kept({"a-small.bin": b"s" * 1000, "large.bin": os.urandom(3_000_000)})
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
