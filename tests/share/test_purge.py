"""A run that was purged is gone: here, at the remote, and in every clone that hears of it."""

import json
import subprocess
from pathlib import Path

import pytest
import team
from team import Clone

SECRET = "sk-purge-0123456789abcdef0123456789"


def has_bytes(repository: Path, text: str) -> bool:
    """Whether any object there, reachable or not, says `text`."""
    listed = subprocess.run(
        ["git", "-C", str(repository), "cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)"],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    asked = "".join(f"{line.split()[0]}\n" for line in listed if line.split()[1] != "tree")
    data = subprocess.run(
        ["git", "-C", str(repository), "cat-file", "--batch", "--buffer"], input=asked.encode(), capture_output=True,
        check=True,
    ).stdout  # fmt: skip
    return text.encode() in data


def in_files(repository: Path, text: str) -> list[str]:
    """Files of gittrack that say `text`, as they lie."""
    found = (path for path in (repository / ".git" / "track").rglob("*") if path.is_file())
    return [str(path) for path in found if text.encode() in path.read_bytes()]


def secret_run(clone: Clone, number: int = 900) -> str:
    """A recorded run with a secret in its name and note; ids say which."""
    return clone.runs([number], note=f"it is {SECRET}", name="leaky")[0]


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    path = tmp_path / "origin.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(path)], check=True)
    return path


@pytest.fixture
def ann(origin: Path, repo: Path) -> Clone:
    return team.first(origin.as_uri(), repo)


@pytest.fixture
def bob(origin: Path, ann: Clone, tmp_path: Path) -> Clone:
    return team.cloned(origin.as_uri(), tmp_path / "bob", GIT_AUTHOR_NAME="Bob")


def test_a_purged_run_is_gone_here_and_named_nowhere(ann: Clone, origin: Path) -> None:
    others = ann.runs(range(3))
    leaky = secret_run(ann)
    ann.track("note", leaky, "fine")
    ann.track("push", "--yes")
    assert has_bytes(ann.path, SECRET)
    said = ann.track("purge", leaky, "--yes").stdout
    assert "1 ref removed" in said
    assert f"git -C '{origin}' gc --prune=now" in said
    assert ann.ids() == set(others)
    assert not has_bytes(ann.path, SECRET)
    assert in_files(ann.path, SECRET) == []
    assert not any(leaky in ref for ref in ann.refs())
    there = subprocess.run(["git", "-C", str(origin), "for-each-ref"], capture_output=True, text=True, check=True)
    assert leaky not in there.stdout
    subprocess.run(["git", "-C", str(origin), "gc", "-q", "--prune=now"], check=True)
    assert not has_bytes(origin, SECRET)
    ann.sound()
    assert "what was purged is gone" in ann.track("undo", code=2).stderr
    assert "Ann Example <ann@example.org>: purged" in ann.track("log", leaky).stdout
    assert "fine" in ann.track("log", leaky).stdout


def test_nothing_is_changed_by_a_dry_run_nor_without_a_word(ann: Clone) -> None:
    leaky = secret_run(ann)
    before = ann.refs()
    assert "gone for good" in ann.track("purge", leaky, "--dry-run").stdout
    assert "nothing was purged" in ann.track("purge", leaky, code=2).stderr
    found = json.loads(ann.track("purge", leaky, "--dry-run", "--json").stdout)
    assert [one["id"] for one in found["runs"]] == [leaky]
    assert ann.refs() == before


def test_an_archived_run_is_taken_out_of_the_archive_here_and_there(ann: Clone, origin: Path) -> None:
    others = ann.runs(range(6))
    leaky = secret_run(ann)
    ann.track("archive", "--all")
    ann.track("push", "--yes")
    assert not ann.refs("refs/track/runs")
    ann.track("purge", leaky, "--yes")
    assert ann.ids() == set(others)
    assert not has_bytes(ann.path, SECRET)
    ann.sound()
    subprocess.run(["git", "-C", str(origin), "gc", "-q", "--prune=now"], check=True)
    assert not has_bytes(origin, SECRET)
    for run_id in others:
        assert "completed" in ann.track("show", run_id).stdout
    more = ann.runs(range(10, 13))
    ann.track("archive", "--all")
    ann.track("push", "--yes")
    assert ann.ids() == {*others, *more}


def test_a_clone_that_had_it_loses_it_with_its_next_pull(ann: Clone, bob: Clone) -> None:
    leaky = secret_run(ann)
    (other,) = ann.runs([1])
    ann.track("push", "--yes")
    bob.track("pull")
    assert leaky in bob.ids()
    ann.track("purge", leaky, "--yes")
    said = bob.track("pull")
    assert "purged" in said.stdout + said.stderr
    assert bob.ids() == {other}
    assert not has_bytes(bob.path, SECRET)
    assert in_files(bob.path, SECRET) == []
    bob.sound()


def test_what_an_old_clone_brings_back_by_plain_git_the_next_pull_or_push_takes_away(
    ann: Clone, bob: Clone, origin: Path
) -> None:
    leaky = secret_run(ann)
    ann.track("push", "--yes")
    bob.git("fetch", "-q", "origin", "refs/track/*:refs/track/*")
    ann.track("purge", leaky, "--yes")

    def there() -> bool:
        done = subprocess.run(["git", "-C", str(origin), "for-each-ref"], capture_output=True, text=True, check=True)
        return leaky in done.stdout

    assert not there()
    bob.git("push", "-q", "origin", "refs/track/runs/*:refs/track/runs/*")
    assert there()
    ann.track("pull")
    assert not there()
    assert leaky not in ann.ids()
    bob.git("push", "-q", "origin", "refs/track/runs/*:refs/track/runs/*")
    ann.runs([7])
    ann.track("push", "--yes")
    assert not there()
    bob.git("push", "-q", "origin", "refs/track/runs/*:refs/track/runs/*")
    bob.track("push", "--yes", "--all")
    assert not there()
    bob.track("pull")
    assert leaky not in bob.ids()


def test_ten_old_clones_do_not_bring_it_back(ann: Clone, origin: Path, tmp_path: Path) -> None:
    leaky = secret_run(ann)
    ann.runs(range(3))
    ann.track("push", "--yes")
    clones = [team.cloned(origin.as_uri(), tmp_path / f"clone{n}", GIT_AUTHOR_NAME=f"N{n}") for n in range(10)]
    for number, clone in enumerate(clones):
        clone.track("pull")
        assert leaky in clone.ids()
        clone.runs([100 + number])
        if number % 3 == 0:  # some have it in an archive of their own
            clone.track("archive", leaky)
    ann.track("purge", leaky, "--yes")
    for number, clone in enumerate(clones):
        if number % 2:
            clone.track("push", "--yes", "--all")
        else:
            clone.git("push", "-q", "origin", "refs/track/*:refs/track/*", code=None)
        clone.track("pull")
        clone.track("push", "--yes", "--all")
        assert leaky not in clone.ids()
        assert not has_bytes(clone.path, SECRET), number
    ann.track("pull")
    for clone in clones:
        clone.track("pull")
    assert len(team.same([ann, *clones])) == 13
    fresh = team.cloned(origin.as_uri(), tmp_path / "fresh")
    fresh.track("pull")
    assert leaky not in fresh.ids()
    subprocess.run(["git", "-C", str(origin), "gc", "-q", "--prune=now"], check=True)
    assert not has_bytes(origin, SECRET)
    for clone in (ann, *clones):
        clone.sound()
