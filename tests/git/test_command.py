"""How git is called: a cleaned environment, and errors with the next step."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gittrack import errors
from gittrack.git.command import Git, config, version
from gittrack.git.discover import discover


def open_git(path: Path, **environ: str) -> Git:
    given = {**os.environ, **environ}
    return Git(discover(str(path), given), given)


def test_output_comes_back_as_bytes_lines_and_fields(repo: Path) -> None:
    git = open_git(repo)
    assert git.run("cat-file", "blob", "HEAD:README") == b"a project\n"
    assert git.lines("ls-files") == ["README", "train.py"]
    assert git.fields("ls-files", "-z") == ["README", "train.py"]
    assert git.fields("ls-files", "-z", "nothing") == []
    assert git.run("hash-object", "--stdin", input=b"").strip() == b"e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def test_only_newlines_end_a_line(repo: Path) -> None:
    git = open_git(repo)
    commit = git.lines("commit-tree", "HEAD^{tree}", "-m", "one\u2028\x0c\x1cline")[0]
    assert git.lines("show", "-s", "--format=%s%n%n%s", commit) == [
        "one\u2028\x0c\x1cline",
        "",
        "one\u2028\x0c\x1cline",
    ]


def test_names_that_are_not_utf8_come_through(repo: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    (repo / name).write_bytes(b"")
    assert open_git(repo).fields("ls-files", "-z", "-o") == [name]


def test_variables_of_a_calling_git_do_not_reach_ours(repo: Path, tmp_path: Path) -> None:
    git = open_git(repo, GIT_INDEX_FILE=str(tmp_path / "none"), GIT_OBJECT_DIRECTORY=str(repo / ".git/objects"))
    assert git.lines("ls-files") == ["README", "train.py"]
    assert not {"GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_DIR"} & git.environ.keys()


def test_settings_given_to_the_calling_git_hold_for_ours(repo: Path) -> None:
    git = open_git(repo, GIT_CONFIG_COUNT="1", GIT_CONFIG_KEY_0="track.colour", GIT_CONFIG_VALUE_0="red")
    assert config(git)["track.colour"] == "red"


def test_the_same_repository_is_used_with_an_explicit_git_dir(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    git = open_git(tmp_path / "elsewhere", GIT_DIR=str(repo / ".git"), GIT_WORK_TREE=str(repo))
    assert git.lines("rev-parse", "--show-toplevel") == [str(repo)]
    assert git.lines("ls-files") == ["README", "train.py"]


def test_a_work_tree_somewhere_else_is_found(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    subprocess.run(["git", "-C", str(repo), "config", "core.worktree", str(tmp_path / "elsewhere")], check=True)
    (tmp_path / "elsewhere/new").write_text("")
    assert open_git(repo).lines("ls-files", "-o") == ["new"]


def test_configuration_is_one_mapping(repo: Path) -> None:
    text = '[track]\n\tname = one\n\tname = two\n\tflag\n\ttext = "two\\nlines"\n'
    with (repo / ".git/config").open("a") as file:
        file.write(text)
    found = config(open_git(repo))
    assert (found["track.name"], found["track.flag"], found["track.text"]) == ("two", "true", "two\nlines")


def test_the_version_is_numbers(repo: Path) -> None:
    assert version(open_git(repo)) >= (2, 25)


def test_a_failure_says_what_git_said(repo: Path) -> None:
    with pytest.raises(errors.GitFailed, match=r"git cat-file failed: .*nowhere"):
        open_git(repo).run("-c", "a.b=c", "cat-file", "blob", "nowhere")
    assert open_git(repo).run("rev-parse", "--verify", "-q", "nowhere", check=False) == b""


def test_an_unknown_command_means_an_old_git(repo: Path) -> None:
    with pytest.raises(errors.GitFailed) as caught:
        open_git(repo).run("command-of-the-future")
    assert "upgrade" in caught.value.hint


def test_without_git_the_error_says_to_install_it(repo: Path) -> None:
    with pytest.raises(errors.GitFailed, match="not installed"):
        open_git(repo, PATH=str(repo)).run("status")


def test_a_directory_that_is_gone_is_not_a_missing_git(repo: Path, tmp_path: Path) -> None:
    git = open_git(repo)
    repo.rename(tmp_path / "moved")
    with pytest.raises(errors.NotARepository, match="repo"):
        git.run("status")


def test_a_repository_of_somebody_else_is_refused_with_the_way_to_trust_it(repo: Path) -> None:
    with pytest.raises(errors.GitFailed) as caught:
        open_git(repo, GIT_TEST_ASSUME_DIFFERENT_OWNER="1").run("rev-parse", "HEAD")
    assert f"safe.directory {repo}" in caught.value.hint


def test_an_interrupt_leaves_no_git_behind(repo: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    program = f"""
import os, signal, threading
from gittrack.git.command import Git
from gittrack.git.discover import discover

def interrupt():
    os.close(os.open({str(pipe)!r}, os.O_WRONLY))  # git has opened it for reading, and sees its end
    os.kill(os.getpid(), signal.SIGINT)

git = Git(discover({str(repo)!r}, {{}}), os.environ)
threading.Timer(0, interrupt).start()
try:
    git.run("hash-object", "--stdin-paths", input=({str(pipe)!r} + "\\n").encode() * 2)
except KeyboardInterrupt:
    raise SystemExit(42)
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
    assert done.returncode == 42
    with pytest.raises(OSError, match="No such device"):  # nobody waits at the other end
        os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
