"""Whatever was done to a work tree, its snapshot holds what is on the disk: random work, compared with a plain walk."""

import os
import random
import shutil
import stat
from pathlib import Path

import pytest
from snapshotting import files, git_at, sh, shoot

NAMES = ("a", "b", "d/a", "d/b", "d/e/c", "x y", "-z", "d/é")


def on_disk(repo: Path) -> dict[str, tuple[str, bytes]]:
    """Path -> mode and content, as git would have them."""
    found: dict[str, tuple[str, bytes]] = {}
    for place, folders, names in os.walk(repo):
        if ".git" in folders:
            folders.remove(".git")
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        for name in (*names, *links):
            path = os.path.join(place, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                entry = ("120000", os.fsencode(os.readlink(path)))
            else:
                entry = ("100755" if mode & 0o100 else "100644", Path(path).read_bytes())
            found[os.path.relpath(path, repo)] = entry
    return found


def in_snapshot(repo: Path) -> dict[str, tuple[str, bytes]]:
    snapshot = shoot(repo)
    assert not snapshot.left_out
    modes = files(repo, snapshot)
    git = git_at(repo)
    return {path: (mode, git.run("cat-file", "blob", f"{snapshot.oid}:{path}")) for path, mode in modes.items()}


def work(repo: Path, chance: random.Random) -> str:
    """One random thing that people do."""
    name = chance.choice(NAMES)
    path = repo / name
    deed = chance.choice(
        ("write", "write", "link", "remove", "folder", "mode", "add", "add", "unstage", "commit", "mark")
    )
    if deed in ("write", "link"):
        for parent in reversed(path.relative_to(repo).parents[:-1]):
            if (repo / parent).is_symlink() or (repo / parent).is_file():
                (repo / parent).unlink()
        remove(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if deed == "write":
            path.write_text(chance.choice(("one\n", "two\n", "")))
        else:
            path.symlink_to(chance.choice(("nowhere", "a", "..", "d")))
    elif deed == "remove":
        remove(path)
    elif deed == "folder":
        remove(repo / name.split("/")[0])
    elif deed == "mode" and path.is_file() and not path.is_symlink():
        path.chmod(chance.choice((0o644, 0o755)))
    elif deed == "add":
        sh(repo, "add", "-A", "--", f":(literal){name}", code=None)
    elif deed == "unstage":
        sh(repo, "rm", "-rq", "--cached", "--", f":(literal){name}", code=None)
    elif deed == "commit":
        sh(repo, "commit", "-q", "--allow-empty", "-m", "x", code=None)
    elif deed == "mark":
        flag = chance.choice(("--assume-unchanged", "--no-assume-unchanged"))
        sh(repo, "update-index", flag, "--", name, code=None)
    return f"{deed} {name}"


def remove(path: Path) -> None:
    try:
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
        else:
            shutil.rmtree(path)
    except NotADirectoryError:
        pass


@pytest.mark.parametrize("seed", range(12))
def test_the_snapshot_of_a_tree_after_random_work_is_the_tree(repo: Path, seed: int) -> None:
    chance = random.Random(seed)
    done = []
    for _ in range(4):
        done += [work(repo, chance) for _ in range(chance.randint(1, 8))]
        assert in_snapshot(repo) == on_disk(repo), done
