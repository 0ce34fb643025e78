"""A disk was copied, with a clone on it: two clones archive under one id, and part when they meet at a remote."""

import shutil
from pathlib import Path

import builder
import git_servers
import pytest
import team
from team import Clone

from gittrack.core import layout
from gittrack.runs import writer


def writer_of(clone: Clone) -> str:
    repo = builder.opened(clone.path)
    try:
        return writer.writer_id(repo.paths)
    finally:
        repo.close()


def copied(clone: Clone, path: Path) -> Clone:
    """The clone with all that tells it from a copy: what a copy of its whole disk has."""
    shutil.copytree(clone.path, path, symlinks=True)
    twin = builder.opened(path)
    try:
        writer.renew(twin.paths, writer_of(clone))
    finally:
        twin.close()
    return Clone(path, {**clone.env})


@pytest.fixture
def ann(server_of: git_servers.Find, repo: Path) -> Clone:
    return team.first(server_of("file").new().url, repo)


@pytest.mark.parametrize("annotated", [False, True], ids=["archives alone", "annotations too"])
def test_two_copies_that_archive_part_and_both_share_all_they_have(ann: Clone, tmp_path: Path, annotated: bool) -> None:
    (common,) = ann.runs([1])
    ann.track("archive", "--all", "--yes")
    ann.track("push", "--yes")
    twin = copied(ann, tmp_path / "twin")
    old = writer_of(ann)
    mine, theirs = ann.runs([2]), twin.runs([3])
    if annotated:
        ann.track("tag", common, "mine")
        twin.track("tag", common, "theirs")
    for clone in (ann, twin):
        clone.track("archive", "--all", "--yes")
    ann.track("push", "--yes")
    twin.track("pull")
    assert writer_of(twin) != old == writer_of(ann)
    assert not [ref for ref in twin.refs("refs/track-remotes/") if "conflict" in ref]
    twin.track("push", "--yes")
    ann.track("pull")
    assert {row["id"] for row in team.same([ann, twin])} == {common, *mine, *theirs}
    assert layout.archive_ref(writer_of(twin), 0, "list") in ann.refs()
    for number, clone in enumerate((ann, twin), 10):
        clone.sound()
        clone.track("show", mine[0])
        clone.track("show", theirs[0])
        more = clone.runs([number])
        clone.track("archive", *more, "--yes")
        clone.track("push", "--yes")
        clone.track("pull")
    ann.track("pull")
    twin.track("pull")
    assert len(team.same([ann, twin])) == 5
