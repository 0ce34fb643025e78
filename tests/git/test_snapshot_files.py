"""Snapshots of all kinds of files: links, modes, odd names, filters, files that cannot be read or do not hold still."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from snapshotting import content, files, git_at, left, new_repository, sh, shoot

from gittrack.git.snapshot import plan, take


def test_links_are_captured_as_links_even_dangling_or_leading_outside(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("secret of somebody else")
    (repo / "dangling").symlink_to("nowhere")
    (repo / "outside").symlink_to("../outside")
    (repo / "to-directory").symlink_to("..")
    snapshot = shoot(repo)
    listed = files(repo, snapshot)
    assert {listed[name] for name in ("dangling", "outside", "to-directory")} == {"120000"}
    assert content(repo, snapshot, "outside") == b"../outside"


def test_executable_bits_are_captured(repo: Path) -> None:
    (repo / "train.py").chmod(0o755)
    (repo / "run.sh").write_text("true\n")
    (repo / "run.sh").chmod(0o755)
    listed = files(repo, shoot(repo))
    assert listed["train.py"] == listed["run.sh"] == "100755"


def test_without_core_filemode_the_modes_of_head_stay(repo: Path) -> None:
    sh(repo, "config", "core.fileMode", "false")
    (repo / "train.py").chmod(0o755)
    snapshot = shoot(repo)
    assert snapshot.oid == snapshot.base


def test_file_becomes_directory_directory_becomes_file_and_directory_becomes_link(repo: Path) -> None:
    for name in ("a/one", "b/one", "keep/one"):
        (repo / name).parent.mkdir()
        (repo / name).write_text("1")
    sh(repo, "add", ".")
    sh(repo, "commit", "-qm", "more")
    (repo / "train.py").unlink()
    (repo / "train.py").mkdir()
    (repo / "train.py/inner").write_text("2")
    shutil.rmtree(repo / "a")
    (repo / "a").write_text("a file now")
    shutil.rmtree(repo / "b")
    (repo / "b").symlink_to("keep")
    listed = files(repo, shoot(repo))
    expected = {"README": "100644", "a": "100644", "b": "120000", "keep/one": "100644", "train.py/inner": "100644"}
    assert listed == expected


def test_names_that_are_hard_to_pass_on(repo: Path) -> None:
    names = ["-n", "--", ":(top)x", "a\nb", "tab\tq\"uote'", " lead", "trail ", "ünï", "*.py", "a", "A", "back\\slash"]
    for name in names:
        (repo / name).write_text(name)
    raw = os.fsencode(repo) + b"/latin-\xe9"
    Path(os.fsdecode(raw)).write_text("not UTF-8")
    (repo / "dir\nnewline").mkdir()
    (repo / "dir\nnewline/f").write_text("1")
    snapshot = shoot(repo)
    assert set(files(repo, snapshot)) - {"README", "train.py"} == {*names, "latin-\udce9", "dir\nnewline/f"}
    sh(repo, "add", "-A")
    sh(repo, "commit", "-qm", "all")
    for name in names:
        (repo / name).unlink()
    assert set(files(repo, shoot(repo))) == {"README", "train.py", "latin-\udce9", "dir\nnewline/f"}


def test_names_that_git_does_not_allow_are_named(repo: Path) -> None:
    (repo / "git~1").write_text("1")
    (repo / "fine").write_text("1")
    snapshot = shoot(repo)
    assert "fine" in files(repo, snapshot) and "git~1" not in files(repo, snapshot)
    assert "git" in left(snapshot, "git~1").reason


def test_special_files_are_passed_over(repo: Path) -> None:
    os.mkfifo(repo / "fifo")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(repo / "socket"))
    (repo / "new").write_text("1")
    snapshot = shoot(repo)
    assert set(files(repo, snapshot)) == {"README", "train.py", "new"}
    listener.close()


def test_a_tracked_file_that_became_a_fifo_is_named_and_keeps_its_committed_content(repo: Path) -> None:
    (repo / "train.py").unlink()
    os.mkfifo(repo / "train.py")
    snapshot = shoot(repo)
    assert "regular" in left(snapshot, "train.py").reason
    assert content(repo, snapshot, "train.py") == b'print("trained")\n'


@pytest.mark.parametrize("committed", [True, False])
def test_a_repository_inside_is_named_and_does_not_stop_the_rest(repo: Path, committed: bool) -> None:
    inner = new_repository(repo / "vendor/inner")
    (inner / "code.py").write_text("1")
    if committed:
        sh(inner, "add", ".")
        sh(inner, "commit", "-qm", "inner")
    (repo / "vendor/plain.py").write_text("1")
    snapshot = shoot(repo)
    assert set(files(repo, snapshot)) == {"README", "train.py", "vendor/plain.py"}
    entry = left(snapshot, "vendor/inner")
    assert "repository of its own" in entry.reason and not entry.include


def test_files_and_directories_that_cannot_be_read_are_named(repo: Path) -> None:
    """As another user where the tests run as root, whom nothing stops."""
    (repo / "closed").write_text("1")
    (repo / "closed").chmod(0)
    (repo / "train.py").write_text("2\n")
    (repo / "train.py").chmod(0)
    (repo / "folder").mkdir()
    (repo / "folder/file").write_text("1")
    (repo / "folder").chmod(0)
    (repo / "open").write_text("1")
    script = (
        "import sys\n"
        f"sys.path[:0] = {sys.path!r}\n"
        "from pathlib import Path\n"
        "from snapshotting import *\n"
        f"repo = Path({str(repo)!r})\n"
        "snapshot = shoot(repo)\n"
        "print(sorted(files(repo, snapshot)), sorted((each.path, each.reason) for each in snapshot.left_out))\n"
        "assert content(repo, snapshot, 'train.py') == b'print(\"trained\")\\n'\n"
    )
    prefix: list[str] = []
    if os.getuid() == 0:
        for place, names, more in os.walk(repo.parent):
            for name in (place, *(os.path.join(place, each) for each in names + more)):
                os.chown(name, 65534, 65534, follow_symlinks=False)
        for parent in list(repo.parents)[1:4]:
            parent.chmod(0o755)
        prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        if shutil.which("setpriv") is None:
            pytest.skip("needs setpriv to give up root")
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([*prefix, sys.executable, "-c", script], capture_output=True, text=True, env=env, check=False)
    (repo / "folder").chmod(0o755)
    assert done.returncode == 0, done.stderr
    for name in ("closed", "train.py", "folder"):
        assert f"('{name}', 'cannot be read: Permission denied" in done.stdout
    assert done.stdout.startswith("['README', 'open', 'train.py']")


def test_line_endings_follow_the_settings_of_git_even_strict_ones(repo: Path) -> None:
    sh(repo, "config", "core.autocrlf", "true")
    sh(repo, "config", "core.safecrlf", "true")
    (repo / "mixed.txt").write_bytes(b"a\r\nb\n")
    assert content(repo, shoot(repo), "mixed.txt") == b"a\nb\n"


def test_attributes_and_their_filters_apply(repo: Path) -> None:
    (repo / ".gitattributes").write_text("*.up filter=up\n*.dat text eol=crlf\n*.raw -text\n")
    sh(repo, "config", "filter.up.clean", "tr a-z A-Z")
    (repo / "x.up").write_text("small")
    (repo / "x.dat").write_bytes(b"1\r\n")
    (repo / "x.raw").write_bytes(b"1\r\n")
    snapshot = shoot(repo)
    assert [content(repo, snapshot, f"x.{end}") for end in ("up", "dat", "raw")] == [b"SMALL", b"1\n", b"1\r\n"]


def test_a_required_filter_that_is_missing_leaves_its_files_out_and_names_them(repo: Path) -> None:
    (repo / ".gitattributes").write_text("*.bin filter=gone\n")
    sh(repo, "config", "filter.gone.clean", "no-such-program")
    sh(repo, "config", "filter.gone.required", "true")
    for number in range(5):
        (repo / f"{number}.bin").write_text("1")
        (repo / f"{number}.py").write_text("1")
    snapshot = shoot(repo)
    assert {f"{number}.py" for number in range(5)} < set(files(repo, snapshot))
    assert {entry.path for entry in snapshot.left_out} == {f"{number}.bin" for number in range(5)}
    assert "git could not add it" in left(snapshot, "1.bin").reason


@pytest.mark.skipif(shutil.which("git-lfs") is None, reason="needs git-lfs")
def test_a_file_of_git_lfs_is_captured_as_its_pointer(repo: Path) -> None:
    sh(repo, "lfs", "install", "--local", "--skip-smudge")
    (repo / ".gitattributes").write_text("*.pt filter=lfs diff=lfs merge=lfs -text\n")
    (repo / "model.pt").write_bytes(os.urandom(5000))
    snapshot = shoot(repo)
    assert content(repo, snapshot, "model.pt").startswith(b"version https://git-lfs.github.com/spec/v1\n")
    assert any("git-lfs" in note and "model.pt" in note for note in snapshot.notes)


def test_a_file_that_changes_each_time_it_is_read_is_captured_and_said(repo: Path) -> None:
    """A filter that writes to the file it reads, so that there is no race to win."""
    (repo / ".gitattributes").write_text("*.log filter=grow\n")
    sh(repo, "config", "filter.grow.clean", "cat; echo more >> train.log")
    (repo / "train.log").write_text("start\n")
    snapshot = shoot(repo)
    assert content(repo, snapshot, "train.log") == b"start\nmore\n"
    assert any("train.log" in note and "changed while" in note for note in snapshot.notes)


def test_a_file_that_changed_once_while_it_was_read_is_read_again(repo: Path) -> None:
    (repo / ".gitattributes").write_text("*.log filter=once\n")
    sh(repo, "config", "filter.once.clean", "cat; test -e ../done || { touch ../done; echo more >> train.log; }")
    (repo / "train.log").write_text("start\n")
    snapshot = shoot(repo)
    assert content(repo, snapshot, "train.log") == b"start\nmore\n" and not snapshot.notes


def test_git_may_be_killed_while_it_reads_as_by_a_file_that_is_cut_short(repo: Path) -> None:
    """What a training overwrites just now: git maps files into memory, and dies of SIGBUS where they end."""
    (repo / ".gitattributes").write_text("*.log filter=fatal\n")
    sh(repo, "config", "filter.fatal.clean", "test -e ../done || { touch ../done; kill -BUS $PPID; }; cat")
    for name in ("a.log", "b.log"):
        (repo / name).write_text(name)
    snapshot = shoot(repo)
    assert content(repo, snapshot, "a.log") == b"a.log" and content(repo, snapshot, "b.log") == b"b.log"
    assert (repo.parent / "done").exists() and snapshot.left_out == ()


def test_a_file_that_vanishes_after_it_was_listed_is_absent(repo: Path) -> None:
    (repo / "fleeting").write_text("1")
    (repo / "stays").write_text("1")
    git = git_at(repo)
    found = plan(git)
    (repo / "fleeting").unlink()
    listed = files(repo, take(git, found))
    assert "stays" in listed and "fleeting" not in listed


def test_a_file_that_becomes_a_directory_after_it_was_listed_is_named(repo: Path) -> None:
    (repo / "moving").write_text("1")
    (repo / "stays").write_text("1")
    git = git_at(repo)
    found = plan(git)
    (repo / "moving").unlink()
    (repo / "moving").mkdir()
    (repo / "moving/inner").write_text("1")
    snapshot = take(git, found)
    assert "stays" in files(repo, snapshot) and left(snapshot, "moving")
