"""What a pull leaves at the remote comes when a command asks for it; and what is said when it cannot."""

import json
from pathlib import Path

import builder
import git_servers
import pytest
import team

from gittrack.core import layout
from gittrack.runs import archiving
from gittrack.runs.annotations import Author


@pytest.fixture
def bare(server_of: git_servers.Find) -> git_servers.Bare:
    return server_of("file").new()


@pytest.fixture
def ann(bare: git_servers.Bare, repo: Path) -> team.Clone:
    """A clone with two archived runs, of changed code, whose remote has the archive alone."""
    clone = team.first(bare.url, repo)
    (repo / "train.py").write_text("print('\\033[1mbold\\033[0m'); print('changed')\n")
    for name in ("one", "two"):
        clone.track("run", "-q", "--name", name, "--", "python", "train.py")
    archive(clone)
    clone.git("push", "-q", "origin", "refs/track/*:refs/track/*")
    return clone


@pytest.fixture
def bob(bare: git_servers.Bare, ann: team.Clone, tmp_path: Path) -> team.Clone:
    clone = team.cloned(bare.url, tmp_path / "bob")
    assert "2 archived runs" in clone.track("pull").stdout
    return clone


def archive(clone: team.Clone) -> None:
    """Every run of the clone goes into its archive."""
    store = builder.opened(clone.path)
    ids = [run_id for ref in store.refs(layout.RUNS) if (run_id := layout.id_of_ref(ref))]
    result = archiving.archive(store, ids, Author("Ann <ann@example.org>", builder.T0, "git track archive"))
    store.close()
    assert result.left == {}


def kinds(clone: team.Clone) -> set[str]:
    return {ref.rpartition("/")[2] for ref in clone.refs(layout.ARCHIVE)}


def test_a_pull_brings_the_list_of_an_archive_alone(ann: team.Clone, bob: team.Clone) -> None:
    assert kinds(bob) == {"list"}
    team.same([ann, bob])


def test_show_logs_and_checkout_of_an_archived_run_fetch_what_they_need(ann: team.Clone, bob: team.Clone) -> None:
    shown = bob.track("show", "one")
    assert "fetching the record of run" in shown.stderr
    assert bob.track("logs", "one").stdout == ann.track("logs", "one").stdout != ""
    checked = bob.track("checkout", "one", "--code", "-o", "restored")
    assert "fetching the code of run" in checked.stderr
    assert (bob.path / "restored" / "train.py").read_bytes() == (ann.path / "train.py").read_bytes()
    assert "fetching" not in bob.track("show", "one").stderr
    bob.sound()


def test_cat_and_diff_fetch_code(ann: team.Clone, bob: team.Clone) -> None:
    assert bob.track("cat", "one:train.py").stdout == (ann.path / "train.py").read_text()
    bob.track("diff", "one", "two")


def test_with_records_and_code_a_clone_needs_the_remote_no_more(
    ann: team.Clone, bob: team.Clone, bare: git_servers.Bare, tmp_path: Path
) -> None:
    bob.track("pull", "--all")
    assert kinds(bob) == {"list", "records", "code"}
    bare.path.rename(tmp_path / "gone.git")
    assert "fetching" not in bob.track("show", "one").stderr
    assert bob.track("cat", "two:train.py").stdout == (ann.path / "train.py").read_text()


def test_what_cannot_be_fetched_is_said_with_the_remote_and_a_way_on(
    bob: team.Clone, bare: git_servers.Bare, tmp_path: Path
) -> None:
    bare.path.rename(tmp_path / "gone.git")
    for command in (("show", "one"), ("logs", "one"), ("checkout", "one", "--code", "-o", "x")):
        said = bob.track(*command, code=84).stderr
        assert "is not in this clone, and cannot be fetched" in said
        assert "origin" in said
        assert "hint" in said
    bob.git("remote", "remove", "origin")
    assert "no remote is known" in bob.track("show", "one", code=80).stderr
    bob.track("ls")


def test_a_server_that_gives_no_single_objects_gives_whole_refs(
    ann: team.Clone, bob: team.Clone, bare: git_servers.Bare
) -> None:
    bob.git("config", "protocol.version", "0")
    bob.track("show", "one")
    assert bob.track("cat", "one:train.py").stdout == (ann.path / "train.py").read_text()


def test_in_a_partial_clone_a_pull_shows_the_same_table(
    ann: team.Clone, bare: git_servers.Bare, tmp_path: Path
) -> None:
    team.Clone(bare.path, {}).git("config", "uploadpack.allowFilter", "true")
    carl = team.cloned(bare.url, tmp_path / "carl", "--filter=blob:none")
    carl.track("pull")
    team.same([ann, carl])
    assert "changed" in carl.track("logs", "one").stdout


@pytest.mark.parametrize("how", [("--at", "step=1"), ("--plot", "loss")], ids=str)
def test_a_comparison_fetches_all_its_records_at_once(
    how: tuple[str, str], served_runs: team.Clone, bare: git_servers.Bare, tmp_path: Path
) -> None:
    carl = team.cloned(bare.url, tmp_path / "carl")
    carl.track("pull")
    compared = carl.track("compare", "--all", *how)
    assert compared.stderr.count("fetching") == 1
    assert "the records of 5 runs" in compared.stderr
    assert compared.stdout == served_runs.track("compare", "--all", *how).stdout


@pytest.fixture
def served_runs(bare: git_servers.Bare, repo: Path) -> team.Clone:
    """A clone whose remote has five archived runs with metrics."""
    clone = team.first(bare.url, repo)
    clone.runs(range(5))
    archive(clone)
    clone.git("push", "-q", "origin", "refs/track/*:refs/track/*")
    return clone


def test_an_old_server_over_http_gives_whole_archives(
    ann: team.Clone, server_of: git_servers.Find, tmp_path: Path
) -> None:
    server = server_of("http")
    old = server.at(server.prefix.replace("/open/", "/old/")).new()
    ann.git("push", "-q", old.url, "main", "refs/track/*:refs/track/*")
    carl = team.cloned(old.url, tmp_path / "carl")
    carl.track("pull")
    team.same([ann, carl])
    assert "changed" in carl.track("logs", "one").stdout
    assert carl.track("cat", "one:train.py").stdout == (ann.path / "train.py").read_text()


def test_a_pull_with_files_prints_one_document(ann: team.Clone, bob: team.Clone) -> None:
    (ann.path / "train.py").write_text(team.TRAINING)
    ann.git("config", "track.large", "1kB")
    ann.track("run", "-q", "--name", "with-files", "--", "python", "train.py", "1")
    ann.track("push", "--yes", "--no-artifacts")
    said = json.loads(bob.track("pull", "--artifacts", "--json", code=80).stdout)
    assert (len(said["new"]), said["files"]) == (1, {})
    ann.track("store", "push")
    said = json.loads(bob.track("pull", "--artifacts", "--json").stdout)
    assert (said["new"], [place["files"] for place in said["files"].values()]) == ([], [1])


def test_unarchive_fetches_the_history_of_a_run(ann: team.Clone, bob: team.Clone) -> None:
    run = bob.track("ls", "-q").stdout.split()[0]
    assert "1 run unarchived" in bob.track("unarchive", run).stdout
    assert bob.refs()[layout.run_ref(run)]
    bob.git("fsck", "--strict")
    assert bob.track("undo").stdout.startswith("undone: git track unarchive")


def test_export_fetches_what_the_pull_has_left(ann: team.Clone, bob: team.Clone, tmp_path: Path) -> None:
    said = bob.track("export", "--all", "-o", str(tmp_path / "all.bundle"))
    assert said.stdout.startswith("wrote 2 runs")
    bob.git("bundle", "verify", str(tmp_path / "all.bundle"))


def test_what_no_remote_has_is_said_to_be_missing(ann: team.Clone, bob: team.Clone, tmp_path: Path) -> None:
    bob.git("remote", "remove", "origin")
    run = bob.track("ls", "-q").stdout.split()[0]
    assert "not in this clone" in bob.track("unarchive", run, code=2).stderr
    assert "git track pull --records" in bob.track("export", "--all", "-o", str(tmp_path / "x.bundle"), code=80).stderr
