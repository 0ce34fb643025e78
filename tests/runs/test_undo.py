"""Every change of refs is written down, survives a crash half way, and can be taken back."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import builder
import pytest

from gittrack import errors
from gittrack.core import layout
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import annotations, live, operations
from gittrack.runs.annotations import Annotations, Author, Saying
from gittrack.runs.folding import Folder
from gittrack.runs.index import Index
from gittrack.runs.operations import DONE, FAILED, INTERRUPTED
from gittrack.runs.undo import undo

Fresh = Callable[[], Index]
NOW = builder.T0 + 1000


def author(command: str = "git track undo", now: float = NOW) -> Author:
    return Author("Ann <ann@example.org>", now, command)


@pytest.fixture
def ids(store: Repository) -> list[str]:
    return builder.make_runs(store, 3)


def make(store: Repository, number: int = 9) -> RefChange:
    """A run whose ref is only just going to be created."""
    (run_id,) = builder.make_runs(store, 1, first=number)
    ref = layout.run_ref(run_id)
    tip = store.refs()[ref]
    store.update_refs([RefChange(ref, tip, None)])
    return RefChange(ref, None, tip)


def test_what_was_done_is_in_the_log(store: Repository) -> None:
    change = make(store)
    op = operations.apply(store, [change], "git track run true", NOW, who="Ann", group="g")
    (entry,) = operations.log(store)
    assert entry == (op, "git track run true", NOW, "Ann", "g", None, (change,), DONE, None, None)


def test_a_conflict_changes_nothing_and_says_so_in_the_log(store: Repository, ids: list[str]) -> None:
    change = RefChange(layout.run_ref(ids[0]), None, store.refs()[layout.run_ref(ids[1])])
    before = store.refs()
    with pytest.raises(errors.RefConflict):
        operations.apply(store, [change], "test", NOW)
    assert store.refs() == before
    assert [entry.outcome for entry in operations.log(store)] == [FAILED]


def test_after_a_crash_the_refs_tell_whether_it_happened(store: Repository, ids: list[str]) -> None:
    tip = store.refs()[layout.run_ref(ids[0])]
    for op, new in (("happened", tip), ("not", "1" * 40)):
        line = {"op": op, "command": "test", "w": NOW, "who": "", "refs": [[layout.run_ref(ids[0]), None, new]]}
        operations._append(store.paths, line)
    assert [entry.outcome for entry in operations.log(store)] == [DONE, INTERRUPTED]


def test_a_torn_line_in_the_log_takes_no_other_with_it(store: Repository) -> None:
    operations.apply(store, [make(store, 8)], "first", NOW)
    with open(operations.path(store.paths), "ab") as log:
        log.write(b'{"op":"torn')
    operations.apply(store, [make(store, 9)], "second", NOW)
    assert [entry.command for entry in operations.log(store)] == ["first", "second"]


def test_without_a_place_for_the_log_nothing_is_changed(store: Repository) -> None:
    change = make(store)
    os.makedirs(operations.path(store.paths))
    with pytest.raises(errors.CannotWrite):
        operations.apply(store, [change], "test", NOW)
    assert change.ref not in store.refs()


def test_an_annotation_is_undone_and_brought_back(store: Repository, fresh: Fresh, ids: list[str]) -> None:
    Annotations(store, fresh(), author("git track rm")).delete(ids[:2])
    assert len(fresh().rows()) == 1
    done = undo(store, author())
    assert "git track rm" in done.what
    assert len(fresh().rows()) == 3
    undo(store, author())
    assert len(fresh().rows()) == 1
    undo(store, author())
    assert len(fresh().rows()) == 3


def test_undoing_an_older_annotation_leaves_the_later_ones(store: Repository, fresh: Fresh, ids: list[str]) -> None:
    Annotations(store, fresh(), author("git track rename")).rename(ids[0], "better")
    Annotations(store, fresh(), author("git track note")).note([ids[0]], "stays")
    first = operations.log(store)[0]
    undo(store, author(), first.id[:6])
    row = fresh().by_id([ids[0]])[0]
    assert (row.name, row.notes) == ("run-0", ["stays"])
    with pytest.raises(errors.UsageError, match="undone already"):
        undo(store, author(), first.id)


def test_a_run_is_undone_as_a_whole_and_survives_gc_until_it_is_wanted_back(
    store: Repository, git: Callable[..., str]
) -> None:
    (run_id,) = builder.write_runs(store, [builder.journal(5, {}, [0.5] * 20)], cuts=3)
    ref = layout.run_ref(run_id)
    tips = git("rev-list", "--reverse", ref).splitlines()
    store.update_refs([RefChange(ref, tips[-1], None)])
    for old, new in zip([None, *tips], tips, strict=False):
        operations.apply(store, [RefChange(ref, old, new)], "git track run python train.py", NOW, group=run_id)
    undo(store, author())
    assert ref not in store.refs()
    git("reflog", "expire", "--expire=now", "--all")
    git("gc", "-q", "--prune=now")
    undo(store, author())
    assert store.refs()[ref] == tips[-1]
    assert git("rev-list", "--reverse", ref).splitlines() == tips
    assert git("fsck", "--strict") == ""


def test_a_run_that_was_folded_is_in_the_log_and_can_be_undone(
    store: Repository, fresh: Fresh, git: Callable[..., str]
) -> None:
    folder = Path(live.folder(store.paths, builder.run_id(0)))
    folder.mkdir(parents=True)
    head = git("rev-parse", "HEAD")
    data = builder.journal(0, {}, [0.5, 0.25], checkpoints=True, snapshot=head, command="python  train.py\n-x")
    (folder / "run.jsonl").write_bytes(data)
    opened = Folder.open(store, str(folder))
    assert opened is not None
    assert opened.finish(NOW)
    opened.close()
    assert {operations.describe(one) for one in operations.log(store)} == {
        f"run python train.py -x ({builder.run_id(0)[:7]})"
    }
    assert operations.log(store)[0].who == "Ann <ann@example.org>"
    undo(store, author())
    assert fresh().rows() == []
    assert store.refs(layout.CODE) == {layout.code_ref(head): head}
    undo(store, author())
    assert [row.status for row in fresh().rows()] == ["completed"]


def test_the_code_of_an_undone_run_stays_because_others_may_share_it(
    store: Repository, git: Callable[..., str]
) -> None:
    head = git("rev-parse", "HEAD")
    code, run = layout.code_ref(head), make(store)
    operations.apply(store, [RefChange(code, None, head), run], "git track run", NOW)
    undo(store, author())
    assert run.ref not in store.refs()
    assert store.refs()[code] == head
    undo(store, author())
    assert store.refs()[run.ref] == run.new


def test_a_ref_that_moved_since_is_not_touched(store: Repository, git: Callable[..., str]) -> None:
    change = make(store)
    operations.apply(store, [change], "git track run", NOW)
    head = git("rev-parse", "HEAD")
    operations.apply(store, [RefChange(change.ref, change.new, head)], "git track recover", NOW)
    with pytest.raises(errors.RefConflict) as raised:
        undo(store, author(), operations.log(store)[0].id)
    assert "moved since by `git track recover" in raised.value.message
    assert operations.log(store)[1].id in raised.value.hint
    git("update-ref", change.ref, git("rev-parse", "HEAD^{tree}"))
    with pytest.raises(errors.RefConflict, match="not by this clone's git track"):
        undo(store, author())


def test_a_run_that_is_still_going_cannot_be_undone(store: Repository) -> None:
    change = make(store)
    run_id = change.ref.rpartition("/")[2]
    operations.apply(store, [change], "git track run", NOW, group=run_id)
    os.makedirs(live.folder(store.paths, run_id))
    with pytest.raises(errors.UsageError, match="still going"):
        undo(store, author())


def test_with_nothing_to_undo_it_says_so(store: Repository) -> None:
    with pytest.raises(errors.RunNotFound, match="nothing to undo"):
        undo(store, author())
    with pytest.raises(errors.RunNotFound, match="no operation 'abc'"):
        undo(store, author(), "abc")


def test_old_operations_expire_with_what_only_they_kept(store: Repository, git: Callable[..., str]) -> None:
    gone, kept = make(store, 8), make(store, 9)
    for change, when in ((gone, NOW), (kept, NOW + 100)):
        operations.apply(store, [change], "make", when)
        operations.apply(store, [RefChange(change.ref, change.new, None)], "drop", when)
    assert set(store.refs(operations.KEEP).values()) == {gone.new, kept.new}
    assert operations.expire(store, NOW + 150, age=100) == 2
    assert set(store.refs(operations.KEEP).values()) == {kept.new}
    assert [entry.command for entry in operations.log(store)] == ["make", "drop"]
    git("gc", "-q", "--prune=now")
    undo(store, author(now=NOW + 140))
    assert store.refs()[kept.ref] == kept.new
    assert operations.expire(store, NOW + 150, age=100) == 0


def test_a_long_log_expires_by_itself(store: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "LONG", 10_000)
    for number in range(100):
        operations.apply(store, [], f"command {number} " + "x" * 100, NOW + number * operations.EXPIRY / 10)
    assert 10 <= len(operations.log(store)) < 60


def test_several_processes_write_the_log_at_once(store: Repository, repo: Path, ids: list[str]) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[2]); import builder; from gittrack.runs import operations\n"
        "store = builder.opened(sys.argv[1])\n"
        "for at in range(50): operations._append(store.paths, {'op': f'{sys.argv[3]}-{at}', 'outcome': 'x' * 3000})\n"
    )
    argv = ["python", "-c", script, str(repo), str(Path(__file__).parent)]
    running = [subprocess.Popen([*argv, str(number)]) for number in range(4)]
    assert [process.wait() for process in running] == [0] * 4
    lines = [json.loads(line) for line in Path(operations.path(store.paths)).read_text().splitlines()]
    assert {line["op"] for line in lines} == {f"{number}-{at}" for number in range(4) for at in range(50)}


def test_an_undo_that_races_with_an_annotation_is_tried_again(store: Repository, fresh: Fresh, ids: list[str]) -> None:
    Annotations(store, fresh(), author("git track tag")).tag([ids[0]], ["good"])
    raced: list[int] = []
    real = annotations.append

    def prepare() -> list[RefChange]:
        change, _ = real(store, [Saying(ids[0], "note", "first")], author())
        if not raced:
            raced.append(1)
            other, _ = real(store, [Saying(ids[0], "note", "second")], author())
            store.update_refs([other])  # by somebody who takes no turns: a push from elsewhere
        return [change]

    annotations.attempt(store, prepare, author())
    assert fresh().by_id([ids[0]])[0].notes == ["second", "first"]
