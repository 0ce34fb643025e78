"""A commit's files are written and compared as git would do it, into any folder, and nothing of the user's moves."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gittrack import errors
from gittrack.git import export
from gittrack.git.command import Git
from gittrack.git.discover import discover


@pytest.fixture
def ours(repo: Path) -> Git:
    return Git(discover(str(repo), os.environ), os.environ)


def test_modes_links_and_line_ends_are_gits(repo, git, ours, tmp_path):
    (repo / "run.sh").write_text("#!/bin/sh\n")
    (repo / "run.sh").chmod(0o755)
    (repo / "sub").mkdir()
    (repo / "sub" / "link").symlink_to("../nowhere")
    (repo / ".gitattributes").write_text("*.bat text eol=crlf\n")
    (repo / "a.bat").write_text("one\r\ntwo\r\n", newline="")
    git("add", ".")
    git("commit", "-q", "-m", "All kinds")
    (repo / ".gitattributes").unlink()  # what is in the work tree now has no say
    out = tmp_path / "out"
    out.mkdir()
    files = export.listing(ours, git("rev-parse", "HEAD"))
    assert export.write(ours, files, str(out)) is None
    assert os.access(out / "run.sh", os.X_OK)
    assert not os.access(out / "README", os.X_OK)
    assert os.readlink(out / "sub" / "link") == "../nowhere"
    assert (out / "a.bat").read_bytes() == b"one\r\ntwo\r\n"
    assert export.differing(ours, files, str(out)) == set()


def test_what_differs_is_content_mode_kind_and_absence(repo, git, ours):
    for name in ("a", "b", "c", "d", "same"):
        (repo / name).write_text(name)
    git("add", ".")
    git("commit", "-q", "-m", "Files")
    files = export.listing(ours, git("rev-parse", "HEAD"))
    (repo / "a").write_text("changed")
    (repo / "b").chmod(0o755)
    (repo / "c").unlink()
    (repo / "c").symlink_to("b")
    (repo / "d").unlink()
    git("update-index", "--skip-worktree", "a")  # that the user's index looks away is not ours to follow
    before = (repo / ".git" / "index").read_bytes()
    os.utime(repo / "same")
    assert export.differing(ours, files, str(repo)) == {"a", "b", "c", "d"}
    assert (repo / ".git" / "index").read_bytes() == before
    assert export.differing(ours, files, str(repo / "absent")) == {one.path for one in files}


def test_a_name_that_is_no_text_and_a_submodule_are_listed(repo, git, ours):
    (repo / os.fsdecode(b"caf\xe9")).write_text("x")
    git("add", ".")
    git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module")
    git("commit", "-q", "-m", "Odd")
    found = {one.path: one for one in export.listing(ours, git("rev-parse", "HEAD"))}
    assert found[os.fsdecode(b"caf\xe9")].size == 1
    assert (found["module"].mode, found["module"].size) == (export.SUBMODULE, None)
    with pytest.raises(errors.GitFailed):
        export.listing(ours, "2" * 40)


def test_a_folder_outside_and_a_bare_repository_serve_as_well(repo, git, tmp_path):
    bare = tmp_path / "bare.git"
    git("clone", "-q", "--bare", str(repo), str(bare))
    ours = Git(discover(str(bare), os.environ), os.environ)
    out = tmp_path / "out"
    out.mkdir()
    files = export.listing(ours, git("rev-parse", "HEAD"))
    export.write(ours, files, str(out))
    assert sorted(path.name for path in out.iterdir()) == ["README", "train.py"]
    assert export.differing(ours, files, str(out)) == set()


def test_the_rules_of_a_commit_hold_for_some_of_its_files_and_whatever_rules_lie_in_the_folder(
    repo, git, ours, tmp_path
):
    (repo / ".gitattributes").write_text("*.bat text eol=crlf\n")
    (repo / "a.bat").write_bytes(b"one\r\n")
    git("add", ".")
    git("commit", "-q", "-m", "Rules")
    files = export.listing(ours, git("rev-parse", "HEAD"))
    rules, some = export.rules(files), [one for one in files if one.path in ("a.bat", "README")]
    assert [one.path for one in rules] == [".gitattributes"]
    out = tmp_path / "out"
    out.mkdir()
    export.write(ours, some, str(out), rules)
    assert sorted(path.name for path in out.iterdir()) == ["README", "a.bat"]
    assert (out / "a.bat").read_bytes() == b"one\r\n"
    assert export.differing(ours, some, str(out), rules) == set()
    (out / "a.bat").write_bytes(b"one\n")
    (out / ".gitattributes").write_text("*.bat text eol=lf\n")  # by these it would be as it was
    assert export.differing(ours, some, str(out), rules) == {"a.bat"}


@pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed")
def test_pointers_of_git_lfs_become_files_and_stay_pointers_where_the_content_is_nowhere(repo, git, ours, tmp_path):
    git("lfs", "install", "--local")
    (repo / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    (repo / "big.bin").write_bytes(b"weights" * 1000)
    git("add", ".")
    git("commit", "-q", "-m", "Large")
    files = export.listing(ours, git("rev-parse", "HEAD"))
    assert next(one.size for one in files if one.path == "big.bin") < 200
    out, again = tmp_path / "out", tmp_path / "again"
    out.mkdir()
    again.mkdir()
    assert export.write(ours, files, str(out)) is None
    assert (out / "big.bin").read_bytes() == b"weights" * 1000
    assert export.differing(ours, files, str(out)) == set()
    shutil.rmtree(repo / ".git" / "lfs" / "objects")
    remark = export.write(ours, files, str(again))
    assert remark is not None and "git-lfs" in remark
    assert (again / "big.bin").read_text().startswith("version https://git-lfs")
    assert (again / "train.py").read_text() == (repo / "train.py").read_text()


def test_hooks_do_not_run(repo, git, ours, tmp_path):
    hook = repo / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    out = tmp_path / "out"
    out.mkdir()
    export.write(ours, export.listing(ours, git("rev-parse", "HEAD")), str(out))
    assert not (tmp_path / "ran").exists()
    assert subprocess.run(["git", "status", "--porcelain"], cwd=repo, capture_output=True, text=True).stdout == ""
