"""Files to git-lfs remotes and back: real git-lfs, over file://, ssh and HTTP."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import lfs_servers
import pytest

from gittrack import errors
from gittrack.git import lfs as executable
from gittrack.git.repository import Repository
from gittrack.runs import lfs
from gittrack.store.content import Content

Keep = Callable[..., tuple[str, int]]
Git = Callable[..., str]


def remote_path(bare: Path, sha256: str) -> Path:
    return bare / "lfs" / "objects" / sha256[:2] / sha256[2:4] / sha256


def everything_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def forget_content(repo: Path) -> None:
    shutil.rmtree(repo / ".git" / "track" / "objects")


def test_files_go_to_a_file_remote_and_nothing_is_left_behind(
    repo: Path, git: Git, opened: Repository, content: Content, keep: Keep, bare: Path
) -> None:
    git("remote", "add", "origin", f"file://{bare}")
    files = [keep(5_000_000, 1), keep(100, 2), keep(0, 3)]
    config = (repo / ".git" / "config").read_bytes()
    steps: list[int] = []

    report = lfs.push(opened, content, "origin", files, steps.append)

    assert (report.files, report.objects, report.sent) == (2, 2, 5_000_100)
    assert sum(steps) == 5_000_100
    for sha256, size in files[:2]:
        assert remote_path(bare, sha256).read_bytes() == content.read(sha256, size)
    assert not (repo / ".git" / "lfs").exists()
    assert everything_below(repo / ".git" / "track" / "tmp") == set()
    assert (repo / ".git" / "config").read_bytes() == config


def test_a_second_push_starts_nothing_unless_it_is_told_to_doubt(
    git: Git, opened: Repository, content: Content, keep: Keep, bare: Path
) -> None:
    git("remote", "add", "origin", str(bare))
    files = [keep(1000)]
    lfs.push(opened, content, "origin", files)
    shutil.rmtree(bare / "lfs")

    assert lfs.push(opened, content, "origin", files).objects == 0
    assert not (bare / "lfs").exists()
    assert lfs.push(opened, content, "origin", files, again=True).objects == 1
    assert remote_path(bare, files[0][0]).exists()


def test_files_come_back_from_a_file_remote(
    repo: Path, git: Git, opened: Repository, content: Content, keep: Keep, bare: Path
) -> None:
    git("remote", "add", "origin", str(bare))
    files = [keep(3_000_000, 1), keep(100, 2)]
    expected = [content.read(*file) for file in files]
    lfs.push(opened, content, "origin", files)
    forget_content(repo)
    objects = git("count-objects", "-v")
    config = (repo / ".git" / "config").read_bytes()

    report = lfs.pull(opened, content, "origin", [*files, files[0]])

    assert (report.files, report.objects, report.sent) == (2, 2, 3_000_100)
    assert [content.read(*file) for file in files] == expected
    assert lfs.pull(opened, content, "origin", files).objects == 0
    assert git("count-objects", "-v") == objects
    assert (repo / ".git" / "config").read_bytes() == config
    assert not (repo / ".git" / "lfs").exists()
    assert everything_below(repo / ".git" / "track" / "tmp") == set()


@pytest.mark.parametrize("kind", ["http", "ssh"])
def test_files_go_through_a_lfs_server_and_back(
    kind: str, repo: Path, git: Git, opened: Repository, content: Content, keep: Keep, bare: Path,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    server: lfs_servers.Lfs = request.getfixturevalue("lfs_server")
    if kind == "http":
        git("remote", "add", "origin", str(bare))
        git("config", "lfs.url", f"{server.url}/org/repo.git/info/lfs")
    else:
        git("remote", "add", "origin", request.getfixturevalue("lfs_ssh").url(bare))
    repository = reopened(opened)
    files = [keep(2_000_000, f"{kind} 1"), keep(100, f"{kind} 2")]
    expected = [content.read(*file) for file in files]
    config = (repo / ".git" / "config").read_bytes()
    steps: list[int] = []

    lfs.push(repository, content, "origin", files, steps.append)
    assert sum(steps) == 2_000_100
    assert all((server.objects / sha256).exists() for sha256, _ in files)
    forget_content(repo)
    lfs.pull(repository, content, "origin", files)

    assert [content.read(*file) for file in files] == expected
    assert (repo / ".git" / "config").read_bytes() == config


def test_a_remote_url_serves_as_well_as_a_name(
    repo: Path, opened: Repository, content: Content, keep: Keep, bare: Path
) -> None:
    file = keep(1000)
    lfs.push(opened, content, f"file://{bare}", [file])
    assert remote_path(bare, file[0]).exists()
    forget_content(repo)
    lfs.pull(opened, content, f"file://{bare}", [file])
    assert content.has(*file)


def test_settings_of_the_user_that_would_leave_files_out_have_no_say(
    repo: Path, git: Git, opened: Repository, content: Content, keep: Keep, bare: Path
) -> None:
    git("remote", "add", "origin", str(bare))
    for name, value in {
        "lfs.fetchexclude": "*",
        "lfs.storage": "elsewhere",
        "filter.lfs.process": "false",
        "filter.lfs.required": "true",
        "core.hooksPath": "/nonexistent",
    }.items():
        git("config", name, value)
    hook = repo / ".git" / "hooks" / "pre-push"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    file = keep(1000)
    lfs.push(opened, content, "origin", [file])
    forget_content(repo)
    lfs.pull(opened, content, "origin", [file])
    assert content.has(*file)
    assert not [path for path in (repo / ".git" / "elsewhere").rglob("*") if path.is_file()]


def test_a_damaged_object_of_the_remote_is_refused(
    repo: Path, git: Git, opened: Repository, content: Content, keep: Keep, bare: Path
) -> None:
    git("remote", "add", "origin", str(bare))
    sha256, size = keep(1000)
    lfs.push(opened, content, "origin", [(sha256, size)])
    stored = remote_path(bare, sha256)
    stored.chmod(0o644)
    stored.write_bytes(b"x" * size)
    forget_content(repo)
    with pytest.raises((errors.CorruptContent, errors.StoreFailed)) as caught:
        lfs.pull(opened, content, "origin", [(sha256, size)])
    assert sha256[:7] in caught.value.message
    assert not content.has(sha256, size)


def test_what_the_remote_lacks_is_said_and_the_rest_is_kept(
    repo: Path, git: Git, opened: Repository, content: Content, keep: Keep, bare: Path
) -> None:
    git("remote", "add", "origin", str(bare))
    here, gone = keep(1000, 1), keep(1000, 2)
    lfs.push(opened, content, "origin", [here])
    forget_content(repo)
    with pytest.raises((errors.MissingContent, errors.StoreFailed)) as caught:
        lfs.pull(opened, content, "origin", [here, gone])
    assert gone[0][:7] in caught.value.message
    assert content.has(*here)
    assert not content.has(*gone)


def test_a_remote_that_is_gone_is_an_error_and_nothing_counts_as_pushed(
    git: Git, opened: Repository, content: Content, keep: Keep, bare: Path
) -> None:
    git("remote", "add", "origin", str(bare))
    file = keep(1000)
    away = bare.rename(bare.with_name("away"))
    with pytest.raises(errors.StoreFailed, match="origin"):
        lfs.push(opened, content, "origin", [file])
    away.rename(bare)
    assert lfs.push(opened, content, "origin", [file]).objects == 1


def test_a_server_that_does_not_answer_is_not_taken_for_one_without_lfs(
    git: Git, opened: Repository, content: Content, keep: Keep
) -> None:
    git("remote", "add", "http", "http://127.0.0.1:9/x.git")
    git("remote", "add", "ssh", "ssh://nobody@127.0.0.1:9/x.git")
    file = keep(1000)
    for remote in ("http", "ssh"):
        with pytest.raises(errors.StoreFailed):
            lfs.push(reopened(opened), content, remote, [file])


def test_an_sshd_without_git_lfs_is_told_apart(
    git: Git, opened: Repository, content: Content, keep: Keep, bare: Path, plain_ssh: lfs_servers.Ssh
) -> None:
    git("remote", "add", "origin", plain_ssh.url(bare))
    with pytest.raises(errors.Unsupported, match="no git-lfs"):
        lfs.push(reopened(opened), content, "origin", [keep(1000)])


def test_an_older_git_lfs_is_given_the_ids_as_arguments(
    git: Git, opened: Repository, content: Content, keep: Keep, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git("remote", "add", "origin", str(bare))
    monkeypatch.setattr(executable, "STDIN_SINCE", (99,))
    monkeypatch.setattr(executable, "_ARGUMENTS", 2)
    files = [keep(100, seed) for seed in range(5)]
    lfs.push(opened, content, "origin", files)
    assert all(remote_path(bare, sha256).exists() for sha256, _ in files)


def test_large_pushes_go_in_batches(
    git: Git, opened: Repository, content: Content, keep: Keep, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git("remote", "add", "origin", str(bare))
    monkeypatch.setattr(lfs, "BATCH_BYTES", 250)
    files = [keep(100, seed) for seed in range(5)]
    lfs.push(opened, content, "origin", files)
    assert all(remote_path(bare, sha256).exists() for sha256, _ in files)


def reopened(repo: Repository) -> Repository:
    """With the environment as it is now."""
    from gittrack.git.open import open_repository

    return open_repository(repo.paths, os.environ)
