"""`git track push` between real repositories: what goes, what stays, and what is said about it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import builder
import pytest
from common import wait_until

from gittrack.core import layout
from gittrack.runs import writer


class Shared:
    """The repository of a user and a bare one that is its `origin`."""

    def __init__(
        self, repo: Path, git: Callable[..., str], track: Callable[..., subprocess.CompletedProcess[str]]
    ) -> None:
        self.path, self.git, self.track = repo, git, track
        self.bare = repo.parent / "origin.git"
        git("init", "-q", "--bare", str(self.bare), cwd=repo.parent)
        git("remote", "add", "origin", f"file://{self.bare}")
        git("push", "-q", "origin", "main")

    def runs(self, count: int, first: int = 0, **facts: object) -> list[str]:
        repo = builder.opened(self.path)
        facts = {"writer": writer.writer_id(repo.paths), **facts}
        made = [builder.journal(n, {"seed": n}, [0.5, 0.1], **facts) for n in range(first, first + count)]
        return builder.write_runs(repo, made)

    def there(self, prefix: str = "refs/track/") -> dict[str, str]:
        listed = self.git("ls-remote", str(self.bare)).splitlines()
        return {ref: oid for oid, ref in (line.split("\t") for line in listed) if ref.startswith(prefix)}

    def ids_there(self) -> set[str]:
        return {ref.rpartition("/")[2] for ref in self.there(layout.RUNS)}


@pytest.fixture
def shared(repo: Path, git: Callable[..., str], track: Callable[..., subprocess.CompletedProcess[str]]) -> Shared:
    return Shared(repo, git, track)


def test_the_first_push_says_what_leaves_and_is_refused_without_a_terminal(shared: Shared) -> None:
    shared.runs(3)
    refused = shared.track("push", code=2)
    assert "3 runs" in refused.stderr
    assert "git track push --yes" in refused.stderr
    assert shared.there() == {}
    shared.track("push", "--yes")
    assert len(shared.ids_there()) == 3
    shared.runs(1, first=3)
    assert "pushed 1 run " in shared.track("push").stdout


def test_a_first_push_without_runs_names_what_goes_instead(shared: Shared) -> None:
    (run,) = shared.runs(1)
    shared.track("push", "--yes")
    shared.git("remote", "set-url", "origin", f"{shared.bare}")  # another address is another remote to ask about
    shared.track("tag", run, "good")
    said = shared.track("push", code=2).stderr
    assert "of annotations and archives that origin lacks" in said and "0 runs" not in said


def test_who_agreed_to_records_alone_is_asked_again_before_code_goes(shared: Shared) -> None:
    shared.track("run", "-q", "--", "python", "train.py")
    shared.track("push", "--yes", "--no-code")
    assert not shared.there(layout.CODE)
    shared.track("push", code=2)
    assert not shared.there(layout.CODE)
    shared.track("push", "--yes")
    assert len(shared.there(layout.CODE)) == 1


def test_only_runs_of_this_clone_go_unless_all_are_asked_for(shared: Shared) -> None:
    (mine,) = shared.runs(1)
    (other,) = shared.runs(1, first=1, writer="a" * 16)
    shared.track("push", "--yes")
    assert shared.ids_there() == {mine}
    shared.track("push", "--all")
    assert shared.ids_there() == {mine, other}


def test_named_runs_and_runs_by_expression_go_alone(shared: Shared) -> None:
    ids = shared.runs(4)
    shared.track("push", "--yes", ids[1])
    assert shared.ids_there() == {ids[1]}
    shared.track("push", "--where", "seed >= 2")
    assert shared.ids_there() == set(ids[1:])


def test_a_deleted_run_stays_and_is_named(shared: Shared) -> None:
    first, second = shared.runs(2)
    shared.track("rm", first)
    said = shared.track("push", "--yes").stdout
    assert "deleted" in said and first[:7] in said
    assert shared.ids_there() == {second}


def test_own_annotations_go_along(shared: Shared) -> None:
    (run,) = shared.runs(1)
    shared.track("tag", run, "good")
    shared.track("push", "--yes")
    assert len(shared.there(layout.LOG)) == 1
    shared.track("tag", run, "better")
    assert "annotations" in shared.track("push").stdout
    mine = shared.git("for-each-ref", "--format=%(objectname)", "refs/track/log/")
    assert list(shared.there(layout.LOG).values()) == [mine]


def test_a_dry_run_sends_nothing_and_names_sizes_and_secrets(shared: Shared) -> None:
    (shared.path / "config.py").write_text('KEY = "AKIA' + 'ABCDEFGHIJKLMNOP"\n')
    shared.git("add", "config.py")
    shared.git("commit", "-q", "-m", "A mistake")
    shared.track("run", "-q", "--", "python", "train.py")
    said = shared.track("push", "--dry-run").stdout
    assert "looks like a secret: config.py: AWS Access Key" in said
    found = json.loads(shared.track("push", "--dry-run", "--json").stdout)
    assert (len(found["runs"]), found["commits"], found["files"]) == (1, 1, 1)
    assert found["code"] > 0 and found["records"] > 0
    assert shared.there() == {}


def test_what_a_mirror_took_away_is_put_back_and_said(shared: Shared, tmp_path: Path) -> None:
    ids = shared.runs(2)
    shared.track("push", "--yes")
    shared.git("clone", "-q", "--mirror", f"file://{shared.bare}", str(tmp_path / "other"))
    for ref in shared.git("for-each-ref", "--format=%(refname)", "refs/track/", cwd=tmp_path / "other").splitlines():
        shared.git("update-ref", "-d", ref, cwd=tmp_path / "other")
    shared.git("push", "-q", "--mirror", cwd=tmp_path / "other")
    assert shared.there() == {}
    assert "had been deleted at origin" in shared.track("push").stdout
    assert shared.ids_there() == set(ids)


def test_another_record_of_the_same_run_is_never_overwritten(shared: Shared) -> None:
    (run,) = shared.runs(1)
    shared.track("push", "--yes")
    repo = builder.opened(shared.path)
    ref, tip = layout.run_ref(run), repo.refs(layout.run_ref(run))[layout.run_ref(run)]
    other = builder.record(repo, builder.files_of(repo, tip), "refs/heads/forged")
    shared.git("push", "-q", "-f", "origin", f"{other}:{ref}")
    assert "another record" in shared.track("push").stdout
    assert shared.there()[ref] == other


def test_many_runs_go_as_an_archive_and_a_handful_of_refs(shared: Shared) -> None:
    ids = shared.runs(40)
    said = json.loads(shared.track("push", "--yes", "--json").stdout)
    assert sorted(said["runs"]) == sorted(ids)
    assert not shared.there(layout.RUNS)
    assert len(shared.there(layout.ARCHIVE)) == 3
    assert "has all of it" in shared.track("push").stdout


def test_older_runs_leave_their_refs_there_when_enough_have_gathered(shared: Shared) -> None:
    for first in (0, 15):
        shared.runs(15, first=first)
        shared.track("push", "--yes")
    assert len(shared.there(layout.RUNS)) == 10
    assert shared.git("for-each-ref", "refs/track/runs/").count("\n") == 9


def test_without_archives_every_run_keeps_its_ref(shared: Shared) -> None:
    shared.git("config", "track.archive", "false")
    shared.runs(40)
    shared.track("push", "--yes")
    assert len(shared.there(layout.RUNS)) == 40


def test_naming_runs_never_sends_the_rest_of_an_archive(shared: Shared) -> None:
    ids = shared.runs(40)
    shared.track("push", "--yes", *ids)
    assert shared.ids_there() == set(ids)
    assert not shared.there(layout.ARCHIVE)


def test_a_small_file_that_a_run_kept_is_searched_for_secrets_also_without_code(shared: Shared) -> None:
    (shared.path / "train.py").write_text(
        "import gittrack\nrun = gittrack.init()\nopen('keys.txt', 'w').write('AKIA' + 'ABCDEFGHIJKLMNOP')\n"
        "run.log_artifact('keys.txt')\n"
    )
    shared.track("run", "-q", "--", "python", "train.py")
    said = shared.track("push", "--dry-run", "--no-code").stdout
    assert "AWS Access Key" in said and "of code" not in said


def test_a_live_run_stays_until_it_has_ended_and_is_named(shared: Shared) -> None:
    (shared.path / "wait.py").write_text("import sys\nsys.stdin.read()\n")
    program = str(Path(sys.executable).parent / "git-track")
    with subprocess.Popen(
        [program, "run", "-q", "--", "python", "wait.py"], cwd=shared.path, stdin=subprocess.PIPE
    ) as run:
        try:
            rows = wait_until(lambda: json.loads(shared.track("ls", "--json").stdout))
            shared.runs(1)
            said = shared.track("push", "--yes").stdout
            assert f"not pushed, still going: {rows[0]['id'][:7]}" in said
            assert len(shared.ids_there()) == 1
        finally:
            assert run.stdin is not None
            run.stdin.close()
            run.wait()
    shared.track("push")
    assert len(shared.ids_there()) == 2
