"""Files shared through the git remote itself: by git-lfs where it has it, else as chunks under refs/track/data."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lfs_servers
import pytest

from gittrack import errors
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.git.repository import Repository
from gittrack.runs import embedded, lfs
from gittrack.store.content import Content
from gittrack.store.local import open_local

Keep = Callable[..., tuple[str, int]]
Git = Callable[..., str]
Track = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def plain(git: Git, bare: Path, plain_ssh: lfs_servers.Ssh, opened: Repository) -> Repository:
    """`repo`, whose origin is an sshd that has git and no git-lfs."""
    git("remote", "add", "origin", plain_ssh.url(bare))
    git("config", "receive.fsckObjects", "true", cwd=bare)
    return open_repository(opened.paths, os.environ)


def clone(repo: Path, tmp_path: Path) -> tuple[Repository, Content]:
    """Another clone with the same origin."""
    path = tmp_path / "clone"
    url = subprocess.run(["git", "-C", str(repo), "remote", "get-url", "origin"], capture_output=True, text=True).stdout
    subprocess.run(["git", "init", "-q", str(path)], check=True)
    subprocess.run(["git", "-C", str(path), "remote", "add", "origin", url.strip()], check=True)
    return open_repository(discover(str(path), os.environ), os.environ), open_local(str(path / ".git" / "track"))


def data_refs(git: Git, bare: Path) -> list[str]:
    return git("for-each-ref", "--format=%(refname)", "refs/track/data", cwd=bare).splitlines()


def test_without_git_lfs_the_bytes_travel_as_git_objects(
    repo: Path, git: Git, bare: Path, plain: Repository, content: Content, keep: Keep, tmp_path: Path
) -> None:
    files = [keep(9_000_000, 1), keep(100, 2), keep(0, 3)]
    objects, refs = git("count-objects", "-v"), git("for-each-ref")

    report = embedded.push(plain, content, "origin", files)

    assert report.objects == 2
    assert len(data_refs(git, bare)) == 2
    git("fsck", "--strict", cwd=bare)
    assert (git("count-objects", "-v"), git("for-each-ref")) == (objects, refs)
    other, theirs = clone(repo, tmp_path)
    assert embedded.pull(other, theirs, "origin", files).sent == 9_000_100
    assert [theirs.read(*file) for file in files] == [content.read(*file) for file in files]
    assert other.refs() == {}
    assert embedded.pull(other, theirs, "origin", files).objects == 0


def test_a_file_that_shares_chunks_sends_the_others_only(
    git: Git, repo: Path, bare: Path, plain: Repository, content: Content, keep: Keep, tmp_path: Path
) -> None:
    first = keep(9_000_000, 1)
    embedded.push(plain, content, "origin", [first])
    changed = bytearray(content.read(*first))
    changed[1000:1100] = bytes(100)
    kept = content.put_bytes(bytes(changed))

    report = embedded.push(plain, content, "origin", [first, (kept.sha256, kept.size)])

    assert 0 < report.sent < 5_000_000
    assert len(data_refs(git, bare)) == 4
    other, theirs = clone(repo, tmp_path)
    embedded.pull(other, theirs, "origin", [(kept.sha256, kept.size)])
    assert theirs.read(kept.sha256, kept.size) == bytes(changed)
    assert embedded.push(plain, content, "origin", [first]).objects == 0


def test_a_push_again_makes_no_ref_more(
    git: Git, repo: Path, bare: Path, plain: Repository, content: Content, keep: Keep
) -> None:
    file = keep(1000)
    embedded.push(plain, content, "origin", [file])
    before = data_refs(git, bare)
    shutil.rmtree(repo / ".git" / "track" / "known")
    embedded.push(plain, content, "origin", [file])
    git("update-ref", "-d", next(ref for ref in before if ref.endswith("/list")), cwd=bare)
    embedded.push(plain, content, "origin", [file], again=True)
    assert data_refs(git, bare) == before


MEET = """#!/bin/sh
touch arrived.$$
n=0
while [ $(ls arrived.* | wc -l) -lt 2 ] && [ $n -lt 300 ]; do sleep 0.1; n=$((n + 1)); done
"""


def test_two_pushes_of_the_same_at_the_same_moment_both_succeed(
    git: Git, bare: Path, plain: Repository, content: Content, keep: Keep
) -> None:
    files = [keep(5_000_000, 1), keep(1000, 2)]
    hook = bare / "hooks" / "pre-receive"
    hook.write_text(MEET)
    hook.chmod(0o755)
    second = open_repository(plain.paths, os.environ)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(embedded.push, repo, content, "origin", files) for repo in (plain, second)]
    assert [one.result().objects for one in both] == [2, 2]
    assert len(list(bare.glob("arrived.*"))) == 2
    assert len(data_refs(git, bare)) == 2
    git("fsck", "--strict", cwd=bare)


def test_above_the_limit_the_error_names_the_setting(
    git: Git, bare: Path, plain: Repository, content: Content, keep: Keep
) -> None:
    embedded.push(plain, content, "origin", [keep(1000, 1)], limit=1500)
    with pytest.raises(errors.StoreFailed, match="1,500") as caught:
        embedded.push(plain, content, "origin", [keep(1000, 2)], limit=1500)
    assert "store:" in caught.value.hint
    assert len(data_refs(git, bare)) == 2


def test_an_http_server_that_knows_no_git_lfs_is_told_apart_too(
    git: Git, bare: Path, opened: Repository, content: Content, keep: Keep, lfs_server: lfs_servers.Lfs
) -> None:
    git("remote", "add", "origin", str(bare))
    git("config", "lfs.url", f"{lfs_server.url}/nothing/of/this/kind")
    file = keep(1000)
    with pytest.raises(errors.Unsupported, match="no git-lfs"):
        lfs.push(opened, content, "origin", [file])
    embedded.push(opened, content, "origin", [file])
    assert len(data_refs(git, bare)) == 2


def test_the_limit_is_a_setting(
    git: Git, repo: Path, bare: Path, plain: Repository, track: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    training = "import os, gittrack\nrun = gittrack.init()\nopen('m.pt', 'wb').write(os.urandom(2_000_000))\n"
    training += "run.checkpoint(path='m.pt', step=1)\nrun.finish()\n"
    subprocess.run([sys.executable, "-c", training], cwd=repo, check=True)
    (repo / "gittrack.yaml").write_text("embedded_limit: 1MB\n")
    assert "embedded_limit" in track("store", "push", code=79).stderr
    assert data_refs(git, bare) == []
    (repo / "gittrack.yaml").write_text("embedded_limit: 3MB\n")
    assert "origin: copied 1 file, 2.0 MB" in track("store", "push").stdout
    assert len(data_refs(git, bare)) == 2
    shutil.rmtree(repo / ".git" / "track" / "objects")
    assert "this clone: copied 1 file, 2.0 MB" in track("store", "pull").stdout


MANY = """
import gittrack, os
run = gittrack.init()
for number in range(5):
    with open(f"{number}.pt", "wb") as file:
        file.write(os.urandom(1_200_000))
    run.log_artifact(f"{number}.pt")
run.finish()
"""


def test_a_checkout_fetches_all_that_is_missing_at_once(
    repo: Path, git: Git, bare: Path, plain: Repository, track: Callable[..., object], tmp_path: Path
) -> None:
    (repo / ".gitignore").write_text("*.pt\n")
    git("add", ".")
    git("commit", "-q", "-m", "Settings", GIT_COMMITTER_DATE="2020-01-01T00:00:00Z")
    subprocess.run([sys.executable, "-c", MANY], cwd=repo, check=True)
    track("store", "push")
    shutil.rmtree(repo / ".git" / "track" / "objects")
    counting = tmp_path / "upload-pack"
    counting.write_text(f'#!/bin/sh\necho x >> {tmp_path}/count\nexec git-upload-pack "$@"\n')
    counting.chmod(0o755)
    git("config", "remote.origin.uploadpack", str(counting))
    track("checkout", "latest", "--artifacts", "-o", str(tmp_path / "out"))
    assert len(list((tmp_path / "out").rglob("*.pt"))) == 5
    assert (tmp_path / "count").read_text().count("x") == 2  # what there is, and the bytes


def test_of_a_store_and_git_lfs_each_gets_the_files_and_gives_what_the_other_lacks(
    repo: Path, git: Git, bare: Path, plain: Repository, track: Track, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    (repo / ".gitignore").write_text("*.pt\n")
    (repo / "gittrack.yaml").write_text(f"store: ['{store.as_uri()}', lfs]\n")
    git("add", ".")
    git("commit", "-q", "-m", "Settings", GIT_COMMITTER_DATE="2020-01-01T00:00:00Z")
    subprocess.run([sys.executable, "-c", MANY], cwd=repo, check=True)
    track("store", "push", "--create", code=None)  # whatever the run has uploaded by itself
    failed = track("store", "push", code=77)
    assert "has no git-lfs" in failed.stderr and "5 were there" in failed.stdout
    git("remote", "set-url", "origin", f"file://{bare}")
    assert "origin: copied 5 files" in track("store", "push").stdout
    shutil.rmtree(repo / ".git" / "track" / "objects")
    shutil.rmtree(store / "chunks")
    assert "this clone: copied 5 files" in track("store", "pull").stdout


def test_with_git_lfs_no_data_refs_are_made(
    git: Git, repo: Path, bare: Path, opened: Repository, content: Content, keep: Keep, tmp_path: Path
) -> None:
    git("remote", "add", "origin", f"file://{bare}")
    file = keep(1000)
    embedded.push(opened, content, "origin", [file])
    assert data_refs(git, bare) == []
    assert (bare / "lfs" / "objects" / file[0][:2] / file[0][2:4] / file[0]).exists()
    other, theirs = clone(repo, tmp_path)
    embedded.pull(other, theirs, "origin", [file])
    assert theirs.has(*file)


@pytest.fixture
def no_git_lfs(tmp_path: Path) -> str:
    """A PATH with all programs but git-lfs."""
    farm = tmp_path / "programs"
    farm.mkdir()
    for folder in os.environ["PATH"].split(os.pathsep):
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            if name != "git-lfs" and not (farm / name).is_symlink():
                (farm / name).symlink_to(os.path.join(folder, name))
    return str(farm)


def test_who_has_no_git_lfs_is_told_that_the_remote_may_have_the_files_by_it(
    git: Git, repo: Path, bare: Path, opened: Repository, content: Content, keep: Keep, no_git_lfs: str
) -> None:
    git("remote", "add", "origin", f"file://{bare}")
    file = keep(1000)
    embedded.push(opened, content, "origin", [file])
    shutil.rmtree(repo / ".git" / "track" / "objects")
    poor = open_repository(opened.paths, {**os.environ, "PATH": no_git_lfs})
    with pytest.raises(errors.Unsupported, match="git-lfs, which is not installed here") as caught:
        embedded.pull(poor, content, "origin", [file])
    assert "install git-lfs" in caught.value.hint


def test_a_clone_that_fetched_all_of_refs_track_needs_no_remote_any_more(
    git: Git, repo: Path, bare: Path, plain: Repository, content: Content, keep: Keep, tmp_path: Path
) -> None:
    file = keep(5_000_000)
    embedded.push(plain, content, "origin", [file])
    other, theirs = clone(repo, tmp_path)
    git("fetch", "-q", "origin", "refs/track/*:refs/track/*", cwd=tmp_path / "clone")
    shutil.rmtree(bare)
    embedded.pull(other, theirs, None, [file])
    assert theirs.has(*file)


def test_plain_git_can_read_the_bytes(git: Git, bare: Path, plain: Repository, content: Content, keep: Keep) -> None:
    sha256, size = keep(1000)
    embedded.push(plain, content, "origin", [(sha256, size)])
    ref = next(ref for ref in data_refs(git, bare) if ref.endswith("/bytes"))
    shown = subprocess.run(
        ["git", "-C", str(bare), "show", f"{ref}:chunks/{sha256[:2]}/{sha256}"], capture_output=True, check=True
    )
    assert shown.stdout == content.read(sha256, size)


def test_what_nobody_has_is_missing_and_the_rest_comes(
    repo: Path, plain: Repository, content: Content, keep: Keep, tmp_path: Path
) -> None:
    here, gone = keep(1000, 1), keep(1000, 2)
    embedded.push(plain, content, "origin", [here])
    other, theirs = clone(repo, tmp_path)
    with pytest.raises(errors.MissingContent, match=gone[0]):
        embedded.pull(other, theirs, "origin", [here, gone])
    assert theirs.has(*here)


def test_bytes_that_are_not_those_of_their_name_are_refused(
    git: Git, repo: Path, bare: Path, plain: Repository, content: Content, keep: Keep, tmp_path: Path
) -> None:
    sha256, size = keep(1000)
    key = f"chunks/{sha256[:2]}/{sha256}"
    blob = git("hash-object", "-w", "--stdin", cwd=bare, text_in="x" * size)
    listing = git("hash-object", "-w", "--stdin", cwd=bare, text_in=f"gittrack data 1\n{key} {size}\n")
    index = str(tmp_path / "index")
    git("update-index", "--add", "--cacheinfo", f"100644,{blob},{key}", cwd=bare, GIT_INDEX_FILE=index)
    held = git("commit-tree", "-m", "x", git("write-tree", cwd=bare, GIT_INDEX_FILE=index), cwd=bare)
    tree = git("mktree", cwd=bare, text_in=f"100644 blob {listing}\tlist\n")
    git("update-ref", f"refs/track/data/{held}/bytes", held, cwd=bare)
    git("update-ref", f"refs/track/data/{held}/list", git("commit-tree", "-m", "x", tree, cwd=bare), cwd=bare)
    other, theirs = clone(repo, tmp_path)
    with pytest.raises(errors.CorruptContent, match=sha256):
        embedded.pull(other, theirs, "origin", [(sha256, size)])
    assert not theirs.has(sha256, size)


def test_a_remote_that_refuses_says_why(bare: Path, plain: Repository, content: Content, keep: Keep) -> None:
    hook = bare / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho no such refs here >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(errors.StoreFailed, match="pre-receive hook declined"):
        embedded.push(plain, content, "origin", [keep(1000)])
