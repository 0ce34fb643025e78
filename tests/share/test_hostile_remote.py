"""A remote that everybody may write to: nothing of what is made to harm is taken, hides other runs, or crashes."""

import re
from pathlib import Path

import builder
import git_servers
import hostile
import pytest
import team

from gittrack.core import layout

MALLORY = "f" * 16
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def served(server_of: git_servers.Find) -> git_servers.Bare:
    return server_of("file").new()


@pytest.fixture
def bare(served: git_servers.Bare) -> hostile.Bare:
    return hostile.Bare(served.path)


@pytest.fixture
def ann(served: git_servers.Bare, repo: Path) -> team.Clone:
    """Shares two runs and an annotation."""
    clone = team.first(served.url, repo)
    ids = clone.runs(range(2))
    clone.track("note", ids[0], "as it was")
    clone.git("push", "-q", "origin", "refs/track/*:refs/track/*")
    return clone


@pytest.fixture
def bob(ann: team.Clone, served: git_servers.Bare, tmp_path: Path) -> team.Clone:
    return team.cloned(served.url, tmp_path / "bob")


def run_ref(number: int) -> str:
    return layout.run_ref(builder.run_id(number))


def huge_commit(bare: hostile.Bare) -> str:
    return bare.commit(bare.record(hostile.files(7)), message="x" * (4 << 20))


def tagged(bare: hostile.Bare) -> str:
    tip = bare.commit(bare.record(hostile.files(7)))
    return bare.raw("tag", f"object {tip}\ntype commit\ntag t\ntagger M <m@e> 1 +0000\n\nt\n".encode())


def changed(bare: hostile.Bare, **files: bytes) -> str:
    named = {name.replace("_", ".", 1): data for name, data in files.items()}
    return bare.commit(bare.record({**hostile.files(7), **named}))


def with_row(bare: hostile.Bare, name: str, mode: int = 0o100644) -> str:
    return bare.commit(bare.record(hostile.files(7), {name: (mode, bare.blob(b"x\n"))}))


def deep(bare: hostile.Bare, name: str) -> str:
    inner = bare.tree({name: (0o100644, bare.blob(b"[core]\n"))})
    return bare.commit(bare.record(hostile.files(7), {"files": (0o040000, inner)}))


BAD_RUNS = {
    "the id of another run": lambda bare: bare.commit(bare.record(hostile.files(3))),
    "no record at all": lambda bare: bare.commit(bare.record({"a": b"b"})),
    "JSON nested deeply": lambda bare: changed(bare, params_json=b'{"a":' * 100_000),
    "JSON of no sense": lambda bare: changed(bare, status_json=b'{"status":[]}'),
    "a document of 64 MiB": lambda bare: changed(bare, params_json=b'{"a":"' + b" " * (64 << 20) + b'"}'),
    "a console of 64 MiB": lambda bare: bare.commit(
        bare.record({**hostile.files(7), "console/000/00.log": b"\0" * (64 << 20)})
    ),
    "a commit of 4 MiB": huge_commit,
    "a tag": tagged,
    "a blob": lambda bare: bare.blob(b"x"),
    "a tree": lambda bare: bare.record(hostile.files(7)),
    "a tree with .git": lambda bare: with_row(bare, ".git"),
    "a tree with ..": lambda bare: deep(bare, ".."),
    "a tree with .GIT": lambda bare: deep(bare, ".GIT"),
    "a tree with a path": lambda bare: deep(bare, "../../x"),
    "a document that is a link": lambda bare: bare.commit(
        bare.record(
            {n: d for n, d in hostile.files(7).items() if n != "run.json"},
            {"run.json": (0o120000, bare.blob(b"/etc/passwd"))},
        )
    ),
}


@pytest.mark.parametrize("what", BAD_RUNS)
def test_a_bad_run_is_refused_and_hides_no_other(
    what: str, bare: hostile.Bare, ann: team.Clone, bob: team.Clone
) -> None:
    bare.ref(run_ref(7), BAD_RUNS[what](bare))
    said = bob.track("pull").stderr
    assert f"refused: {run_ref(7)}" in said
    assert "git track doctor" in said
    team.same([ann, bob])
    assert run_ref(7) not in bob.refs()
    assert bob.track("pull").stderr == ""
    bob.sound()


def test_all_of_them_at_once_hide_no_run(bare: hostile.Bare, ann: team.Clone, bob: team.Clone) -> None:
    for number, make in enumerate(BAD_RUNS.values()):
        bare.ref(run_ref(100 + number), make(bare))
    said = bob.track("pull")
    assert said.stdout == "pulled 2 new runs, 1 annotation from origin\n"
    team.same([ann, bob])
    assert str(len(BAD_RUNS) - 10) + " more" in said.stderr


@pytest.mark.parametrize(
    "name",
    [
        "refs/track/runs/zz/evil", "refs/track/runs/00/--upload-pack=x", "refs/track/unknown",
        f"refs/track/runs/00/{builder.run_id(5)}",
        "refs/track/archive/x/0/list", f"refs/track/archive/{MALLORY}/00/list", "refs/track/code/aa/bb",
        f"refs/track/log/{MALLORY}x",
    ],
)  # fmt: skip
def test_a_ref_with_an_odd_name_is_passed_over(name: str, bare: hostile.Bare, ann: team.Clone, bob: team.Clone) -> None:
    bare.ref(name, bare.commit(bare.record(hostile.files(7))))
    assert f"refused: {name}" in bob.track("pull").stderr
    assert name not in bob.refs()
    team.same([ann, bob])


def test_a_run_that_says_something_else_than_ours_is_kept_aside(
    bare: hostile.Bare, ann: team.Clone, bob: team.Clone
) -> None:
    bob.track("pull")
    before = bob.table()
    bare.ref(run_ref(0), bare.commit(bare.record(hostile.files(0, name="forged"))))
    assert f"kept aside: {run_ref(0)}" in bob.track("pull").stderr
    assert bob.table() == before
    assert [ref for ref in bob.refs("refs/track-remotes/") if ref.endswith(run_ref(0)[len("refs/track/") :])]
    assert bob.track("pull").stderr == ""
    assert builder.run_id(0)[:7] in bob.track("doctor", code=None).stdout
    bob.sound()
    bare.ref(run_ref(0), bob.refs()[run_ref(0)])
    bob.track("pull")
    assert not bob.refs("refs/track-remotes/")


def test_a_forged_annotation_in_anothers_log_is_flagged(bare: hostile.Bare, ann: team.Clone, bob: team.Clone) -> None:
    bob.track("pull")
    (log,) = bob.refs(layout.LOG)
    hostile.log(bare, log.rpartition("/")[2], hostile.op(1, builder.run_id(0), "deleted", True))
    assert f"kept aside: {log}" in bob.track("pull").stderr
    assert len(bob.ids()) == 2
    assert log in bob.track("doctor", code=None).stdout


@pytest.mark.parametrize("clock", [2**40, 2**61])
def test_a_clock_that_nobody_can_have_counted_is_refused(
    clock: int, bare: hostile.Bare, ann: team.Clone, bob: team.Clone
) -> None:
    hostile.log(bare, MALLORY, hostile.op(clock, builder.run_id(0), "name", "forged"))
    assert f"refused: {layout.log_ref(MALLORY)}" in bob.track("pull").stderr
    bob.track("rename", builder.run_id(0), "mine")
    assert "mine" in bob.track("ls").stdout
    team.sound(bob.path)


def test_a_log_that_is_none_is_refused(bare: hostile.Bare, ann: team.Clone, bob: team.Clone) -> None:
    bare.ref(layout.log_ref(MALLORY), bare.commit(bare.record({"format": b"gittrack 1\n", "ops/x/y": b"z"})))
    assert "refused" in bob.track("pull").stderr
    team.same([ann, bob])


def test_who_finds_his_own_log_written_by_another_writes_under_a_new_id(
    bare: hostile.Bare, ann: team.Clone, bob: team.Clone
) -> None:
    (log,) = ann.refs(layout.LOG)
    ann.track("note", builder.run_id(1), "only here")
    hostile.log(bare, log.rpartition("/")[2], hostile.op(1, builder.run_id(1), "tag", "forged"))
    assert "writes as" in ann.track("pull").stderr
    assert len(ann.refs(layout.LOG)) == 2
    shown = ann.track("log", builder.run_id(1)).stdout
    assert "only here" in shown
    assert "as it was" in ann.track("log", builder.run_id(0)).stdout
    ann.track("tag", builder.run_id(1), "after")
    assert "nothing new" in ann.track("pull").stdout


def test_an_archive_may_not_lose_runs(bare: hostile.Bare, ann: team.Clone, bob: team.Clone) -> None:
    first = hostile.listed(bare, MALLORY, hostile.line(20) + hostile.line(21))
    bob.track("pull")
    assert len(bob.ids()) == 4
    for parents in ((first,), ()):
        hostile.listed(bare, MALLORY, hostile.line(20), *parents)
        assert "kept aside" in bob.track("pull").stderr
        assert len(bob.ids()) == 4


def test_an_archive_loses_a_run_that_was_purged(bare: hostile.Bare, ann: team.Clone, bob: team.Clone) -> None:
    hostile.listed(bare, MALLORY, hostile.line(20) + hostile.line(21))
    bob.track("pull")
    hostile.log(bare, MALLORY, hostile.op(1, builder.run_id(21), "purged", ["1" * 40]))
    gone = hostile.document({"id": builder.run_id(21), "purged": True, "tip": "1" * 40})
    hostile.listed(bare, MALLORY, hostile.line(20) + gone)
    assert bob.track("pull").stderr == ""
    assert builder.run_id(21) not in bob.ids()


@pytest.mark.parametrize(
    "lines",
    [
        hostile.line(0, tip="3" * 40),
        hostile.line(20, tip="3" * 40) + hostile.line(20, tip="4" * 40),
        hostile.line(20, run_id=builder.run_id(22)),
    ],
    ids=["of a run that is known", "two of one run", "the record of another run"],
)
def test_a_list_that_contradicts_is_not_taken(
    lines: bytes, bare: hostile.Bare, ann: team.Clone, bob: team.Clone
) -> None:
    bob.track("pull")
    hostile.listed(bare, MALLORY, lines)
    said = bob.track("pull").stderr
    assert layout.archive_ref(MALLORY, 0, "list") in said
    team.same([ann, bob])


def test_a_run_that_an_archive_has_is_not_replaced_by_a_ref(
    bare: hostile.Bare, ann: team.Clone, bob: team.Clone
) -> None:
    hostile.listed(bare, MALLORY, hostile.line(20, name="first"))
    bob.track("pull")
    bare.ref(run_ref(20), bare.commit(bare.record(hostile.files(20, name="second"))))
    assert f"kept aside: {run_ref(20)}" in bob.track("pull").stderr
    assert {row["name"] for row in bob.table()} >= {"first"}


def test_a_list_that_lies_about_a_record_is_found_out_when_it_is_read(
    bare: hostile.Bare, ann: team.Clone, bob: team.Clone
) -> None:
    tree = bare.record(hostile.files(20, name="true"))
    bare.ref("refs/heads/hidden", bare.commit(tree))
    hostile.listed(bare, MALLORY, hostile.line(20, tree=tree, name="a lie"))
    bob.track("pull")
    assert "says another run.json than the record" in bob.track("show", builder.run_id(20), code=65).stderr


def test_a_record_of_an_archive_that_would_fill_the_memory_is_not_read(
    bare: hostile.Bare, ann: team.Clone, bob: team.Clone
) -> None:
    tree = bare.record({**hostile.files(20), "console/000/00.log": b"\0" * (64 << 20)})
    bare.ref("refs/heads/hidden", bare.commit(tree))
    hostile.listed(bare, MALLORY, hostile.line(20, tree=tree))
    bob.track("pull")
    assert "67,108,864 bytes" in bob.track("logs", builder.run_id(20), code=65).stderr


def test_names_and_console_of_others_drive_no_terminal(bare: hostile.Bare, ann: team.Clone, bob: team.Clone) -> None:
    evil = "\x1b]0;pwned\x07\x1b[2J\u202etxt"
    console = b"\x1b[31mred\x1b[0m \x1b]0;pwned\x07\x1b[2J\x9b1m\x1b[8D\rover\nnext\n"
    files = {**hostile.files(20, name=evil, command=evil), "console/000/00.log": console}
    bare.ref(run_ref(20), bare.commit(bare.record(files)))
    pulled = bob.track("pull")
    run = builder.run_id(20)
    for said in (pulled, bob.track("ls"), bob.track("show", run), bob.track("doctor", code=None)):
        assert not OBEYED.search(said.stdout + said.stderr)
    shown = bob.track("logs", run).stdout
    assert "\x1b[31mred\x1b[0m" in shown
    assert not OBEYED.search(shown.replace("\x1b[31m", "").replace("\x1b[0m", ""))
    assert "pwned" in shown


def test_files_whose_paths_lead_out_are_no_files(bare: hostile.Bare, ann: team.Clone, bob: team.Clone) -> None:
    kept = {
        "e": "kept", "in": "git", "mode": "100644", "parcel": "1767323045000-1-abcd", "path": "../../out",
        "sha256": "0" * 64, "size": 0, "t": 1, "w": 1,
    }  # fmt: skip
    files = {**hostile.files(20), "artifacts/000/00.jsonl": hostile.document(kept)}
    bare.ref(run_ref(20), bare.commit(bare.record(files)))
    bob.track("pull")
    bob.track("checkout", builder.run_id(20), "--artifacts", "-o", "here", code=66)
    assert not (bob.path.parent / "out").exists()
