"""Our encoding of objects against git's, in both directions."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gittrack.git import objects
from gittrack.git.objects import DIRECTORY, EXECUTABLE, FILE, LINK, SUBMODULE, Entry

ALGORITHMS = ["sha1", "sha256"]
PLENTY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# Names that sort differently as file and as directory (a.b, a/, a0) come up often in this alphabet.
names = st.text(st.sampled_from("a.0-/é\udcff"), min_size=1, max_size=4).map(lambda text: text.replace("/", "b"))
plain = names.filter(lambda name: name not in (".", ".."))
paths = st.lists(plain, min_size=1, max_size=3).map("/".join)
people = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@pytest.fixture(params=ALGORITHMS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    subprocess.run(["git", "init", "-q", f"--object-format={request.param}", str(tmp_path)], check=True)
    return request.param, tmp_path


def git(store: tuple[str, Path], *args: str, given: bytes = b"", **env: str) -> bytes:
    return subprocess.run(
        ["git", "-C", str(store[1]), *args], input=given, capture_output=True, check=True, env={**os.environ, **env}
    ).stdout


def file_entry(store: tuple[str, Path], data: bytes) -> Entry:
    return Entry(FILE, objects.blob(data, store[0]).oid)


@PLENTY
@given(data=st.binary())
def test_a_blob_has_the_oid_that_git_gives_it(store: tuple[str, Path], data: bytes) -> None:
    assert git(store, "hash-object", "--stdin", given=data).split()[0].decode() == objects.blob(data, store[0]).oid


@PLENTY
@given(modes=st.dictionaries(plain, st.sampled_from([FILE, EXECUTABLE, LINK, SUBMODULE, DIRECTORY]), max_size=6))
def test_a_tree_is_the_one_that_git_makes(store: tuple[str, Path], modes: dict[str, int]) -> None:
    algorithm = store[0]
    oid = objects.blob(b"", algorithm).oid
    entries = {name: Entry(mode, oid) for name, mode in modes.items()}
    kind = {SUBMODULE: b"commit", DIRECTORY: b"tree"}
    listing = b"".join(
        b"%06o %s %s\t%s\0" % (entry.mode, kind.get(entry.mode, b"blob"), oid.encode(), os.fsencode(name))
        for name, entry in entries.items()
    )
    made = objects.tree(entries, algorithm)
    assert git(store, "mktree", "-z", "--missing", given=listing).decode().strip() == made.oid
    assert git(store, "cat-file", "tree", made.oid) == made.data
    assert objects.parse_tree(made.data, algorithm) == entries


@PLENTY
@given(files=st.dictionaries(paths, st.binary(max_size=3), min_size=1, max_size=6))
def test_nested_trees_are_those_of_the_index(store: tuple[str, Path], files: dict[str, bytes]) -> None:
    entries = {path: file_entry(store, data) for path, data in files.items()}
    clash = any(other.startswith(path + "/") for path in files for other in files)
    if clash:
        with pytest.raises(ValueError, match="both a file and a directory"):
            objects.nested(entries, store[0])
        return
    listing = b"".join(b"%o %s\t%s\0" % (e.mode, e.oid.encode(), os.fsencode(path)) for path, e in entries.items())
    (store[1] / ".git/index").unlink(missing_ok=True)
    git(store, "update-index", "-z", "--index-info", given=listing)
    root = git(store, "write-tree", "--missing-ok").decode().strip()
    made = objects.nested(entries, store[0])
    assert made[-1].oid == root
    known: set[str] = set()
    for each in made:  # what a tree holds comes before it
        below = [e.oid for e in objects.parse_tree(each.data, store[0]).values() if e.mode == DIRECTORY]
        assert set(below) <= known
        known.add(each.oid)


@PLENTY
@given(
    name=people, email=people, message=st.text(max_size=40), seconds=st.integers(0, 2**40), parents=st.integers(0, 3)
)
def test_git_finds_nothing_wrong_with_a_commit(
    store: tuple[str, Path], name: str, email: str, message: str, seconds: int, parents: int
) -> None:
    algorithm, _ = store
    tree = objects.tree({}, algorithm)
    git(store, "hash-object", "-w", "-t", "tree", "--stdin", given=tree.data)
    roots = [objects.commit(tree.oid, [], "A <a@b>", number, "root", algorithm) for number in range(parents)]
    made = objects.commit(tree.oid, [root.oid for root in roots], f"{name} <{email}>", seconds, message, algorithm)
    for each in (*roots, made):
        git(store, "hash-object", "-w", "-t", "commit", "--stdin", given=each.data)
    git(store, "fsck", "--strict", "--no-dangling", made.oid)
    shown = git(store, "show", "-s", "--format=%H%x00%T%x00%P%x00%an <%ae>%x00%at%x00%ct%x00%B", made.oid)
    oid, tree_oid, above, author, authored, committed, text = shown.decode().split("\0")
    parsed = objects.parse_commit(made.data)
    assert oid == made.oid
    assert (parsed.tree, " ".join(parsed.parents)) == (tree_oid, above)
    assert (parsed.author, parsed.authored, parsed.committed) == (author, int(authored), int(committed))
    assert parsed.author == parsed.committer == objects.identity(f"{name} <{email}>")
    assert text.startswith(parsed.message)


@PLENTY
@given(message=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(str.strip))
def test_a_commit_is_the_one_that_commit_tree_makes(store: tuple[str, Path], message: str) -> None:
    who = {"GIT_AUTHOR_NAME": "Zoë", "GIT_AUTHOR_EMAIL": "z@example.org", "GIT_AUTHOR_DATE": "1234567890 +0000"}
    who |= {key.replace("AUTHOR", "COMMITTER"): value for key, value in who.items()}
    tree = objects.tree({}, store[0])
    git(store, "hash-object", "-w", "-t", "tree", "--stdin", given=tree.data)
    oid = git(store, "commit-tree", tree.oid, given=f"{message}\n".encode(), **who).decode().strip()
    assert objects.commit(tree.oid, [], "Zoë <z@example.org>", 1234567890, message, store[0]).oid == oid


def test_a_signed_merge_with_an_old_encoding_is_parsed() -> None:
    data = (
        b"tree " + b"1" * 40 + b"\nparent " + b"2" * 40 + b"\nparent " + b"3" * 40 + b"\n"
        b"author Zo\xeb <z@example.org> 12 +0130\ncommitter C <c@example.org> -3 -0800\nencoding latin-1\n"
        b"gpgsig -----BEGIN\n tree of another kind\n parent\n -----END\n\ntitle\n\nbody \xeb\n"
    )
    found = objects.parse_commit(data)
    assert found.parents == ("2" * 40, "3" * 40)
    assert (found.author, found.authored, found.committed) == ("Zoë <z@example.org>", 12, -3)
    assert found.message == "title\n\nbody ë\n"


@pytest.mark.parametrize("data", [b"", b"tree abc\n\nx", b"hello"])
def test_what_is_no_commit_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a commit"):
        objects.parse_commit(data)


@pytest.mark.parametrize("data", [b"x", b"100644 a\0short", b"100644\0" + b"1" * 20])
def test_what_is_no_tree_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a tree|subsection|substring|non-hex|invalid"):
        objects.parse_tree(data)


@pytest.mark.parametrize("name", ["", ".", "..", ".git", ".GIT", "a/b", "a\0b"])
def test_a_name_that_git_would_not_check_out_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a name"):
        objects.tree({name: Entry(FILE, "1" * 40)})


def test_only_whole_lower_case_hexadecimal_is_an_oid() -> None:
    assert objects.is_oid("a" * 40)
    assert objects.is_oid("0" * 64)
    for text in ("a" * 39, "a" * 41, "A" * 40, "a" * 40 + "\n", "HEAD", ""):
        assert not objects.is_oid(text)


@pytest.mark.parametrize("parents", [0, 1, 3])
def test_the_links_of_a_commit_are_read_without_the_rest(parents: int) -> None:
    oids = [f"{number:040x}" for number in range(parents)]
    made = objects.commit("ab" * 20, oids, "Ann <ann@example.org>", 1, "parent of all\n\nauthor ")
    assert objects.links(made.data) == ("ab" * 20, tuple(oids))
    for wrong in (b"", b"tree x\n", made.data[1:], made.data.replace(b"author ", b"nobody ", 1)):
        with pytest.raises(ValueError, match="not a commit"):
            objects.links(wrong)
