"""`git track hooks`: beside the hooks that are there, and gone again without a trace."""

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from hook_helpers import KEY, PROGRAM, put_hook

from gittrack.git import hook_script

USER_HOOK = '#!/bin/sh\necho "own $0 $*" >> ran\ncat >> ran\n[ ! -e refuse ] || exit 7\n'
HUSKY = """#!/usr/bin/env sh
n=$(basename "$0")
s=$(dirname "$(dirname "$0")")/$n
[ ! -f "$s" ] && exit 0
sh -e "$s" "$@"
"""


@pytest.fixture
def folder(repo: Path) -> Path:
    path = repo / ".git" / "hooks"
    path.mkdir(exist_ok=True)
    return path


def own(folder: Path, name: str = "pre-commit", text: str = USER_HOOK) -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(0o754)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    return path


def contents(folder: Path) -> dict[str, tuple[object, ...]]:
    return {
        path.name: (path.read_bytes(), stat.S_IMODE(path.lstat().st_mode), path.lstat().st_mtime_ns, path.is_symlink())
        for path in folder.iterdir()
        if path.is_symlink() or path.is_file()
    }


def states(track, **options) -> dict[str, str]:
    return {
        one["name"]: one["state"] for one in json.loads(track("hooks", "status", "--json", **options).stdout)["hooks"]
    }


def test_all_hooks_are_installed_and_removed(repo, track, folder, commit):
    before = contents(folder)
    done = track("hooks", "install")
    assert done.stdout == "".join(f"{name}: installed\n" for name in hook_script.NAMES)
    assert set(states(track).values()) == {"ours"}
    (repo / "conf.py").write_text(f"key = '{KEY}'\n")
    subprocess.run(["git", "add", "conf.py"], cwd=repo, check=True)
    assert commit().returncode == 1
    track("hooks", "uninstall")
    assert contents(folder) == before
    assert commit().returncode == 0


def test_some_hooks_by_name(repo, track):
    track("hooks", "install", "pre-commit", "post-commit")
    found = states(track)
    assert [name for name in found if found[name] == "ours"] == ["pre-commit", "post-commit"]
    track("hooks", "uninstall", "pre-commit")
    assert states(track)["post-commit"] == "ours" and states(track)["pre-commit"] == "absent"
    assert "there are pre-commit" in track("hooks", "install", "pre-comit", code=2).stderr


def test_installing_twice_changes_nothing(track, folder):
    own(folder)
    track("hooks", "install")
    before = contents(folder)
    assert "pre-commit: already installed, after your own hook" in track("hooks", "install").stdout
    assert contents(folder) == before


def test_a_hook_of_the_users_is_called_first_and_comes_back_byte_for_byte(repo, track, folder, commit):
    own(folder)
    (folder / "prepare-commit-msg").symlink_to("../../scripts/message")
    (repo / "scripts").mkdir()
    own(repo / "scripts", "message", '#!/bin/sh\necho "by a link" >> "$1"\n')
    before = contents(folder)
    assert "after your own hook (now pre-commit.before-gittrack)" in track("hooks", "install").stdout
    subprocess.run(["git", "add", "."], cwd=repo, check=True)
    assert commit().returncode == 0
    assert (repo / "ran").read_text() == "own .git/hooks/pre-commit.before-gittrack \n"
    log = subprocess.run(["git", "log", "-1", "--format=%B"], cwd=repo, capture_output=True, text=True).stdout
    assert "by a link" in log
    track("hooks", "uninstall")
    assert contents(folder) == before


def test_the_exit_code_of_the_users_hook_counts_and_ours_is_not_asked_then(repo, track, folder, commit):
    own(folder)
    track("hooks", "install")
    (repo / "refuse").touch()
    (repo / "conf.py").write_text(f"key = '{KEY}'\n")
    subprocess.run(["git", "add", "conf.py"], cwd=repo, check=True)
    done = subprocess.run([".git/hooks/pre-commit"], cwd=repo, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 7 and done.stderr == ""
    (repo / "refuse").unlink()
    assert "conf.py:1" in commit().stderr


def test_a_hook_that_git_does_not_run_is_not_run_by_ours(repo, track, folder, commit):
    own(folder).chmod(0o644)
    track("hooks", "install")
    (repo / "README").write_text("more\n")
    assert commit("-q", "-a", "-m", "x").returncode == 0
    assert not (repo / "ran").exists()


def test_pre_push_hands_its_input_to_both(repo, track, folder, tmp_path, git):
    own(folder, "pre-push")
    track("hooks", "install")
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "bare.git")], check=True)
    git("push", "-q", str(tmp_path / "bare.git"), "main")
    ran = (repo / "ran").read_text()
    assert f"{tmp_path}/bare.git" in ran and f"refs/heads/main {git('rev-parse', 'HEAD')} refs/heads/main 0000" in ran


def test_an_edited_script_is_left_alone(track, folder):
    track("hooks", "install")
    path = folder / "pre-commit"
    path.write_text(path.read_text() + "echo mine\n")
    edited = path.read_bytes()
    assert "edited" in track("hooks", "install", code=82).stderr
    assert "edited" in track("hooks", "uninstall", code=82).stderr
    assert path.read_bytes() == edited
    assert states(track) == {name: "edited" if name == "pre-commit" else "absent" for name in hook_script.NAMES}


def test_what_an_older_installation_left_is_not_overwritten(track, folder):
    own(folder)
    track("hooks", "install")
    (folder / "pre-commit").unlink()
    own(folder, text="#!/bin/sh\necho another\n")
    before = contents(folder)
    assert "pre-commit.before-gittrack" in track("hooks", "install", "pre-commit", code=82).stderr
    assert {name: before[name] for name in contents(folder) if name in before} == before
    assert "was a hook of yours" in track("doctor").stdout


def test_a_killed_installation_is_finished_by_the_next(track, folder):
    path = own(folder)
    before = contents(folder)
    os.link(path, folder / "pre-commit.before-gittrack")
    track("hooks", "install")
    assert states(track)["pre-commit"] == "ours"
    track("hooks", "uninstall")
    assert contents(folder) == before


def test_a_folder_in_the_work_tree_is_asked_about_and_gets_portable_scripts(repo, track, git, commit):
    husky = repo / ".husky"
    (husky / "_").mkdir(parents=True)
    (husky / "_" / "husky.sh").write_text("# made by husky\n")
    own(husky, text="echo own >> ran\n").chmod(0o644)
    git("config", "core.hooksPath", ".husky")
    before = contents(husky)
    done = track("hooks", "install", code=2)
    assert ".husky" in done.stderr and "everybody's" in done.stderr and "--yes" in done.stderr
    assert contents(husky) == before
    track("hooks", "install", "--yes")
    assert os.path.dirname(PROGRAM) not in (husky / "pre-commit").read_text()
    assert contents(husky)["pre-commit.before-gittrack"] == before["pre-commit"]
    (repo / "conf.py").write_text(f"key = '{KEY}'\n")
    git("add", "conf.py")
    assert "conf.py:1" in commit().stderr
    assert (repo / "ran").read_text() == "own\n"
    track("hooks", "uninstall", "--yes")
    assert contents(husky) == before


def husky_nine(repo):
    """The folder of hooks as husky 9 makes it, each passing on to one script."""
    inner = repo / ".husky" / "_"
    inner.mkdir(parents=True)
    (inner / "h").write_text(HUSKY)
    (inner / ".gitignore").write_text("*")
    for name in hook_script.NAMES:
        (inner / name).write_text('#!/usr/bin/env sh\n. "$(dirname "$0")/h"\n')
        (inner / name).chmod(0o755)


def test_husky_nine(repo, track, git, commit):
    husky_nine(repo)
    (repo / ".husky" / "pre-commit").write_text("echo own >> ran\n")
    git("config", "core.hooksPath", ".husky/_")
    before = contents(repo / ".husky" / "_"), (repo / ".husky" / "pre-commit").read_bytes()
    track("hooks", "install", "--yes")
    (repo / "m.pt").write_bytes(b"weights")
    git("add", "m.pt")
    done = commit()
    assert done.returncode == 1 and "m.pt" in done.stderr
    git("rm", "-q", "--cached", "m.pt")
    git("add", ".husky")
    assert commit().returncode == 0
    assert (repo / "ran").read_text() == "own\nown\n"
    track("hooks", "uninstall", "--yes")
    assert (contents(repo / ".husky" / "_"), (repo / ".husky" / "pre-commit").read_bytes()) == before


def test_hooks_of_all_repositories_are_asked_about(repo, track, git, tmp_path):
    shared = tmp_path / "shared hooks"
    shared.mkdir()
    git("config", "core.hooksPath", str(shared))
    assert "all repositories" in track("hooks", "install", code=2).stderr
    assert not list(shared.iterdir())
    track("hooks", "install", "--yes", "pre-commit")
    assert [path.name for path in shared.iterdir()] == ["pre-commit"]
    track("run", "-q", "true")
    track("uninstall", "--yes")
    assert [path.name for path in shared.iterdir()] == ["pre-commit"]


def test_a_linked_worktree_shares_the_hooks(repo, track, git, tmp_path, folder, commit):
    other = tmp_path / "other"
    git("worktree", "add", "-q", str(other))
    own(folder)
    before = contents(folder)
    track("hooks", "install", cwd=other)
    (other / "m.pt").write_bytes(b"weights")
    git("add", "m.pt", cwd=other)
    assert commit(cwd=other).returncode == 1
    track("hooks", "uninstall", cwd=repo)
    assert contents(folder) == before


def test_uninstalling_gittrack_gives_hooks_back(repo, track, folder):
    own(folder)
    before = contents(folder)
    track("hooks", "install")
    assert "hooks: pre-commit" in track("uninstall", "--dry-run").stdout
    track("uninstall", "--yes")
    assert contents(folder) == before


def test_doctor_knows_hooks_whose_program_is_gone(repo, track, folder, bare_path):
    track("hooks", "install")
    put_hook(folder, "pre-commit", "/nowhere/git-track-hook")
    found = json.loads(track("doctor", "--json").stdout)
    assert any("hooks in" in one["text"] and "pre-push" in one["text"] for one in found)
    found = json.loads(
        subprocess.run(
            [PROGRAM.replace("git-track-hook", "git-track"), "doctor", "--json"],
            cwd=repo, capture_output=True, text=True, env={**os.environ, "PATH": bare_path},
        ).stdout
    )  # fmt: skip
    assert any("/nowhere/git-track-hook" in one["text"] and "hooks install" in one["command"] for one in found)


def test_names_of_hooks_are_completed(track):
    assert "pre-push" in track("__complete", "hooks", "install", "pre").stdout


def test_in_a_submodule_and_in_a_sha256_repository(repo, track, git, tmp_path, commit):
    other = tmp_path / "other"
    subprocess.run(["git", "init", "-q", "--object-format=sha256", str(other)], check=True)
    git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(repo), "sub")
    for place in (other, repo / "sub"):
        track("hooks", "install", cwd=place)
        (place / "train.py").write_text("print('x')\n")
        git("add", "train.py", cwd=place)
        track("run", "-q", "true", cwd=place)
        assert commit("-q", "-m", "Code", cwd=place).stderr == ""
        assert "Track-Run" in git("log", "-1", "--format=%B", cwd=place)
        (place / "m.pt").write_bytes(b"weights")
        git("add", "m.pt", cwd=place)
        assert commit("-q", "-m", "Model", cwd=place).returncode == 1
        track("hooks", "uninstall", cwd=place)


def test_installing_again_says_that_it_is_so_already(track, folder):
    track("hooks", "install")
    done = track("hooks", "install")
    assert done.stdout == "".join(f"{name}: already installed\n" for name in hook_script.NAMES)


def test_a_folder_of_hooks_that_is_a_link_into_the_work_tree_is_everybodys(repo, track, git, folder):
    shared = repo / "githooks"
    os.rename(folder, shared)
    folder.symlink_to("../githooks")
    done = track("hooks", "install", code=2)
    assert "everybody's" in done.stderr
    track("hooks", "install", "--yes")
    assert os.path.dirname(PROGRAM) not in (shared / "pre-commit").read_text()


def test_hooks_that_are_turned_off_are_said_to_be_so(repo, track, git):
    git("config", "core.hooksPath", "/dev/null")
    done = track("hooks", "install", "--yes", code=73)
    assert "turned off" in done.stderr and "--unset core.hooksPath" in done.stderr


def test_the_message_hook_knows_the_other_one_behind_husky(repo, track, git, commit):
    husky_nine(repo)
    git("config", "core.hooksPath", ".husky/_")
    track("hooks", "install", "--yes")
    (repo / "train.py").write_text("print('better')\n")
    git("add", "-A")
    track("run", "-q", "true")
    assert commit("--", GIT_EDITOR="sed -i 1s/^/By/").returncode == 0
    assert "\nTrack-Run: " in git("log", "-1", "--format=%B")


@pytest.mark.skipif(not shutil.which("git-lfs"), reason="needs git-lfs")
@pytest.mark.parametrize("first", ["hooks", "lfs"])
def test_files_of_git_lfs_go_with_the_branch_whoever_was_first(repo, track, git, tmp_path, first):
    bare = tmp_path / "origin.git"
    git("init", "-q", "--bare", str(bare))
    git("remote", "add", "origin", f"file://{bare}")
    if first == "hooks":
        track("hooks", "install")
    git("lfs", "install", "--local", code=2 if first == "hooks" else 0)
    track("hooks", "install")
    git("lfs", "track", "*.pt")
    (repo / "m.pt").write_bytes(b"weights")
    git("add", "-A")
    git("commit", "-q", "-m", "A model")
    git("push", "-q", "origin", "main")
    assert [path.read_bytes() for path in (bare / "lfs" / "objects").rglob("*") if path.is_file()] == [b"weights"]
