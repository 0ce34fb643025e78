"""Finished runs moved into the archive of a clone, and read there as they were read before."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import builder
import pytest

from gittrack.core import archive as lines_
from gittrack.core import layout
from gittrack.git import objects
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import archive_trees, archives, archiving, documents, live, operations, writer
from gittrack.runs.annotations import Author

ANN = Author("Ann <ann@example.org>", builder.T0, "archive")


def archived(store: Repository, ids: list[str]) -> archiving.Result:
    return archiving.archive(store, ids, ANN)


def refs_of_archive(store: Repository) -> list[str]:
    return [ref.rpartition("/")[2] for ref in store.refs(layout.ARCHIVE)]


def fsck(repo: Path) -> None:
    done = subprocess.run(["git", "fsck", "--full", "--strict"], cwd=repo, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "missing" not in done.stdout + done.stderr


def test_archived_runs_have_no_refs_and_are_found_with_the_same_tip_and_tree(repo: Path, store: Repository) -> None:
    ids = builder.make_runs(store, 5)
    tips = {run_id: store.refs(layout.run_ref(run_id))[layout.run_ref(run_id)] for run_id in ids}
    before = {run_id: builder.files_of(store, tip) for run_id, tip in tips.items()}

    result = archived(store, ids[:3])

    assert (result.archived, result.there, result.left) == (ids[:3], [], {})
    assert {layout.id_of_ref(ref) for ref in store.refs(layout.RUNS)} == set(ids[3:])
    assert refs_of_archive(store) == ["code", "list", "records"]
    for run_id in ids[:3]:
        place = archives.find(store, run_id)
        assert place is not None
        assert place.tip == tips[run_id]
        assert store.read(place.root)[0] == "tree"
        assert builder.files_of(store, place.root) == before[run_id]
    assert archives.find(store, ids[4]) == archives.Place(tips[ids[4]], tips[ids[4]])
    assert archives.find(store, "0" * 20) is None
    assert archives.archived(store) == {run_id: tips[run_id] for run_id in ids[:3]}
    fsck(repo)


def test_the_list_alone_has_the_documents_of_every_run(store: Repository) -> None:
    ids = builder.write_runs(
        store,
        [
            builder.journal(1, {"lr": float("nan"), "run": {"a": 1}, "\u00fc": "x\ud800"}, [0.5], name='"run":{'),
            builder.journal(2, {}, [], snapshot=None),
            builder.journal(3, {"status": {"source": 1}}, [1e400, 2.0]),
        ],
    )
    rows = {
        run_id: documents.indexed(run_id, tip, next(iter(store.read_files([tip], documents.FILES))))
        for run_id, tip in ((one, store.refs(layout.run_ref(one))[layout.run_ref(one)]) for one in ids)
    }
    files = {row.id: next(iter(store.read_files([row.tip or ""], documents.FILES))) for row in rows.values()}

    archived(store, ids)

    (commit,) = archives.lists(store).values()
    found = list(archives.lines(store, commit))
    assert [line.id for line in found] == ids
    for line in found:
        assert line.files == files[line.id]
        assert repr(documents.indexed(line.id, line.tip, line.files)) == repr(rows[line.id])
        assert [repr(value) for value in line.values] == [
            repr(lines_.codec.loads(data or b"")) for data in line.files[1:]
        ]


def test_history_comes_back_with_the_same_oids(store: Repository) -> None:
    (run_id,) = builder.write_runs(store, [builder.journal(1, {}, [i / 100 for i in range(200)])], cuts=70)
    tip = store.refs(layout.run_ref(run_id))[layout.run_ref(run_id)]
    archived(store, [run_id])

    found = archives.commits(store, run_id)

    assert len(found) == 70
    assert found[-1].oid == tip
    assert all(store.read(one.oid) == (one.kind, one.data) for one in found)
    (records,) = archives.tips(store, archives.RECORDS).values()
    place = layout.archived_tree(run_id, 69)
    assert store.read_path(records, f"{place}/run.json") == store.read_path(tip, "run.json")
    first = objects.parse_commit(found[0].data).tree
    assert store.read_path(records, f"{layout.archived_tree(run_id, 0)}/status.json") == store.read_path(
        first, "status.json"
    )


def test_all_changes_are_one_operation_that_keeps_nothing_beside_the_archive(store: Repository) -> None:
    ids = builder.make_runs(store, 20)
    archived(store, ids)
    (done,) = operations.log(store)
    assert done.outcome == operations.DONE
    assert len(done.changes) == 23
    assert [change.ref.rpartition("/")[2] for change in done.changes[:3]] == ["records", "code", "list"]
    assert store.refs(operations.KEEP) == {}


def test_done_again_nothing_changes(store: Repository) -> None:
    ids = builder.make_runs(store, 4)
    archived(store, ids)
    before = store.refs("refs/track/")
    again = archived(store, ids)
    assert again.done == []
    assert set(again.left) == set(ids)
    assert set(again.left.values()) == {"it is archived already"}
    assert store.refs("refs/track/") == before


def test_a_later_archive_adds_and_keeps_what_was_there(repo: Path, store: Repository) -> None:
    ids = builder.make_runs(store, 30)
    archived(store, ids[:1])
    for at in range(1, 30, 10):
        archived(store, ids[at : at + 10])
    assert list(archives.archived(store)) == ids
    assert all(archives.find(store, run_id) for run_id in ids)
    (tip,) = archives.lists(store).values()
    parents = []
    while tip:
        parents.append(objects.parse_commit(store.read(tip)[1]))
        tip = parents[-1].parents[0] if parents[-1].parents else ""
    assert [commit.message for commit in parents] == [
        "Archive of 30 runs\n", "Archive of 21 runs\n", "Archive of 11 runs\n", "Archive of 1 run\n"
    ]  # fmt: skip
    assert {(commit.author, commit.committed) for commit in parents} == {("gittrack <>", 0)}
    fsck(repo)


def test_a_run_that_goes_on_is_left_alone_and_it_is_said_why(store: Repository) -> None:
    (going,) = builder.write_runs(store, [builder.journal(1, {}, [0.1], status=None)])
    (open_,) = builder.write_runs(store, [builder.journal(2, {}, [0.1])])
    (sound,) = builder.write_runs(store, [builder.journal(3, {}, [0.1])])
    Path(live.folder(store.paths, open_)).mkdir(parents=True)
    builder.record(store, {"format": b"gittrack 9\n"}, layout.run_ref("a" * 20))
    builder.record(store, {"format": b"gittrack 2\n"}, layout.run_ref("b" * 20))

    result = archived(store, [going, open_, sound, "a" * 20, "b" * 20, "c" * 20])

    assert result.archived == [sound]
    assert result.left[going] == "it has not ended"
    assert result.left[open_] == "it is still going"
    assert "format 9" in result.left["a" * 20]
    assert "run.json" in result.left["b" * 20]
    assert result.left["c" * 20] == "there is no such run here"
    assert len(store.refs(layout.RUNS)) == 4


def test_runs_of_one_archive_are_limited_and_the_next_is_begun(
    store: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "FULL", 10)
    monkeypatch.setattr(archiving, "AT_ONCE", 7)
    ids = builder.make_runs(store, 25)
    told: list[int] = []

    result = archiving.archive(store, ids, ANN, told.append)

    assert result.archived == ids
    assert told == [7, 3, 7, 3, 5]
    me = writer.writer_id(store.paths)
    assert [*archives.lists(store)] == [layout.archive_ref(me, number, "list") for number in range(3)]
    assert [len(archives.archived(store, {ref: tip})) for ref, tip in archives.lists(store).items()] == [10, 10, 5]
    assert all(archives.find(store, run_id) for run_id in ids)


@pytest.mark.parametrize("moved", [["records"], ["records", "code"], ["records", "code", "list"]])
def test_refs_moved_half_way_are_completed_by_the_next_archiving(
    repo: Path, store: Repository, moved: list[str]
) -> None:
    ids = builder.make_runs(store, 6)
    archived(store, ids[:2])
    before = store.refs("refs/track/")
    archived(store, ids[2:5])
    after = store.refs("refs/track/")
    back = [
        RefChange(ref, after.get(ref), before.get(ref))
        for ref in {**before, **after}
        if ref.rpartition("/")[2] not in moved and before.get(ref) != after.get(ref)
    ]
    store.update_refs(back)
    assert len(store.refs(layout.RUNS)) == 4

    result = archived(store, ids[2:])

    assert sorted(result.done) == sorted(ids[2:])
    assert result.there == ids[2:5]
    assert sorted(archives.archived(store)) == sorted(ids)
    lines = [line.id for tip in archives.lists(store).values() for line in archives.lines(store, tip)]
    assert sorted(lines) == sorted(ids)
    assert store.refs(layout.RUNS) == {}
    counted = {**archives.lists(store), **archives.tips(store, archives.RECORDS)}
    assert {archive_trees.count_of(store, tip) for tip in counted.values()} == {6}
    fsck(repo)


def test_what_another_writers_archive_has_is_not_put_into_mine(store: Repository, git: Callable[..., str]) -> None:
    ids = builder.make_runs(store, 3)
    tips = store.refs(layout.RUNS)
    archived(store, ids[:2])
    me = writer.writer_id(store.paths)
    for part in ("list", "records", "code"):
        ref = layout.archive_ref(me, 0, part)
        git("update-ref", layout.archive_ref("ab" * 8, 0, part), ref)
        git("update-ref", "-d", ref)
    for ref, tip in tips.items():
        git("update-ref", ref, tip)

    result = archived(store, ids)

    assert (result.archived, result.there) == (ids[2:], ids[:2])
    assert store.refs(layout.RUNS) == {}
    mine = {layout.archive_ref(me, 0, "list"): store.refs(layout.ARCHIVE)[layout.archive_ref(me, 0, "list")]}
    assert list(archives.archived(store, mine)) == ids[2:]
    assert set(archives.archived(store)) == set(ids)


def test_a_run_that_only_a_list_names_is_found_there(store: Repository, git: Callable[..., str]) -> None:
    ids = builder.make_runs(store, 40)
    archived(store, ids)
    places = {run_id: archives.find(store, run_id) for run_id in ids}
    me = writer.writer_id(store.paths)
    git("update-ref", "-d", layout.archive_ref(me, 0, "records"))
    assert {run_id: archives.find(store, run_id) for run_id in ids} == places
    assert archives.commits(store, ids[0]) == []


def test_purged_and_damaged_lines_hide_no_other(store: Repository) -> None:
    ids = builder.make_runs(store, 3)
    archived(store, ids)
    (tip,) = archives.lists(store).values()
    lines = b"".join(archives.list_segments(store, tip)).splitlines(keepends=True)
    purged = b'{"id":"%s","purged":true,"tip":"%s"}\n' % (ids[0].encode(), b"a" * 40)
    spaced = lines[1].replace(b'{"code":', b'{ "code": ', 1)
    data = purged + b"\xff{]\n" + b"[" * 100_000 + b"\n" + spaced + lines[2] + lines[2][:50]

    assert [line.id for line in archives.lines_of_segment(data)] == ids[1:]
    assert [line.files for line in archives.lines_of_segment(spaced)] == [
        line.files for line in archives.lines_of_segment(lines[1])
    ]
    assert [one[::2] for one in lines_.tips(data)] == [(ids[0], True), (ids[1], False), (ids[2], False)]
    assert lines_.line_of(data, ids[0]) is None
    assert lines_.line_of(data, ids[2]) == next(lines_.lines(lines[2]))


def test_an_archive_whose_records_somebody_deleted_is_not_gone_on_with(
    store: Repository, git: Callable[..., str]
) -> None:
    ids = builder.make_runs(store, 4)
    archived(store, ids[:2])
    before = archives.lists(store)
    git("update-ref", "-d", next(iter(archives.tips(store, archives.RECORDS))))
    archived(store, ids[2:])
    assert before.items() <= archives.lists(store).items()
    assert [ref.split("/")[-2] for ref in archives.lists(store)] == ["0", "1"]
    assert set(archives.archived(store)) == set(ids)
    assert all(archives.commits(store, run_id) for run_id in ids[2:])


def test_archives_of_others_whose_records_are_not_all_here_keep_nobody_from_archiving(
    store: Repository, repo: Path, git: Callable[..., str]
) -> None:
    ids = builder.make_runs(store, 2)
    for number, part in enumerate((archives.RECORDS, archives.CODE)):
        ref = repo / ".git" / layout.archive_ref("b" * 16, number, part)
        ref.parent.mkdir(parents=True)
        ref.write_text("1" * 40 + "\n")
    head = git("rev-parse", "HEAD")
    ids += builder.write_runs(store, [builder.journal(9, {}, [0.5], snapshot=head)])
    assert archived(builder.opened(repo), ids).archived == ids
    assert set(archives.archived(builder.opened(repo))) == set(ids)
