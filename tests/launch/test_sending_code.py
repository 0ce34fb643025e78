"""The snapshot of a run reaches a host: whole, unchanged, and without sending what is there."""

import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from sending_rig import Breaking, code_of, disk, fsck, job, objects_of, pack_size, places, send_all, without

from gittrack.errors import HostFailed, LinkLost
from gittrack.launch.link.here import Here
from gittrack.launch.link.hosts import HERE
from gittrack.launch.sending import snapshots

RUN = "0123456789abcdef0123"


@pytest.fixture
def small_host(tmp_path):
    """A host with 10 MB of disk."""
    with disk(tmp_path / "small", "10m") as path:
        yield Here(HERE._replace(folder=str(path / "ours")))


def test_the_work_tree_is_the_snapshot_as_git_has_it(repo, git, here):
    (repo / "run.sh").write_text("#!/bin/sh\n")
    (repo / "run.sh").chmod(0o755)
    for name in ("with space", "'; touch hacked #", "$(touch hacked)", "two\nlines", "-n", "ümlaut", "README.MD"):
        (repo / name).write_text(name)
    (repo / os.fsdecode(b"raw\xff")).write_text("raw")
    (repo / "link").symlink_to("/etc/passwd")
    (repo / ".gitattributes").write_text("*.bat text eol=crlf\nhidden export-ignore\n$Id$\n")
    (repo / "a.bat").write_text("one\r\n", newline="")
    (repo / "hidden").write_text("not in an archive of git's, but in the run")
    git("add", ".")
    git("update-index", "--add", "--cacheinfo", f"160000,{git('rev-parse', 'HEAD')},module")
    (repo / "module").mkdir()
    git("commit", "-q", "-m", "All kinds")
    (repo / "train.py").write_text("print('changed')\n")
    (repo / "new.py").write_text("untracked")
    code = code_of(repo)
    before = git("for-each-ref"), git("status", "--porcelain")
    sent = snapshots.send_code(here, code, RUN)
    work = Path(job(here, RUN)) / "work"
    assert (sent.by, sent.state) == ("host", "placed")
    assert {str(p.relative_to(work)) for p in work.rglob("*") if not p.is_dir()} == {
        str(p.relative_to(repo)) for p in repo.rglob("*") if not p.is_dir() and ".git" not in p.parts
    }
    for path in work.rglob("*"):
        mine = repo / path.relative_to(work)
        assert path.is_symlink() == mine.is_symlink()
        if path.is_symlink():
            assert os.readlink(path) == os.readlink(mine)
        elif path.is_file():
            assert path.read_bytes() == mine.read_bytes()
            assert path.stat().st_mode & 0o777 == (0o755 if mine.stat().st_mode & 0o100 else 0o644)
    assert [*(work / "module").iterdir()] == []
    assert (git("for-each-ref"), git("status", "--porcelain")) == before
    assert not (Path(here.folder()).parent / "hacked").exists()


def test_what_is_there_is_not_sent_again(repo, here):
    first = snapshots.send_code(here, code_of(repo))
    again = snapshots.send_code(here, code_of(repo), RUN)
    third = snapshots.send_code(here, code_of(repo), RUN)
    assert first.size > 0
    assert (again.size, again.state, third.size, third.state) == (0, "placed", 0, "placed")


def test_of_a_changed_line_little_more_than_the_change_is_sent(repo, git, here):
    (repo / "data.bin").write_bytes(os.urandom(3_000_000))
    git("add", ".")
    git("commit", "-q", "-m", "Large")
    (repo / "untracked.bin").write_bytes(os.urandom(1_000_000))  # in no commit: it is in the snapshots alone
    (repo / "model.py").write_text("".join(f"line {n} {hashlib.sha256(b'%d' % n).hexdigest()}\n" for n in range(5000)))
    old = code_of(repo)
    snapshots.send_code(here, old)
    (repo / "model.py").write_text((repo / "model.py").read_text().replace("line 7 ", "line seven "))
    new = code_of(repo)
    floor = pack_size(repo, new.oid, old.oid)
    assert floor < 2000
    assert snapshots.send_code(here, new).size <= floor * 1.1 + 200  # the name of the ref, and what it is to be
    fsck(here, new.project)


def test_settings_and_hooks_of_the_user_have_no_say(repo, git, here):
    hook = repo / ".git" / "hooks" / "pre-push"
    hook.write_text("#!/bin/sh\ntouch ran; exit 1\n")
    hook.chmod(0o755)
    for name, value in {
        "url.https://nowhere.invalid/.pushInsteadOf": "/",
        "push.default": "nothing",
        "push.gpgSign": "true",
        "push.recurseSubmodules": "check",
        "submodule.recurse": "true",
        "http.proxy": "http://nowhere.invalid:1",
        "core.sshCommand": "false",
        "receive.fsckObjects": "false",
        "transfer.hideRefs": "refs/track",
        "pack.packSizeLimit": "1m",
        "protocol.version": "2",
        "core.hooksPath": str(hook.parent),
        "push.pushOption": "no",
    }.items():
        git("config", name, value)
    assert snapshots.send_code(here, code_of(repo), RUN).state == "placed"
    assert not (repo / "ran").exists()


def test_settings_of_the_hosts_user_have_no_say(repo, here, sealed, monkeypatch):
    (sealed / "hooks").mkdir()
    (sealed / "hooks" / "pre-receive").write_text("#!/bin/sh\nexit 1\n")
    (sealed / "hooks" / "pre-receive").chmod(0o755)
    (sealed / ".gitconfig").write_text(
        f"[core]\n\thooksPath = {sealed}/hooks\n\tautocrlf = true\n[receive]\n\tdenyUpdates = true\n\thideRefs = refs\n"
        "[init]\n\ttemplateDir = /nowhere\n[safe]\n\tdirectory = /none\n"
    )
    monkeypatch.delenv("GIT_CONFIG_GLOBAL")
    code = code_of(repo)
    assert snapshots.send_code(here, code, RUN).state == "placed"
    assert (Path(job(here, RUN)) / "work" / "README").read_bytes() == b"a project\n"


def test_twenty_at_once_make_one_repository_and_disturb_nobody(repo, here):
    codes = []
    for number in range(10):
        (repo / "train.py").write_text(f"print({number})\n")
        codes += [code_of(repo)] * 2
    send_all(here, codes)
    for number in range(20):
        text = (Path(job(here, f"{number:020x}")) / "work" / "train.py").read_text()
        assert text == f"print({number // 2})\n"
    assert os.listdir(f"{here.folder()}/repos") == [f"{codes[0].project}.git"]
    fsck(here, codes[0].project)


def test_two_clones_share_what_is_there(repo, git, here, tmp_path):
    (repo / "data.bin").write_bytes(os.urandom(500_000))
    git("add", ".")
    git("commit", "-q", "-m", "Large")
    snapshots.send_code(here, code_of(repo))
    other = tmp_path / "other"
    subprocess.run(["git", "clone", "-q", f"file://{repo}", str(other)], check=True)
    (other / "train.py").write_text("print('theirs')\n")
    code = code_of(other)
    assert snapshots.send_code(here, code, RUN).size < 2000
    assert code.project == code_of(repo).project


def test_what_a_shallow_clone_has_sent_is_not_taken_for_the_whole(repo, git, here, tmp_path):
    (repo / "train.py").write_text("print('old')\n" + os.urandom(2000).hex())
    git("commit", "-q", "-a", "-m", "Old")
    old = (repo / "train.py").read_text()
    (repo / "train.py").write_text("print('new')\n")
    git("commit", "-q", "-a", "-m", "New")
    shallow = tmp_path / "shallow"
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{repo}", str(shallow)], check=True)
    whole = code_of(repo)
    assert snapshots.send_code(here, code_of(shallow)._replace(project=whole.project), "1" * 20).state == "placed"
    (repo / "train.py").write_text(old)  # the host has a commit above this content, and not the content
    assert snapshots.send_code(here, code_of(repo), RUN).state == "placed"
    assert (Path(job(here, RUN)) / "work" / "train.py").read_text() == old
    fsck(here, whole.project)


@pytest.mark.parametrize("at", [0, 4, 60, 300, 2000, 200_000])
def test_a_connection_that_is_cut_anywhere_leaves_nothing_that_hinders(repo, git, here, at):
    (repo / "data.bin").write_bytes(os.urandom(400_000))
    git("add", ".")
    git("commit", "-q", "-m", "Large")
    code = code_of(repo)
    with pytest.raises(LinkLost):
        snapshots.send_code(Breaking(here, at), code, RUN)
    assert not os.path.exists(f"{job(here, RUN)}/work")
    assert snapshots.send_code(here, code, RUN).state == "placed"
    fsck(here, code.project)
    assert objects_of(here, code.project) == []


def test_a_work_tree_that_was_half_made_is_made_anew(repo, here):
    half = Path(job(here, RUN)) / "work.new"
    half.mkdir(parents=True)
    (half / "left").write_text("of a process that was killed")
    (half.parent / "index.new.lock").write_text("")
    assert snapshots.send_code(here, code_of(repo), RUN).state == "placed"
    assert sorted(os.listdir(half.parent)) == ["work"]
    assert sorted(os.listdir(half.parent / "work")) == ["README", "train.py"]


def test_a_full_disk_is_said_with_what_is_needed_and_nothing_half_is_left(repo, git, tmp_path, small_host):
    (repo / "data.bin").write_bytes(os.urandom(6_000_000))
    git("add", ".")
    git("commit", "-q", "-m", "Large")
    with pytest.raises(HostFailed, match=r"too full.*needs 6\.0 MB, and .* free") as caught:
        snapshots.send_code(small_host, code_of(repo), RUN)
    assert caught.value.kind == "full"
    (repo / "data.bin").write_bytes(os.urandom(2_600_000))  # the pack fits, the work tree beside it does not
    code = code_of(repo)
    subprocess.run(["git", "-C", str(repo), "update-ref", "-d", "HEAD"], check=True)
    code = code_of(repo)
    with pytest.raises(HostFailed, match="too full"):
        snapshots.send_code(small_host, code, RUN)
    assert os.listdir(job(small_host, RUN)) == []
    assert places(small_host) == []


def test_a_host_that_answers_nonsense_is_not_believed(repo, here, tmp_path, monkeypatch):
    fake = tmp_path / "bin"
    fake.mkdir()
    code = code_of(repo)
    answers = {
        "endless": "exec cat /dev/zero",
        "endless refs": "while :; do printf '003f%s refs/heads/main\\n' aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done",
        "no packet": "echo 'hello there, this is no git'",
        "silent": "exit 0",
        "angry": "printf '\\033[31mred\\033[0m' >&2; exit 1",
        "a lie": "printf '0000'; cat > /dev/null; printf '000eunpack ok\\n0000'",
    }
    monkeypatch.setenv("PATH", f"{fake}{os.pathsep}{os.environ['PATH']}")
    for name, text in answers.items():
        (fake / "git").write_text(f'#!/bin/sh\n[ "$1" = receive-pack ] || exit 1\n{text}\n')
        (fake / "git").chmod(0o755)
        with pytest.raises(HostFailed) as caught:
            snapshots.send_code(here, code, RUN)
        assert "\033" not in caught.value.message, name
        assert len(caught.value.message) < 1000, name
    assert not os.path.exists(f"{job(here, RUN)}/work")


def test_old_sins_in_the_history_are_no_reason_to_refuse_it(repo, git, here):
    tree = git("rev-parse", "HEAD^{tree}")
    bad = f"tree {tree}\nauthor Ann<ann@example.org> 1 +0000\ncommitter Ann <ann@example.org> 01 +0000\n\nOld\n"
    oid = git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", text_in=bad)
    git("update-ref", "refs/heads/main", oid)
    (repo / ".gitattributes").write_text(f"{'long' * 1000} text\n")
    (repo / ".gitmodules").write_text('[submodule "../up"]\n\tpath = -x\n\turl = -u./payload\n\tupdate = !ls\n')
    assert snapshots.send_code(here, code_of(repo), RUN).state == "placed"


def test_a_repository_without_a_commit_can_be_sent(tmp_path, here):
    repo = tmp_path / "young"
    subprocess.run(["git", "init", "-q", str(repo)], check=True)
    (repo / "train.py").write_text("print(1)\n")
    code = code_of(repo)
    assert snapshots.send_code(here, code, RUN).state == "placed"
    assert code_of(repo).project == code.project
    for argv in (["add", "."], ["commit", "-q", "-m", "First"]):
        subprocess.run(["git", "-C", str(repo), *argv], check=True)
    subprocess.run(["git", "clone", "-q", str(repo), str(tmp_path / "clone")], check=True)
    assert code_of(repo).project == code_of(tmp_path / "clone").project  # else clones would not find its jobs


def test_a_shallow_clone_that_gets_the_whole_history_has_the_name_of_all_others(repo, git, tmp_path):
    git("commit", "-q", "--allow-empty", "-m", "Second")
    shallow = tmp_path / "shallow"
    subprocess.run(["git", "clone", "-q", "--depth", "1", repo.as_uri(), str(shallow)], check=True)
    assert code_of(shallow).project == code_of(shallow).project == git("rev-parse", "HEAD")
    subprocess.run(["git", "-C", str(shallow), "fetch", "-q", "--unshallow"], check=True)
    assert code_of(shallow).project == code_of(repo).project


def test_a_repository_of_sha256_can_be_sent(tmp_path, here):
    repo = tmp_path / "long"
    subprocess.run(["git", "init", "-q", "--object-format=sha256", str(repo)], check=True)
    (repo / "train.py").write_text("print(1)\n")
    assert snapshots.send_code(here, code_of(repo), RUN).state == "placed"
    (repo / "train.py").write_text("print(2)\n")
    assert snapshots.send_code(here, code_of(repo), "1" * 20).state == "placed"


def test_without_git_at_the_host_that_of_an_image_takes_the_code(
    repo, git, here, dockerd, python_image, slim_image, tmp_path, monkeypatch
):
    first = code_of(repo)
    (repo / "train.py").write_text("print('changed')\n")
    second = code_of(repo)
    without(("git",), tmp_path / "bin", monkeypatch)
    helper = snapshots.Helper(f"docker -H unix://{dockerd.socket}", python_image)
    sent = snapshots.send_code(here, first, RUN, helper=helper)
    assert (sent.by, sent.state) == ("image", "placed")
    assert snapshots.send_code(here, second, "1" * 20, helper=helper).size < 1000
    assert (Path(job(here, "1" * 20)) / "work" / "train.py").read_text() == "print('changed')\n"
    assert snapshots.send_code(here, second, "2" * 20, helper=helper._replace(image=slim_image)).by == ""
    assert snapshots.send_code(here, second, "2" * 20, helper=helper._replace(image="local/none:1")).by == ""
    listed = ["docker", "-H", f"unix://{dockerd.socket}", "ps", "-aq", "--filter", "label=gittrack.helper"]
    until = time.monotonic() + 30  # the engine removes them when they have ended
    while subprocess.check_output(listed) and time.monotonic() < until:
        time.sleep(0.1)
    assert subprocess.check_output(listed) == b""


def test_without_git_at_the_host_the_files_are_sent(repo, git, here, tmp_path, monkeypatch):
    (repo / "run.sh").write_text("#!/bin/sh\n")
    (repo / "run.sh").chmod(0o755)
    (repo / "link").symlink_to("train.py")
    (repo / ".gitattributes").write_text("*.txt filter=shout\n*.bat eol=crlf\n*.md text\n")
    for name in ("a.txt", "a.bat", "a.md"):
        (repo / name).write_text("words\n")
    git("config", "filter.shout.smudge", "tr a-z A-Z")
    git("config", "core.eol", "crlf")
    git("update-index", "--add", "--cacheinfo", f"160000,{git('rev-parse', 'HEAD')},module")
    (repo / "module").mkdir()
    code = code_of(repo)
    bare = tmp_path / "bin"
    bare.mkdir()
    for name in ("sh", "id", "mkdir", "rm", "mv", "tar", "df", "pwd", "chmod", "cat", "mktemp", "printf", "cp", "ls"):
        (bare / name).symlink_to(shutil.which(name) or name)
    monkeypatch.setenv("PATH", str(bare))
    assert snapshots.send_code(here, code, RUN).by == ""
    assert snapshots.send_files(here, code, RUN).state == "placed"
    work = Path(job(here, RUN)) / "work"
    assert (work / "train.py").read_text() == 'print("trained")\n'
    assert os.access(work / "run.sh", os.X_OK) and os.readlink(work / "link") == "train.py"
    assert [(work / name).read_bytes() for name in ("a.txt", "a.bat", "a.md")] == [b"words\n", b"words\r\n", b"words\n"]
    assert [*(work / "module").iterdir()] == []
    for at in (0, 512, 3000):
        with pytest.raises(LinkLost):
            snapshots.send_files(Breaking(here, at), code, "1" * 20)
        assert not os.path.exists(f"{job(here, '1' * 20)}/work")
