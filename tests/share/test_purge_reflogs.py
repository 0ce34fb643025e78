"""A purge where git keeps reflogs of all refs: what archives once were is in none of them."""

import subprocess
from pathlib import Path

import team

SECRET = "sk-reflogs-0123456789abcdef0123456789"


def says(repository: Path, text: str) -> bool:
    args = ["git", "-C", str(repository), "cat-file", "--batch-all-objects", "--buffer", "--batch"]
    return text.encode() in subprocess.run(args, capture_output=True, check=True).stdout


def test_reflogs_of_archives_keep_nothing_of_a_purged_run(repo: Path, tmp_path: Path) -> None:
    origin = tmp_path / "origin.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(origin)], check=True)
    ann = team.first(origin.as_uri(), repo)
    bob = team.cloned(origin.as_uri(), tmp_path / "bob")
    for clone in (ann, bob):
        clone.git("config", "core.logAllRefUpdates", "always")
    leaky = ann.runs([900], note=f"it is {SECRET}")[0]
    ann.runs(range(2))
    ann.track("archive", "--all")
    ann.track("push", "--yes")
    bob.track("pull", "--records")
    users = {clone.path: clone.git("reflog", "show", "HEAD") for clone in (ann, bob)}
    ann.track("purge", leaky, "--yes")
    bob.track("pull")
    for clone in (ann, bob):
        assert not says(clone.path, SECRET)
        assert clone.git("reflog", "show", "HEAD") == users[clone.path]
        clone.sound()
    assert len(team.same((ann, bob))) == 2
    left = [path for path in (repo / ".git" / "logs").rglob("*") if path.is_file()]
    assert any(path.name == "main" for path in left)
