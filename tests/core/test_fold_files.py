"""Files of a run in its record, as a pure function of the journal."""

import hashlib
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_fold import START, cut, journal, point

from gittrack.core import codec, events, fold, layout, parcels, pointer, shape

STORERS = ("1700000000000-77-aaaa.jsonl", "1700000000001-78-bbbb.jsonl")
PROCESS = {"e": "process", "format": 2, "t": 0, "w": 1000.0}


def name(number):
    return f"{1700000000000 + number}-42-{number:04x}"


def kept(parcel, path, data=b"x", where="git", mode="100644", **more):
    digest = hashlib.sha256(data).hexdigest()
    event = {"e": "kept", "in": where, "mode": mode, "parcel": name(parcel), "path": path, "sha256": digest}
    return {**event, "size": len(data), "t": 1.0, "w": 1001.0, **more}


def whole(parcel, files=1):
    return {"e": "parcel", "files": files, "left_out": [], "parcel": name(parcel), "size": 1, "t": 1.0, "w": 1001.0}


def artifact(parcel, **more):
    event = {"e": "artifact", "kind": "file", "name": "f", "parcel": name(parcel), "s": None, "t": 1.0, "w": 1001.0}
    return {**event, **more}


class Tree(dict):
    """The record that a fold builds: documents as bytes, kept files as parcels.File."""

    def __init__(self, files, cuts):
        super().__init__()
        self.commits = []
        state = fold.Fold()
        for one in cuts:
            self.commits.append(
                state.advance(one, lambda at, start, end: files[at][start:end], self.__setitem__, self.keep)
            )

    def keep(self, file):
        self[file.path] = file

    def lines(self):
        return b"".join(self[path] for path in sorted(self) if path.startswith("artifacts/"))

    def files(self):
        return sorted(path for path in self if path.startswith("files/"))


def folded(*lines, start=START, first=PROCESS):
    files = {"run.jsonl": journal(first, start, *lines)}
    return Tree(files, [cut(0, files, "final", "crashed")])


def test_small_files_stand_in_the_tree_by_the_number_of_their_parcel():
    tree = folded(*(line for number in range(40) for line in (kept(number, "a/config.json"), whole(number))))
    assert len(tree.files()) == 40
    assert tree.files()[0] == "files/000/00/00/a/config.json" and "files/000/01/07/a/config.json" in tree
    assert layout.file_path(1024 * 7 + 32 * 3 + 5, "f") == "files/007/03/05/f"
    assert tree["files/000/00/00/a/config.json"].data is None
    assert codec.loads(tree["summary.json"])["artifacts"] == {"count": 40, "size": 40}
    assert tree["format"] == b"gittrack 2\n"


def test_large_files_are_known_by_their_line_alone_or_by_a_pointer_for_git_lfs():
    lines = [kept(0, "model.pt", b"large", "store", "100755"), whole(0)]
    assert folded(*lines).files() == []
    tree = folded(*lines, start={**START, "store": "lfs"})
    (file,) = (tree[path] for path in tree.files())
    digest = hashlib.sha256(b"large").hexdigest()
    assert file.data == f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 5\n".encode()
    assert file.mode == 0o100755
    assert pointer.decode(file.data) == (digest, 5)
    assert pointer.decode(b"version https://example.org\n") is None and pointer.encode("0" * 64, 0) == b""


def test_a_link_has_the_mode_of_one_and_its_pointer_has_not():
    assert folded(kept(0, "l", b"target", mode="120000"))["files/000/00/00/l"].mode == 0o120000
    lfs = folded(kept(0, ".git", b"target", "store", "120000"), kept(0, "l", b"t", "store", "120000"),
                 start={**START, "store": "lfs"})  # fmt: skip
    assert lfs.files() == ["files/000/00/00/l"] and lfs["files/000/00/00/l"].mode == 0o100644
    assert folded(kept(0, "l", b"t" * 5000, mode="120000")).files() == []


@pytest.mark.parametrize(
    "path",
    [".git", "a/.GIT/config", ".git\u200c", "git~1", "GIT~1/x", ".git /x", ".git::$INDEX_ALLOCATION", ".gitmodules",
     "x\\.git\\config", "GI7EBA~1", "GITMOD~1"],
)  # fmt: skip
def test_what_some_system_takes_for_git_s_own_stays_out_of_the_tree(path):
    tree = folded(kept(0, path), kept(0, "good"), whole(0, 2))
    assert tree.files() == ["files/000/00/00/good"]
    assert tree.lines().count(b'"e": "kept"') == 2


@pytest.mark.parametrize("path", ["digit~1", "x.git", "legit", "gi.txt", "a~1", "häßlich ✓", "nl\nname", "back\\slash"])
def test_ordinary_names_are_ordinary(path):
    assert folded(kept(0, path)).files() == ["files/000/00/00/" + path]


def test_a_path_that_is_no_utf8_is_one_path_however_it_is_written():
    odd = {"$": "bytes", "b64": "Y2Fm6Q=="}
    tree = folded(kept(0, odd), kept(0, "caf\udce9"))
    assert tree.files() == ["files/000/00/00/caf\udce9"]
    assert tree.lines().count(b"\n") == 1


def test_a_parcel_that_is_kept_again_is_one_parcel():
    first, second = journal(kept(0, "a"), kept(0, "b")), journal(kept(0, "a"), kept(0, "b"), kept(0, "c"), whole(0, 3))
    again = journal(kept(0, "late"), whole(0, 9), kept(1, "a"), whole(1))
    files = {"run.jsonl": journal(PROCESS, START, artifact(0)), STORERS[0]: first, STORERS[1]: second + again}
    ends = {**{key: len(data) for key, data in files.items()}, STORERS[1]: len(second)}
    tree = Tree(files, [events.Cut(0, ends, "time", None, 1.0), cut(1, files, "final", "crashed")])
    assert tree.files() == [f"files/000/00/00/{path}" for path in "abc"] + ["files/000/00/01/a"]
    assert codec.loads(tree["summary.json"])["artifacts"] == {"count": 4, "size": 4}
    assert tree.lines() == journal(artifact(0)) + first + journal(kept(0, "c"), whole(0, 3), kept(1, "a"), whole(1))


def test_a_parcel_without_a_file_has_no_number_and_is_said_once():
    first, again = journal(PROCESS, START, whole(0, 0)), journal(whole(0, 0), kept(0, "late"), kept(1, "a"), whole(1))
    files = {"run.jsonl": first + again}
    cuts = [events.Cut(0, {"run.jsonl": len(first)}, "time", None, 1.0), cut(1, files, "final", "crashed")]
    tree = Tree(files, cuts)
    assert tree.files() == ["files/000/00/00/a"]
    assert tree.lines() == journal(whole(0, 0), kept(1, "a"), whole(1))


def test_a_journal_of_format_1_gives_a_record_of_format_1_until_it_has_files():
    old = {**PROCESS, "format": 1}
    assert folded(point(1, a=1), first=old)["format"] == b"gittrack 1\n"
    assert folded(point(1, a=1), first=b"")["format"] == b"gittrack 1\n"
    assert folded(kept(0, "a"), whole(0), first=old)["format"] == b"gittrack 2\n"
    assert folded(first={**PROCESS, "format": 99})["format"] == layout.format_line()


@pytest.mark.parametrize(
    "line",
    [
        *(kept(0, path) for path in ("", "/a", "a/", "a//b", ".", "..", "a/../b", "a\0b", "\ud800", "x" * 256, 3)),
        *(kept(0, "a", sha256=value) for value in ("", "A" * 64, "g" * 64, "0" * 63, None, "0" * 64 + "\n")),
        *(kept(0, "a", size=value) for value in (-1, 1.0, True, 2**63, "1", None)),
        *(kept(0, "a", mode=value) for value in ("040000", "160000", 100644, None)),
        *({**kept(0, "a"), "parcel": value} for value in ("..", "x", None, name(0) + "\n", "1700000000000-42-0001/..")),
        kept(0, "a", b"data", "elsewhere"),
        kept(0, "a", w="noon"),
        {**whole(0), "files": None},
        {**whole(0), "size": -1},
        {**whole(0), "parcel": 7},
        *({**artifact(0), key: None} for key in ("kind", "name", "parcel")),
        artifact(0, s="x"),
        artifact(0, kind="../x"),
    ],
    ids=repr,
)
def test_a_line_about_files_that_is_not_sound_is_passed_over(line):
    sound = folded(point(0, a=0))
    tree = folded(line, point(0, a=0), line)
    assert tree == sound and tree.commits == sound.commits


def test_a_checkpoint_with_a_bad_parcel_is_a_checkpoint_all_the_same():
    event = {"e": "checkpoint", "m": {"a": 1.0}, "parcel": "../..", "primary": None, "s": 1, "t": 1.0, "w": 1001.0}
    tree = folded(event)
    assert codec.loads(tree["summary.json"])["checkpoints"]["count"] == 1
    assert parcels.parcel_of(event) is None and parcels.parcel_of({**event, "parcel": name(3)}) == name(3)


def test_files_that_are_kept_after_a_crash_do_not_make_the_run_longer():
    late = {"t": 9.0, "w": 9000.0}
    files = {
        "run.jsonl": journal(PROCESS, START, point(1, w=1030.0, a=1)),
        STORERS[0]: journal({**PROCESS, **late}, kept(0, "a", **late), {**whole(0), **late}),
    }
    status = codec.loads(Tree(files, [cut(0, files, "final", "crashed", w=9999.0)])["status.json"])
    assert status["duration"] == 30.0 and codec.parse_time(status["ended"]) == 1030.0


def test_sizes_beyond_all_measure_leave_a_sound_summary():
    tree = folded(*(kept(0, f"f{number}", size=2**62 - 1) for number in range(5)))
    summary = codec.loads(tree["summary.json"])
    assert summary["artifacts"] == {"count": 5, "size": 2**63 - 1} and not shape.problem("summary.json", summary)


FILE = st.builds(
    kept, st.integers(0, 5), st.sampled_from("abcd"), st.binary(max_size=3), st.sampled_from(["git", "store"])
)
LINES = st.lists(
    st.one_of(FILE, st.builds(whole, st.integers(0, 5)), st.builds(artifact, st.integers(0, 5))), max_size=25
)


@settings(max_examples=80)
@given(LINES, LINES, st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), max_size=5), st.integers(1, 400))
def test_files_do_not_depend_on_how_the_journal_was_read(mine, other, marks, piece):
    files = {
        "run.jsonl": journal(PROCESS, {**START, "store": "lfs"}),
        STORERS[0]: journal(*mine),
        STORERS[1]: journal(*other),
    }
    ends = {key: [0, *itertools.accumulate(map(len, data.splitlines(True)))] for key, data in files.items()}
    cuts, at = [], dict.fromkeys(STORERS, 0)
    for number, mark in enumerate(marks):
        for key, place in zip(STORERS, mark, strict=True):
            at[key] = max(at[key], ends[key][min(place, len(ends[key]) - 1)])
        cuts.append(events.Cut(number, {"run.jsonl": ends["run.jsonl"][-1], **at}, "time", None, 1000.0 + number))
    cuts.append(cut(len(cuts), files, "final", "crashed"))
    original, together = fold.PIECE, Tree(files, cuts)
    try:
        fold.PIECE = piece
        apart = Tree(files, cuts)
    finally:
        fold.PIECE = original
    assert apart == together and apart.commits == together.commits
    numbers = {codec.loads(line)["parcel"] for line in together.lines().splitlines() if b'"kept"' in line}
    assert {path.split("/")[3] for path in together.files()} <= {f"{number:02d}" for number in range(len(numbers))}
    said = [codec.loads(line) for line in together.lines().splitlines()]
    found = [(event["parcel"], event["path"]) for event in said if event["e"] == "kept"]
    assert (
        len(found) == len(set(found)) == codec.loads(together["summary.json"]).get("artifacts", {"count": 0})["count"]
    )
