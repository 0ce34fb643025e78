"""`git track undo` of a push: what it put at the remote is taken back there, by whoever has not moved it since."""

import builder
import pytest
import team

from gittrack.core import layout


@pytest.fixture
def ann(repo, tmp_path) -> team.Clone:
    bare = tmp_path / "origin.git"
    team.Clone(repo, {}).git("init", "-q", "--bare", str(bare))
    return team.first(f"file://{bare}", repo)


def there(clone: team.Clone, prefix: str = "refs/track/") -> dict[str, str]:
    rows = [line.split("\t") for line in clone.git("ls-remote", "origin").splitlines()]
    return {ref: oid for oid, ref in rows if ref.startswith(prefix)}


def test_what_a_push_made_is_taken_back_there_and_stays_here(ann: team.Clone) -> None:
    ids = ann.runs(range(3))
    ann.track("tag", ids[0], "good")
    ann.track("push", "--yes")
    pushed = there(ann)
    assert len(pushed) == 4
    assert "undone: git track push" in ann.track("undo").stdout
    assert there(ann) == {}
    assert ann.ids() == set(ids)
    assert "redone: git track push" in ann.track("undo").stdout
    assert there(ann) == pushed


def test_only_the_last_push_is_taken_back(ann: team.Clone) -> None:
    (first,) = ann.runs(range(1))
    ann.track("push", "--yes")
    before = there(ann)
    ann.runs(range(1, 2))
    ann.track("push")
    ann.track("undo")
    assert there(ann) == before == {layout.run_ref(first): ann.refs()[layout.run_ref(first)]}


def test_an_archive_goes_back_and_its_runs_get_their_refs_back_there(ann: team.Clone) -> None:
    ids = ann.runs(range(10))
    ann.track("push", "--yes")
    before = there(ann)
    ann.runs(range(10, 30))
    ann.track("push")
    assert there(ann, layout.ARCHIVE)
    pushed = next(line.split()[0] for line in ann.track("log").stdout.splitlines() if "git track push" in line)
    ann.track("undo", pushed)
    assert there(ann) == before
    assert set(ids) < ann.ids()
    ann.sound()


def test_what_moved_since_is_left_alone(ann: team.Clone) -> None:
    (run,) = ann.runs(range(1))
    ann.track("push", "--yes")
    other = builder.record(builder.opened(ann.path), {"format": b"gittrack 2\n"}, "refs/heads/other")
    ann.git("push", "-q", "-f", "origin", f"{other}:{layout.run_ref(run)}")
    assert "moved since" in ann.track("undo", code=74).stderr
    assert there(ann) == {layout.run_ref(run): other}


def test_a_push_of_which_nothing_is_left_there_cannot_be_undone(ann: team.Clone) -> None:
    (run,) = ann.runs(range(1))
    ann.track("push", "--yes")
    ann.git("push", "-q", "origin", f":{layout.run_ref(run)}")
    assert "nothing of `git track push --yes" in ann.track("undo", code=66).stderr
