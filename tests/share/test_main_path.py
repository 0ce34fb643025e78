"""What sharing is for: runs recorded in one clone, pushed, and the same in another one, over each kind of server."""

from pathlib import Path

import git_servers
import pytest
import team


@pytest.mark.parametrize("kind", ["file", "ssh", "http"])
def test_what_one_recorded_the_other_sees_and_checks_out(
    kind: str, server_of: git_servers.Find, repo: Path, tmp_path: Path
) -> None:
    bare = server_of(kind).new()
    ann = team.first(bare.url, repo)
    (repo / "train.py").write_text(team.TRAINING)
    (repo / "untracked.txt").write_text("not committed\n")
    for seed in ("1", "2"):
        ann.track("run", "-q", "--name", f"try-{seed}", "--", "python", "train.py", seed)
    ann.track("tag", "try-1", "good")
    ann.track("push", "--yes")

    bob = team.cloned(bare.url, tmp_path / "bob")
    bob.track("pull")
    table = team.same([ann, bob])
    assert [(row["name"], row["tags"], row["status"]) for row in table] == [
        ("try-2", [], "completed"), ("try-1", ["good"], "completed"),
    ]  # fmt: skip
    for clone in (ann, bob):
        clone.track("checkout", "try-1", "-o", "restored")
    restored = team.files_below(repo / "restored")
    assert {"train.py", "untracked.txt", "model.bin"} <= restored.keys()
    assert team.files_below(tmp_path / "bob" / "restored") == restored

    bob.track("note", "try-2", "as good as the first")
    bob.track("run", "-q", "--name", "of-bob", "--", "python", "restored/train.py", "3")
    bob.track("push", "--yes")
    ann.track("pull")
    assert {row["name"] for row in team.same([ann, bob])} == {"try-1", "try-2", "of-bob"}
    for place in (ann.path, bob.path, bare.path):
        team.sound(place)


def test_a_second_push_and_pull_move_nothing(server_of: git_servers.Find, repo: Path, tmp_path: Path) -> None:
    bare = server_of("file").new()
    ann = team.first(bare.url, repo)
    ann.runs(range(3))
    ann.track("push", "--yes")
    bob = team.cloned(bare.url, tmp_path / "bob")
    bob.track("pull")
    before = [ann.refs(), bob.refs(), ann.git("ls-remote", "origin")]
    for clone in (ann, bob):
        clone.track("push", "--yes")
        clone.track("pull")
    assert [ann.refs(), bob.refs(), ann.git("ls-remote", "origin")] == before


def test_branches_tags_and_reflogs_are_as_before(server_of: git_servers.Find, repo: Path, tmp_path: Path) -> None:
    bare = server_of("file").new()
    ann, bob = team.first(bare.url, repo), team.cloned(bare.url, tmp_path / "bob")
    ann.runs(range(2))
    ann.git("tag", "v1")
    ann.git("commit", "-q", "--allow-empty", "-m", "Ahead")

    def seen(clone: team.Clone) -> list[str]:
        users = ("refs/heads", "refs/tags", "refs/remotes", "refs/stash")
        logs = sorted(str(path) for path in (clone.path / ".git" / "logs").rglob("*"))
        fetched = (clone.path / ".git" / "FETCH_HEAD").exists()
        return [
            clone.git("for-each-ref", *users),
            clone.git("status", "--porcelain=2", "--branch"),
            *logs,
            str(fetched),
        ]

    before = [seen(ann), seen(bob), ann.git("ls-remote", "origin", "refs/heads/*", "refs/tags/*")]
    ann.track("push", "--yes")
    bob.track("pull")
    assert [seen(ann), seen(bob), ann.git("ls-remote", "origin", "refs/heads/*", "refs/tags/*")] == before


def test_the_password_of_an_address_is_shown_and_kept_nowhere(
    server_of: git_servers.Find, repo: Path, tmp_path: Path
) -> None:
    server = server_of("http")
    bare = server.at(server.prefix.replace("/open/", "/private/")).new()
    ann = team.first(bare.url.replace("//", f"//ann:{git_servers.PASSWORD}@"), repo)
    ann.runs(range(2))
    said = [ann.track(*args) for args in (("push", "--yes"), ("pull",), ("log",))]
    bare.path.rename(tmp_path / "gone.git")
    said.append(ann.track("push", "--yes", code=84))
    said.append(ann.track("pull", code=84))
    assert not [each for each in said if git_servers.PASSWORD in each.stdout + each.stderr]
    kept = [path for path in (repo / ".git" / "track").rglob("*") if path.is_file()]
    assert not [path for path in kept if git_servers.PASSWORD.encode() in path.read_bytes()]


def test_without_access_the_message_says_so(server_of: git_servers.Find, repo: Path) -> None:
    server = server_of("http")
    bare = server.at(server.prefix.replace("/open/", "/private/")).new()
    ann = team.Clone(repo, {})
    ann.git("remote", "add", "origin", bare.url)
    ann.runs(range(2))
    for command in (("push", "--yes"), ("pull",)):
        said = ann.track(*command, code=84).stderr
        assert "Username" in said and "git ls-remote" in said
