"""With the pre-commit framework (pre-commit.com), for real: as one of its hooks, before it, and behind it."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from hook_helpers import KEY, PROGRAM
from test_message import TRAINED, linked, run_of

from gittrack.git import hook_script

ROOT = Path(__file__).resolve().parents[2]
STAGES = [option for name in hook_script.NAMES for option in ("-t", name)]


@pytest.fixture
def framework(repo: Path, sealed: Path, monkeypatch: pytest.MonkeyPatch):
    """`framework("install")` runs pre-commit in `repo`."""
    monkeypatch.setenv("PRE_COMMIT_HOME", str(sealed / "pre-commit"))

    def call(*args: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(["pre-commit", *args], cwd=repo, capture_output=True, text=True)
        assert "An error has occurred" not in done.stdout, done.stdout
        return done

    return call


@pytest.fixture
def ours(repo: Path, git) -> None:
    """All hooks that .pre-commit-hooks.yaml offers, without the environment that `language: python` would build."""
    offered = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    hooks = [
        {**hook, "language": "system", "entry": hook["entry"].replace("git-track-hook", PROGRAM)} for hook in offered
    ]
    (repo / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [{"repo": "local", "hooks": hooks}]}))
    git("add", ".pre-commit-config.yaml")
    git("commit", "-q", "--no-verify", "-m", "Hooks")


def test_what_is_offered_can_be_used_from_a_repository(repo, tmp_path, framework, git):
    """`pre-commit validate-manifest` reads it as users' pre-commit will."""
    done = framework("validate-manifest", str(ROOT / ".pre-commit-hooks.yaml"))
    assert done.returncode == 0, done.stdout
    offered = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert {hook["entry"].split()[1] for hook in offered} == set(hook_script.NAMES)
    assert {hook["language"] for hook in offered} == {"python"}


def test_all_hooks_work_as_its_hooks(repo, framework, ours, commit, git, track):
    framework("install", *STAGES)
    (repo / "conf.py").write_text(f"key = '{KEY}'\n")
    git("add", "conf.py")
    done = commit()
    assert done.returncode == 1 and "conf.py:1" in done.stderr
    git("rm", "-q", "-f", "conf.py")
    (repo / "train.py").write_text(TRAINED)
    run = run_of(repo, track)
    assert commit("-q", "-m", "Better").returncode == 0
    assert run in git("log", "-1", "--format=%B")
    (repo / "train.py").write_text("print('other')\n")
    assert commit("-q", "-a", "--amend", "-m", "Without a word").returncode == 0
    assert linked(repo) == [run]
    git("checkout", "-q", "-b", "side", "HEAD~1")
    (repo / "README").write_text("more\n")
    assert commit("-q", "-a", "-m", "Aside").returncode == 0
    git("rebase", "-q", "side", "main")
    assert linked(repo) == [run]


def test_a_push_through_it_takes_runs_along(repo, framework, ours, commit, git, track, tmp_path):
    framework("install", *STAGES)
    origin = tmp_path / "origin.git"
    subprocess.run(["git", "init", "-q", "--bare", str(origin)], check=True)
    git("remote", "add", "origin", str(origin))
    git("push", "-q", "-u", "origin", "main")
    track("run", "-q", "true")
    track("push", "--yes", "origin", "latest")
    (repo / "train.py").write_text(TRAINED)
    run = run_of(repo, track)
    commit("-q", "-m", "Better")
    git("push", "-q")
    assert run in git("for-each-ref", cwd=origin)


def test_all_files_and_a_range_of_commits_can_be_asked_for(repo, framework, ours, git):
    (repo / "conf.py").write_text(f"a = 1\nkey = '{KEY}'\n")
    git("add", "conf.py")
    git("commit", "-q", "-m", "Old sins")
    done = framework("run", "--all-files")
    assert done.returncode == 1 and "conf.py:2" in done.stdout
    done = framework("run", "--from-ref", "HEAD~1", "--to-ref", "HEAD")
    assert done.returncode == 1 and "conf.py:2" in done.stdout
    assert framework("run", "--from-ref", "HEAD~2", "--to-ref", "HEAD~1").returncode == 0
    assert framework("run", "gittrack", "--files", "README").returncode == 0


def test_its_hook_is_left_alone_and_lines_for_its_configuration_are_shown(repo, framework, track, git, commit):
    (repo / ".pre-commit-config.yaml").write_text("repos: []\n")
    framework("install")
    its = (repo / ".git" / "hooks" / "pre-commit").read_bytes()
    done = track("hooks", "install", "pre-commit")
    assert (repo / ".git" / "hooks" / "pre-commit").read_bytes() == its
    lines = done.stdout[done.stdout.index("  - repo") :]
    (repo / ".pre-commit-config.yaml").write_text("repos:\n" + lines)
    (repo / "m.pt").write_bytes(b"weights")
    git("add", ".")
    refused = commit()
    assert refused.returncode == 1 and "m.pt" in refused.stderr


@pytest.mark.parametrize("again", [False, True])
def test_chained_before_it_both_work_also_when_it_is_installed_again(repo, framework, track, git, commit, again):
    fails = {"id": "no", "name": "no", "language": "system", "entry": "sh -c 'echo theirs >> ran; test ! -e refuse' --"}
    (repo / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [{"repo": "local", "hooks": [fails]}]}))
    framework("install")
    its = (repo / ".git" / "hooks" / "pre-commit").read_bytes()
    track("hooks", "install", "--chain", "pre-commit")
    if again:
        framework("install")
    (repo / "m.pt").write_bytes(b"weights")
    git("add", ".")
    refused = commit()
    assert refused.returncode == 1 and "m.pt" in refused.stderr
    git("rm", "-q", "--cached", "m.pt")
    (repo / "refuse").touch()
    assert commit().returncode == 1
    (repo / "refuse").unlink()
    assert commit().returncode == 0
    assert set((repo / "ran").read_text().split()) == {"theirs"}
    track("hooks", "uninstall")
    left = {path.name: path.read_bytes() for path in (repo / ".git" / "hooks").iterdir() if "sample" not in path.name}
    assert left.pop("pre-commit") == its
    assert left == ({"pre-commit.legacy": its} if again else {})


def test_installed_over_ours_it_calls_us(repo, framework, track, git, commit):
    (repo / ".pre-commit-config.yaml").write_text("repos: []\n")
    track("hooks", "install", "pre-commit")
    framework("install")
    assert "pre-commit framework, which came later, calls it" in track("hooks", "status").stdout
    (repo / "m.pt").write_bytes(b"weights")
    git("add", ".")
    assert "m.pt" in commit().stderr
    track("hooks", "uninstall", "pre-commit")
    git("rm", "-q", "--cached", "m.pt")
    assert not os.path.exists(repo / ".git" / "hooks" / "pre-commit.legacy")
    assert commit().returncode == 0
