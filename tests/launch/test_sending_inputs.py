"""Files besides the snapshot reach the work tree of a job: each once, verified, whatever is cut off on the way."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from sending_rig import Breaking, code_of, disk, job

from gittrack.core import pointer
from gittrack.errors import HostFailed, LinkLost, UsageError
from gittrack.git import snapshot as snapshots
from gittrack.git.command import Git
from gittrack.git.discover import discover
from gittrack.launch.link.here import Here
from gittrack.launch.link.hosts import HERE
from gittrack.launch.sending import inputs, placing

RUN = "0123456789abcdef0123"
OTHER = "1" * 20


def left_out(repo: Path, limit: int):
    """What a snapshot with this limit leaves out, as run.json says it."""
    git = Git(discover(str(repo), os.environ), os.environ)
    taken = snapshots.take(git, snapshots.plan(git, snapshots.Policy(max_file=limit)))
    git.run("update-ref", f"refs/track/code/{taken.oid[-2:]}/{taken.oid}", taken.oid)
    facts = [{"path": o.path, "size": o.size, "reason": o.reason, "sha256": o.sha256} for o in taken.left_out]
    return code_of(repo)._replace(oid=taken.oid), facts


def work(link, run_id: str = RUN) -> Path:
    return Path(job(link, run_id)) / "work"


def cached(link) -> set[str]:
    return {path.name for path in (Path(link.folder()) / "cache" / "files").rglob("*") if path.is_file()}


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def data(repo) -> Path:
    """An ignored folder with all kinds of files in it."""
    (repo / ".gitignore").write_text("data/\n")
    folder = repo / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "large.bin").write_bytes(os.urandom(300_000))
    (folder / "same.bin").write_bytes((folder / "large.bin").read_bytes())
    (folder / "deep" / "two\nlines '$(x)'").write_text("odd")
    (folder / "deep" / os.fsdecode(b"raw\xff")).write_text("raw")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "empty").write_text("")
    (folder / "link").symlink_to("large.bin")
    return folder


def bring(link, code, found, run_id=RUN):
    return placing.bring(link, code, run_id, found)


def without_python(tmp_path: Path, monkeypatch) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for folder in os.environ["PATH"].split(os.pathsep):
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            if not name.startswith("python") and not os.path.lexists(tools / name):
                (tools / name).symlink_to(os.path.join(folder, name))
    monkeypatch.setenv("PATH", str(tools))


@pytest.mark.parametrize("python", [True, False])
def test_an_ignored_folder_is_in_the_work_tree_as_it_is_here(repo, here, data, tmp_path, monkeypatch, python):
    code = code_of(repo)
    found = inputs.find(code, ["data/"], [])
    if not python:
        without_python(tmp_path, monkeypatch)
        assert shutil.which("python3") is None
    assert bring(here, code, found).state == "placed"
    there = work(here) / "data"
    assert {str(p.relative_to(there)) for p in there.rglob("*")} == {str(p.relative_to(data)) for p in data.rglob("*")}
    for path in data.rglob("*"):
        copy = there / path.relative_to(data)
        if path.is_symlink():
            assert os.readlink(copy) == os.readlink(path)
        elif path.is_file():
            assert copy.read_bytes() == path.read_bytes()
            assert copy.stat().st_mode & 0o777 == (0o755 if path.stat().st_mode & 0o100 else 0o644)
    (there / "large.bin").write_text("a job writes into what it was given")
    assert bring(here, code, found, OTHER).size == 0
    assert (work(here, OTHER) / "data" / "large.bin").read_bytes() == (data / "large.bin").read_bytes()


def test_only_new_content_travels(repo, here, data):
    code = code_of(repo)
    first = bring(here, code, inputs.find(code, ["data/"], []))
    (data / "more.bin").write_bytes(os.urandom(1000))
    (data / "large.bin").rename(data / "renamed.bin")
    second = bring(here, code, inputs.find(code, ["data/"], []), OTHER)
    assert first.size > 300_000
    assert second.size == 1000
    assert (work(here, OTHER) / "data" / "renamed.bin").exists()


def test_patterns_mean_what_they_mean_elsewhere(repo, here, data):
    code = code_of(repo)
    assert {one.path for one in inputs.find(code, ["data/*.bin"], []).files} == {"data/large.bin", "data/same.bin"}
    assert {one.path for one in inputs.find(code, ["data/run.sh"], []).files} == {"data/run.sh"}
    everything = {one.path for one in inputs.find(code, ["."], []).files}
    assert "data/large.bin" in everything
    assert not {path for path in everything if path.startswith(".git/") or path == "train.py"}
    for wrong in ("nothing", "../elsewhere", "/etc/passwd"):
        with pytest.raises(UsageError):
            inputs.find(code, [wrong], [])


def test_a_link_to_a_folder_elsewhere_brings_what_is_in_it(repo, here, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "x.bin").write_text("far away")
    (repo / "data").symlink_to(elsewhere)  # the snapshot has the link
    code = code_of(repo)
    assert bring(here, code, inputs.find(code, ["data"], [])).state == "placed"
    assert not (work(here) / "data").is_symlink()
    assert (work(here) / "data" / "x.bin").read_text() == "far away"
    assert os.listdir(elsewhere) == ["x.bin"]


def test_nothing_is_written_through_a_link_of_the_snapshot(repo, git, here, data, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    code = code_of(repo)
    found = inputs.find(code, ["data/"], [])
    shutil.rmtree(data)
    (repo / ".gitignore").unlink()
    data.symlink_to(outside)
    linked = code_of(repo)  # the snapshot has a link where the inputs were found
    (repo / "data").unlink()
    (repo / "data").mkdir()
    (repo / "data" / "x").write_text("x")
    again = inputs.find(linked, ["data/"], [])
    assert again.files == () and "link of the snapshot" in again.remarks[0]
    assert found.files != ()


def test_large_files_that_the_snapshot_leaves_out_go_along(repo, git, here, monkeypatch):
    (repo / "new.bin").write_bytes(os.urandom(5000))
    (repo / "train.py").write_text("# " + "x" * 3000 + "\n")
    code, facts = left_out(repo, 2000)
    assert len(facts) == 2
    found = inputs.find(code, [], facts)
    bring(here, code, found)
    assert (work(here) / "train.py").read_bytes() == (repo / "train.py").read_bytes()
    assert (work(here) / "new.bin").read_bytes() == (repo / "new.bin").read_bytes()
    monkeypatch.setattr(inputs, "BY_THEMSELVES", 4000)
    found = inputs.find(code, [], facts)
    assert [one.path for one in found.files] == ["train.py"]
    assert "'new.bin'" in found.remarks[0] and "inputs:" in found.remarks[0]
    assert {one.path for one in inputs.find(code, ["new.bin"], facts).files} == {"train.py", "new.bin"}


def test_what_is_named_like_a_secret_goes_only_when_it_is_named_itself(repo, data):
    (data / ".env").write_text("KEY=1")
    found = inputs.find(code_of(repo), ["data/"], [])
    assert "data/.env" not in {one.path for one in found.files}
    assert ".env" in found.remarks[0]
    assert "data/.env" in {one.path for one in inputs.find(code_of(repo), ["data/.env"], []).files}


def test_files_of_git_lfs_are_there_and_not_their_pointers(repo, git, here):
    content = os.urandom(20_000)
    (repo / ".gitattributes").write_text("*.bin filter=lfs -text\n")
    (repo / "model.bin").write_bytes(pointer.encode(sha(content), len(content)))
    (repo / "lost.bin").write_bytes(pointer.encode("0" * 64, 5))
    git("config", "filter.lfs.clean", "cat")
    git("add", ".")
    git("commit", "-q", "-m", "Pointers")
    stored = repo / ".git" / "lfs" / "objects" / sha(content)[:2] / sha(content)[2:4] / sha(content)
    stored.parent.mkdir(parents=True)
    stored.write_bytes(content)
    code = code_of(repo)
    found = inputs.find(code, [], [])
    bring(here, code, found)
    assert (work(here) / "model.bin").read_bytes() == content
    assert "lost.bin" in found.remarks[0]


@pytest.mark.parametrize("at", [0, 100, 512, 40_000, 250_000, 302_000])
def test_a_cut_leaves_whole_files_and_the_next_attempt_goes_on(repo, here, data, at):
    code = code_of(repo)
    (data / "later.bin").write_bytes(os.urandom(50_000))
    found = inputs.find(code, ["data/"], [])
    placing.bring(here, code, OTHER, inputs.NONE)  # the code is there
    with pytest.raises(LinkLost):
        files = [one for one in found.files if one.size]
        placing.send(Breaking(here, at), code, files)
    for digest in cached(here):
        path = Path(here.folder()) / "cache" / "files" / digest[:2] / digest
        assert sha(path.read_bytes()) == digest
    assert bring(here, code, found).state == "placed"
    assert (work(here) / "data" / "large.bin").read_bytes() == (data / "large.bin").read_bytes()
    assert [name for name in os.listdir(f"{here.folder()}/cache") if name != "files"] == []


def test_whole_files_that_arrived_before_a_cut_stay(repo, here, data):
    for number in range(5):
        (data / f"{number}.bin").write_bytes(os.urandom(400_000))
    code = code_of(repo)
    files = [one for one in inputs.find(code, ["data/"], []).files if one.path.endswith("bin")]
    with pytest.raises(LinkLost):
        placing.send(Breaking(here, 1_500_000), code, files)
    assert len(cached(here)) >= 3
    assert placing.send(here, code, files) <= 1_100_000


def test_a_file_that_changes_while_it_is_sent_is_said_and_never_kept_under_the_wrong_name(repo, here, data):
    code = code_of(repo)
    found = inputs.find(code, ["data/large.bin"], [])
    (data / "large.bin").write_bytes(os.urandom(300_000))
    with pytest.raises(UsageError, match="changed"):
        bring(here, code, found)
    assert cached(here) == set()
    (data / "large.bin").write_bytes(b"short")
    with pytest.raises(UsageError, match="changed"):
        bring(here, code, found)
    assert cached(here) == set()
    assert bring(here, code, inputs.find(code, ["data/large.bin"], [])).state == "placed"


def test_a_file_that_a_power_cut_has_torn_there_is_sent_again(repo, here, data):
    code = code_of(repo)
    found = inputs.find(code, ["data/"], [])
    bring(here, code, found)
    digest = sha((data / "large.bin").read_bytes())
    for size in (0, 1000):
        os.truncate(Path(here.folder()) / "cache" / "files" / digest[:2] / digest, size)
        (Path(here.folder()) / "jobs" / RUN).rename(Path(here.folder()) / "jobs" / f"{size}")
        bring(here, code, found)
        for path in (repo / "data").glob("*.bin"):
            assert (work(here) / "data" / path.name).read_bytes() == path.read_bytes()


def test_a_full_disk_is_said_before_anything_is_sent(repo, data, tmp_path):
    (data / "huge.bin").write_bytes(os.urandom(9_000_000))
    code = code_of(repo)
    with disk(tmp_path / "small", "6m") as path:
        link = Here(HERE._replace(folder=str(path / "ours")))
        with pytest.raises(HostFailed, match=r"too full.*needs 9\.3 MB") as caught:
            bring(link, code, inputs.find(code, ["data/"], []))
        assert caught.value.kind == "full"
        assert cached(link) == set()
        (data / "huge.bin").write_bytes(os.urandom(3_500_000))  # fits once, and not a second time
        with pytest.raises(HostFailed, match="too full"):
            bring(link, code, inputs.find(code, ["data/"], []))
        assert os.listdir(job(link, RUN)) == []


def test_many_small_files_need_few_processes(repo, here, data):
    for number in range(3000):
        (data / f"{number}.txt").write_text(f"{number}\n")
    code = code_of(repo)
    found = inputs.find(code, ["data/"], [])
    opened = []
    link = Counting(here, opened)
    bring(link, code, found)
    assert len(opened) <= 4  # the code, what is missing, one stream, the copies
    assert (work(here) / "data" / "2999.txt").read_text() == "2999\n"


def test_what_the_snapshot_has_is_not_sent_as_an_input(repo, git, data):
    git("add", "-f", "data/run.sh")
    git("commit", "-q", "-m", "Tracked in an ignored folder")
    assert "data/run.sh" not in {one.path for one in inputs.find(code_of(repo), ["data"], []).files}


class Counting:
    def __init__(self, link, opened: list) -> None:
        self._link = link
        self._opened = opened

    def __getattr__(self, name):
        return getattr(self._link, name)

    def open(self, argv):
        self._opened.append(argv)
        return self._link.open(argv)

    def run(self, argv, data=b"", check=True):
        self._opened.append(argv)
        return self._link.run(argv, data, check)
