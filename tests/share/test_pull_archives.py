"""Runs that others archive: refs go from every clone that pulls, and no run is missed or lost by it."""

from pathlib import Path

import builder
import git_servers
import pytest
import team

from gittrack.core import layout
from gittrack.git.repository import RefChange


@pytest.fixture
def served(server_of: git_servers.Find) -> git_servers.Bare:
    return server_of("file").new()


@pytest.fixture
def ann(served: git_servers.Bare, repo: Path) -> team.Clone:
    return team.first(served.url, repo)


@pytest.fixture
def bob(ann: team.Clone, served: git_servers.Bare, tmp_path: Path) -> team.Clone:
    return team.cloned(served.url, tmp_path / "bob")


def share(clone: team.Clone) -> None:
    clone.git("push", "-q", "origin", "refs/track/*:refs/track/*")


def runs_with_refs(clone: team.Clone) -> int:
    return len(clone.refs(layout.RUNS))


def test_a_run_that_was_archived_elsewhere_loses_its_ref_and_nothing_else(ann: team.Clone, bob: team.Clone) -> None:
    ids = ann.runs(range(4))
    share(ann)
    bob.track("pull")
    before = bob.track("show", ids[0], "--json").stdout
    ann.track("archive", *ids[:3])
    share(ann)
    bob.track("pull")
    assert runs_with_refs(bob) == runs_with_refs(ann) == 1
    assert layout.KEPT in bob.refs()
    team.same([ann, bob])
    shown = bob.track("show", ids[0], "--json")
    assert shown.stdout.replace('"archived": true', '"archived": false') == before
    assert "fetching" not in shown.stderr
    assert bob.track("pull").stdout == "nothing new\n"
    bob.sound()
    bob.track("undo")
    assert runs_with_refs(bob) == 4
    assert bob.ids() == ann.ids()
    bob.sound()


def test_without_the_records_at_the_remote_a_list_takes_no_ref_away(
    ann: team.Clone, bob: team.Clone, served: git_servers.Bare
) -> None:
    ids = ann.runs(range(2))
    share(ann)
    bob.track("pull")
    ann.track("archive", *ids)
    share(ann)
    bare = team.Clone(served.path, {})
    for ref in [ref for ref in bare.refs(layout.ARCHIVE) if ref.endswith("/records")]:
        bare.git("update-ref", "-d", ref)
    bob.track("pull")
    assert runs_with_refs(bob) == 2


def test_a_run_known_from_its_middle_is_known_to_its_end_by_the_archive(ann: team.Clone, bob: team.Clone) -> None:
    store = builder.opened(ann.path)
    tip, made = builder._folded(builder.journal(1, {"lr": 1}, [0.5] * 100), store.algorithm, 3)
    store.write(made)
    ref = layout.run_ref(builder.run_id(1))
    older = ann.git("rev-parse", f"{tip}~1")
    store.update_refs([RefChange(ref, None, older)])
    share(ann)
    bob.track("pull")
    assert bob.table()[0]["status"] == "running"
    store.update_refs([RefChange(ref, older, tip)])
    store.close()
    ann.track("archive", builder.run_id(1))
    ann.git("push", "-q", "origin", f":{ref}", "refs/track/*:refs/track/*")
    said = bob.track("pull")
    assert "kept aside" not in said.stderr
    assert ref not in bob.refs()
    assert team.same([ann, bob])[0]["status"] == "completed"
    assert "completed" in bob.track("show", builder.run_id(1)).stdout


def test_two_who_archive_the_same_runs_see_the_same_table(ann: team.Clone, bob: team.Clone) -> None:
    ids = ann.runs(range(3))
    share(ann)
    bob.track("pull")
    ann.track("archive", *ids)
    bob.track("archive", *ids[1:])
    share(ann)
    share(bob)
    for clone in (ann, bob):
        clone.track("pull")
    assert len(team.same([ann, bob])) == 3
    assert runs_with_refs(ann) == runs_with_refs(bob) == 0
    for clone in (ann, bob):
        assert clone.track("pull").stdout == "nothing new\n"
        clone.sound()
