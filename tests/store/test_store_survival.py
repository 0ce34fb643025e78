"""What the store on disk survives: kills at any moment, a full disk, no permission, others who save the same."""

import hashlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gittrack import errors
from gittrack.store.content import Content
from gittrack.store.directory import DirectoryStore
from gittrack.store.local import open_local

MB = 1024 * 1024
# Tells each chunk as it is put; then what is kept.
SAVE = """
import sys
from gittrack.store.local import open_local
kept = open_local(sys.argv[1]).put_file(sys.argv[2], lambda count: print(count, flush=True))
print(kept.sha256, kept.size, kept.new)
"""
SIZE = 150 * MB  # more than what is flushed at once, so that a kill may come between two flushes


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "model.pt"
    path.write_bytes(random.Random(1).randbytes(SIZE))
    return path


def start(track: Path, file: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", SAVE, str(track), str(file)], stdout=subprocess.PIPE)


def named(track: Path) -> list[Path]:
    """The objects that have their names; each is what its name says."""
    found = [path for path in (track / "objects/chunks").rglob("*") if path.is_file()]
    for path in found:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    return found


@pytest.mark.parametrize("chunks", [0, 1, 30, 60, 90, 120])
def test_a_kill_leaves_no_torn_object_and_the_next_one_completes(tmp_path: Path, file: Path, chunks: int):
    track = tmp_path / "track"
    child = start(track, file)
    for _ in range(chunks):
        child.stdout.readline()
    child.kill()
    child.wait()
    child.stdout.close()
    survived = sum(path.stat().st_size for path in named(track))
    assert not (track / "objects/files").exists()
    content = open_local(str(track))
    kept = content.put_file(str(file))
    listed = content.store.size(content.objects(kept.sha256, kept.size)[-1])
    assert kept.new == SIZE - survived + listed  # nothing is stored twice
    assert sum(path.stat().st_size for path in named(track)) == SIZE
    content.verify(kept.sha256, kept.size)


def test_a_kill_loses_a_bounded_part(tmp_path: Path, file: Path):
    track = tmp_path / "track"
    child = start(track, file)
    done = 0
    while done < 140 * MB:
        done += int(child.stdout.readline())
    child.kill()
    child.wait()
    child.stdout.close()
    assert sum(path.stat().st_size for path in named(track)) >= 64 * MB


def test_a_kill_in_the_middle_of_naming_leaves_only_whole_objects(tmp_path: Path):
    track = tmp_path / "track"
    many = """
import sys
from gittrack.store.local import open_local
content = open_local(sys.argv[1])
for number in range(900):
    content.put_bytes(b"%d" % number * 1000, durable=False)
print(flush=True)
content.flush()
print(flush=True)
"""
    lost = 0
    for delay in (0, 0.002, 0.005, 0.01, 0.02, 0.05):
        child = subprocess.Popen([sys.executable, "-c", many, str(track)], stdout=subprocess.PIPE)
        child.stdout.readline()
        time.sleep(delay)  # anywhere in the flush: that is what is looked for
        child.kill()
        child.wait()
        child.stdout.close()
        lost += len(named(track)) < 900
    assert lost  # at least one kill came in time
    subprocess.run([sys.executable, "-c", many, str(track)], check=True, stdout=subprocess.DEVNULL)
    assert len(named(track)) == 900


def test_two_processes_that_save_the_same_at_once_both_succeed(tmp_path: Path, file: Path):
    track = tmp_path / "track"
    children = [start(track, file) for _ in range(2)]
    last = [child.communicate()[0].splitlines()[-1].split() for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert last[0][:2] == last[1][:2]
    assert sum(path.stat().st_size for path in named(track)) == SIZE
    assert list((track / "objects/incoming").iterdir()) == []
    open_local(str(track)).verify(last[0][0].decode(), SIZE)


def test_what_dead_processes_left_is_removed_when_it_is_old(tmp_path: Path):
    store = DirectoryStore(str(tmp_path / "objects"))
    store.put("chunks/aa/1", b"1")
    store.flush()
    incoming = tmp_path / "objects/incoming"
    for name, age in (("1-old-0", 2 * 86400), ("1-young-0", 3600)):
        (incoming / name).write_bytes(b"torn")
        os.utime(incoming / name, (time.time() - age,) * 2)
    again = DirectoryStore(str(tmp_path / "objects"))
    again.put("chunks/aa/2", b"2")
    again.flush()
    assert [path.name for path in incoming.iterdir()] == ["1-young-0"]


def test_the_store_may_be_removed_while_a_process_has_it_open(tmp_path: Path):
    content = open_local(str(tmp_path / "track"))
    first = content.put_bytes(b"first")
    subprocess.run(["rm", "-rf", str(tmp_path / "track/objects")], check=True)
    assert not content.has(first.sha256, first.size)
    second = content.put_bytes(b"second")
    assert content.read(second.sha256, second.size) == b"second"
    assert content.put_bytes(b"first").new == 5


def test_what_waits_in_a_store_that_is_removed_is_an_error_and_not_forgotten(tmp_path: Path):
    content = open_local(str(tmp_path / "track"))
    kept = content.put_bytes(b"bytes", durable=False)
    subprocess.run(["rm", "-rf", str(tmp_path / "track/objects")], check=True)
    with pytest.raises(errors.GittrackError) as caught:
        content.flush()
    assert caught.value.hint
    assert content.put_bytes(b"bytes") == kept
    assert content.read(kept.sha256, kept.size) == b"bytes"


FULL = """
import hashlib, os, random, sys
from gittrack import errors
from gittrack.store.local import open_local
content = open_local("track")
data = random.Random(1).randbytes(12_000_000)
try:
    content.put_bytes(data)
    sys.exit("no error")
except errors.CannotWrite as error:
    assert "disk is full" in error.message and "free some space" in error.hint, error.message
left = [os.path.join(folder, name) for folder, _, names in os.walk("track/objects") for name in names]
assert all(hashlib.sha256(open(path, "rb").read()).hexdigest() == os.path.basename(path) for path in left), left
del content
os.unlink("filler")
content = open_local("track")
kept = content.put_bytes(data)
content.verify(kept.sha256, kept.size)
left = [os.path.join(folder, name) for folder, _, names in os.walk("track/objects") for name in names]
assert sorted(left) == sorted("track/objects/" + key for key in content.objects(kept.sha256, kept.size)), left
os.unlink("track/objects/gone") if os.path.exists("track/objects/gone") else None
try:
    content.copy_to(kept.sha256, kept.size, "copy")
    sys.exit("no error")
except errors.CannotWrite as error:
    assert "copy" in error.message and error.hint
assert sorted(os.listdir(".")) == ["track"]
print("sound")
"""


def test_a_full_disk_is_an_error_and_the_next_try_completes(tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    script = (
        f'mount -t tmpfs -o size=20m none {disk} || exit 99; cd {disk}; head -c 14000000 /dev/zero > filler; exec "$@"'
    )
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", sys.executable, "-c", FULL], capture_output=True, text=True
    )
    if done.returncode == 99 or "unshare failed" in done.stderr:
        pytest.skip("no mount for us here")
    assert (done.returncode, done.stdout, done.stderr) == (0, "sound\n", "")


READ_ONLY = """
from gittrack import errors
from gittrack.store.local import open_local
import hashlib, sys
content = open_local("disk/track")
assert content.read(hashlib.sha256(b"there").hexdigest(), 5) == b"there"
assert content.put_bytes(b"there").new == 0
try:
    content.put_bytes(b"new")
    sys.exit("no error")
except errors.CannotWrite as error:
    assert "disk/track" in error.message and "writable" in error.hint, error.message
print("said")
"""


def test_a_read_only_store_is_read_and_says_that_it_cannot_be_written(tmp_path: Path):
    open_local(str(tmp_path / "disk/track")).put_bytes(b"there")
    script = 'mount --bind disk disk && mount -o remount,ro,bind disk || exit 99; exec "$@"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", sys.executable, "-c", READ_ONLY],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    if done.returncode == 99 or "unshare failed" in done.stderr:
        pytest.skip("no mount for us here")
    assert (done.returncode, done.stdout, done.stderr) == (0, "said\n", "")


def test_a_file_in_the_way_of_the_store_is_a_clear_error(tmp_path: Path):
    (tmp_path / "track").mkdir()
    (tmp_path / "track/objects").write_text("in the way")
    content = open_local(str(tmp_path / "track"))
    assert not content.has("ab" * 32, 3)
    with pytest.raises(errors.GittrackError) as caught:
        content.put_bytes(b"new")
    assert str(tmp_path / "track/objects") in caught.value.message and caught.value.hint


def test_objects_and_folders_are_shared_as_the_folder_above_is(tmp_path: Path):
    track = tmp_path / "track"
    track.mkdir()
    track.chmod(0o2770)
    kept = open_local(str(track)).put_bytes(b"bytes")
    folder = track / "objects/chunks" / kept.sha256[:2]
    modes = [path.stat().st_mode & 0o7777 for path in (track / "objects", folder, folder / kept.sha256)]
    assert modes == [0o2770, 0o2770, 0o440]


@pytest.mark.parametrize("key", ["../escape", "chunks/../../escape", "/etc/passwd", "incoming/x", "", "chunks//x"])
def test_a_key_never_leads_out_of_the_store(tmp_path: Path, key: str):
    store = DirectoryStore(str(tmp_path / "objects"))
    for attempt in (lambda: store.put(key, b"x"), lambda: store.get(key), lambda: store.delete([key])):
        with pytest.raises(ValueError, match="not a key"):
            attempt()
    assert list(tmp_path.iterdir()) == []


def test_ten_thousand_small_files_share_their_waits(tmp_path: Path):
    content: Content = open_local(str(tmp_path / "track"))
    kept = [content.put_bytes(b"%d" % number, durable=False) for number in range(10_000)]
    content.flush()
    assert len({each.sha256 for each in kept}) == len(named(tmp_path / "track")) == 10_000
    assert len(list(content.store.list("chunks/"))) == 10_000


def test_what_was_lost_while_something_else_was_put_is_said_by_flush(tmp_path: Path):
    store = DirectoryStore(str(tmp_path / "objects"))
    store.put("chunks/aa/1", b"1")
    subprocess.run(["rm", "-rf", str(tmp_path / "objects")], check=True)
    (tmp_path / "objects").write_text("in the way")
    with pytest.raises(errors.GittrackError):
        store.put("chunks/aa/2", b"2")
    with pytest.raises(errors.GittrackError):
        store.flush()
    (tmp_path / "objects").unlink()
    store.put("chunks/aa/1", b"1")
    store.flush()
    assert store.get("chunks/aa/1") == b"1"
