"""Repositories that cannot be written, opened or trusted: each error names the next step, and nothing is half done."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gittrack import errors
from gittrack.git import maintenance, objects
from gittrack.git.cli_backend import CliRepository
from gittrack.git.discover import discover
from gittrack.git.objects import Object
from gittrack.git.open import open_repository
from gittrack.git.repository import RefChange

RUN = "refs/track/runs/aa/1"
BACKENDS = ["pygit2", "cli"]

# Writes until it fails, and prints what was said. {body} is what is tried.
ATTEMPT = """
import os, sys
from gittrack import errors
from gittrack.git import maintenance, objects
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.git.repository import RefChange

path, backend = sys.argv[1:]
repo = open_repository(discover(path, {{}}), os.environ, backend)
tree = objects.tree({{}})
new = objects.commit(tree.oid, [], "A <a@b>", 1, "new")
try:
    {body}
except errors.CannotWrite as error:
    print(error.exit_code, error.message, "|", error.hint)
"""
BODIES = {
    "objects": "repo.write([new])",
    "pack": "repo.write([objects.blob(b'%d' % number) for number in range(600)])",
    "big": "repo.write([objects.blob(os.urandom(300_000)) for _ in range(3)])",
    "refs": "repo.update_refs([RefChange('refs/track/runs/aa/2', None, repo.refs()['refs/heads/main'])])",
    "tidy": "maintenance.tidy(repo.git, force=True)",
}


def unprivileged() -> list[str]:
    """How to start a command that is bound by permissions, as root too."""
    if os.getuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root is bound by no permissions, and there is no setpriv")
    return ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("what", BODIES)
def test_a_repository_that_cannot_be_written_says_so(repo: Path, backend: str, what: str) -> None:
    for path in [repo / ".git", *(repo / ".git").rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    done = subprocess.run(
        [*unprivileged(), sys.executable, "-c", ATTEMPT.format(body=BODIES[what]), str(repo), backend],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for path in [repo / ".git", *(repo / ".git").rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)
    assert done.stdout.startswith("73 ")
    assert "writable" in done.stdout.partition("|")[2]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("what", ["objects", "pack", "big"])
def test_a_full_disk_is_an_error_and_the_repository_stays_sound(
    repo: Path, tmp_path: Path, backend: str, what: str
) -> None:
    (tmp_path / "disk").mkdir()
    fill = (
        f"mount -t tmpfs -o size=1m none {tmp_path}/disk && cp -r {repo} {tmp_path}/disk/repo || exit 99; "
        f"cd {tmp_path}/disk/repo; dd if=/dev/zero of=../filler bs=1k 2>/dev/null; "
        '"$@"; code=$?; rm ../filler; git fsck --strict --no-dangling || exit 98; exit $code'
    )
    program = ATTEMPT.format(body=BODIES[what])
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", fill, "sh", sys.executable, "-c", program, ".", backend],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 99 or "unshare failed" in done.stderr:
        pytest.skip("no mount for us here")
    assert done.returncode == 0, done
    assert done.stdout.startswith("73 ")
    assert "free some space" in done.stdout


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_ref_on_a_full_disk_is_an_error_and_keeps_its_value(repo: Path, tmp_path: Path, backend: str) -> None:
    (tmp_path / "disk").mkdir()
    fill = (
        f"mount -t tmpfs -o size=1m,nr_inodes=2k none {tmp_path}/disk && cp -r {repo} {tmp_path}/disk/repo || exit 99; "
        f"cd {tmp_path}/disk/repo; mkdir .git/track; git update-ref {RUN} HEAD; "
        "i=0; while true >../filler$i; do i=$((i+1)); done 2>/dev/null; "
        f'"$@"; code=$?; rm ../filler*; git rev-parse -q --verify {RUN} || exit 98; '
        "git fsck --strict --no-dangling || exit 97; exit $code"
    )
    body = f"repo.update_refs([RefChange({RUN!r}, repo.refs()[{RUN!r}], None)])"
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", fill, "sh", sys.executable, "-c", ATTEMPT.format(body=body), ".", backend],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 99 or "unshare failed" in done.stderr:
        pytest.skip("no mount for us here")
    assert done.returncode == 0, done
    assert done.stdout.startswith("73 ")


@pytest.mark.parametrize("backend", ["auto", "cli"])
def test_a_repository_of_somebody_else_is_not_opened(repo: Path, backend: str) -> None:
    environ = dict(os.environ)
    if os.getuid() == 0:
        for path in [repo, *repo.rglob("*")]:
            os.chown(path, 65534, 65534, follow_symlinks=False)
    else:  # only root can give files away; git, not libgit2, lets itself be told that they are
        environ["GIT_TEST_ASSUME_DIFFERENT_OWNER"] = "1"
        backend = "cli"
    found = open_repository(discover(str(repo), {}), environ, backend)
    with pytest.raises(errors.GitFailed) as caught:
        found.read("1" * 40)
    assert "safe.directory" in caught.value.hint


@pytest.mark.parametrize(
    ("extension", "value"), [("objectformat", "sha256"), ("refstorage", "reftable"), ("future", "true")]
)
def test_what_libgit2_cannot_open_goes_to_git(repo: Path, extension: str, value: str) -> None:
    """git 2.39 can make no reftable: that it would be asked to open one is all that can be tested with it."""
    with (repo / ".git/config").open("a") as file:
        file.write(f"[core]\n\trepositoryformatversion = 1\n[extensions]\n\t{extension} = {value}\n")
    paths = discover(str(repo), {})
    assert isinstance(open_repository(paths, os.environ), CliRepository)
    with pytest.raises(errors.Unsupported, match="libgit2 cannot open"):
        open_repository(paths, os.environ, "pygit2")


def test_a_repository_that_this_git_is_too_old_for_says_to_upgrade(repo: Path) -> None:
    with (repo / ".git/config").open("a") as file:
        file.write("[core]\n\trepositoryformatversion = 1\n[extensions]\n\tfuture = true\n")
    with pytest.raises(errors.GitFailed) as caught:
        open_repository(discover(str(repo), {}), os.environ).refs("refs/heads/")
    assert "upgrade" in caught.value.hint


@pytest.mark.parametrize("backend", ["auto", "cli"])
@pytest.mark.parametrize("old", [False, True])
def test_a_partial_clone_is_read_and_written(repo: Path, tmp_path: Path, backend: str, old: bool) -> None:
    subprocess.run(["git", "-C", str(repo), "config", "uploadpack.allowFilter", "true"], check=True)
    url = f"file://{repo}"
    subprocess.run(
        ["git", "clone", "-q", "--filter=blob:none", "--no-checkout", url, "partial"], cwd=tmp_path, check=True
    )
    if old:  # as git before 2.24 marked it
        subprocess.run(
            ["git", "-C", "partial", "config", "core.repositoryformatversion", "1"], cwd=tmp_path, check=True
        )
        subprocess.run(
            ["git", "-C", "partial", "config", "extensions.partialClone", "origin"], cwd=tmp_path, check=True
        )
    found = open_repository(discover(str(tmp_path / "partial"), {}), os.environ, backend)
    made = record()
    found.write(made)
    found.update_refs([RefChange(RUN, None, made[-1].oid)])
    assert found.read_path(made[-1].oid, "run.json") == b"{}"
    head = found.refs("refs/remotes/origin/main")["refs/remotes/origin/main"]
    assert found.read_path(head, "README") == b"a project\n", "git fetches what it left out"
    maintenance.tidy(found.git, force=True)
    found.close()
    subprocess.run(["git", "-C", str(tmp_path / "partial"), "fsck", "--no-dangling"], check=True)


def test_without_pygit2_git_does_everything(repo: Path) -> None:
    program = """
import os, sys
sys.modules["pygit2"] = None
from gittrack import errors
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
found = discover(sys.argv[1], {})
print(type(open_repository(found, os.environ)).__name__)
try:
    open_repository(found, os.environ, "pygit2")
except errors.Unsupported as error:
    print(error.hint)
"""
    done = subprocess.run([sys.executable, "-c", program, str(repo)], capture_output=True, text=True, check=True)
    assert done.stdout == "CliRepository\npip install --upgrade pygit2\n"


def record() -> list[Object]:
    blob = objects.blob(b"{}")
    trees = objects.nested({"run.json": objects.Entry(objects.FILE, blob.oid)})
    return [blob, *trees, objects.commit(trees[-1].oid, [], "A <a@b>", 1, "run")]


def test_a_hook_that_refuses_is_named(repo: Path) -> None:
    hook = repo / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\n! grep -q refs/track/\n")
    hook.chmod(0o755)
    opened = open_repository(discover(str(repo), os.environ), os.environ, "cli")  # libgit2 calls no hooks
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repo, capture_output=True, text=True).stdout.strip()
    with pytest.raises(errors.GitFailed) as caught:
        opened.update_refs([RefChange(RUN, None, head)])
    opened.close()
    assert "reference-transaction" in caught.value.hint
