"""What is asked of a git remote, against real bare repositories."""

import subprocess
from pathlib import Path

import builder
import pytest

from gittrack import errors
from gittrack.core import layout
from gittrack.git import network, remote_errors
from gittrack.git.repository import RefChange, Repository


def bare(path: Path) -> str:
    subprocess.run(["git", "init", "-q", "--bare", str(path)], check=True)
    return f"file://{path}"


@pytest.fixture
def remote(tmp_path: Path) -> str:
    return bare(tmp_path / "remote.git")


@pytest.fixture
def ours(repo: Path) -> Repository:
    return builder.opened(repo)


def created(repository: Repository, ids: list[str]) -> list[RefChange]:
    refs = repository.refs(layout.RUNS)
    return [RefChange(layout.run_ref(one), None, refs[layout.run_ref(one)]) for one in ids]


def test_what_was_pushed_is_listed_and_comes_back_without_any_ref(
    ours: Repository, remote: str, tmp_path: Path
) -> None:
    changes = created(ours, builder.make_runs(ours, 300))
    assert all(one.done for one in network.push(ours.git, remote, changes).values())
    there = network.ls_remote(ours.git, remote)
    assert there == {one.ref: one.new for one in changes}
    subprocess.run(["git", "init", "-q", str(tmp_path / "clone")], check=True)
    other = builder.opened(tmp_path / "clone")
    network.fetch(other.git, remote, there.values())
    assert other.refs() == {}
    assert builder.opened(tmp_path / "clone").read_path(changes[0].new or "", "run.json") is not None


def test_a_second_push_finds_all_done(ours: Repository, remote: str) -> None:
    changes = created(ours, builder.make_runs(ours, 2))
    network.push(ours.git, remote, changes)
    assert all(one.done for one in network.push(ours.git, remote, changes).values())


def test_a_ref_that_moved_meanwhile_is_left_alone(ours: Repository, remote: str) -> None:
    first, second = created(ours, builder.make_runs(ours, 2))
    network.push(ours.git, remote, [first])
    clash = RefChange(first.ref, None, second.new)
    found = network.push(ours.git, remote, [clash, second])
    assert found[first.ref].kind == remote_errors.STALE
    assert found[second.ref].done
    assert network.ls_remote(ours.git, remote)[first.ref] == first.new


def test_an_atomic_push_moves_all_or_none(ours: Repository, remote: str) -> None:
    first, second = created(ours, builder.make_runs(ours, 2))
    network.push(ours.git, remote, [first])
    found = network.push(ours.git, remote, [RefChange(first.ref, None, second.new), second], atomic=True)
    assert {one.kind for one in found.values()} <= {remote_errors.STALE, remote_errors.TOGETHER}
    assert list(network.ls_remote(ours.git, remote)) == [first.ref]


def test_the_settings_and_hooks_of_the_user_move_nothing_else(ours: Repository, remote: str, repo: Path) -> None:
    git = ours.git
    for key, value in {
        "remote.origin.url": remote,
        "remote.origin.mirror": "true",
        "remote.origin.fetch": "+refs/*:refs/*",
        "remote.origin.prune": "true",
        "fetch.prune": "true",
        "push.followTags": "true",
    }.items():
        git.run("config", key, value)
    git.run("tag", "-a", "-m", "one", "v1")
    hook = repo / ".git" / "hooks" / "pre-push"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    changes = created(ours, builder.make_runs(ours, 2))
    assert all(one.done for one in network.push(git, "origin", changes).values())
    assert sorted(git.lines("ls-remote", remote)) == sorted(f"{one.new}\t{one.ref}" for one in changes)
    before = ours.refs()
    network.fetch(git, "origin", [one.ref for one in changes])
    assert ours.refs() == before
    assert not (repo / ".git" / "FETCH_HEAD").exists()


def test_refs_may_be_deleted_from_where_they_are(ours: Repository, remote: str) -> None:
    first, second = created(ours, builder.make_runs(ours, 2))
    network.push(ours.git, remote, [first, second])
    found = network.push(
        ours.git, remote, [RefChange(first.ref, second.new, None), RefChange(second.ref, second.new, None)]
    )
    assert found[first.ref].kind == remote_errors.STALE
    assert found[second.ref].done
    assert list(network.ls_remote(ours.git, remote)) == [first.ref]


def test_what_hangs_on_an_empty_name_is_refused_before_git_is_asked(ours: Repository, remote: str) -> None:
    for change in (RefChange("refs/heads/main", None, "0" * 40), RefChange("refs/track/x", None, "main")):
        with pytest.raises(ValueError):
            network.push(ours.git, remote, [change])


@pytest.mark.parametrize("progress", [False, True])
def test_a_remote_that_is_not_there_is_named_with_the_way_on(ours: Repository, tmp_path: Path, progress: bool) -> None:
    with pytest.raises(errors.RemoteFailed, match="nowhere") as caught:
        network.ls_remote(ours.git, f"file://{tmp_path}/nowhere")
    assert caught.value.kind == remote_errors.ABSENT
    with pytest.raises(errors.RemoteFailed):
        told: list[int] = []
        network.fetch(
            ours.git, f"file://{tmp_path}/nowhere", ["a" * 40], (lambda *_: told.append(1)) if progress else None
        )


def test_how_far_a_push_is_is_told(ours: Repository, remote: str) -> None:
    told: list[tuple[str, int, int]] = []
    changes = created(ours, builder.make_runs(ours, 1200))
    found = network.push(ours.git, remote, changes, progress=lambda *at: told.append(at))
    assert len(found) == 1200
    assert ("Writing objects", told[-1][2], told[-1][2]) in told


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("remote: error: rate limit: 6 pushes per minute\nerror: failed to push some refs", remote_errors.LIMITED),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 429", remote_errors.LIMITED),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 403", remote_errors.AUTH),
        ("fatal: could not read Username for 'https://x': terminal prompts disabled", remote_errors.AUTH),
        ("git@x: Permission denied (publickey).\nfatal: Could not read from remote repository.", remote_errors.AUTH),
        (
            "ssh: Could not resolve hostname x: Name\nfatal: Could not read from remote repository.",
            remote_errors.UNREACHABLE,
        ),
        ("fatal: the remote end hung up unexpectedly", remote_errors.CUT),
        ("error: remote unpack failed: unable to create temporary object: No space left on device", remote_errors.FULL),
        ("fatal: the receiving end does not support --atomic push", remote_errors.NOT_ATOMIC),
        ("deny updating a hidden ref", remote_errors.HIDDEN),
        ("deletion prohibited", remote_errors.NO_DELETION),
        ("non-fast-forward", remote_errors.NO_FORCE),
        ("pre-receive hook declined", remote_errors.HOOK),
        ("failed to update ref", remote_errors.STALE),
        ("shallow update not allowed", remote_errors.SHALLOW),
        ("funny refname", remote_errors.REFS_REFUSED),
    ],
)
def test_what_servers_say_is_known(said: str, kind: str) -> None:
    assert remote_errors.kind_of(said) == kind
    assert remote_errors.hint_of(kind, "origin")


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("rate limit: 6 pushes per minute", 10),
        ("too many requests, retry after 30 seconds", 30),
        ("Retry-After: 7", 7),
        ("please wait 2 minutes", 120),
        ("rate limit exceeded", None),
    ],
)
def test_how_long_a_limit_holds_is_read(said: str, seconds: float | None) -> None:
    assert remote_errors.wait_of(said) == seconds


def test_what_a_server_says_explains_its_hook(ours: Repository, tmp_path: Path, remote: str) -> None:
    hook = tmp_path / "remote.git" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'rate limit: 6 pushes per minute' >&2\nexit 1\n")
    hook.chmod(0o755)
    (change,) = created(ours, builder.make_runs(ours, 1))
    outcome = network.push(ours.git, remote, [change])[change.ref]
    assert outcome.kind == remote_errors.LIMITED
    assert "6 pushes per minute" in outcome.said


def test_a_password_in_the_url_is_in_no_message(ours: Repository) -> None:
    with pytest.raises(errors.RemoteFailed) as caught:
        network.ls_remote(ours.git, "http://ann:hunter2@127.0.0.1:9/x.git")
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_a_remote_may_have_any_path(ours: Repository, tmp_path: Path) -> None:
    remote = bare(tmp_path / "lr=0.1" / "a b.git").removeprefix("file://")
    (change,) = created(ours, builder.make_runs(ours, 1))
    assert network.push(ours.git, remote, [change])[change.ref].done
    assert network.ls_remote(ours.git, remote) == {change.ref: change.new}


@pytest.mark.parametrize("atomic", [False, True])
def test_more_refs_than_a_command_line_takes_can_be_named(ours: Repository, remote: str, atomic: bool) -> None:
    old, new = (str(one.new) for one in created(ours, builder.make_runs(ours, 2)))
    changes = [RefChange(layout.run_ref(f"{number:020x}"), old, new) for number in range(12_000)]
    if atomic:
        with pytest.raises(errors.RemoteFailed) as raised:
            network.push(ours.git, remote, changes, atomic=True)
        assert raised.value.kind == remote_errors.NOT_ATOMIC
    else:
        found = network.push(ours.git, remote, changes)
        assert {one.kind for one in found.values()} == {remote_errors.STALE}
        assert len(found) == len(changes)
