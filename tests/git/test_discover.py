"""Discovery is a copy of git's own rules, so git is the judge of every case."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import errors
from gittrack.git import configfile
from gittrack.git.discover import Format, Paths, discover, repository_format


def git(*args: str, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        ["git", *args], cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, check=True
    )
    return done.stdout.removesuffix("\n")


def as_git_says(cwd: Path, env: Mapping[str, str]) -> Paths:
    git_dir = git("rev-parse", "--absolute-git-dir", cwd=cwd, **env)
    common = os.path.realpath(cwd / git("rev-parse", "--git-common-dir", cwd=cwd, **env))
    try:
        top: str | None = git("-C", ".", "rev-parse", "--show-toplevel", cwd=cwd, **env) or None
    except subprocess.CalledProcessError:
        top = None
    return Paths(os.path.realpath(git_dir), common, top)


def agree(cwd: Path, **env: str) -> Paths:
    found = discover(str(cwd), env)
    assert found == as_git_says(cwd, env)
    return found


def test_an_ordinary_repository_is_found_from_below(repo: Path) -> None:
    (repo / "a/b").mkdir(parents=True)
    assert agree(repo / "a/b").worktree == str(repo)
    assert agree(repo).git_dir == str(repo / ".git")


def test_a_path_through_a_symbolic_link_is_resolved(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(repo)
    assert agree(tmp_path / "link").worktree == str(repo)


def test_a_linked_worktree_shares_the_common_directory(repo: Path, tmp_path: Path) -> None:
    git("worktree", "add", "-q", str(tmp_path / "linked"), cwd=repo)
    found = agree(tmp_path / "linked")
    assert found.common_dir == str(repo / ".git") != found.git_dir


def test_a_linked_worktree_of_a_bare_repository_is_not_bare(repo: Path, tmp_path: Path) -> None:
    git("clone", "-q", "--bare", str(repo), str(tmp_path / "bare.git"), cwd=tmp_path)
    git("worktree", "add", "-q", str(tmp_path / "linked"), cwd=tmp_path / "bare.git")
    assert agree(tmp_path / "bare.git").worktree is None
    assert agree(tmp_path / "linked").worktree == str(tmp_path / "linked")


def test_a_submodule_is_a_repository_of_its_own(repo: Path, tmp_path: Path) -> None:
    git("clone", "-q", str(repo), "other", cwd=tmp_path)
    git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(tmp_path / "other"), "sub", cwd=repo)
    assert agree(repo / "sub").worktree == str(repo / "sub")


def test_git_dir_alone_makes_the_current_directory_the_work_tree(repo: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert agree(elsewhere, GIT_DIR=str(repo / ".git")).worktree == str(elsewhere)
    assert agree(repo, GIT_DIR=".git").worktree == str(repo)


def test_git_work_tree_is_obeyed_with_and_without_git_dir(repo: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert agree(elsewhere, GIT_DIR=str(repo / ".git"), GIT_WORK_TREE=str(repo)).worktree == str(repo)
    assert agree(repo, GIT_WORK_TREE=str(elsewhere)).worktree == str(elsewhere)


def test_git_dir_may_be_a_file(repo: Path, tmp_path: Path) -> None:
    git("worktree", "add", "-q", str(tmp_path / "linked"), cwd=repo)
    agree(repo, GIT_DIR=str(tmp_path / "linked/.git"))


def test_git_common_dir_is_obeyed(repo: Path, tmp_path: Path) -> None:
    git("clone", "-q", str(repo), "other", cwd=tmp_path)
    assert agree(repo, GIT_COMMON_DIR=str(tmp_path / "other/.git")).common_dir == str(tmp_path / "other/.git")


def test_core_worktree_moves_the_work_tree(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    git("config", "core.worktree", "../../elsewhere", cwd=repo)
    assert agree(repo).worktree == str(tmp_path / "elsewhere")


def test_worktree_configuration_is_read_where_the_repository_has_it(repo: Path, tmp_path: Path) -> None:
    git("worktree", "add", "-q", str(tmp_path / "linked"), cwd=repo)
    (tmp_path / "elsewhere").mkdir()
    git("config", "extensions.worktreeConfig", "true", cwd=repo)
    git("config", "--worktree", "core.worktree", str(tmp_path / "elsewhere"), cwd=tmp_path / "linked")
    assert agree(tmp_path / "linked").worktree == str(tmp_path / "elsewhere")
    assert agree(repo).worktree == str(repo)


def test_inside_the_git_directory_there_is_no_work_tree(repo: Path) -> None:
    assert agree(repo / ".git/objects").worktree is None


def test_a_directory_that_only_looks_like_git_is_passed_by(repo: Path) -> None:
    (repo / "sub/.git").mkdir(parents=True)
    assert agree(repo / "sub").worktree == str(repo)


@pytest.mark.parametrize("text", ["gitdir: /no/such/place\n", "gitdir: ../nowhere\n", "nonsense\n", ""])
def test_a_git_file_that_leads_nowhere_is_an_error(repo: Path, text: str) -> None:
    (repo / "sub").mkdir()
    (repo / "sub/.git").write_text(text)
    with pytest.raises(errors.NotARepository) as caught:
        discover(str(repo / "sub"), {})
    assert caught.value.hint
    with pytest.raises(subprocess.CalledProcessError):
        as_git_says(repo / "sub", {})


def test_outside_of_any_repository_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(errors.NotARepository) as caught:
        discover(str(tmp_path), {})
    assert "git init" in caught.value.hint


def test_a_ceiling_ends_the_search(repo: Path) -> None:
    (repo / "a/b").mkdir(parents=True)
    with pytest.raises(errors.NotARepository):
        discover(str(repo / "a/b"), {"GIT_CEILING_DIRECTORIES": str(repo)})
    agree(repo, GIT_CEILING_DIRECTORIES=str(repo))  # the start itself is always looked at


def test_a_git_dir_that_is_no_repository_is_an_error(repo: Path) -> None:
    with pytest.raises(errors.NotARepository, match="GIT_DIR=nowhere"):
        discover(str(repo), {"GIT_DIR": "nowhere"})


def test_a_detached_head_and_an_unborn_branch_are_repositories(repo: Path, tmp_path: Path) -> None:
    git("checkout", "-q", "--detach", cwd=repo)
    agree(repo)
    git("init", "-q", "new", cwd=tmp_path)
    agree(tmp_path / "new")


def test_the_format_tells_hash_refs_and_extensions(repo: Path, tmp_path: Path) -> None:
    assert repository_format(discover(str(repo), {})) == Format("sha1", "files", False, frozenset())
    git("init", "-q", "--object-format=sha256", "other", cwd=tmp_path)
    found = repository_format(discover(str(tmp_path / "other"), {}))
    assert (found.algorithm, found.refs) == ("sha256", "files")
    (repo / ".git/config").write_text("[extensions]\n\trefStorage = reftable\n\tpartialClone = origin\n")
    found = repository_format(discover(str(repo), {}))
    assert (found.refs, found.partial) == ("reftable", True)


VALUES = st.text(st.sampled_from('ab "\\#;=\t[]\n'), max_size=12)


@settings(max_examples=60, deadline=None)
@given(values=st.dictionaries(st.sampled_from(["core.x", "core.y", "a.Sub Section.z"]), VALUES, min_size=1))
def test_what_git_writes_into_a_config_file_is_read_back(values: dict[str, str], tmp_path_factory: object) -> None:
    path = tmp_path_factory.mktemp("config") / "config"  # type: ignore[attr-defined]
    for key, value in values.items():
        subprocess.run(["git", "config", "--file", str(path), key, value], check=True)
    assert configfile.read(str(path)) == values


@pytest.mark.parametrize(
    "text",
    [
        "[core]\n\tx = one \\\n two\n",
        "[core] x = 1\n",
        "[core]\n\tx\n",
        '[a "b\\"c"]\n\tx = "q # no comment" ; comment\n',
        "[core]\n\tx = ends in a backslash \\\\\n\ty = 2\n",
        "[CORE]\n\tX = 1\n\tx = 2\n# x = 3\n",
        "\ufeff[core]\n\tx = after a byte order mark\n",
        '[core]\n\tx = "  kept  "  \n',
    ],
)
def test_hand_written_configuration_is_read_as_git_reads_it(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    listed = git("config", "--file", str(path), "--list", "-z", cwd=tmp_path)
    expected = {}
    for field in listed.rstrip("\0").split("\0"):
        key, newline, value = field.partition("\n")
        expected[key] = value if newline else "true"
    assert configfile.read(str(path)) == expected
