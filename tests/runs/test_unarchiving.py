"""Archived runs get refs of their own again, with the same commits; an undo of an archive does that, too."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import builder
import pytest

from gittrack import errors
from gittrack.core import annotations, layout
from gittrack.git import objects
from gittrack.git.repository import Repository
from gittrack.runs import archives, archiving, logs, operations, unarchiving
from gittrack.runs.annotations import Author
from gittrack.runs.undo import undo

ANN = Author("Ann <ann@example.org>", builder.T0, "archive")
AUTHOR = "gittrack <gittrack@localhost>"  # of snapshots
DATES = {"GIT_AUTHOR_DATE": "2026-01-02T03:04:05+00:00", "GIT_COMMITTER_DATE": "2026-01-02T03:04:05+00:00"}


def prune(repo: Path) -> None:
    """What git's housekeeping does after two weeks."""
    subprocess.run(["git", "reflog", "expire", "--expire=now", "--all"], cwd=repo, check=True)
    subprocess.run(["git", "gc", "-q", "--prune=now"], cwd=repo, check=True)


def fsck(repo: Path) -> None:
    done = subprocess.run(["git", "fsck", "--full", "--strict"], cwd=repo, capture_output=True, text=True, check=False)
    assert (done.returncode, "missing" in done.stdout + done.stderr) == (0, False), done.stdout + done.stderr


def snapshot(store: Repository, git: Callable[..., str], text: str, base: str | None = None) -> str:
    """An uncommitted state of the code, as gittrack commits it."""
    blob = objects.blob(text.encode(), store.algorithm)
    tree = objects.tree({"train.py": objects.Entry(objects.FILE, blob.oid)}, store.algorithm)
    commit = objects.commit(
        tree.oid,
        [base] if base else [],
        "gittrack <gittrack@localhost>",
        0,
        "Snapshot of the work tree",
        store.algorithm,
    )
    store.write([blob, tree, commit])
    git("update-ref", layout.code_ref(commit.oid), commit.oid)
    return commit.oid


def runs_of(store: Repository, codes: list[str | None], first: int = 0) -> list[str]:
    return builder.write_runs(
        store, [builder.journal(first + at, {}, [0.5], snapshot=code) for at, code in enumerate(codes)]
    )


def test_a_run_comes_back_after_git_has_pruned_its_commits(
    repo: Path, store: Repository, git: Callable[..., str]
) -> None:
    head = git("rev-parse", "HEAD")
    code = snapshot(store, git, "changed", head)
    ids = builder.write_runs(
        store, [builder.journal(at, {"seed": at}, [0.5, 0.25, 0.1], snapshot=code) for at in range(3)], cuts=3
    )
    before = store.refs("refs/track/")
    archiving.archive(store, ids, ANN)
    assert layout.code_ref(code) not in store.refs(layout.CODE)
    prune(repo)
    store = builder.opened(repo)
    assert not store.exists(before[layout.run_ref(ids[0])])
    assert not store.exists(code)

    result = unarchiving.unarchive(store, ids[:2], ANN)

    assert (result.done, result.left) == (ids[:2], {})
    after = store.refs("refs/track/")
    assert {ref: after.get(ref) for ref in before} == {**before, layout.run_ref(ids[2]): None}
    assert git("rev-list", "--count", layout.run_ref(ids[0])) == "3"
    assert git("show", f"{code}:train.py") == "changed"
    assert annotations.kept_loose(logs.operations(store)) == set(ids[:2])
    assert archives.archived(store).keys() == set(ids)
    fsck(repo)


def test_unarchived_again_nothing_changes_and_it_is_said_why(store: Repository) -> None:
    ids = builder.make_runs(store, 2)
    archiving.archive(store, ids, ANN)
    unarchiving.unarchive(store, ids, ANN)
    before = store.refs("refs/track/")
    again = unarchiving.unarchive(store, [*ids, "0" * 20], ANN)
    assert again.done == []
    assert again.left == {
        ids[0]: "it is not archived",
        ids[1]: "it is not archived",
        "0" * 20: "there is no such run here",
    }
    assert store.refs("refs/track/") == before


def test_a_run_archived_again_after_it_was_unarchived_only_loses_its_ref(store: Repository) -> None:
    ids = builder.make_runs(store, 2)
    archiving.archive(store, ids, ANN)
    lists = archives.lists(store)
    unarchiving.unarchive(store, ids, ANN)
    result = archiving.archive(store, ids, ANN)
    assert (result.archived, result.there) == ([], ids)
    assert archives.lists(store) == lists
    unarchiving.unarchive(store, ids, ANN)
    assert [op.op for op in logs.operations(store)] == ["archived", "archived"]


def test_undo_gives_the_runs_of_an_archive_their_refs_back_and_keeps_the_archive(
    repo: Path, store: Repository, git: Callable[..., str]
) -> None:
    code = snapshot(store, git, "changed", git("rev-parse", "HEAD"))
    ids = runs_of(store, [code, code, None, git("rev-parse", "HEAD")])
    before = store.refs("refs/track/")
    archiving.archive(store, ids, ANN)
    archive = store.refs(layout.ARCHIVE)
    prune(repo)
    store = builder.opened(repo)

    undone = undo(store, ANN)

    after = {ref: tip for ref, tip in store.refs("refs/track/").items() if not ref.startswith(layout.LOG)}
    assert after == {**before, **archive}
    assert undone.what.startswith("archive (")
    assert annotations.kept_loose(logs.operations(store)) == set(ids)  # or the next push would archive them again
    fsck(repo)
    undo(store, ANN)
    assert annotations.kept_loose(logs.operations(store)) == set()
    assert store.refs(layout.RUNS) == {}
    assert store.refs(layout.ARCHIVE) == archive
    assert all(archives.find(store, run_id) for run_id in ids)


def test_an_archive_of_many_steps_is_undone_as_one(store: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving, "AT_ONCE", 3)
    monkeypatch.setattr(archiving, "FULL", 7)
    ids = builder.make_runs(store, 10)
    before = store.refs(layout.RUNS)
    archiving.archive(store, ids, ANN)
    assert len(operations.log(store)) == 4
    undo(store, ANN)
    assert store.refs(layout.RUNS) == before


def test_an_undo_passes_over_what_is_back_already(store: Repository) -> None:
    ids = builder.make_runs(store, 3)
    before = store.refs(layout.RUNS)
    archiving.archive(store, ids, ANN)
    (archived,) = operations.log(store)
    unarchiving.unarchive(store, ids[:1], ANN)
    undo(store, ANN, archived.id)
    assert store.refs(layout.RUNS) == before


def test_an_undone_unarchive_leaves_the_run_in_the_archive(store: Repository) -> None:
    ids = builder.make_runs(store, 2)
    archiving.archive(store, ids, ANN)
    unarchiving.unarchive(store, ids, ANN)
    undo(store, ANN)
    assert store.refs(layout.RUNS) == {}
    assert annotations.kept_loose(logs.operations(store)) == set()
    assert all(archives.find(store, run_id) for run_id in ids)


def test_code_that_another_run_still_needs_keeps_its_ref(store: Repository, git: Callable[..., str]) -> None:
    head = git("rev-parse", "HEAD")
    codes = [snapshot(store, git, text, head) for text in ("a", "b")]
    ids = runs_of(store, [codes[0], codes[0], codes[1]])
    archiving.archive(store, [ids[0], ids[2]], ANN)
    assert list(store.refs(layout.CODE).values()) == [codes[0]]
    archiving.archive(store, [ids[1]], ANN)
    assert store.refs(layout.CODE) == {}


def test_commits_of_users_outlive_their_branch_through_the_archive(
    repo: Path, store: Repository, git: Callable[..., str]
) -> None:
    commits = []
    for number in range(40):  # none of them holds another one
        git("checkout", "-q", "--orphan", f"b{number}", "main")
        git("commit", "-q", "-m", f"try {number}")
        commits.append(git("rev-parse", "HEAD"))
    git("checkout", "-q", "main")
    base = snapshot(store, git, "uncommitted", commits[0])
    for commit in commits:
        git("update-ref", layout.code_ref(commit), commit)
    ids = runs_of(store, [*commits, base])
    for number in range(40):
        git("branch", "-q", "-D", f"b{number}")

    archiving.archive(store, ids, ANN)

    assert store.refs(layout.CODE) == {}
    prune(repo)
    store = builder.opened(repo)
    assert all(store.exists(commit) for commit in commits)
    (tip,) = archives.tips(store, archives.CODE).values()
    most = max(len(line.split()) - 1 for line in git("rev-list", "--parents", tip).splitlines())
    assert most == 16
    before = store.refs(layout.ARCHIVE)
    archiving.archive(store, runs_of(store, commits[:1], 90), ANN)
    assert archives.tips(store, archives.CODE).items() <= before.items()  # nothing new, so it does not grow
    fsck(repo)


def test_a_commit_that_another_one_holds_is_no_parent(store: Repository, git: Callable[..., str]) -> None:
    commits = []
    for number in range(20):
        git("commit", "-q", "--allow-empty", "-m", f"step {number}", **DATES)
        commits.append(git("rev-parse", "HEAD"))
    archiving.archive(store, runs_of(store, [*commits]), ANN)
    (tip,) = archives.tips(store, archives.CODE).values()
    assert git("rev-list", "--parents", "-1", tip).split() == [tip, commits[-1]]


@pytest.mark.parametrize("restored", [True, False])
def test_a_snapshot_is_written_back_when_its_parent_is_here(
    repo: Path, store: Repository, git: Callable[..., str], restored: bool, tmp_path: Path
) -> None:
    git("commit", "-q", "--allow-empty", "-m", "second")
    code = snapshot(store, git, "changed", git("rev-parse", "HEAD"))
    unborn = snapshot(store, git, "first of all")
    archiving.archive(store, runs_of(store, [code, unborn, None]), ANN)
    other = tmp_path / "other"
    git("init", "-q", str(other))
    wanted = "refs/track/archive/*:refs/track/archive/*"
    if restored:
        git("fetch", "-q", str(repo), wanted, cwd=other)
    else:
        (tip,) = archives.tips(store, archives.CODE).values()
        tree = git("rev-parse", f"{tip}^{{tree}}")
        alone = git("commit-tree", tree, "-m", "x", cwd=repo)
        git("fetch", "-q", str(repo), f"+{alone}:refs/track/archive/{'a' * 16}/0/code", cwd=other)
    found = builder.opened(other)
    assert not found.exists(code)

    assert archives.restore_code(found, unborn)
    assert archives.restore_code(found, code) is restored

    assert found.exists(code) is restored
    assert not archives.restore_code(found, "f" * 40)
    fsck(other)


def test_in_a_shallow_clone_the_archive_is_sound(repo: Path, git: Callable[..., str], tmp_path: Path) -> None:
    git("commit", "-q", "--allow-empty", "-m", "second")
    shallow = tmp_path / "shallow"
    git("clone", "-q", "--depth=1", f"file://{repo}", str(shallow))
    store = builder.opened(shallow)
    head = git("rev-parse", "HEAD")
    here: Callable[..., str] = lambda *args: git(*args, cwd=shallow)  # noqa: E731
    code = snapshot(store, here, "changed", head)
    here("update-ref", layout.code_ref(head), head)
    ids = runs_of(store, [head, code, "e" * 40])
    assert archiving.archive(store, ids, ANN).archived == ids
    assert store.refs(layout.CODE) == {}
    prune(shallow)
    assert unarchiving.unarchive(builder.opened(shallow), ids, ANN).done == ids
    fsck(shallow)


def test_a_history_cut_off_by_a_shallow_fetch_is_not_archived(
    repo: Path, store: Repository, git: Callable[..., str], tmp_path: Path
) -> None:
    (run_id,) = builder.write_runs(store, [builder.journal(1, {}, [0.1, 0.2])], cuts=2)
    shallow = tmp_path / "shallow"
    git("clone", "-q", "--depth=1", f"file://{repo}", str(shallow))
    ref = layout.run_ref(run_id)
    git("fetch", "-q", "--depth=1", "origin", f"{ref}:{ref}", cwd=shallow)
    found = builder.opened(shallow)
    assert archiving.archive(found, [run_id], ANN).left == {run_id: "its history is not all in this clone"}
    assert ref in found.refs(layout.RUNS)


def test_where_the_records_were_not_fetched_the_refusal_says_so(store: Repository, git: Callable[..., str]) -> None:
    ids = builder.make_runs(store, 1)
    archiving.archive(store, ids, ANN)
    (ref,) = archives.tips(store, archives.RECORDS)
    git("update-ref", "-d", ref)
    left = unarchiving.unarchive(store, ids, ANN).left
    assert left == {ids[0]: "its record is not in this clone (`git track pull --records`)"}


def test_what_cannot_be_written_back_is_named(repo: Path, store: Repository, git: Callable[..., str]) -> None:
    ids = builder.make_runs(store, 1)
    archiving.archive(store, ids, ANN)
    for ref in store.refs(layout.ARCHIVE):
        git("update-ref", "-d", ref)
    prune(repo)
    with pytest.raises(errors.MissingContent, match=f"{ids[0]} cannot go back"):
        undo(builder.opened(repo), ANN)
    assert builder.opened(repo).refs("refs/track/") == {}
