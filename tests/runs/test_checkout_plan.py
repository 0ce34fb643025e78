"""Which files of a record may be put into a folder, and what is said of each, decided without touching anything."""

import pytest

from gittrack.runs import checkout_plan as plans
from gittrack.runs.checkout_plan import (
    ABSENT,
    ARTIFACT,
    CODE,
    DIFFERS,
    FILE,
    FILE_MODE,
    FOLDER,
    IN_THE_WAY,
    LINK_MODE,
    NEW,
    OTHER,
    REFUSED,
    SAME,
    Item,
    Seen,
)


def item(path: str, origin: str = ARTIFACT, link: str | None = None) -> Item:
    return Item(path, FILE_MODE if link is None else LINK_MODE, origin, 3, link)


NOTHING = Seen(ABSENT)


def decide(*items: Item, folds_case: bool = False, seen: Seen = NOTHING) -> list[str]:
    return [one.state for one in plans.decide(items, lambda _: seen, folds_case).verdicts]


@pytest.mark.parametrize(
    "path",
    [
        "../model.pt", "a/../../model.pt", "/etc/passwd", "a//b", "a/./b", "", ".", "a/", "C:model.pt", "c:\\model.pt",
        ".git/config", "a/.git/hooks/post-checkout", ".GIT/config", ".git /config", ".git./x", "git~1/x", "GIT~1/x",
        ".g\u200cit/config", ".git::$INDEX_ALLOCATION/x", ".git . :x/config", "a\0b", "n" * 256, "é" * 128,
        ".gittrack-77-0123abcd/x", "/".join(["n" * 200] * 21),
    ],
)  # fmt: skip
def test_a_path_that_leads_out_or_into_git_is_refused_by_name(path):
    [verdict] = plans.decide([item(path)], lambda _: Seen(ABSENT), False).verdicts
    assert (verdict.state, verdict.item.path) == (REFUSED, path)
    assert verdict.reason


@pytest.mark.parametrize(
    "path", ["model.pt", "a/b/c", "..model", "a..b/c", ".gitignore", ".github/x", "git", "ü/ŝ", "n" * 255, "a\\b", " x"]
)
def test_ordinary_paths_are_taken_as_they_are(path):
    assert decide(item(path)) == [NEW]


def test_a_path_that_is_too_long_below_this_folder_is_refused():
    states = [plans.decide([item("a/bc")], lambda _: Seen(ABSENT), False, room).verdicts[0].state for room in (4, 3)]
    assert states == [NEW, REFUSED]


@pytest.mark.parametrize("path", ["git~2/x", ".git2", ".gitmodules", ".gittrack-notes/x", ".gittrack-1-0123abcde"])
def test_names_that_only_resemble_git_are_ordinary(path):
    assert decide(item(path)) == [NEW]


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("last", "/etc/passwd"), ("last", "../x"), ("a/last", "../../x"), ("a/b/last", "../../../x"), ("last", ""),
        ("last", "a/../../x"), ("last", "a/.."), ("last", "x\0"), ("last", ".git/hooks"), ("a/last", "../.GIT"),
    ],
)  # fmt: skip
def test_a_link_among_artifacts_stays_in_the_folder(path, target):
    assert decide(item(path, link=target)) == [REFUSED]


@pytest.mark.parametrize(
    ("path", "target"), [("last", "step-10.pt"), ("a/last", "../b/x"), ("a/b/last", "../../x"), ("last", "./a/b")]
)
def test_a_link_that_stays_in_the_folder_is_restored(path, target):
    assert decide(item(path, link=target)) == [NEW]


def test_links_of_the_code_are_those_that_git_would_make():
    assert decide(item("data", CODE, "/mnt/data")) == [NEW]


def test_a_link_whose_target_is_not_known_is_refused():
    assert decide(Item("last", LINK_MODE, ARTIFACT, 10_000)) == [REFUSED]


def test_nothing_is_put_below_a_file_or_link_of_the_same_checkout():
    found = plans.decide([item("a", link="b"), item("a/x"), item("b/c/d"), item("b/c")], lambda _: Seen(ABSENT), False)
    assert [one.state for one in found.verdicts] == [NEW, REFUSED, NEW, REFUSED]
    assert [one.reason for one in found.of(REFUSED)] == ["a is no folder", "b/c/d needs a folder of that name"]


def test_names_that_differ_in_case_alone_collide_where_the_file_system_says_so():
    two = [item("Model.pt"), item("model.pt")]
    assert decide(*two) == [NEW, NEW]
    assert decide(*two, folds_case=True) == [NEW, REFUSED]
    assert decide(item("é"), item("e\u0301"), folds_case=True) == [NEW, REFUSED]
    assert decide(item("Data/x"), item("data"), folds_case=True) == [NEW, REFUSED]
    assert decide(item("data", link="y"), item("DATA/x"), folds_case=True) == [NEW, REFUSED]


def test_what_is_there_decides():
    one = item("a/b")
    assert decide(one, seen=Seen(FILE, same=True)) == [SAME]
    assert decide(one, seen=Seen(FILE)) == [DIFFERS]
    assert decide(one, seen=Seen(FOLDER)) == [IN_THE_WAY]
    assert decide(one, seen=Seen(OTHER)) == [IN_THE_WAY]
    assert decide(one, seen=Seen(FILE, blocker="a")) == [IN_THE_WAY]


def test_paths_choose_files_and_folders_and_a_wrong_one_is_named():
    items = [item("sub/out/model.pt"), item("sub/out/log"), item("train.py", CODE), item("sub/x.py", CODE)]

    def choose(*wanted: str) -> tuple[list[str], list[str]]:
        found, missing = plans.chosen(items, "sub", wanted)
        return [one.path for one in found], missing

    assert choose("out/model.pt") == (["sub/out/model.pt"], [])
    assert choose("out/") == (["sub/out/model.pt", "sub/out/log"], [])
    assert choose("sub") == (["sub/out/model.pt", "sub/out/log", "sub/x.py"], [])
    assert choose("./train.py", "nothing") == (["train.py"], ["nothing"])
    assert len(choose(".")[0]) == len(choose()[0]) == 4
