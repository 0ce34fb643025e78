"""Three-way merges in objects alone."""

import pytest

from gittrack import errors
from gittrack.git import merging, objects


@pytest.fixture
def tree(git):
    def make(**files):
        lines = ""
        for name, text in sorted(files.items()):
            oid = git("hash-object", "-w", "--stdin", text_in=text)
            lines += f"100644 blob {oid}\t{name}\n"
        return git("mktree", text_in=lines)

    return make


def commit(git, tree):
    return git("commit-tree", tree, "-m", "base")


def test_changes_of_both_sides_come_together(store, git, tree):
    base = commit(git, tree(a="1\n2\n3\n4\n5\n"))
    merged = merging.merge(store, base, tree(a="one\n2\n3\n4\n5\n"), tree(a="1\n2\n3\n4\nfive\n"), ("mine", "theirs"))
    assert not merged.stages
    assert git("cat-file", "blob", f"{merged.tree}:a") == "one\n2\n3\n4\nfive"


def test_a_conflict_names_the_sides_as_they_are_called(store, git, tree):
    base = commit(git, tree(a="1\n", b="b\n"))
    merged = merging.merge(store, base, tree(a="2\n"), tree(a="3\n", b="B\n"), ("mine", "run 7c21f3a"))
    assert merged.conflicts == ["a", "b"]
    assert git("cat-file", "blob", f"{merged.tree}:a") == "<<<<<<< mine\n2\n=======\n3\n>>>>>>> run 7c21f3a"
    assert [one.stage for one in merged.stages] == [1, 2, 3, 1, 3]
    assert any("deleted in mine and modified in run 7c21f3a" in said for said in merged.messages)


def test_a_file_that_was_renamed_here_gets_the_change_of_the_other_side(store, git, tree):
    text = "".join(f"line {number}\n" for number in range(20))
    base = commit(git, tree(old=text))
    merged = merging.merge(store, base, tree(new=text), tree(old=text.replace("line 7\n", "seven\n")), ("a", "b"))
    assert not merged.stages
    assert "seven" in git("cat-file", "blob", f"{merged.tree}:new")


def test_without_a_base_what_both_have_stays(store, git, tree):
    merged = merging.merge(store, None, tree(a="1\n"), tree(a="1\n", b="2\n"), ("a", "b"))
    assert merged.tree == tree(a="1\n", b="2\n")


def test_the_base_counts_and_not_what_histories_have_in_common(store, git, tree, repo):
    """The base was amended since: what it had and HEAD has not must not come back."""
    base = commit(git, tree(a="1\n", secret="x\n"))
    merged = merging.merge(store, base, tree(a="1\n"), tree(a="2\n", secret="x\n"), ("a", "b"))
    assert not merged.stages
    assert merged.tree == tree(a="2\n")


def test_changes_say_modes_and_what_came_and_went(git, tree, store):
    old, new = tree(a="1\n", b="2\n"), tree(a="1\n", c="3\n")
    found = {one.path: (one.old_mode, one.new_mode) for one in merging.changes(store.git, old, new)}
    assert found == {"b": ("100644", "000000"), "c": ("000000", "100644")}


def test_an_empty_tree_is_there_when_it_is_asked_for(store, git):
    assert git("cat-file", "-t", merging.empty_tree(store)) == "tree"
    assert objects.is_oid(merging.empty_tree(store))


def test_a_git_that_is_too_old_is_said_to_be(store, git, tree, tmp_path):
    old = tmp_path / "git"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo git version 2.37.9 && exit\nexec git "$@"\n')
    old.chmod(0o755)
    store.git.executable = str(old)
    with pytest.raises(errors.Unsupported, match="cannot merge"):
        merging.merge(store, commit(git, tree(a="1\n")), tree(a="2\n"), tree(a="1\n"), ("a", "b"))
