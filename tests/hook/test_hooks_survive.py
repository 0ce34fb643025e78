"""Nothing of ours that is broken, gone or full may stop a commit; only findings do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hook_helpers import KEY, PROGRAM, put_hook
from test_message import TRAINED, run_of

from gittrack.git import hook_script

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def change(hooked: Path) -> None:
    """Something harmless to commit."""
    (hooked / "train.py").write_text(TRAINED)
    subprocess.run(["git", "add", "train.py"], cwd=hooked, check=True)


def put_all(repo: Path, program: str) -> None:
    for name in hook_script.NAMES:
        put_hook(repo / ".git" / "hooks", name, program)


def fake(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_gittrack_that_is_gone_is_said_in_a_line_and_commits_go_on(hooked, change, commit, bare_path):
    put_all(hooked, "/nowhere/git-track-hook")
    done = commit(PATH=bare_path)
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert lines[0] == "gittrack: not found, so its pre-commit hook was skipped (git track hooks install, or uninstall)"
    assert all(line.startswith("gittrack: not found") for line in lines)


def test_a_gittrack_that_moved_is_found_on_the_path(hooked, commit):
    put_all(hooked, "/nowhere/git-track-hook")
    (hooked / "m.pt").write_bytes(b"weights")
    subprocess.run(["git", "add", "m.pt"], cwd=hooked, check=True)
    assert commit().returncode == 1


@pytest.mark.parametrize(
    "text", ["exit 1", "exit 2", "kill -9 $$", "exec /nowhere/python", f"exec {sys.executable} -c 'import gittrak'"]
)
def test_a_program_that_fails_in_any_way_but_by_a_finding_is_passed_by(hooked, change, commit, tmp_path, text):
    put_all(hooked, fake(tmp_path / "program", text))
    done = commit()
    assert done.returncode == 0
    assert "pre-commit hook failed" in done.stderr and "was skipped" in done.stderr


@pytest.mark.parametrize(
    "yaml", ["large: [", "hook_large: much\n", "nonsense: 1\n", "redact: ['(']\n", "\x00\x01", "hook_models: ['[z-']\n"]
)
def test_settings_that_cannot_be_read(hooked, change, commit, yaml):
    (hooked / "gittrack.yaml").write_text(yaml)
    done = commit()
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_scanner_of_secrets_the_rest_is_checked(hooked, change, commit, tmp_path):
    place = tmp_path / "shadow" / "detect_secrets"
    place.mkdir(parents=True)
    (place / "__init__.py").write_text("raise ImportError('no scanner')\n")
    shutil.rmtree(hooked / ".git" / "track", ignore_errors=True)
    done = commit(PYTHONPATH=str(place.parent))
    assert done.returncode == 0
    assert "secrets of this commit could not be checked: ImportError: no scanner" in done.stderr
    (hooked / "m.pt").write_bytes(b"weights")
    subprocess.run(["git", "add", "m.pt"], cwd=hooked, check=True)
    assert commit(PYTHONPATH=str(place.parent)).returncode == 1


@pytest.mark.parametrize("name", ["cache", "index.sqlite", "links.jsonl", "tmp", "live", ""])
def test_files_of_ours_that_are_garbage_or_in_the_way(hooked, commit, track, name):
    (hooked / "train.py").write_text(TRAINED)
    run_of(hooked, track)
    path = hooked / ".git" / "track" / name
    if path.is_dir():
        shutil.rmtree(path)
    path.write_bytes(b"\xff\x00garbage" * 100)
    done = commit()
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_a_disk_on_which_nothing_more_fits(hooked, commit, track, git, tmp_path):
    """Said to the processes by a limit of the size of files, which fails in the same place."""
    (hooked / "train.py").write_text(TRAINED)
    run_of(hooked, track)
    put_all(hooked, fake(tmp_path / "program", f'ulimit -f 0\nexec {PROGRAM} "$@"'))
    done = commit()
    assert done.returncode == 0, done.stderr
    assert "post-commit hook could not do its work" in done.stderr
    assert "Traceback" not in done.stderr
    (hooked / "m.pt").write_bytes(b"weights")
    git("add", "m.pt")
    assert "m.pt" in commit().stderr


def test_records_and_refs_of_ours_that_are_broken(hooked, commit, track, git):
    (hooked / "train.py").write_text(TRAINED)
    run = run_of(hooked, track)
    git("pack-refs", "--all")
    packed = hooked / ".git" / "packed-refs"
    lines = [
        f"{'1' * 40} {line.split()[1]}" if "refs/track" in line else line for line in packed.read_text().splitlines()
    ]
    packed.write_text("\n".join(lines) + "\n")
    (hooked / ".git" / "refs" / "track" / "code").mkdir(parents=True, exist_ok=True)
    (hooked / ".git" / "refs" / "track" / "code" / "garbage").write_text("garbage\n")
    done = commit()
    assert done.returncode == 0, done.stderr
    assert run not in git("log", "-1", "--format=%B")


def test_without_terminal_standard_input_and_standard_error(hooked, change, commit, git):
    (hooked / "conf.py").write_text(f"key = '{KEY}'\n")
    git("add", "conf.py")
    argv = ["sh", "-c", "git commit -q -m x 0<&- 1>&- 2>&-"]
    assert subprocess.run(argv, cwd=hooked, start_new_session=True).returncode == 1
    git("rm", "-q", "--cached", "conf.py")
    assert subprocess.run(argv, cwd=hooked, start_new_session=True).returncode == 0
    assert git("log", "-1", "--format=%s") == "x"


def test_with_the_path_of_a_graphical_client(hooked, commit, git, bare_path):
    (hooked / "conf.py").write_text(f"key = '{KEY}'\n")
    git("add", "conf.py")
    assert "conf.py:1" in commit(PATH=bare_path).stderr


def test_a_hook_does_not_call_itself(hooked, commit, git):
    (hooked / "m.pt").write_bytes(b"weights")
    git("add", "m.pt")
    assert commit(GITTRACK_IN_HOOK="1").returncode == 0


def test_an_unknown_hook_is_no_findings(repo):
    done = subprocess.run([PROGRAM, "post-nothing"], cwd=repo, capture_output=True, text=True)
    assert done.returncode == 2 and "pre-commit" in done.stderr


@pytest.mark.parametrize("name", hook_script.NAMES)
def test_the_scripts_to_copy_are_those_that_are_installed(name):
    path = ROOT / "hooks" / name
    assert path.read_text() == hook_script.script(name)
    assert os.access(path, os.X_OK)
    subprocess.run(["sh", "-n", str(path)], check=True)


def test_the_scripts_work_from_where_they_lie(repo, commit, git):
    git("config", "core.hooksPath", str(ROOT / "hooks"))
    (repo / "m.pt").write_bytes(b"weights")
    git("add", "m.pt")
    assert "m.pt" in commit().stderr


def test_the_scripts_are_plain_sh(repo, commit, git, tmp_path):
    """Whatever /bin/sh is here: bash in its POSIX mode, and dash where there is one."""
    (repo / "m.pt").write_bytes(b"weights")
    git("add", "m.pt")
    for shell in filter(None, map(shutil.which, ("bash", "dash", "zsh"))):
        env = {**os.environ, "POSIXLY_CORRECT": "1"}
        done = subprocess.run([shell, "-eu", str(ROOT / "hooks" / "pre-commit")], cwd=repo, env=env)
        assert done.returncode == 1
