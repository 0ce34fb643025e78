"""Files in a store: stored once, given back whole and verified, and damage is named, never handed over."""

import hashlib
import os
import random
import stat
import zipfile
from pathlib import Path

import pytest
from common import noise

from gittrack import errors
from gittrack.store import chunklist
from gittrack.store.chunklist import Chunk
from gittrack.store.content import EMPTY, Content, chunk_key, list_key
from gittrack.store.directory import DirectoryStore
from gittrack.store.local import open_local

MB = 1024 * 1024


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def content(tmp_path: Path) -> Content:
    return open_local(str(tmp_path / "track"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "track/objects"


def stored(root: Path) -> dict[str, int]:
    return {str(path.relative_to(root)): path.stat().st_size for path in root.rglob("*") if path.is_file()}


def test_a_small_file_is_one_object_named_by_its_digest(content: Content, root: Path, tmp_path: Path):
    (tmp_path / "file").write_bytes(b"small")
    kept = content.put_file(str(tmp_path / "file"))
    assert kept == (sha(b"small"), 5, 5)
    assert stored(root) == {f"chunks/{kept.sha256[:2]}/{kept.sha256}": 5}
    assert content.objects(*kept[:2]) == [chunk_key(kept.sha256)]


def test_an_empty_file_is_no_object_at_all(content: Content, root: Path, tmp_path: Path):
    (tmp_path / "file").touch()
    assert content.put_file(str(tmp_path / "file")) == (EMPTY, 0, 0)
    assert content.has(EMPTY, 0) and content.read(EMPTY, 0) == b"" and content.objects(EMPTY, 0) == []
    content.copy_to(EMPTY, 0, str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == b""
    assert content.open(EMPTY, 0).read() == b""
    assert not root.exists()


def test_a_large_file_is_chunks_and_a_list_that_others_can_read(content: Content, root: Path, tmp_path: Path):
    data = noise(1, 10 * MB)
    (tmp_path / "file").write_bytes(data)
    kept = content.put_file(str(tmp_path / "file"))
    assert kept == (sha(data), len(data), sum(stored(root).values()))
    head, *lines = (root / list_key(kept.sha256)).read_text().splitlines()
    assert head == f"gittrack chunks 1 {len(data)}" and len(lines) > 2
    together = b"".join((root / chunk_key(line.split()[0])).read_bytes() for line in lines)
    assert together == data
    assert [path for path in stored(root) if path.startswith("files/")] == [list_key(kept.sha256)]
    assert content.objects(kept.sha256, kept.size)[-1] == list_key(kept.sha256)
    assert set(content.objects(kept.sha256, kept.size)) == set(stored(root))


def test_the_same_file_again_stores_nothing(content: Content, root: Path):
    data = noise(1, 6 * MB)
    content.put_bytes(data)
    before = stored(root)
    assert content.put_bytes(data).new == 0
    assert open_local(str(root.parent)).put_bytes(data).new == 0
    assert stored(root) == before


def test_bytes_that_repeat_within_a_file_are_stored_once(content: Content, root: Path):
    kept = content.put_bytes(bytes(40 * MB))
    assert kept.new < 5 * MB and content.has(kept.sha256, kept.size)
    assert content.read(kept.sha256, kept.size) == bytes(40 * MB)


def test_four_versions_with_a_tenth_changed_take_little_more_than_the_changes(content: Content, root: Path):
    frozen = noise(0, 36 * MB)
    for version in range(4):
        content.put_bytes(frozen + noise(version + 1, 4 * MB))
    assert sum(stored(root).values()) / (40 * MB) <= 1.35


def test_progress_tells_every_byte(content: Content, tmp_path: Path):
    data, put, copied, verified = noise(1, 9 * MB), [], [], []
    (tmp_path / "file").write_bytes(data)
    kept = content.put_file(str(tmp_path / "file"), put.append)
    content.copy_to(kept.sha256, kept.size, str(tmp_path / "copy"), progress=copied.append)
    content.verify(kept.sha256, kept.size, verified.append)
    assert sum(put) == sum(copied) == sum(verified) == len(data)
    assert min(len(put), len(copied)) > 2


def test_a_file_may_have_any_name(content: Content, tmp_path: Path):
    for name in ("modèle ✓ 模型.pt", "a\nb", "x" * 250, os.fsdecode(b"\xff\xfe.bin")):
        (tmp_path / name).write_bytes(name.encode("utf-8", "surrogateescape") * 3)
        kept = content.put_file(str(tmp_path / name))
        target = tmp_path / "out" / name
        target.parent.mkdir(exist_ok=True)
        content.copy_to(kept.sha256, kept.size, str(target))
        assert target.read_bytes() == (tmp_path / name).read_bytes()


def test_a_file_that_is_not_there_is_an_error_of_the_caller(content: Content, root: Path, tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        content.put_file(str(tmp_path / "absent"))
    assert not root.exists()


def test_what_is_put_without_waiting_is_there_after_a_flush(content: Content, root: Path):
    kept = [content.put_bytes(noise(number, 1000), durable=False) for number in range(20)]
    assert not (root / "chunks").exists()
    assert all(content.has(each.sha256, each.size) for each in kept)
    content.flush()
    assert len(stored(root)) == 20
    assert all(open_local(str(root.parent)).has(each.sha256, each.size) for each in kept)


def test_an_open_file_reads_in_any_order(content: Content):
    data = noise(1, 12 * MB)
    kept = content.put_bytes(data)
    with content.open(kept.sha256, kept.size) as file:
        assert file.seekable() and file.readable() and not file.writable()
        assert file.read(10) == data[:10]
        chance = random.Random(1)
        for _ in range(60):
            start, length = chance.randrange(len(data)), chance.choice((1, 100, 70_000, 3 * MB))
            assert file.seek(start) == start
            assert file.read(length) == data[start : start + length]
        assert file.seek(-5, os.SEEK_END) == len(data) - 5
        assert file.read() == data[-5:] and file.read() == b""
        assert file.seek(len(data) + 9) and file.read() == b""
        with pytest.raises(OSError, match="start"):
            file.seek(-1)
        file.seek(0)
        assert file.read() == data


def test_an_open_archive_is_read_without_fetching_all_of_it(content: Content, root: Path, tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        for number in range(8):
            archive.writestr(f"data/{number}", noise(number, MB))
    kept = content.put_file(str(tmp_path / "m.zip"))
    (root / chunk_key(sha(noise(0, MB)))).exists() or pytest.fail("the tensors are not chunks of their own")
    os.unlink(root / chunk_key(sha(noise(0, MB))))
    with content.open(kept.sha256, kept.size) as file, zipfile.ZipFile(file) as archive:
        assert archive.read("data/5") == noise(5, MB)
        with pytest.raises(errors.MissingContent):
            archive.read("data/0")


def test_a_copy_has_the_mode_that_was_asked_for_and_the_umask_counts(content: Content, tmp_path: Path):
    kept = content.put_bytes(b"#!/bin/sh\n")
    before = os.umask(0o027)
    try:
        content.copy_to(kept.sha256, kept.size, str(tmp_path / "plain"))
        content.copy_to(kept.sha256, kept.size, str(tmp_path / "script"), 0o755)
        content.copy_to(kept.sha256, kept.size, str(tmp_path / "fixed"), 0o444)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir() if path.is_file()}
    assert modes == {"plain": 0o640, "script": 0o750, "fixed": 0o440}


def test_a_link_at_the_target_is_replaced_and_never_followed(content: Content, tmp_path: Path):
    kept = content.put_bytes(b"new")
    (tmp_path / "precious").write_bytes(b"old")
    (tmp_path / "link").symlink_to("precious")
    content.copy_to(kept.sha256, kept.size, str(tmp_path / "link"))
    assert (tmp_path / "precious").read_bytes() == b"old"
    assert not (tmp_path / "link").is_symlink() and (tmp_path / "link").read_bytes() == b"new"


@pytest.mark.parametrize("size", [10, 9 * MB])
def test_a_copy_that_fails_leaves_the_old_file_and_nothing_else(
    content: Content, root: Path, tmp_path: Path, size: int
):
    kept = content.put_bytes(noise(1, size))
    chunk = root / content.objects(kept.sha256, kept.size)[0]
    os.chmod(chunk, 0o600)
    chunk.write_bytes(flipped(chunk.read_bytes()))
    out = tmp_path / "out"
    out.mkdir()
    (out / "model").write_bytes(b"old")
    with pytest.raises(errors.CorruptContent):
        content.copy_to(kept.sha256, kept.size, str(out / "model"))
    assert [(path.name, path.read_bytes()) for path in out.iterdir()] == [("model", b"old")]


def test_a_copy_to_where_nothing_can_be_written_says_so(content: Content, tmp_path: Path):
    kept = content.put_bytes(b"new")
    (tmp_path / "folder/inside").mkdir(parents=True)
    for target in (tmp_path / "absent/file", tmp_path / "folder"):
        with pytest.raises(errors.CannotWrite) as caught:
            content.copy_to(kept.sha256, kept.size, str(target))
        assert str(target) in caught.value.message and caught.value.hint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "track"]


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def every_way_of_reading(content: Content, sha256: str, size: int, tmp_path: Path):
    yield lambda: content.read(sha256, size)
    yield lambda: content.verify(sha256, size)
    yield lambda: content.copy_to(sha256, size, str(tmp_path / "copy"))
    yield lambda: content.open(sha256, size).read()


@pytest.mark.parametrize("size", [100, 9 * MB])
@pytest.mark.parametrize("which", [0, -1])
def test_a_flipped_bit_is_found_by_every_reader_and_the_chunk_is_named(
    content: Content, root: Path, tmp_path: Path, size: int, which: int
):
    kept = content.put_bytes(noise(1, size))
    chunk = content.chunks(kept.sha256, kept.size)[which]
    path = root / chunk_key(chunk.sha256)
    path.chmod(0o600)
    path.write_bytes(flipped(path.read_bytes()))
    for read in every_way_of_reading(content, kept.sha256, kept.size, tmp_path):
        with pytest.raises(errors.CorruptContent) as caught:
            read()
        assert chunk.sha256 in caught.value.message and kept.sha256 in caught.value.message


@pytest.mark.parametrize("size", [100, 9 * MB])
def test_a_chunk_that_is_gone_is_missing_to_every_reader(content: Content, root: Path, tmp_path: Path, size: int):
    kept = content.put_bytes(noise(1, size))
    (root / chunk_key(content.chunks(kept.sha256, kept.size)[-1].sha256)).unlink()
    assert not content.has(kept.sha256, kept.size)
    for read in every_way_of_reading(content, kept.sha256, kept.size, tmp_path):
        with pytest.raises(errors.MissingContent) as caught:
            read()
        assert kept.sha256 in caught.value.message and caught.value.hint
    assert content.put_bytes(noise(1, size)).new > 0
    assert content.read(kept.sha256, kept.size) == noise(1, size)


@pytest.mark.parametrize("size", [100, 9 * MB])
def test_a_chunk_of_the_wrong_size_is_not_believed_and_written_again(content: Content, root: Path, size: int):
    kept = content.put_bytes(noise(1, size))
    path = root / chunk_key(content.chunks(kept.sha256, kept.size)[0].sha256)
    path.chmod(0o600)
    os.truncate(path, path.stat().st_size // 2)
    assert not content.has(kept.sha256, kept.size)
    assert content.put_bytes(noise(1, size)).new > 0
    assert content.has(kept.sha256, kept.size)
    assert content.read(kept.sha256, kept.size) == noise(1, size)


@pytest.mark.parametrize("text", [b"", b"gittrack chunks 1 5\n", b"\xff", b"gittrack chunks 1 9437184\n" + b"0" * 64])
def test_a_damaged_list_is_found_and_written_again(content: Content, root: Path, text: bytes):
    data = noise(1, 9 * MB)
    kept = content.put_bytes(data)
    path = root / list_key(kept.sha256)
    path.chmod(0o600)
    path.write_bytes(text)
    assert not content.has(kept.sha256, kept.size)
    with pytest.raises(errors.CorruptContent):
        content.read(kept.sha256, kept.size)
    content.put_bytes(data)
    assert content.read(kept.sha256, kept.size) == data


def test_a_list_that_names_other_chunks_is_found_by_who_reads_all(content: Content, root: Path, tmp_path: Path):
    good, evil = content.put_bytes(noise(1, 9 * MB)), content.put_bytes(noise(2, 9 * MB))
    path = root / list_key(good.sha256)
    path.chmod(0o600)
    path.write_bytes((root / list_key(evil.sha256)).read_bytes())
    for read in list(every_way_of_reading(content, good.sha256, good.size, tmp_path))[:3]:
        with pytest.raises(errors.CorruptContent, match="other chunks"):
            read()
    assert not (tmp_path / "copy").exists()


CHUNKS = [Chunk("a" * 64, 3), Chunk("b" * 64, 4)]
TEXT = chunklist.encode(CHUNKS)


def test_a_list_reads_back():
    assert TEXT == b"gittrack chunks 1 7\n" + b"a" * 64 + b" 3\n" + b"b" * 64 + b" 4\n"
    assert chunklist.decode(TEXT, "f" * 64, 7) == CHUNKS


@pytest.mark.parametrize(
    "text",
    [
        TEXT[:-1], TEXT + b"\n", TEXT + TEXT, TEXT.replace(b"\n", b"\r\n"), TEXT.replace(b" 3", b"  3"),
        TEXT.replace(b" 3", b" 03"), TEXT.replace(b" 3", b" -3"), TEXT.replace(b" 4", b" 5"), b" " + TEXT,
        TEXT.replace(b"a" * 64, b"A" * 64), TEXT.replace(b"a" * 64, b"a" * 63), TEXT.replace(b"1 7", b"1"),
        TEXT.replace(b"1 7", b"0 7"), TEXT.replace(b"1 7", b"01 7"), TEXT.replace(b" 3", b" " + b"9" * 5000),
        TEXT.replace(b" 3", " ３".encode()), TEXT.replace(b"a" * 64, b"../" * 21 + b"a"),
    ],
)  # fmt: skip
def test_a_list_in_any_other_form_is_refused(text: bytes):
    with pytest.raises(errors.CorruptContent) as caught:
        chunklist.decode(text, "f" * 64, 7)
    assert "f" * 64 in caught.value.message and caught.value.hint


def test_a_list_of_another_size_is_refused():
    with pytest.raises(errors.CorruptContent):
        chunklist.decode(TEXT, "f" * 64, 8)


def test_a_list_of_a_newer_version_asks_for_an_upgrade():
    with pytest.raises(errors.NewerFormat, match="version 2"):
        chunklist.decode(TEXT.replace(b"chunks 1", b"chunks 2"), "f" * 64, 7)


def test_what_a_new_file_relies_on_counts_as_new(content: Content, root: Path):
    kept = content.put_bytes(noise(1, 6 * MB))
    for path in root.rglob("*"):
        os.utime(path, (1, 1))
    content.put_bytes(noise(1, 6 * MB))
    assert min((root / key).stat().st_mtime for key in content.objects(kept.sha256, kept.size)) > 1


def test_a_store_that_asks_many_at_once_gives_the_same_bytes(content: Content, root: Path):
    data = noise(1, 20 * MB)
    kept = content.put_bytes(data)
    assert Content(DirectoryStore(str(root)), workers=8).read(kept.sha256, kept.size) == data
