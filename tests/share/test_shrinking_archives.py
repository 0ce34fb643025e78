"""A remote that is broken or made to harm: nothing that is here goes, and nobody is kept from sharing by it."""

from pathlib import Path

import builder
import git_servers
import hostile
import pytest
import team

from gittrack.core import layout

MALLORY = "f" * 16


@pytest.fixture
def served(server_of: git_servers.Find) -> git_servers.Bare:
    return server_of("file").new()


@pytest.fixture
def bare(served: git_servers.Bare) -> hostile.Bare:
    return hostile.Bare(served.path)


@pytest.fixture
def ann(served: git_servers.Bare, repo: Path) -> team.Clone:
    return team.first(served.url, repo)


@pytest.mark.parametrize("tree", ["empty", "emptied runs"])
def test_records_that_go_on_with_fewer_runs_are_refused(tree: str, bare: hostile.Bare, ann: team.Clone) -> None:
    ids = ann.runs(range(4))
    ann.track("archive", *ids)
    ann.track("push", "--yes")
    (ref,) = (ref for ref in ann.refs(layout.ARCHIVE) if ref.endswith("/records"))
    tip = ann.refs(layout.ARCHIVE)[ref]
    files = {"format": b"gittrack 1\n", **({"runs/00/x": b""} if tree == "emptied runs" else {})}
    bare.ref(ref, bare.commit(bare.record(files), tip))
    assert f"refused: {ref}" in ann.track("pull").stderr
    assert ann.refs(layout.ARCHIVE)[ref] == tip
    assert ann.track("show", ids[0]).returncode == 0


def test_code_that_is_written_anew_without_the_commits_of_users_is_refused(bare: hostile.Bare, ann: team.Clone) -> None:
    ann.track("run", "-q", "true")
    ann.track("archive", *ann.ids())
    ann.track("push", "--yes")
    ((ref, tip),) = ann.refs(f"{layout.ARCHIVE}*/*/code").items()
    assert ann.git("rev-parse", "HEAD") in ann.git("rev-list", tip)
    bare.ref(ref, bare.commit(bare.git("rev-parse", f"{tip}^{{tree}}")))
    said = ann.track("pull").stderr
    assert f"refused: {ref}: it has lost commit" in said and "which nobody purged" in said
    assert ann.refs(layout.ARCHIVE)[ref] == tip


def test_an_archive_that_swaps_the_records_of_two_runs_is_refused(bare: hostile.Bare, ann: team.Clone) -> None:
    one, two = builder.run_id(20), builder.run_id(21)
    hostile.listed(bare, MALLORY, hostile.line(20, run_id=two) + hostile.line(21, run_id=one))
    assert "the record of another run" in ann.track("pull").stderr
    assert not ann.ids()


BAD_LOGS = {
    "a newer format": lambda bare: bare.commit(bare.record({"format": b"gittrack 9\n", "ops/000/00.jsonl": b"x\n"})),
    "no log": lambda bare: bare.commit(bare.record({"format": b"gittrack 1\n", "ops/x/y": b"z"})),
    "a tree with ..": lambda bare: bare.commit(
        bare.record({"format": b"gittrack 1\n"}, {"..": (0o100644, bare.blob(b""))})
    ),
    "64 MiB": lambda bare: bare.commit(
        bare.record({"format": b"gittrack 1\n", "ops/000/00.jsonl": b'"purged"' * (8 << 20)})
    ),
    "a blob": lambda bare: bare.blob(b"x"),
}


@pytest.mark.parametrize("what", BAD_LOGS)
def test_a_bad_log_at_the_remote_keeps_nobody_from_sharing(what: str, bare: hostile.Bare, ann: team.Clone) -> None:
    (run,) = ann.runs([0])
    bare.ref(layout.log_ref(MALLORY), BAD_LOGS[what](bare))
    assert ann.track("push", "--yes").stdout.startswith("pushed 1 run")
    assert layout.run_ref(run) in bare.git("for-each-ref")
    assert layout.log_ref(MALLORY) in ann.track("pull").stderr
    assert ann.ids() == {run}
    assert ann.track("pull").stderr == ""


def test_code_that_a_teammate_has_archived_is_found_for_the_runs_of_others(
    served: git_servers.Bare, bare: hostile.Bare, ann: team.Clone, tmp_path: Path
) -> None:
    bob, carol = (team.cloned(served.url, tmp_path / name) for name in ("bob", "carol"))
    for clone in (ann, bob):
        (clone.path / "new.py").write_text("print('both have it, and neither has committed it')\n")
        clone.track("run", "-q", "true")
        clone.track("push", "--yes")
    (of_bob,) = bob.ids()
    (code,) = bob.refs(layout.CODE)
    assert code in ann.refs(layout.CODE)
    ann.track("archive", *ann.ids())
    ann.track("push")
    bare.git("gc", "-q", "--prune=now")
    carol.track("pull")
    carol.track("checkout", of_bob, "-o", "there")
    assert "neither" in (carol.path / "there" / "new.py").read_text()


@pytest.mark.parametrize("what", ["a blob", "no archive"])
def test_a_bad_archive_at_the_remote_stops_nobody_where_something_was_purged(
    what: str, bare: hostile.Bare, ann: team.Clone
) -> None:
    first, second = ann.runs([0, 1])
    ann.track("push", "--yes")
    ann.track("purge", "--yes", first)
    tip = bare.blob(b"x") if what == "a blob" else bare.commit(bare.record({"index": b"x"}))
    for part in ("list", "records"):
        bare.ref(layout.archive_ref(MALLORY, 0, part), tip)
    assert layout.archive_ref(MALLORY, 0, "list") in ann.track("pull").stderr
    bare.ref(layout.run_ref(first), str(bare.git("rev-parse", layout.run_ref(second))))
    assert "had come back" in ann.track("pull").stderr
    (third,) = ann.runs([2])
    assert ann.track("push").stdout.startswith("pushed 1 run")
    assert ann.ids() == {second, third}
