"""The promises of git/repository.py, asked of both backends. git itself judges what they wrote."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gittrack import errors
from gittrack.git import objects
from gittrack.git.discover import discover
from gittrack.git.objects import FILE, Entry, Object
from gittrack.git.open import open_repository
from gittrack.git.repository import RefChange, Repository

RUN = "refs/track/runs/aa/1"


@pytest.fixture(params=["pygit2", "cli", "sha256"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Repository]:
    algorithm = "sha256" if request.param == "sha256" else "sha1"
    subprocess.run(["git", "init", "-q", f"--object-format={algorithm}", str(tmp_path / "work")], check=True)
    found = discover(str(tmp_path / "work"), {})
    repository = open_repository(found, os.environ, "auto" if request.param == "sha256" else request.param)
    yield repository
    fsck = repository.git.call("fsck", "--strict", "--no-dangling")
    assert fsck.code == 0, fsck
    repository.close()


def record(repo: Repository, tag: str = "", parents: list[str] | None = None) -> list[Object]:
    blob = objects.blob(f"content {tag}\n".encode(), repo.algorithm)
    trees = objects.nested(
        {"run.json": Entry(FILE, blob.oid), "metrics/000/00.jsonl": Entry(FILE, blob.oid)}, repo.algorithm
    )
    return [blob, *trees, objects.commit(trees[-1].oid, parents or [], "A <a@b>", 5, tag, repo.algorithm)]


def made(repo: Repository, tag: str = "", parents: list[str] | None = None) -> str:
    """The oid of a commit that is in the repository."""
    repo.write(record(repo, tag, parents))
    return record(repo, tag, parents)[-1].oid


def none(repo: Repository) -> str:
    return "1" * (40 if repo.algorithm == "sha1" else 64)


# -- objects


def test_what_was_written_is_read(backend: Repository) -> None:
    wanted = record(backend)
    assert not backend.exists(wanted[0].oid)
    backend.write(wanted)
    for each in wanted:
        assert backend.exists(each.oid)
        assert backend.read(each.oid) == (each.kind, each.data)
        assert backend.git.run("cat-file", each.kind, each.oid) == each.data


def test_writing_again_changes_nothing(backend: Repository) -> None:
    wanted = record(backend)
    backend.write([*wanted, *wanted])
    before = backend.git.run("count-objects", "-v")
    backend.write(wanted, durable=True)
    assert backend.git.run("count-objects", "-v") == before


def test_writing_what_a_pack_has_adds_no_loose_object(backend: Repository) -> None:
    wanted = record(backend)
    backend.write(wanted)
    backend.update_refs([RefChange(RUN, None, wanted[-1].oid)])
    backend.git.run("repack", "-adq")
    pack = next(Path(backend.paths.git_dir, "objects/pack").glob("*.pack"))
    os.utime(pack, (1, 1))
    backend.write(wanted)
    assert b"count: 0\n" in backend.git.run("count-objects", "-v")
    assert pack.stat().st_mtime > 1, "a prune that is just running would take it"


def test_an_object_that_is_written_again_is_spared_by_prune(backend: Repository) -> None:
    blob = record(backend)[0]
    backend.write([blob])
    path = Path(backend.paths.git_dir, "objects", blob.oid[:2], blob.oid[2:])
    os.utime(path, (1, 1))
    backend.write([blob])
    backend.git.run("prune", "--expire=1.hour.ago")
    assert backend.exists(blob.oid)


def test_an_object_that_a_power_cut_left_empty_is_written_again(backend: Repository) -> None:
    blob = record(backend)[0]
    path = Path(backend.paths.git_dir, "objects", blob.oid[:2], blob.oid[2:])
    path.parent.mkdir()
    path.touch()
    backend.write([blob])
    assert backend.git.run("cat-file", "blob", blob.oid) == blob.data


def test_many_objects_become_one_pack(backend: Repository) -> None:
    many = [objects.blob(b"%d" % number, backend.algorithm) for number in range(600)]
    backend.write(many)
    counts = dict(line.split(": ") for line in backend.git.lines("count-objects", "-v"))
    assert (counts["count"], counts["packs"], counts["in-pack"]) == ("0", "1", "600")
    assert list(backend.read_many(each.oid for each in many)) == [each.data for each in many]


def test_big_objects_are_stored_like_gzip_6(backend: Repository) -> None:
    line = b'{"m":{"loss":0.%d},"s":%d,"t":%d.5,"w":1763641343.25}\n'
    several = [b"".join(line % (i * i, i, i) for i in range(k, k + 9000)) for k in range(3)]
    big = [objects.blob(data, backend.algorithm) for data in several]
    backend.write([*big, *record(backend)], durable=True)
    for each in big:
        stored = Path(backend.paths.git_dir, "objects", each.oid[:2], each.oid[2:]).stat().st_size
        gzip = subprocess.run(["gzip", "-6"], input=each.data, capture_output=True, check=True).stdout
        assert stored < 1.01 * len(gzip)
        assert backend.read(each.oid) == ("blob", each.data)


def test_objects_are_as_readable_as_those_of_git(backend: Repository) -> None:
    objects_dir = Path(backend.paths.git_dir, "objects")
    objects_dir.chmod(0o2770)
    blob = record(backend)[0]
    backend.write([blob])
    path = objects_dir / blob.oid[:2] / blob.oid[2:]
    assert path.stat().st_mode & 0o777 == 0o440
    assert path.parent.stat().st_mode & 0o7777 == 0o2770


def test_files_of_ours_are_as_writable_as_the_repository(backend: Repository) -> None:
    Path(backend.paths.git_dir, "objects").chmod(0o2770)
    backend.update_refs([RefChange(RUN, None, made(backend))])
    directory = Path(backend.paths.git_dir, "track")
    assert directory.stat().st_mode & 0o7777 == 0o2770
    assert [path.stat().st_mode & 0o777 for path in directory.iterdir()] == [0o660]


def test_what_is_not_there_is_said(backend: Repository) -> None:
    with pytest.raises(KeyError):
        backend.read(none(backend))
    assert backend.read_path(none(backend), "run.json") is None
    assert list(backend.read_many([none(backend), none(backend) + ":run.json"])) == [None, None]
    assert list(backend.read_files([none(backend)], ["run.json"])) == [(None,)]


def test_only_whole_oids_are_names_of_objects(backend: Repository) -> None:
    backend.update_refs([RefChange("refs/heads/main", None, made(backend))])
    for name in ("HEAD", "main", made(backend)[:10]):
        with pytest.raises(ValueError, match="not an object id"):
            backend.read(name)
        with pytest.raises(ValueError, match="not an object id"):
            backend.exists(name)


def test_files_are_read_by_path(backend: Repository) -> None:
    commit = made(backend, "x")
    tree = objects.parse_commit(backend.read(commit)[1]).tree
    for start in (commit, tree):
        assert backend.read_path(start, "run.json") == b"content x\n"
        assert backend.read_path(start, "metrics/000/00.jsonl") == b"content x\n"
        for path in ("metrics", "nothing", "run.json/x", "metrics/nothing", "run.json\n", "", "/run.json"):
            assert backend.read_path(start, path) is None


def test_many_files_come_in_order(backend: Repository) -> None:
    commits = [made(backend, f"{number}") for number in range(30)]
    wanted = [(f"content {number}\n".encode(), None) for number in range(30)]
    assert list(backend.read_files(commits, ["run.json", "nothing"])) == wanted
    specs = [f"{commit}:{path}" for commit in commits for path in ("run.json", "nothing", "metrics")]
    assert list(backend.read_many(specs)) == [part for row in wanted for part in (*row, None)]


def test_a_reader_may_stop_early(backend: Repository) -> None:
    commits = [made(backend)] * 5000
    answers = backend.read_files(commits, ["run.json", "metrics/000/00.jsonl"])
    assert next(answers)[0] == b"content \n"
    answers.close()  # type: ignore[attr-defined]
    assert backend.read_path(commits[0], "run.json")


def test_a_damaged_object_is_an_error_with_a_next_step(backend: Repository) -> None:
    blob = record(backend, "damaged")[0]
    backend.write([blob])
    path = Path(backend.paths.git_dir, "objects", blob.oid[:2], blob.oid[2:])
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-4] + b"abcd")
    with pytest.raises(errors.DamagedRecord) as caught:
        backend.read(blob.oid)
    assert "git fsck" in caught.value.hint
    path.unlink()


def test_a_file_that_is_missing_from_its_tree_is_damage(backend: Repository) -> None:
    commit = made(backend, "missing")
    blob = record(backend, "missing")[0]
    path = Path(backend.paths.git_dir, "objects", blob.oid[:2], blob.oid[2:])
    aside = path.rename(path.with_name("aside"))
    for _ in range(2):
        with pytest.raises(errors.DamagedRecord):
            backend.read_path(commit, "run.json")
    assert list(backend.read_files([commit, commit], ["run.json", "nothing"])) == [(None, None)] * 2
    aside.rename(path)
    assert backend.read_path(commit, "run.json") == b"content missing\n"


def test_a_damaged_record_hides_no_other(backend: Repository) -> None:
    commits = [made(backend, f"{number}") for number in range(9)]
    damaged = [record(backend, f"{number}")[0] for number in (2, 5)]
    for blob in damaged:
        path = Path(backend.paths.git_dir, "objects", blob.oid[:2], blob.oid[2:])
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-4] + b"abcd")
    wanted = [(None if number in (2, 5) else f"content {number}\n".encode(),) for number in range(9)]
    assert list(backend.read_files(commits, ["run.json"])) == wanted
    for blob in damaged:
        Path(backend.paths.git_dir, "objects", blob.oid[:2], blob.oid[2:]).unlink()


def test_objects_of_another_process_are_seen(backend: Repository) -> None:
    assert not backend.exists(record(backend, "late")[-1].oid)
    other = open_repository(backend.paths, os.environ, "cli")
    commit = made(other, "late")
    other.update_refs([RefChange(RUN, None, commit)])
    assert backend.exists(commit)
    assert backend.refs() == {RUN: commit}
    other.git.run("gc", "-q")
    assert backend.read_path(commit, "run.json") == b"content late\n"
    other.close()


def test_closing_twice_is_allowed(backend: Repository) -> None:
    backend.close()
    backend.close()


# -- refs


def test_refs_are_listed_by_prefix(backend: Repository) -> None:
    commit = made(backend)
    names = ["refs/heads/x", "refs/track/code/aa/1", "refs/track/runs/aa/1", "refs/track/runs/ab/12", "refs/track2/x"]
    backend.update_refs([RefChange(name, None, commit) for name in names])
    backend.git.run("symbolic-ref", "refs/track/runs/ab/symbolic", "refs/heads/x")
    for _ in ("loose", "packed"):
        assert list(backend.refs()) == names
        assert list(backend.refs("refs/track/")) == names[1:4]
        assert list(backend.refs("refs/track/runs/a")) == names[2:4]
        assert list(backend.refs("refs/track/runs/ab/1")) == names[3:4]
        assert list(backend.refs("refs/track/runs/ab/12")) == names[3:4]
        assert backend.refs("refs/track/none/") == {}
        assert set(backend.refs("refs/track/").values()) == {commit}
        backend.git.run("pack-refs", "--all")


@pytest.mark.parametrize("packed", [False, True])
def test_a_ref_is_created_moved_and_deleted(backend: Repository, packed: bool) -> None:
    one, two = made(backend, "1"), made(backend, "2")
    steps = [(None, one), (one, two), (two, two), (two, None), (None, None), (None, one)]
    for old, new in steps:
        backend.update_refs([RefChange(RUN, old, new)], durable=new is not None)
        assert backend.refs() == ({RUN: new} if new else {})
        assert backend.git.run("for-each-ref", "--format=%(objectname)").decode().strip() == (new or "")
        if packed:
            backend.git.run("pack-refs", "--all")


@pytest.mark.parametrize("packed", [False, True])
def test_a_ref_that_is_elsewhere_is_a_conflict_and_nothing_moves(backend: Repository, packed: bool) -> None:
    one, two = made(backend, "1"), made(backend, "2")
    backend.update_refs([RefChange(RUN, None, one)])
    if packed:
        backend.git.run("pack-refs", "--all")
    other = "refs/track/code/bb/2"
    for wrong in (
        RefChange(RUN, None, two),
        RefChange(RUN, two, one),
        RefChange(RUN, two, None),
        RefChange(RUN, two, two),
        RefChange(RUN, None, None),
        RefChange("refs/track/runs/bb/3", one, two),
        RefChange("refs/track/runs/bb/3", one, None),
    ):
        for changes in ([RefChange(other, None, one), wrong], [wrong, RefChange(other, None, one)]):
            with pytest.raises(errors.RefConflict) as caught:
                backend.update_refs(changes)
            assert wrong.ref in caught.value.message
            assert backend.refs() == {RUN: one}


def test_a_ref_never_points_at_a_missing_object(backend: Repository) -> None:
    with pytest.raises(errors.GitFailed, match="no such object"):
        backend.update_refs([RefChange(RUN, None, none(backend))])
    assert backend.refs() == {}


def test_a_ref_in_place_of_a_directory_is_a_conflict(backend: Repository) -> None:
    commit = made(backend)
    backend.update_refs([RefChange(RUN, None, commit)])
    for packed in (False, True):
        for name in (f"{RUN}/below", "refs/track/runs/aa"):
            with pytest.raises(errors.RefConflict) as caught:
                backend.update_refs([RefChange(name, None, commit)])
            assert caught.value.hint
        assert backend.refs() == {RUN: commit}
        if not packed:
            backend.git.run("pack-refs", "--all")


@pytest.mark.parametrize("ref", ["refs/track/../x", "refs/track/a.lock", "HEAD", "refs/x y/z", "refs/heads/a\nb/c", ""])
def test_a_bad_name_is_refused_before_anything_happens(backend: Repository, ref: str) -> None:
    with pytest.raises(ValueError, match="not a valid ref name"):
        backend.update_refs([RefChange(ref, None, made(backend))])


def test_what_is_not_an_oid_never_reaches_git(backend: Repository) -> None:
    for value in ("", "HEAD", "abc"):
        with pytest.raises(ValueError, match="not an object id"):
            backend.update_refs([RefChange(RUN, None, value)])


def test_many_refs_move_at_once(backend: Repository) -> None:
    commit = made(backend)
    names = [f"refs/track/runs/{number % 16:02x}/{number}" for number in range(100)]
    backend.update_refs([RefChange(name, None, commit) for name in names])
    assert set(backend.refs()) == set(names)
    backend.git.run("pack-refs", "--all")
    backend.update_refs([RefChange(name, commit, None) for name in names[:90]])
    assert set(backend.refs()) == set(names[90:])


def test_a_lock_that_stays_is_a_conflict_that_names_it(backend: Repository) -> None:
    commit = made(backend)
    backend.update_refs([RefChange(RUN, None, commit)])
    lock = Path(backend.paths.common_dir, RUN + ".lock")
    lock.touch()
    with pytest.raises(errors.RefConflict) as caught:
        backend.update_refs([RefChange(RUN, commit, None)])
    assert str(lock) in caught.value.message
    assert "remove" in caught.value.hint
    lock.unlink()
    backend.update_refs([RefChange(RUN, commit, None)])


def test_a_reflog_is_written_where_the_user_wants_one(backend: Repository) -> None:
    backend.git.run("config", "core.logAllRefUpdates", "always")
    one, two = made(backend, "1"), made(backend, "2")
    backend.update_refs([RefChange(RUN, None, one)])
    backend.update_refs([RefChange(RUN, one, two)])
    assert backend.git.lines("rev-parse", f"{RUN}@{{0}}", f"{RUN}@{{1}}") == [two, one]


def test_two_worktrees_share_the_refs(backend: Repository, tmp_path: Path) -> None:
    commit = made(backend)
    backend.update_refs([RefChange("refs/heads/main", None, commit)])
    backend.git.run("worktree", "add", "-q", "--detach", str(tmp_path / "linked"), commit)
    linked = open_repository(discover(str(tmp_path / "linked"), {}), os.environ, "auto")
    linked.update_refs([RefChange(RUN, None, commit)])
    assert backend.refs("refs/track/") == linked.refs("refs/track/") == {RUN: commit}
    assert type(linked) is type(open_repository(backend.paths, os.environ))
    linked.close()


def test_everything_works_in_a_bare_repository(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "bare")], check=True)
    for name in ("pygit2", "cli"):
        repo = open_repository(discover(str(tmp_path / "bare"), {}), os.environ, name)
        ref = f"refs/track/runs/{name}/1"
        repo.update_refs([RefChange(ref, None, made(repo))])
        assert repo.read_path(repo.refs()[ref], "run.json") == b"content \n"
        repo.close()
