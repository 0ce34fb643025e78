"""Files of a run come back as they were, where they were, and take nothing of the user's with them."""

import json
import sys

import pytest
from checked_out import tree

from gittrack.runs import checkout_plan

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


def test_a_checkpoint_is_chosen_by_step_or_as_the_best_and_the_run_alone_is_its_latest_files(trained, track, tmp_path):
    for number, selector in enumerate(("latest@0", "latest@best", "latest@latest")):
        out = tmp_path / str(number)
        track("checkout", selector, "--artifacts", "-o", str(out))
        assert (out / "out" / "model.pt").read_bytes() == MODEL[number]
        assert not (out / "table.csv").exists() and not (out / "train.py").exists()
    track("checkout", "latest", "--artifacts", "-o", str(tmp_path / "all"))
    assert (tmp_path / "all" / "out" / "model.pt").exists() and (tmp_path / "all" / "table.csv").exists()
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


def test_line_ends_are_those_of_the_run_also_where_its_rules_are_the_same_or_are_not_asked_for(
    repo, git, track, tmp_path
):
    (repo / ".gitattributes").write_text("*.bat text eol=crlf\n")
    (repo / "a.bat").write_bytes(b"one\r\n")
    git("add", ".")
    git("commit", "-q", "-m", "Rules")
    track("run", "-q", "true")
    (repo / "a.bat").write_bytes(b"mine\r\n")
    track("checkout", "latest", "--force")
    assert (repo / "a.bat").read_bytes() == b"one\r\n"
    track("checkout", "latest", "--path", "a.bat", "-o", str(tmp_path / "out"))
    assert (tmp_path / "out" / "a.bat").read_bytes() == b"one\r\n"
    (repo / ".gitattributes").write_text("*.bat text eol=lf\n")
    (repo / "a.bat").write_bytes(b"one\n")  # as the run's to these rules, but not as the run had it
    assert "  a.bat\n" in track("checkout", "latest", code=82).stderr
    track("checkout", "latest", "--force")
    assert (repo / "a.bat").read_bytes() == b"one\r\n"


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


def test_what_was_logged_to_be_looked_at_does_not_litter_the_work_tree(repo, track, tmp_path):
    (repo / "train.py").write_text("""
import gittrack
run = gittrack.init()
run.log_text("hello", "notes.txt")
run.log_table([{"a": 1}], "rows")
open("model.pt", "w").close()
run.checkpoint(1, path="model.pt")
""")
    track("run", "-q", sys.executable, "train.py")
    (repo / "model.pt").unlink()
    done = track("checkout", "latest")
    assert "2 logged images, tables and texts stay out of the work tree: -o DIR" in done.stderr
    assert (repo / "model.pt").exists() and not {"notes.txt", "rows.csv"} & {one.name for one in repo.iterdir()}
    track("checkout", "latest", "--path", "notes.txt")
    assert (repo / "notes.txt").read_text() == "hello"
    track("checkout", "latest", "-o", str(tmp_path / "out"))
    assert {"notes.txt", "rows.csv", "model.pt", "train.py"} <= {one.name for one in (tmp_path / "out").iterdir()}


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
    git("remote", "remove", "origin", cwd=other)
    gone = track("checkout", "latest", "--code", "-o", str(tmp_path / "o"), cwd=other, code=80).stderr
    assert "git track pull --code" in gone
    missing = track("checkout", "latest", "--artifacts", "-o", str(tmp_path / "o"), cwd=other, code=80).stderr
    assert "out/model.pt" in missing
    assert not (tmp_path / "o" / "out" / "model.pt").exists()
    track("checkout", "latest", "--artifacts", "-p", "table.csv", "-o", str(tmp_path / "o"), cwd=other)
    assert (tmp_path / "o" / "table.csv").read_text() == "a,b\n"


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
    out = tmp_path / "out"
    assert "restored 2 files" in track("checkout", "latest", "-o", str(out)).stdout
    assert tree(out) == tree(repo)


def test_the_lines_that_are_shown_of_many_files_are_few():
    text = checkout_plan.few([str(number) for number in range(100)])
    assert text.count("\n") == checkout_plan.LISTED
    assert checkout_plan.few(["a", "b"]) == "  a\n  b"
    assert text.endswith("and 92 more")
