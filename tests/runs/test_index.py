"""The index says what the refs say, whatever became of its file."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import builder
import pytest

from gittrack.core import codec, layout
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import index as module
from gittrack.runs.index import Index, open_index

Fresh = Callable[[], Index]


def file_of(store: Repository) -> Path:
    return Path(store.paths.common_dir, "track", "index.sqlite")


def never() -> Repository:
    raise AssertionError("the repository was opened")


def test_a_row_says_what_the_record_says(store: Repository, fresh: Fresh) -> None:
    data = builder.journal(
        0, {"lr": 0.1, "nest": {"a": [1, None]}, "raw": b"\xff"}, [0.5, float("nan"), 0.25], checkpoints=True,
        name="first", tags=["a", "b"], note="hello", experiment="e", snapshot="5" * 40,
    )  # fmt: skip
    (run_id,) = builder.write_runs(store, [data])
    row = fresh().row(run_id)
    assert row is not None
    assert (row.id, row.tip) == (run_id, store.refs()[layout.run_ref(run_id)])
    assert (row.name, row.experiment, row.tags, row.notes) == ("first", "e", ["a", "b"], ["hello"])
    assert (row.status, row.created, row.user, row.host, row.snapshot) == (
        "completed",
        builder.T0,
        "Ann",
        "box",
        "5" * 40,
    )
    assert row.params == {"lr": 0.1, "nest": {"a": [1, None]}, "raw": b"\xff"}
    assert row.metrics["loss"]["best"] == 0.25
    assert row.metrics["loss"]["last_step"] == 2
    assert row.primary == ("loss", "minimize")
    assert (row.checkpoints, row.points, row.live, row.deleted) == (3, 6, False, False)
    assert row.best_checkpoint == {"metric": "loss", "step": 2, "value": 0.25}


def test_a_nan_stays_a_nan(store: Repository, fresh: Fresh) -> None:
    (run_id,) = builder.write_runs(store, [builder.journal(0, {"x": float("-inf")}, [0.5, float("nan")])])
    row = fresh().by_id([run_id])[0]
    assert row.metrics["loss"]["last"] != row.metrics["loss"]["last"]
    assert row.params["x"] == float("-inf")


def test_an_unchanged_repository_is_not_opened(store: Repository, fresh: Fresh) -> None:
    ids = builder.make_runs(store, 3)
    settle(store)
    fresh()
    again = open_index(store.paths)
    again.refresh(never)
    assert [row.id for row in again.rows()] == ids[::-1]
    again.close()


def settle(store: Repository) -> None:
    """Make every ref look old: a stamp taken in the moment of a change is not trusted."""
    for directory, names, files in os.walk(store.paths.common_dir):
        for name in [*names, *files]:
            os.utime(os.path.join(directory, name), (1e9, 1e9))


def test_new_moved_and_deleted_refs_are_seen(store: Repository, fresh: Fresh) -> None:
    first, second = builder.make_runs(store, 2)
    assert [row.id for row in fresh().rows()] == [second, first]
    (third,) = builder.make_runs(store, 1, first=2)
    old = store.refs()[layout.run_ref(first)]
    files = builder.files_of(store, old)
    files["status.json"] = files["status.json"].replace(b"completed", b"failed")
    builder.record(store, files, layout.run_ref(first), old)
    store.update_refs([RefChange(layout.run_ref(second), store.refs()[layout.run_ref(second)], None)])
    assert [(row.id, row.status) for row in fresh().rows()] == [(third, "completed"), (first, "failed")]


def test_packing_the_refs_changes_nothing(store: Repository, fresh: Fresh, git: Callable[..., str]) -> None:
    ids = builder.make_runs(store, 5)
    fresh()
    git("pack-refs", "--all", "--prune")
    assert [row.id for row in fresh().rows()] == ids[::-1]


def test_sorting_limits_and_states(store: Repository, fresh: Fresh) -> None:
    builder.write_runs(
        store,
        [
            builder.journal(
                n, {}, [0.1] * (4 - n), name=f"n{3 - n}" if n else None, status="failed" if n == 2 else "completed"
            )
            for n in range(4)
        ],
    )
    index = fresh()
    assert [row.name for row in index.rows(limit=2)] == ["n0", "n1"]
    assert [row.name for row in index.rows(sort="name")] == ["n0", "n1", "n2", None]
    assert [row.name for row in index.rows(sort="name-desc")] == ["n2", "n1", "n0", None]
    assert [row.name for row in index.rows(sort="duration")] == ["n0", "n1", "n2", None]
    assert [row.name for row in index.rows(status="failed")] == ["n1"]
    assert [row.name for row in index.rows(lambda row: row.name != "n0", limit=1)] == ["n1"]
    assert index.count() == 4
    with pytest.raises(ValueError, match="cannot sort"):
        index.rows(sort="name; DROP TABLE runs")


def test_a_plain_listing_may_do_without_the_metrics_that_it_does_not_show(store: Repository, fresh: Fresh) -> None:
    more = [{"m": {"system/cpu": 0.5}, "s": 1, "t": 0, "w": 0}]
    builder.write_runs(store, [builder.journal(n, {}, [0.1], more=more) for n in range(2)])
    assert [set(row.metrics) for row in fresh().rows(all_metrics=False)] == [{"loss"}] * 2
    assert [set(row.metrics) for row in fresh().rows()] == [{"loss", "val/acc", "system/cpu"}] * 2
    other = builder.journal(2, {}, [0.1], more=more).replace(b'"goals":{"loss"', b'"goals":{"val/acc"')
    builder.write_runs(store, [other])
    assert [set(row.metrics) for row in fresh().rows(all_metrics=False, limit=2)] == [
        {"loss", "val/acc", "system/cpu"}
    ] * 2
    third = builder.journal(3, {}, [0.1], more=more).replace(b'"goals":{"loss":"minimize"}', b'"goals":{}')
    builder.write_runs(store, [third])
    assert set(fresh().rows(all_metrics=False, limit=1)[0].metrics) == {"loss", "val/acc"}


def test_one_damaged_and_one_newer_record_do_not_hide_the_others(store: Repository, fresh: Fresh) -> None:
    good, damaged, newer, foreign, odd = builder.make_runs(store, 5)
    for run_id, path, data in (
        (damaged, "summary.json", b"{"),
        (newer, "format", b"gittrack 3\n"),
        (foreign, "run.json", codec.dumps({"id": good})),
        (odd, "status.json", codec.dumps({"status": ["completed"]})),
    ):
        ref = layout.run_ref(run_id)
        old = store.refs()[ref]
        builder.record(store, {**builder.files_of(store, old), path: data}, ref, old)
    states = {row.id: row.status for row in fresh().rows()}
    assert states == {good: "completed", damaged: "damaged", newer: "newer", foreign: "damaged", odd: "damaged"}
    row = fresh().row(damaged)
    assert row is not None
    assert "summary.json of refs/track/runs/" in (row.reason or "")


def test_fields_that_this_version_does_not_know_do_no_harm(store: Repository, fresh: Fresh) -> None:
    (run_id,) = builder.make_runs(store, 1)
    ref = layout.run_ref(run_id)
    old = store.refs()[ref]
    files = builder.files_of(store, old)
    files["run.json"] = codec.dumps({**codec.loads(files["run.json"]), "later": {"x": 1}})
    builder.record(store, files, ref, old)
    assert fresh().rows()[0].status == "completed"


def test_names_that_are_not_valid_unicode_are_listed(store: Repository, fresh: Fresh) -> None:
    (run_id,) = builder.make_runs(store, 1)
    ref = layout.run_ref(run_id)
    old = store.refs()[ref]
    files = builder.files_of(store, old)
    files["run.json"] = files["run.json"].replace(b'"name":"run-0"', b'"name":"\\ud800-run"')
    builder.record(store, files, ref, old)
    assert fresh().rows()[0].name == "?-run"


# What may become of the file


def spoil_with_garbage(file: Path) -> None:
    file.write_bytes(os.urandom(5000))


def spoil_by_cutting(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def spoil_by_emptying(file: Path) -> None:
    os.truncate(file, 0)


def spoil_the_version(file: Path) -> None:
    run_sql(file, "PRAGMA user_version = 99")


def spoil_the_tables(file: Path) -> None:
    run_sql(file, "DROP TABLE meta")


def spoil_the_json(file: Path) -> None:
    run_sql(file, "UPDATE runs SET params = '{'")


def spoil_the_middle(file: Path) -> None:
    with file.open("r+b") as opened:
        for page in range(1, file.stat().st_size // 4096):
            opened.seek(page * 4096)
            opened.write(b"\xff" * 64)


def spoil_by_a_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def run_sql(file: Path, statement: str) -> None:
    db = sqlite3.connect(file)
    db.execute(statement)
    db.commit()
    db.close()


@pytest.mark.parametrize(
    "spoil",
    [spoil_with_garbage, spoil_by_cutting, spoil_by_emptying, spoil_the_version, spoil_the_tables, spoil_the_json,
     spoil_the_middle, spoil_by_a_directory, Path.unlink],
)  # fmt: skip
def test_a_file_that_is_of_no_use_costs_time_only(
    spoil: Callable[[Path], None], store: Repository, fresh: Fresh
) -> None:
    ids = builder.make_runs(store, 60)
    fresh().close()
    spoil(file_of(store))
    for _ in range(2):
        index = fresh()
        assert [row.id for row in index.rows()] == ids[::-1]
        assert [one[0] for one in index.brief()] == ids[::-1]
        index.close()


def test_a_locked_file_is_not_waited_for(store: Repository, fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = builder.make_runs(store, 2)
    fresh().close()
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    holder = sqlite3.connect(file_of(store), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    index = fresh()
    assert [row.id for row in index.rows()] == ids[::-1]
    assert "locked" in (index.problem or "")
    holder.close()
    assert fresh().problem is None


def test_a_read_only_repository_is_listed(store: Repository, fresh: Fresh, repo: Path) -> None:
    first = builder.make_runs(store, 2)
    fresh().close()
    more = builder.make_runs(store, 2, first=2)
    with as_somebody_who_may_not_write(repo):
        listed = subprocess.run(lister(repo, "nobody"), check=True, stdout=subprocess.PIPE, text=True).stdout.split()
        assert listed == (first + more)[::-1]


def test_what_a_read_only_file_holds_is_not_read_again(
    store: Repository, fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = builder.make_runs(store, 5)
    fresh().close()
    ids += builder.make_runs(store, 1, first=5)
    real = module._connect

    def read_only(path: str) -> sqlite3.Connection:
        db = real(path)
        db.execute(f"PRAGMA query_only = {int(path != ':memory:')}")
        return db

    monkeypatch.setattr(module, "_connect", read_only)
    read: list[str] = []
    wanted = store.read_files
    monkeypatch.setattr(store, "read_files", lambda commits, paths: read.extend(commits) or wanted(commits, paths))
    index = fresh()
    assert [row.id for row in index.rows()] == ids[::-1]
    assert "readonly" in (index.problem or "")
    assert len(read) == 2  # the new one, once before it was known that it could not be stored


def test_a_repository_in_which_nothing_may_be_made_is_listed(store: Repository, repo: Path) -> None:
    ids = builder.make_runs(store, 2)
    with as_somebody_who_may_not_write(repo):
        listed = subprocess.run(lister(repo, "nobody"), check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    assert listed == ids[::-1]
    assert not file_of(store).exists()


class as_somebody_who_may_not_write:
    """Permission bits do not bind root, who runs tests in containers: the lister becomes nobody as well."""

    def __init__(self, repo: Path) -> None:
        self.repo = repo

    def __enter__(self) -> None:
        for path in [self.repo, *self.repo.rglob("*")]:
            path.chmod(
                path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) | stat.S_IROTH | stat.S_IRUSR
            )
            if path.is_dir():
                path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXOTH)

    def __exit__(self, *_: object) -> None:
        for path in [self.repo, *self.repo.rglob("*")]:
            path.chmod(path.stat().st_mode | stat.S_IWUSR)


LIST = """
import os, pathlib, sys
sys.path.insert(0, sys.argv[2])
import builder, gittrack.git.cli_backend, gittrack.runs.indexing, gittrack.runs.overlay
from gittrack.git.discover import discover
from gittrack.runs.index import open_index
paths, repo = discover(sys.argv[1], os.environ), builder.opened(sys.argv[1], "cli")
if sys.argv[3:] and os.getuid() == 0:  # whose Python may lie where nobody can read it: all imports are above
    for parent in pathlib.Path(sys.argv[1]).parents[:-2]:
        parent.chmod(0o755)
    repo.git.environ.update(GIT_CONFIG_COUNT="1", GIT_CONFIG_KEY_0="safe.directory", GIT_CONFIG_VALUE_0="*")
    os.setgid(65534)
    os.setuid(65534)
index = open_index(paths)
index.refresh(lambda: repo)
print(*[row.id for row in index.rows()], sep="\\n")
"""


def lister(repo: Path, *args: str) -> list[str]:
    return [sys.executable, "-c", LIST, str(repo), str(Path(__file__).parent), *args]


def test_many_processes_refresh_at_once(store: Repository, repo: Path) -> None:
    ids = builder.make_runs(store, 200)
    running = [subprocess.Popen(lister(repo), stdout=subprocess.PIPE, text=True) for _ in range(6)]
    outputs = [process.communicate()[0].split() for process in running]
    assert all(output == ids[::-1] for output in outputs)
    assert [process.returncode for process in running] == [0] * 6
