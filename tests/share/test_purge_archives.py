"""A run in archives of several people, purged by one of them."""

import json
import subprocess
from pathlib import Path

import pytest
import team
from team import Clone

SECRET = "sk-archived-0123456789abcdef01234567"


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    path = tmp_path / "origin.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(path)], check=True)
    return path


@pytest.fixture
def three(origin: Path, repo: Path) -> list[Clone]:
    ann = team.first(origin.as_uri(), repo)
    others = [team.cloned(origin.as_uri(), repo.parent / name, GIT_AUTHOR_NAME=name) for name in ("Bob", "Cy")]
    return [ann, *others]


def says(repository: Path, text: str) -> bool:
    args = ["git", "-C", str(repository), "cat-file", "--batch-all-objects", "--buffer", "--batch"]
    return text.encode() in subprocess.run(args, capture_output=True, check=True).stdout


def test_who_purges_writes_the_archives_of_others_anew_and_all_go_on(three: list[Clone], origin: Path) -> None:
    ann, bob, cy = three
    leaky = ann.runs([900], note=f"it is {SECRET}")[0]
    ann.runs(range(2))
    ann.track("push", "--yes")
    bob.track("pull")
    bobs = bob.runs(range(10, 14))
    bob.track("archive", leaky, *bobs)
    bob.track("push", "--yes", "--all")
    cy.track("pull", "--records")
    assert leaky in cy.ids()
    assert says(cy.path, SECRET)
    ann.track("pull")
    ann.track("purge", leaky, "--yes")
    bob.runs(range(20, 23))
    bob.track("archive", "--all")
    for clone in (bob, cy, bob, ann, cy):
        clone.track("pull", "--records")
        clone.track("push", "--yes", "--all")
        assert leaky not in clone.ids()
        assert not says(clone.path, SECRET)
        clone.sound()
    assert len(team.same(three)) == 9
    subprocess.run(["git", "-C", str(origin), "gc", "-q", "--prune=now"], check=True)
    assert not says(origin, SECRET)
    assert json.loads(cy.track("show", bobs[0], "--json").stdout)["id"] == bobs[0]


def test_a_clone_that_only_has_the_list_can_purge(three: list[Clone], origin: Path) -> None:
    ann, _, cy = three
    leaky = ann.runs([900], note=f"it is {SECRET}")[0]
    others = ann.runs(range(3))
    ann.track("archive", "--all")
    ann.track("push", "--yes")
    cy.track("pull")
    assert not cy.refs("refs/track/runs")
    cy.track("purge", leaky, "--yes")
    subprocess.run(["git", "-C", str(origin), "gc", "-q", "--prune=now"], check=True)
    assert not says(origin, SECRET)
    ann.track("pull")
    ann.runs([30])
    ann.track("archive", "--all")
    ann.track("push", "--yes")
    cy.track("pull")
    for clone in (ann, cy):
        assert not says(clone.path, SECRET)
        assert clone.ids() == {*others, *ann.ids()}
        assert leaky not in clone.ids()
        clone.sound()


def test_a_plain_fetch_of_all_refs_brings_it_back_for_no_longer_than_to_the_next_pull(
    three: list[Clone], origin: Path
) -> None:
    ann, bob, _ = three
    leaky = ann.runs([900], note=f"it is {SECRET}")[0]
    ann.track("push", "--yes")
    bob.git("fetch", "-q", "origin", "refs/track/*:refs/track/*")
    ann.track("purge", leaky, "--yes")
    ann.git("fetch", "-q", str(bob.path), "refs/track/runs/*:refs/track/runs/*")
    assert leaky in ann.ids()
    assert any(leaky[:7] in line for line in ann.track("doctor", code=None).stdout.splitlines())
    ann.track("pull")
    assert leaky not in ann.ids()
    assert not says(ann.path, SECRET)
