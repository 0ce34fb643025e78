"""The whole layer once more where libgit2 cannot go, and in a bare repository."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import builder
import pytest

from gittrack.core import layout
from gittrack.git.repository import Repository
from gittrack.runs import archives, archiving, operations, reader, unarchiving, uninstall
from gittrack.runs.annotations import Annotations, Author
from gittrack.runs.doctor import examine
from gittrack.runs.findings import ERROR, WARNING, Patient
from gittrack.runs.index import open_index
from gittrack.runs.undo import undo

AUTHOR = Author("Ann <ann@example.org>", builder.T0, "git track test")


@pytest.fixture(params=["cli", "sha256", "bare"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Repository]:
    path = tmp_path / "there"
    args = {"cli": [], "sha256": ["--object-format=sha256"], "bare": ["--bare"]}[request.param]
    subprocess.run(["git", "init", "-q", *args, str(path)], check=True)
    opened = builder.opened(path, "cli" if request.param == "cli" else "auto")
    yield opened
    opened.close()


def test_runs_are_listed_read_annotated_undone_examined_and_removed(kind: Repository) -> None:
    ids = builder.make_runs(kind, 12)
    index = open_index(kind.paths)
    index.refresh(lambda: kind)
    assert [row.id for row in index.rows()] == ids[::-1]
    record = reader.read(kind, ids[0])
    assert len(reader.series(kind, record, "loss")) == 5
    assert Annotations(kind, index, AUTHOR).tag(ids[:2], ["good"]) == 2
    index.refresh(lambda: kind)
    assert index.by_id(ids[:1])[0].tags == ["good"]
    undo(kind, AUTHOR)
    index.refresh(lambda: kind)
    assert index.by_id(ids[:1])[0].tags == []
    environ = {"PATH": "/usr/bin:/bin"}
    assert [finding for finding in examine(Patient(kind, environ)) if finding.level in (WARNING, ERROR)] == []
    assert len(operations.log(kind)) == 2
    uninstall.remove(kind, uninstall.plan(kind))
    assert kind.refs("refs/track") == {}
    assert index.count() == 12
    index.refresh(lambda: kind)
    assert index.count() == 0
    index.close()


def test_runs_are_archived_read_undone_and_unarchived(kind: Repository) -> None:
    ids = builder.make_runs(kind, 20)
    before = kind.refs(layout.RUNS)
    archived = archiving.archive(kind, ids, AUTHOR)
    assert (archived.archived, archived.left) == (ids, {})
    assert kind.refs(layout.RUNS) == {}
    assert list(archives.archived(kind)) == ids
    record = reader.read(kind, ids[0])
    assert record.tip == before[layout.run_ref(ids[0])]
    assert len(reader.series(kind, record, "loss")) == 5
    index = open_index(kind.paths)
    index.refresh(lambda: kind)
    assert [row.id for row in index.rows()] == ids[::-1]
    undo(kind, AUTHOR)
    assert kind.refs(layout.RUNS) == before
    archiving.archive(kind, ids, AUTHOR)
    kind.git.run("gc", "-q", "--prune=now")
    later = builder.opened(Path(kind.paths.worktree or kind.paths.git_dir))  # whoever opened a pack before still has it
    assert unarchiving.unarchive(later, ids, AUTHOR).done == ids
    assert later.refs(layout.RUNS) == before
    index.refresh(lambda: later)
    assert [row.id for row in index.rows()] == ids[::-1]
    index.close()
    later.git.run("fsck", "--strict")
    later.close()
