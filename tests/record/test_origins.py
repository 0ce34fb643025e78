"""Which run a new run comes from: said where it is certain, and nowhere else."""

import json
import subprocess
import sys

import pytest


@pytest.fixture
def origin(repo, git, track):
    """`origin()` records a run and gives (its id, what its run.json says as `origin`)."""

    def call(*options, cwd=None):
        run = json.loads(track("run", "--json", *options, "true", cwd=cwd).stdout)["id"]
        return run, json.loads(git("show", f"refs/track/runs/{run[-2:]}/{run}:run.json")).get("origin")

    return call


def edit(repo, text):
    (repo / "train.py").write_text(text)


def test_a_run_of_code_that_nobody_ran_before_has_none(origin, repo):
    _, found = origin()
    assert found is None
    edit(repo, "1\n")
    assert origin()[1] is None
    assert origin()[1] is None  # the same uncommitted code again is no descendant of itself


def test_a_checkout_into_the_work_tree_is_one_until_head_moves_or_the_files_go(origin, repo, git, track):
    edit(repo, "1\n")
    first, _ = origin()
    git("checkout", "-q", ".")
    assert origin()[1] is None
    track("checkout", first[:7], "--force")
    assert origin()[1] == {"how": "checkout", "run": first, "step": None}
    git("checkout", "-q", ".")
    assert origin()[1] is None
    track("checkout", first[:7], "--force")
    git("commit", "-q", "--allow-empty", "-m", "Elsewhere")
    assert origin()[1] is None


def test_a_checkout_into_another_folder_is_none(origin, repo, track, tmp_path):
    edit(repo, "1\n")
    first, _ = origin()
    track("checkout", first[:7], "-o", str(tmp_path / "out"))
    assert origin()[1] is None


def test_a_checkout_that_was_undone_is_none(origin, repo, git, track):
    edit(repo, "1\n")
    first, _ = origin()
    edit(repo, "2\n")
    track("checkout", first[:7], "--force")
    track("undo")
    assert origin()[1] is None


def test_each_work_tree_has_its_own(origin, repo, git, track, tmp_path):
    edit(repo, "1\n")
    first, _ = origin()
    other = tmp_path / "linked"
    git("worktree", "add", "-q", "--detach", str(other))
    track("checkout", first[:7], "--force", cwd=other)
    assert origin(cwd=other)[1]["run"] == first
    assert origin()[1] is None


def test_changes_that_were_applied_are_one(origin, repo, git, track):
    edit(repo, "1\n")
    first, _ = origin()
    git("checkout", "-q", ".")
    track("apply", first[:7])
    track("undo")
    assert origin()[1] is None
    track("apply", first[:7])
    assert origin()[1] == {"how": "apply", "run": first, "step": None}


def test_a_branch_of_a_run_and_commits_on_top_of_it_are_one(origin, repo, git, track):
    edit(repo, "1\n")
    first, _ = origin()
    git("checkout", "-q", ".")
    track("branch", first[:7], "one", "--switch")
    assert origin()[1] == {"how": "commit", "run": first, "step": None}
    edit(repo, "2\n")
    git("commit", "-q", "-am", "Further")
    assert origin()[1] == {"how": "commit", "run": first, "step": None}
    git("switch", "-q", "main")
    assert origin()[1] is None


def test_a_promoted_run_is_one_and_the_nearest_counts(origin, repo, git, track):
    edit(repo, "1\n")
    first, _ = origin()
    track("promote", first[:7], "-m", "One")
    _, found = origin()
    assert found == {"how": "commit", "run": first, "step": None}
    edit(repo, "2\n")
    third, _ = origin()
    track("promote", third[:7], "-m", "Two")
    assert origin()[1]["run"] == third


def test_a_trailer_in_a_message_is_enough_without_the_file_of_links(origin, repo, git):
    edit(repo, "1\n")
    first, _ = origin()
    git("commit", "-q", "-am", f"By hand\n\nTrack-Run: {first}")
    assert origin()[1] == {"how": "commit", "run": first, "step": None}


def test_the_user_may_say_it(origin, repo, track):
    first, _ = origin()
    assert origin("--from", first[:7])[1] == {"how": "said", "run": first, "step": None}
    assert "no run is called" in track("run", "--from", "nobody", "true", code=66).stderr


def test_a_run_that_is_resumed_says_so_alone(origin, repo, git):
    first, _ = origin()
    edit(repo, "1\n")
    git("commit", "-q", "-am", f"By hand\n\nTrack-Run: {first}")
    run, found = origin("--resume", first[:7])
    assert found is None
    assert json.loads(git("show", f"refs/track/runs/{run[-2:]}/{run}:run.json"))["continues"]["run"] == first


def test_a_checkpoint_that_was_put_back_is_one_though_git_ignores_its_files(origin, repo, git, track):
    (repo / ".gitignore").write_text("*.pt\n")
    (repo / "train.py").write_text(
        "import gittrack\nrun = gittrack.init()\nopen('m.pt', 'w').write('weights')\nrun.checkpoint(7, path='m.pt')\n"
    )
    git("add", ".")
    git("commit", "-q", "-m", "A model")
    first = json.loads(track("run", "--json", sys.executable, "train.py").stdout)["id"]
    (repo / "m.pt").unlink()
    track("checkout", f"{first[:7]}@7", "--artifacts")
    assert origin()[1] == {"how": "checkpoint", "run": first, "step": 7}


def test_a_program_that_starts_its_run_itself_has_it_too_and_may_say_another(repo, git, track):
    edit(repo, "import gittrack\ngittrack.init().finish()\n")
    first = json.loads(track("run", "--json", "true").stdout)["id"]
    git("commit", "-q", "-am", f"By hand\n\nTrack-Run: {first}")
    subprocess.run([sys.executable, "train.py"], cwd=repo, check=True)
    [row] = [one for one in json.loads(track("ls", "--json").stdout) if one["id"] != first]
    assert row["origin"] == {"how": "commit", "run": first, "step": None}
    edit(repo, f"import gittrack\ngittrack.init(origin={row['id'][:7]!r}).finish()\n")
    subprocess.run([sys.executable, "train.py"], cwd=repo, check=True)
    [last] = [one for one in json.loads(track("ls", "--json").stdout) if one["id"] not in (first, row["id"])]
    assert last["origin"] == {"how": "said", "run": row["id"], "step": None}


def test_runs_can_be_listed_by_it(origin, repo, track):
    first, _ = origin()
    second, _ = origin("--from", first[:7])
    assert track("ls", "-q", "--where", f"origin like '{first}*'").stdout.split() == [second]
    assert f"{first[:7]} (said)" in track("show", second[:7]).stdout


def test_a_note_that_is_damaged_hurts_nothing(origin, repo, track):
    edit(repo, "1\n")
    first, _ = origin()
    track("checkout", first[:7], "--force")
    [note] = (repo / ".git" / "track" / "origins").iterdir()
    for text in ("", "[", '{"head": 1}', '{"run": {}, "how": [], "head": null}', "[" * 4000):
        note.write_text(text)
        assert origin()[1] is None
