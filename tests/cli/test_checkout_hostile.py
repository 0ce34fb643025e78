"""What a record says does not make a checkout fail at what it could do, or take what is the user's."""

import os

import builder
import keeping
import pytest
import stored
from checked_out import tree

from gittrack import errors
from gittrack.recorder import files
from gittrack.runs import placing
from gittrack.store.local import open_local

RUN = builder.run_id(1)
PARCEL = stored.parcel(1, 1)


@pytest.fixture
def claims(store):
    """`claims({path: bytes})`: a run with a checkpoint whose record says these files; `mode`, and bytes that are not
    `there`."""
    lines = [{"e": "checkpoint", "m": {}, "parcel": PARCEL, "s": 1, "t": 1, "w": 1.0}]

    def make(files, mode="100644", there=True):
        content = open_local(os.path.join(store.paths.common_dir, "track"))
        for path, data in files.items():
            [line] = stored._kept(store, PARCEL, {path: data}, 1.0)[:1]
            lines.append({**line, "mode": mode})
            if not there:
                content.store.delete(content.objects(line["sha256"], line["size"]))

    def write():
        builder.write_runs(store, [builder.journal(1, {}, [], more=lines)])

    make.write = write
    return make


def test_a_path_that_is_too_long_for_the_folder_is_left_out_and_named_and_the_rest_can_be_undone(
    claims, call, tmp_path
):
    long = "/".join(["d" * 240] * 16) + "/" + "e" * 230  # 4,086 bytes: a record may have it, a file here may not
    claims({"ok.bin": b"ok", long: b"deep"})
    claims.write()
    out = tmp_path / "out"
    for _ in range(2):
        call("checkout", RUN, "--artifacts", "-o", str(out), code=83)
        assert "its path is too long for this folder" in call.err
        assert tree(out) == {"ok.bin": b"ok"}
    call("undo")
    assert list(out.iterdir()) == []


def test_a_folder_of_the_users_with_a_name_like_ours_stays(claims, call, repo):
    claims({"ok.bin": b"ok"})
    claims.write()
    notes = repo / ".gittrack-notes"
    notes.mkdir()
    (notes / "precious").write_text("mine")
    call("checkout", RUN, "--artifacts")
    assert (notes / "precious").read_text() == "mine"


def test_a_link_whose_target_is_not_here_keeps_nobody_from_the_other_files(claims, call, tmp_path):
    claims({"ok.bin": b"ok"})
    claims({"link": b"ok.bin"}, mode="120000", there=False)
    claims.write()
    out = tmp_path / "out"
    call("checkout", RUN, "--artifacts", "-o", str(out), "--path", "ok.bin")
    assert tree(out) == {"ok.bin": b"ok"}
    call("checkout", RUN, "--artifacts", "-o", str(out), code=80)
    assert "'link' of run" in call.err


@pytest.mark.parametrize("place", ["README/out", "loop/out", "n" * 300, "/proc/nowhere"])
def test_a_folder_that_cannot_be_made_is_said_to_be_so(claims, call, repo, place):
    claims({"ok.bin": b"ok"})
    claims.write()
    (repo / "loop").symlink_to("loop")
    call("checkout", RUN, "--artifacts", "-o", place, code=73)
    assert f"cannot write below {place if place[0] == '/' else repo / place}: " in call.err and "hint" in call.err


def test_a_folder_that_becomes_a_link_during_a_checkout_gets_nothing_through_it(store, tmp_path):
    out, outside = tmp_path / "out", tmp_path / "outside"
    outside.mkdir()
    with (
        pytest.raises(errors.CannotWrite, match="cannot write below"),
        placing.replacing(store.paths, str(out), "git track checkout", "Ann") as target,
    ):
        made = os.path.join(target.staging, "made")
        with open(made, "wb") as file:
            file.write(b"new")
        out.rename(tmp_path / "moved")
        out.symlink_to(outside)
        target.put(made, "model.pt", replace=True)
    assert list(outside.iterdir()) == []


def test_files_that_are_still_being_stored_are_said_to_be_so(store, call, tmp_path):
    run = keeping.Run(store.paths)
    lock = files.create(run.directory, "1700000000001-1-abcd.jsonl")  # it is going on
    run.write(keeping.checkpoint(1, 1))
    run.hand_over(1, {"model.pt": b"weights"})
    call("checkout", f"{keeping.ID}@latest", "--artifacts", "-o", str(tmp_path / "out"), code=66)
    assert "still being stored" in call.err
    assert lock
