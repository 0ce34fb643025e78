"""Clones that lack something, or are more than one: shallow, partial, sparse, worktrees, submodules, other formats."""

import subprocess
from pathlib import Path

import git_servers
import pytest
import team


@pytest.fixture
def shared(server_of: git_servers.Find, repo: Path) -> tuple[git_servers.Bare, team.Clone]:
    """A server, by a transport that shallow and partial clones need, and ann's runs on it: one with changed code."""
    bare = server_of("file").new(uploadpack__allowFilter="true")
    ann = team.first(bare.url, repo)
    for number in range(3):
        (repo / "train.py").write_text(f"print({number})\n")
        ann.git("commit", "-qam", f"Number {number}")
    ann.git("push", "-q", "origin", "main")
    (repo / "train.py").write_text(team.TRAINING)
    ann.track("run", "-q", "--name", "changed", "--", "python", "train.py", "1")
    ann.git("checkout", "-q", "train.py")
    ann.runs(range(30))
    ann.track("push", "--yes")
    return bare, ann


@pytest.mark.parametrize("options", [("--depth=1",), ("--filter=blob:none",), ("--filter=tree:0",), ("--sparse",)])
def test_a_clone_that_lacks_history_or_files_shares_runs_both_ways(
    options: tuple[str, ...], shared: tuple[git_servers.Bare, team.Clone], tmp_path: Path
) -> None:
    bare, ann = shared
    bob = team.cloned(bare.url, tmp_path / "bob", *options)
    shallow = (bob.path / ".git" / "shallow").exists()
    bob.track("pull")
    team.same([ann, bob])
    bob.track("checkout", "changed", "-o", "restored")
    assert (bob.path / "restored" / "train.py").read_text() == team.TRAINING
    (bob.path / "train.py").write_text(team.TRAINING + "# bob\n")
    bob.track("run", "-q", "--name", "of-bob", "--", "python", "train.py", "2")
    bob.track("push", "--yes")
    ann.track("pull")
    team.same([ann, bob])
    ann.track("checkout", "of-bob", "--code", "-o", "restored")
    assert (ann.path / "restored" / "train.py").read_text().endswith("# bob\n")
    assert (bob.path / ".git" / "shallow").exists() == shallow
    for place in (ann.path, bob.path, bare.path):
        team.sound(place)


def test_code_that_only_a_shallow_clone_has_is_refused_and_the_run_comes(
    shared: tuple[git_servers.Bare, team.Clone], tmp_path: Path
) -> None:
    """git takes no failure to be in it, and would leave the commit here without those before it."""
    bare, ann = shared
    bob = team.cloned(bare.url, tmp_path / "bob")
    for number in range(2):
        ann.git("commit", "-q", "--allow-empty", "-m", f"after bob's clone {number}")
    ann.git("push", "-q", "origin", "main")
    shallow = team.cloned(bare.url, tmp_path / "shallow", "--depth=1")
    (shallow.path / "train.py").write_text(team.TRAINING + "# changed\n")
    shallow.track("run", "-q", "--name", "of-shallow", "--", "python", "train.py", "1")
    done = bob.track("pull", f"file://{shallow.path}", "--code")
    assert "it is a shallow clone" in done.stderr
    assert "of-shallow" in bob.track("ls", "--columns", "name").stdout
    team.sound(bob.path)


def test_linked_worktrees_share_what_any_of_them_pulls(
    shared: tuple[git_servers.Bare, team.Clone], tmp_path: Path
) -> None:
    bare, ann = shared
    bob = team.cloned(bare.url, tmp_path / "bob")
    bob.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    side = team.Clone(tmp_path / "side", {})
    side.track("pull")
    team.same([ann, bob, side])
    side.track("run", "-q", "--name", "of-side", "--", "python", "train.py")
    bob.track("push", "--yes")
    ann.track("pull")
    team.same([ann, bob, side])


def test_a_repository_with_a_submodule_and_the_submodule_itself_share_their_own_runs(
    shared: tuple[git_servers.Bare, team.Clone], server_of: git_servers.Find, tmp_path: Path
) -> None:
    bare, ann = shared
    library = server_of("file").new()
    subprocess.run(["git", "clone", "-q", bare.url, str(tmp_path / "library")], check=True)
    lib = team.Clone(tmp_path / "library", {})
    lib.git("push", "-q", library.url, "main")
    ann.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", library.url, "lib")
    ann.git("commit", "-qm", "A library")
    ann.git("push", "-q", "origin", "main")
    inner = team.Clone(ann.path / "lib", {})
    inner.track("run", "-q", "--name", "inner", "--", "python", "train.py")
    ann.track("run", "-q", "--name", "outer", "--", "python", "train.py")
    inner.track("push", "--yes")
    ann.track("push", "--yes")
    bob = team.cloned(bare.url, tmp_path / "bob", "--recurse-submodules", GIT_ALLOW_PROTOCOL="file")
    bob.track("pull")
    team.same([ann, bob])
    within = team.Clone(bob.path / "lib", {})
    within.track("pull")
    assert [row["name"] for row in team.same([inner, within])] == ["inner"]


@pytest.mark.parametrize("option", ["--object-format=sha256", "--ref-format=reftable"])
def test_repositories_of_other_formats_share_runs_where_git_makes_them(option: str, tmp_path: Path) -> None:
    bare, work = tmp_path / "bare.git", tmp_path / "ann"
    made = subprocess.run(
        ["git", "init", "-q", "--bare", "-b", "main", option, str(bare)], capture_output=True, text=True
    )
    if made.returncode:
        assert "reftable" in option and "unknown option" in made.stderr  # an older git; sha256 all of them make
        return
    subprocess.run(["git", "init", "-q", "-b", "main", option, str(work)], check=True)
    ann = team.Clone(work, {})
    (work / "train.py").write_text(team.TRAINING)
    ann.git("add", ".")
    ann.git("commit", "-qm", "First")
    ann.git("remote", "add", "origin", str(bare))
    ann.git("push", "-q", "origin", "main")
    ann.track("run", "-q", "--name", "one", "--", "python", "train.py", "1")
    ann.runs(range(30))
    ann.track("push", "--yes")
    bob = team.cloned(str(bare), tmp_path / "bob")
    bob.track("pull")
    assert len(team.same([ann, bob])) == 31
    bob.track("tag", "one", "seen")
    bob.track("push", "--yes")
    ann.track("pull")
    team.same([ann, bob])
    bob.track("checkout", "one", "-o", "restored")
    assert (bob.path / "restored" / "train.py").read_text() == team.TRAINING
    for place in (ann.path, bob.path, bare):
        team.sound(place)
