"""Editing a tree step by step ends where making it at once ends."""

import random

import pytest

from gittrack.git import objects
from gittrack.git.objects import DIRECTORY, EXECUTABLE, FILE, Entry
from gittrack.git.trees import TreeEditor

PATHS = ["a", "b/a", "b/b", "b.c", "b0", "metrics/000/00.jsonl", "metrics/000/01.jsonl", "metrics/001/00.jsonl"]


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
@pytest.mark.parametrize("seed", range(20))
def test_steps_with_commits_in_between_give_the_tree_of_the_whole(seed: int, algorithm: str) -> None:
    chance = random.Random(seed)
    made: dict[str, bytes] = {}

    def emit(found: objects.Object, _before: str | None) -> None:
        made[found.oid] = found.data

    editor = TreeEditor(algorithm, made.__getitem__)
    files: dict[str, Entry] = {}
    for step in range(12):
        for path in chance.sample(PATHS, chance.randrange(1, 4)):
            files[path] = Entry(FILE, objects.blob(f"{path} {step}".encode(), algorithm).oid)
            editor.put(path, files[path].oid)
        root = editor.write(emit)
        assert root == objects.nested(files, algorithm)[-1].oid
        if chance.random() < 0.3:  # another process goes on from what is written
            editor = TreeEditor(algorithm, made.__getitem__, root)


def test_a_directory_may_take_the_place_of_a_file_and_the_other_way_round() -> None:
    made: dict[str, bytes] = {}
    oid = objects.blob(b"x").oid
    editor = TreeEditor("sha1", made.__getitem__)

    def write() -> str:
        return editor.write(lambda found, _before: made.__setitem__(found.oid, found.data))

    editor.put("a", oid)
    write()
    editor.put("a/b", oid)
    assert write() == objects.nested({"a/b": Entry(FILE, oid)})[-1].oid
    editor.put("a", oid)
    assert write() == objects.nested({"a": Entry(FILE, oid)})[-1].oid


def test_what_was_put_is_found_before_and_after_it_is_written() -> None:
    made: dict[str, bytes] = {}
    entry = Entry(EXECUTABLE, objects.blob(b"x").oid)
    editor = TreeEditor("sha1", made.__getitem__)
    editor.put("a/b/c", *reversed(entry))
    for _ in range(2):
        assert editor.get("a/b/c") == entry
        found = editor.get("a/b")
        assert found is None or found.mode == DIRECTORY
        assert [editor.get(path) for path in ("x", "a/x", "a/b/c/d", "x/y")] == [None] * 4
        oid = editor.write(lambda new, _before: made.__setitem__(new.oid, new.data))
    assert TreeEditor("sha1", made.__getitem__, oid).get("a/b/c") == entry
    assert TreeEditor("sha1", made.__getitem__, oid).write(lambda new, _before: pytest.fail("changed")) == oid


def test_directories_that_are_full_are_not_looked_at_again() -> None:
    read: list[str] = []
    made: dict[str, bytes] = {}
    editor = TreeEditor("sha1", lambda oid: read.append(oid) or made[oid])
    emitted = []
    for number in range(50):
        editor.put(f"metrics/{number:03d}/00.jsonl", objects.blob(b"%d" % number).oid)
        before = len(made)
        editor.write(lambda found, _before: made.__setitem__(found.oid, found.data))
        emitted.append(len(made) - before)
    assert emitted == [3] * 50
    assert read == []
