"""Real clones whose people annotate the same runs offline, and exchange their logs by plain git at odd moments."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import builder
import hypothesis
import pytest
from hypothesis import strategies as st

from gittrack import errors
from gittrack.git.repository import Repository
from gittrack.runs import logs, undo, writer
from gittrack.runs.annotations import Annotations, Author
from gittrack.runs.index import open_index

RUNS = 3
YEARS = st.sampled_from([1.0, 1.0e9, 1.7e9, 4.0e9])
CLONES = st.integers(0, 2)
ACTIONS = st.one_of(
    st.tuples(CLONES, st.sampled_from(["push", "fetch", "look"]), st.just(0), st.just(None), YEARS),
    st.tuples(CLONES, st.sampled_from(["tag", "untag"]), st.integers(0, 2), st.sampled_from(["a", "b"]), YEARS),
    st.tuples(CLONES, st.just("name"), st.integers(0, 2), st.sampled_from([None, "wide", "deep"]), YEARS),
    st.tuples(CLONES, st.just("note"), st.integers(0, 2), st.sampled_from(["good", "bad"]), YEARS),
    st.tuples(CLONES, st.sampled_from(["baseline", "deleted"]), st.integers(0, 2), st.booleans(), YEARS),
    st.tuples(CLONES, st.just("undo"), st.just(0), st.just(None), YEARS),
)


def plain(where: Path, *args: str) -> None:
    subprocess.run(["git", "-C", str(where), *args], check=True, capture_output=True)


@contextlib.contextmanager
def team() -> Iterator[tuple[list[Path], list[str]]]:
    with tempfile.TemporaryDirectory() as folder:
        origin, first = Path(folder, "origin.git"), Path(folder, "0")
        subprocess.run(["git", "init", "-q", "--bare", str(origin)], check=True)
        subprocess.run(["git", "init", "-q", str(first)], check=True)
        store = builder.opened(first)
        ids = builder.write_runs(
            store, [builder.journal(n, {}, [0.1], tags=["a"], experiment="e") for n in range(RUNS)]
        )
        store.close()
        plain(first, "remote", "add", "origin", str(origin))
        plain(first, "push", "-q", "origin", "refs/track/runs/*:refs/track/runs/*")
        for number in (1, 2):
            subprocess.run(["git", "clone", "-q", str(origin), f"{folder}/{number}"], check=True, capture_output=True)
            plain(Path(folder, str(number)), "fetch", "-q", "origin", "refs/track/runs/*:refs/track/runs/*")
        yield [Path(folder, str(number)) for number in range(3)], ids


def act(where: Path, kind: str, run: str, value: Any, now: float) -> None:
    if kind == "fetch":
        return plain(where, "fetch", "-q", "origin", "refs/track/log/*:refs/track/log/*")
    store = builder.opened(where)
    try:
        if kind == "push":
            if (me := writer.known(store.paths)) in logs.tips(store):
                plain(where, "push", "-q", "origin", f"refs/track/log/{me}")
            return None
        return say(store, kind, run, value, now)
    finally:
        store.close()


def say(store: Repository, kind: str, run: str, value: Any, now: float) -> None:
    author = Author("Somebody <some@example.org>", now, f"git track {kind}")
    index = open_index(store.paths)
    try:
        index.refresh(lambda: store)
        on = Annotations(store, index, author)
        with contextlib.suppress(errors.UsageError, errors.RunNotFound, errors.RefConflict):  # nothing to take away
            if kind == "tag":
                on.tag([run], [value])
            elif kind == "untag":
                on.untag([run], [value])
            elif kind == "name":
                on.rename(run, value, force=True)
            elif kind == "note":
                on.note([run], value)
            elif kind == "baseline":
                on.baseline(run, value)
            elif kind == "deleted":
                on.delete([run]) if value else on.restore([run])
            elif kind == "undo":
                undo.undo(store, author)
    finally:
        index.close()


def seen(where: Path) -> list[tuple[Any, ...]]:
    store = builder.opened(where)
    index = open_index(store.paths)
    try:
        index.refresh(lambda: store)
        rows = index.rows(deleted=True)
        return [(row.id, row.name, row.tags, row.notes, row.deleted, row.baseline) for row in rows]
    finally:
        index.close()
        store.close()


@hypothesis.settings(max_examples=4, phases=[hypothesis.Phase.generate])
@hypothesis.given(st.lists(ACTIONS, min_size=6, max_size=12))
def test_clones_that_exchange_their_logs_by_plain_git_see_the_same(story: list[tuple[Any, ...]]) -> None:
    with team() as (clones, ids):
        for who, kind, run, value, now in story:
            act(clones[who], kind, ids[run], value, now)
        for where in clones:
            act(where, "push", ids[0], None, 0.0)
        for where in clones:
            act(where, "fetch", ids[0], None, 0.0)
        first, *others = map(seen, clones)
        assert others == [first, first]
        for where in clones:
            subprocess.run(["git", "-C", str(where), "fsck", "--strict"], check=True, capture_output=True)


@pytest.mark.parametrize("late", ["ann", "bob"])
def test_two_people_edit_one_run_offline_and_both_are_heard(late: str) -> None:
    with team() as ((ann, bob, _), ids):
        years = {"ann": 1.0e9, "bob": 4.0e9} if late == "bob" else {"ann": 4.0e9, "bob": 1.0e9}
        for who, where in (("ann", ann), ("bob", bob)):
            act(where, "tag", ids[0], who, years[who])
            act(where, "note", ids[0], f"{who} was here", years[who])
        act(ann, "untag", ids[0], "a", years["ann"])
        act(bob, "tag", ids[0], "a", years["bob"])
        for kind in ("push", "fetch"):
            for where in (ann, bob):
                act(where, kind, ids[0], None, 0.0)
        assert seen(ann) == seen(bob)
        (row,) = [row for row in seen(ann) if row[0] == ids[0]]
        assert sorted(row[2]) == ["ann", "bob"], "bob had the tag from the start: he said nothing new"
        assert sorted(row[3]) == ["ann was here", "bob was here"]
