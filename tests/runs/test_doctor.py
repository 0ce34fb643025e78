"""Each thing that can be wrong is found, said, and mended by what the finding says."""

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import builder
import pytest

from gittrack.core import layout
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import doctor, live, operations, writer
from gittrack.runs.annotations import Author, Saying, say
from gittrack.runs.findings import ERROR, INFO, OK, WARNING, Finding, Patient
from gittrack.runs.index import open_index


def examined(store: Repository, environ: Mapping[str, str] = os.environ) -> list[Finding]:
    return list(doctor.examine(Patient(store, environ)))


def troubles(store: Repository, environ: Mapping[str, str] = os.environ) -> list[Finding]:
    return [finding for finding in examined(store, environ) if finding.level in (WARNING, ERROR)]


@pytest.fixture
def ids(store: Repository) -> list[str]:
    return builder.make_runs(store, 3)


def damage(store: Repository, run_id: str, path: str = "summary.json", data: bytes = b"{") -> tuple[str, str]:
    """Returns what the ref was and is."""
    ref = layout.run_ref(run_id)
    old = store.refs()[ref]
    return old, builder.record(store, {**builder.files_of(store, old), path: data}, ref, old)


def test_a_sound_repository_has_no_trouble(store: Repository, ids: list[str]) -> None:
    say(store, [Saying(ids[0], "note", "hm")], Author("Ann <ann@example.org>", 1.0, "test"))
    assert troubles(store) == []
    assert len([finding for finding in examined(store) if finding.level == OK]) >= 10


def test_an_empty_repository_has_no_trouble(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path / "empty")], check=True)
    store = builder.opened(tmp_path / "empty")
    assert troubles(store) == []
    store.close()


def test_a_damaged_record_is_mended_by_the_command_that_is_named(store: Repository, ids: list[str], repo: Path) -> None:
    old, _ = damage(store, ids[0])
    (finding,) = troubles(store)
    assert finding.level == ERROR
    assert "summary.json" in finding.text
    subprocess.run(finding.command.partition("   ")[0], shell=True, cwd=repo, check=True)
    assert store.refs()[layout.run_ref(ids[0])] == old
    assert troubles(store) == []


def test_a_newer_record_asks_for_an_upgrade(store: Repository, ids: list[str]) -> None:
    damage(store, ids[0], "format", b"gittrack 3\n")
    (finding,) = troubles(store)
    assert (finding.level, finding.command) == (ERROR, "pip install --upgrade gittrack")


def test_many_damaged_records_do_not_fill_the_screen(store: Repository) -> None:
    for run_id in builder.make_runs(store, 25):
        damage(store, run_id)
    assert len(troubles(store)) == 21


def test_code_that_no_ref_keeps_is_kept_by_the_command_that_is_named(
    store: Repository, repo: Path, git: Callable[..., str]
) -> None:
    head = git("commit-tree", "HEAD^{tree}", "-m", "on no branch")
    builder.write_runs(
        store, [builder.journal(0, {}, [], snapshot=head), builder.journal(1, {}, [], snapshot="5" * 40)]
    )
    (finding,) = troubles(store)
    assert "a gc may take it" in finding.text
    subprocess.run(finding.command, shell=True, cwd=repo, check=True)
    assert troubles(store) == []
    assert any(one.level == INFO and "is not here" in one.text for one in examined(store))


def test_a_missing_object_is_found(store: Repository, ids: list[str], git: Callable[..., str]) -> None:
    blob = git("rev-parse", f"{layout.run_ref(ids[0])}:metrics/000/00.jsonl")
    git("unpack-objects", "-q", code=None)
    for pack in Path(store.paths.common_dir, "objects", "pack").glob("*.pack"):
        moved = pack.rename(Path(store.paths.common_dir, pack.name))
        pack.with_suffix(".idx").unlink()
        with moved.open("rb") as data:
            subprocess.run(["git", "-C", str(store.paths.worktree), "unpack-objects", "-q"], stdin=data, check=True)
    Path(store.paths.common_dir, "objects", blob[:2], blob[2:]).unlink()
    (finding,) = troubles(store)
    assert (finding.level, finding.command) == (ERROR, "git fsck")
    assert blob in finding.text


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        ([("remote.hub.mirror", "true")], ERROR),
        ([("remote.hub.fetch", "+refs/*:refs/*")], WARNING),
        ([("remote.hub.fetch", "+refs/track/*:refs/track/*"), ("fetch.prune", "true")], ERROR),
        ([("remote.hub.fetch", "+refs/track/runs/*:refs/track/runs/*"), ("remote.hub.prune", "true")], ERROR),
        ([("remote.a.b.fetch", "refs/*:refs/*"), ("fetch.prune", "true"), ("remote.a.b.prune", "false")], WARNING),
    ],
)
def test_remotes_that_would_delete_runs_are_disarmed_by_the_command_that_is_named(
    settings: list[tuple[str, str]], level: str, store: Repository, git: Callable[..., str], repo: Path
) -> None:
    git("remote", "add", "hub", "/nowhere")
    for key, value in settings:
        git("config", key, value)
    (finding,) = troubles(store)
    assert finding.level == level
    subprocess.run(finding.command, shell=True, cwd=repo, check=True)
    assert troubles(store) == []


def test_an_ordinary_remote_is_none(store: Repository, git: Callable[..., str]) -> None:
    git("remote", "add", "hub", "/nowhere")
    git("config", "fetch.prune", "true")
    assert troubles(store) == []


def test_a_setting_that_cannot_be_used_is_named(store: Repository, repo: Path) -> None:
    (repo / "gittrack.yaml").write_text("larg: 1MB\n")
    (finding,) = troubles(store)
    assert finding.level == ERROR
    assert "larg" in finding.text
    assert "large" in finding.command


def test_a_spoiled_index_is_made_anew(store: Repository, ids: list[str]) -> None:
    index = open_index(store.paths)
    index.refresh(lambda: store)
    index.close()
    Path(index.path).write_bytes(os.urandom(9999))
    (finding,) = troubles(store)
    assert "made anew" in finding.text
    assert troubles(store) == []


def test_an_index_that_lies_is_made_anew(store: Repository, ids: list[str]) -> None:
    index = open_index(store.paths)
    index.refresh(lambda: store)
    index._db.execute("UPDATE runs SET name = 'forged'")
    index.close()
    (finding,) = troubles(store)
    assert "something else than the records" in finding.text
    assert troubles(store) == []


def test_dead_and_undecided_runs_are_named_with_what_ends_them(store: Repository) -> None:
    for number, machine in ((0, live.here()), (1, live.Here("another boot", "another machine"))):
        folder = Path(live.folder(store.paths, builder.run_id(number)))
        folder.mkdir(parents=True)
        data = builder.journal(number, {}, [0.5], status=None, boot=machine)
        (folder / "run.jsonl").write_bytes(data)
    commands = [finding.command for finding in troubles(store)]
    assert commands == ["git track recover", "git track recover --force"]


def test_a_copied_clone_is_said_to_be_one(store: Repository, repo: Path, tmp_path: Path) -> None:
    writer.writer_id(store.paths)
    subprocess.run(["cp", "-r", str(repo), str(tmp_path / "copy")], check=True)
    copy = builder.opened(tmp_path / "copy")
    assert any("copy of another one" in finding.text for finding in examined(copy))
    assert troubles(copy) == []
    copy.close()


def test_a_shallow_clone_is_said_to_be_one(
    store: Repository, repo: Path, tmp_path: Path, git: Callable[..., str]
) -> None:
    git("commit", "-q", "--allow-empty", "-m", "second")
    subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{repo}", str(tmp_path / "shallow")], check=True)
    shallow = builder.opened(tmp_path / "shallow")
    (finding,) = troubles(shallow)
    assert finding.command == "git fetch --unshallow"
    shallow.close()


def test_refs_with_names_of_no_run_and_no_log(
    store: Repository, ids: list[str], git: Callable[..., str], repo: Path
) -> None:
    head = git("rev-parse", "HEAD")
    for ref in ("refs/track/runs/00/nonsense", "refs/track/log/nonsense"):
        store.update_refs([RefChange(ref, None, head)])
    for finding in troubles(store):
        subprocess.run(finding.command, shell=True, cwd=repo, check=True)
    assert troubles(store) == []


def test_an_interrupted_operation_is_told(store: Repository, ids: list[str]) -> None:
    line = {
        "op": "abc",
        "command": "git track run x",
        "w": 1.0,
        "who": "",
        "refs": [["refs/track/runs/00/x", None, "1" * 40]],
    }
    operations._append(store.paths, line)
    assert [finding.text for finding in examined(store) if "abc" in finding.text] == [
        "operation abc (`git track run x (x)`) was interrupted: its refs did not all move"
    ]
