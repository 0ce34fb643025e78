"""After uninstall the repository is byte for byte what it would be without gittrack, but for objects that gc takes."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import builder

from gittrack.core import layout
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import live, operations, uninstall
from gittrack.runs.annotations import Author, Saying, say
from gittrack.runs.index import Index

AUTHOR = Author("Ann <ann@example.org>", 1.0, "test")


def test_everything_is_listed_and_removed(
    store: Repository, fresh: Callable[[], Index], git: Callable[..., str], tmp_path: Path, repo: Path
) -> None:
    shutil.copytree(repo, tmp_path / "before", symlinks=True)
    ids = builder.make_runs(store, 3)
    head = git("rev-parse", "HEAD")
    operations.apply(store, [RefChange(layout.code_ref(head), None, head)], "git track run", 1.0)
    tip = store.refs()[layout.run_ref(ids[0])]
    operations.apply(store, [RefChange(layout.run_ref(ids[0]), tip, None)], "drop", 2.0)
    say(store, [Saying(ids[0], "note", "hm")], AUTHOR)
    git("update-ref", "refs/track-remotes/hub/x", head)
    git("pack-refs", "--all")
    say(store, [Saying(ids[0], "note", "hm")], AUTHOR)
    fresh().close()
    plan = uninstall.plan(store)
    assert plan.counted() == {
        layout.RUNS: 2, layout.CODE: 1, layout.LOG: 1, operations.KEEP: 1, "refs/track-remotes/": 1,
    }  # fmt: skip
    assert plan.folder == os.path.join(store.paths.common_dir, "track")
    assert plan.size > 10_000
    uninstall.remove(store, plan)
    assert not uninstall.plan(store)
    assert git("for-each-ref", "--format=%(refname)") == "refs/heads/main"
    git("gc", "-q", "--prune=now")
    git("gc", "-q", "--prune=now", cwd=tmp_path / "before")
    assert tree(repo) == tree(tmp_path / "before")


def tree(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_nothing_to_remove_is_an_empty_plan(store: Repository) -> None:
    assert not uninstall.plan(store)
    uninstall.remove(store, uninstall.plan(store))


def test_a_run_that_is_going_on_is_in_the_plan(store: Repository) -> None:
    folder = Path(live.folder(store.paths, builder.run_id(0)))
    folder.mkdir(parents=True)
    with (folder / "run.jsonl").open("wb") as held:
        held.write(builder.journal(0, {}, [0.5], status=None))
        fcntl.flock(held, fcntl.LOCK_EX)
        assert uninstall.plan(store).live == (builder.run_id(0),)


def test_settings_of_this_repository_are_named_and_left_alone(store: Repository, git: Callable[..., str]) -> None:
    git("config", "track.large", "2MB")
    builder.make_runs(store, 1)
    plan = uninstall.plan(store)
    assert plan.settings == ("track.large",)
    uninstall.remove(store, plan)
    assert git("config", "track.large") == "2MB"


def test_a_ref_that_moved_since_the_plan_is_not_lost(store: Repository) -> None:
    builder.make_runs(store, 1)
    plan = uninstall.plan(store)
    builder.make_runs(store, 1, first=1)
    uninstall.remove(store, plan)
    assert len(store.refs("refs/track/")) == 1
