"""Annotations in real repositories: said, read back by the index, said in several places at once."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import builder
import pytest

from gittrack import errors
from gittrack.core import layout
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import annotations, history, logs, writer
from gittrack.runs.annotations import Annotations, Author, Saying
from gittrack.runs.index import Index, open_index

Fresh = Callable[[], Index]
NOW = builder.T0 + 1000


def author(command: str = "git track …", now: float = NOW) -> Author:
    return Author("Ann <ann@example.org>", now, command)


def on(store: Repository, fresh: Fresh) -> Annotations:
    return Annotations(store, fresh(), author())


@pytest.fixture
def ids(store: Repository) -> list[str]:
    """Two runs without an experiment and two of `e`; the first one has a name, tags and a note from its start."""
    return builder.write_runs(
        store,
        [
            builder.journal(0, {}, [0.1], name="base", tags=["a", "b"], note="at the start"),
            builder.journal(1, {}, [0.2]),
            builder.journal(2, {}, [0.3], experiment="e"),
            builder.journal(3, {}, [0.4], experiment="e"),
        ],
    )


def test_names_tags_and_notes_are_seen_at_the_next_refresh(store: Repository, fresh: Fresh, ids: list[str]) -> None:
    assert on(store, fresh).rename(ids[0], "better") == 1
    assert on(store, fresh).tag(ids[:2], ["good", "a"]) == 2
    assert on(store, fresh).untag(ids[:1], ["b", "good"]) == 1
    assert on(store, fresh).note([ids[0]], "größer\nand longer") == 1
    row = fresh().by_id([ids[0]])[0]
    assert (row.name, row.tags, row.notes) == ("better", ["a"], ["at the start", "größer\nand longer"])
    assert fresh().by_id([ids[1]])[0].tags == ["good", "a"]


def test_what_is_so_already_is_not_said_again(store: Repository, fresh: Fresh, ids: list[str]) -> None:
    before = store.refs()
    assert on(store, fresh).rename(ids[0], "base") == 0
    assert on(store, fresh).tag([ids[0]], ["a"]) == 0
    assert on(store, fresh).restore(ids) == 0
    assert store.refs() == before


def test_a_name_is_given_once_unless_forced(store: Repository, fresh: Fresh, ids: list[str]) -> None:
    with pytest.raises(errors.UsageError) as raised:
        on(store, fresh).rename(ids[1], "base")
    assert "--force" in raised.value.hint
    assert on(store, fresh).rename(ids[1], "base", force=True) == 1
    assert on(store, fresh).rename(ids[1], None) == 1
    assert fresh().by_id([ids[1]])[0].name is None


@pytest.mark.parametrize("name", ["cafe", "latest", "a@1"])
def test_a_name_that_cannot_be_selected_is_refused(name: str, store: Repository, fresh: Fresh, ids: list[str]) -> None:
    with pytest.raises(errors.UsageError):
        on(store, fresh).rename(ids[0], name)


def test_a_tag_that_is_not_there_cannot_be_taken_away(store: Repository, fresh: Fresh, ids: list[str]) -> None:
    with pytest.raises(errors.UsageError) as raised:
        on(store, fresh).untag([ids[0]], ["c"])
    assert "a, b" in raised.value.hint


def test_one_baseline_per_experiment(store: Repository, fresh: Fresh, ids: list[str]) -> None:
    for run_id in (ids[0], ids[2], ids[3]):
        on(store, fresh).baseline(run_id)
    assert [row.id for row in fresh().rows(sort="created") if row.baseline] == [ids[0], ids[3]]
    on(store, fresh).baseline(ids[3], False)
    assert [row.id for row in fresh().rows() if row.baseline] == [ids[0]]
    store.update_refs([RefChange(layout.run_ref(ids[0]), store.refs()[layout.run_ref(ids[0])], None)])
    assert [row.id for row in fresh().rows() if row.baseline] == []


def test_a_deleted_run_is_hidden_and_can_be_restored(store: Repository, fresh: Fresh, ids: list[str]) -> None:
    assert on(store, fresh).delete(ids[:2]) == 2
    assert [row.id for row in fresh().rows()] == [ids[3], ids[2]]
    assert [row.id for row in fresh().rows(deleted=True)] == ids[::-1]
    assert (fresh().count(), fresh().count(deleted=True)) == (2, 4)
    assert on(store, fresh).restore([ids[1]]) == 1
    assert on(store, fresh).archive([ids[2]]) == 1
    assert [row.id for row in fresh().rows()] == [ids[3], ids[2], ids[1]]  # archived runs are not hidden
    assert set(store.refs(layout.RUNS)) == {layout.run_ref(run_id) for run_id in ids}


def test_the_log_is_readable_with_plain_git(
    store: Repository, fresh: Fresh, ids: list[str], git: Callable[..., str]
) -> None:
    on(store, fresh).tag([ids[0]], ["good"])
    on(store, fresh).note([ids[0]], "hm")
    ref = layout.log_ref(writer.writer_id(store.paths))
    assert git("log", "--format=%s %an <%ae>", ref).splitlines() == [
        f"note {ids[0][:7]} hm Ann <ann@example.org>",
        f"tag {ids[0][:7]} good Ann <ann@example.org>",
    ]
    assert git("show", f"{ref}:format") == "gittrack 1"
    lines = git("show", f"{ref}:ops/000/00.jsonl").splitlines()
    assert [line.partition(",")[0] for line in lines] == ['{"clock":1', '{"clock":2']
    assert "error" not in git("fsck", "--strict")


def test_history_tells_who_said_what(store: Repository, fresh: Fresh, ids: list[str]) -> None:
    on(store, fresh).tag([ids[0]], ["good"])
    on(store, fresh).note([ids[1]], "other run")
    assert [(op.op, op.value, op.who, op.when) for op, *_ in history.of_run(store, ids[0])] == [
        ("tag", "good", "Ann <ann@example.org>", NOW)
    ]


def test_a_long_log_grows_by_segments_and_is_read_whole(store: Repository, fresh: Fresh, ids: list[str]) -> None:
    for part in range(60):
        annotations.say(store, [Saying(ids[0], "note", f"{part}-{at} " + "x" * 200) for at in range(20)], author())
        if part == 30:
            assert len(fresh().by_id([ids[0]])[0].notes) == 31 * 20 + 1
    notes = fresh().by_id([ids[0]])[0].notes
    assert [note.partition(" ")[0] for note in notes[1:]] == [f"{part}-{at}" for part in range(60) for at in range(20)]
    file = Path(store.paths.common_dir, "track", "index.sqlite")
    file.unlink()
    assert fresh().by_id([ids[0]])[0].notes == notes


SAY = """
import os, sys
sys.path.insert(0, sys.argv[2])
import builder
from gittrack.runs.annotations import Author, Saying, say
store = builder.opened(sys.argv[1])
for at in range(8):
    say(store, [Saying(sys.argv[3], "note", f"{sys.argv[4]}-{at}")], Author("A <a@b>", 1.0, "test"))
"""


def test_several_terminals_annotate_at_once_and_nothing_is_lost(
    store: Repository, fresh: Fresh, ids: list[str], repo: Path
) -> None:
    writer.writer_id(store.paths)
    argv = [sys.executable, "-c", SAY, str(repo), str(Path(__file__).parent), ids[1]]
    running = [subprocess.Popen([*argv, str(number)]) for number in range(12)]  # more than there are tries
    assert [process.wait() for process in running] == [0] * 12
    notes = fresh().by_id([ids[1]])[0].notes
    assert sorted(notes) == sorted(f"{number}-{at}" for number in range(12) for at in range(8))
    assert len(logs.tips(store)) == 1


def test_a_copied_clone_takes_a_new_writer_id_and_both_go_on(
    store: Repository, fresh: Fresh, ids: list[str], repo: Path, tmp_path: Path
) -> None:
    on(store, fresh).note([ids[1]], "before the copy")
    subprocess.run(["cp", "-r", str(repo), str(tmp_path / "copy")], check=True)
    copy = builder.opened(tmp_path / "copy")
    assert writer.known(copy.paths) is None
    index = open_index(copy.paths)
    index.refresh(lambda: copy)
    Annotations(copy, index, author(now=NOW + 1)).note([ids[1]], "in the copy")
    on(store, fresh).note([ids[1]], "in the original")
    assert writer.known(copy.paths) != writer.known(store.paths)
    assert len(logs.tips(copy)) == 2
    subprocess.run(
        ["git", "-C", str(repo), "fetch", "-q", str(tmp_path / "copy"), "refs/track/log/*:refs/track/log/*"],
        check=False,
    )
    notes = fresh().by_id([ids[1]])[0].notes
    assert notes[0] == "before the copy"
    assert set(notes[1:]) == {"in the copy", "in the original"}
    index.close()
    copy.close()


def test_a_restored_backup_takes_a_new_writer_id(store: Repository, repo: Path, tmp_path: Path) -> None:
    mine = writer.writer_id(store.paths)
    assert writer.writer_id(store.paths) == mine
    subprocess.run(["cp", "-r", str(repo), str(tmp_path / "backup")], check=True)
    shutil.rmtree(repo)
    subprocess.run(["cp", "-r", str(tmp_path / "backup"), str(repo)], check=True)
    assert writer.writer_id(store.paths) != mine


def test_a_linked_worktree_is_the_same_writer(store: Repository, git: Callable[..., str], tmp_path: Path) -> None:
    git("worktree", "add", "-q", str(tmp_path / "linked"), "--detach")
    linked = builder.opened(tmp_path / "linked")
    assert writer.writer_id(linked.paths) == writer.writer_id(store.paths)
    linked.close()


def test_a_clone_used_from_two_places_keeps_an_id_for_each(store: Repository, tmp_path: Path) -> None:
    mine = writer.writer_id(store.paths)
    elsewhere = tmp_path / "mounted"
    elsewhere.symlink_to(store.paths.common_dir)
    mounted = store.paths._replace(common_dir=str(elsewhere))
    other = writer.writer_id(mounted)
    assert other != mine
    assert (writer.writer_id(store.paths), writer.writer_id(mounted)) == (mine, other)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"file":0,"bindings":[]}', b"\xff\xff"])
def test_a_damaged_writer_file_is_made_anew(data: bytes, store: Repository) -> None:
    mine = writer.writer_id(store.paths)
    Path(writer.path(store.paths)).write_bytes(data)
    assert writer.writer_id(store.paths) != mine


def test_a_log_of_a_newer_version_hides_no_runs_and_is_not_written_to(
    store: Repository, fresh: Fresh, ids: list[str]
) -> None:
    on(store, fresh).note([ids[1]], "hm")
    ref = layout.log_ref(writer.writer_id(store.paths))
    old = store.refs()[ref]
    builder.record(store, {"format": b"gittrack 2\n"}, ref, old)
    assert len(fresh().rows()) == 4
    with pytest.raises(errors.NewerFormat):
        on(store, fresh).note([ids[1]], "again")


def test_tombstones_are_read_without_decoding_the_rest(store: Repository, ids: list[str]) -> None:
    annotations.say(store, [Saying(one, "note", 'it was "purged" they say') for one in ids], author())
    assert logs.tombstones(store) == (frozenset(), frozenset())
    tip = store.refs(layout.run_ref(ids[0]))[layout.run_ref(ids[0])]
    annotations.say(store, [Saying(ids[0], "purged", [tip])], author())
    assert logs.tombstones(store) == ({ids[0]}, {tip})
    assert logs.tombstones(store, {}) == (frozenset(), frozenset())
    assert logs.tombstones(store, logs.tips(store)) == ({ids[0]}, {tip})


def test_a_clone_that_takes_a_new_id_keeps_it_from_all_its_places(store: Repository) -> None:
    before = writer.writer_id(store.paths)
    new = writer.renew(store.paths)
    assert new != before
    assert writer.writer_id(store.paths) == writer.known(store.paths) == new
