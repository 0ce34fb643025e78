"""The code of a teammate's job comes with its run: from the host, which no git remote has to know of."""

import json
import subprocess

import keeping
import pytest
from host_journal import Job, opened
from sending_rig import code_of, without

from gittrack import errors
from gittrack.core import layout
from gittrack.launch.home import fetching_code
from gittrack.launch.home.fetching_host import fetch_host
from gittrack.launch.sending import snapshots


@pytest.fixture
def mate(repo, git, tmp_path):
    """A clone of a teammate's, who has the commits and nothing else."""
    path = tmp_path / "mate"
    subprocess.run(["git", "clone", "-q", str(repo), str(path)], check=True)
    subprocess.run(["git", "-C", str(path), "remote", "remove", "origin"], check=True)
    return path


@pytest.fixture
def sent(repo, here, git, mate):
    """A job that was sent to the host with a change that is in no commit."""
    (repo / "new.py").write_text("print('uncommitted')\n")
    code = code_of(repo)
    snapshots.send_code(here, code)
    return job(1, code, git("rev-parse", "HEAD"))


def job(number, code, base):
    made = Job(f"{number:020x}", snapshot=code.oid, base=base).start()
    start = keeping.start(made.id)
    start["run"].update(made.facts)
    document = {"format": 1, "id": made.id, "project": code.project, "start": {"run": start["run"], "goals": {}}}
    (made.path / "job.json").write_text(json.dumps(document))
    made.code = code
    return made


def fetched(mate, here, code, **more):
    repo = opened(mate)
    try:
        return fetch_host(here, repo, code.project, **more)
    finally:
        repo.close()


def refs(mate, *prefixes):
    argv = ["git", "-C", str(mate), "for-each-ref", "--format=%(refname)", *prefixes]
    return subprocess.check_output(argv, text=True).split()


def test_a_teammate_has_the_code_of_a_job_that_is_fetched(sent, here, mate, track):
    sent.end()
    before = refs(mate, "refs/heads", "refs/remotes")
    found = fetched(mate, here, sent.code)
    assert (found.home, found.codeless) == ([sent.id], {})
    assert refs(mate, "refs/track/code") == [layout.code_ref(sent.code.oid)]
    assert refs(mate, "refs/heads", "refs/remotes") == before
    assert not (mate / ".git" / "FETCH_HEAD").exists()
    subprocess.run(["git", "-C", str(mate), "fsck", "--strict"], check=True, capture_output=True)
    track("checkout", sent.id, "--code", cwd=mate)
    assert (mate / "new.py").read_text() == "print('uncommitted')\n"


def test_also_of_one_that_goes_on(sent, here, mate):
    sent.write(keeping.point(1))
    sent.cut()
    assert fetched(mate, here, sent.code).going == [sent.id]
    assert refs(mate, "refs/track/code") == [layout.code_ref(sent.code.oid)]


def test_of_one_whose_code_could_not_be_had_it_comes_the_next_time(sent, here, mate):
    sent.write(keeping.point(1))
    sent.cut()
    repository = f"{here.folder()}/repos/{sent.code.project}.git"
    subprocess.run(["mv", repository, f"{repository}.not"], check=True)
    found = fetched(mate, here, sent.code)
    assert (found.going, found.codeless) == ([sent.id], {sent.id: fetching_code.GONE})
    assert refs(mate, "refs/track/code") == []
    subprocess.run(["mv", f"{repository}.not", repository], check=True)
    sent.end()
    found = fetched(mate, here, sent.code)
    assert (found.home, found.codeless) == ([sent.id], {})
    assert refs(mate, "refs/track/code") == [layout.code_ref(sent.code.oid)]


def test_code_that_the_host_has_removed_holds_up_no_results(sent, here, mate, track):
    sent.end()
    repository = f"{here.folder()}/repos/{sent.code.project}.git"
    subprocess.run(["git", "-C", repository, "update-ref", "-d", layout.code_ref(sent.code.oid)], check=True)
    (mate / "gittrack.yaml").write_text("hosts: {lab: {host: here}}\n")
    done = track("fetch", "lab", cwd=mate)
    assert "1 run came" in done.stdout and "lab gave no code of 1 run" in done.stderr
    assert "not in this clone" in track("checkout", sent.id, "--code", cwd=mate, code=None).stderr


def test_what_is_no_sound_commit_is_not_taken(sent, here, mate, git):
    sent.end()
    repository = f"{here.folder()}/repos/{sent.code.project}.git"
    tree = git("rev-parse", f"{sent.code.oid}^{{tree}}")
    bad = f"tree {tree}\nauthor nobody\n\nno committer\n".encode()
    made = subprocess.run(
        ["git", "-C", repository, "hash-object", "-t", "commit", "-w", "--literally", "--stdin"],
        input=bad, capture_output=True, check=True,
    ).stdout.decode().strip()  # fmt: skip
    subprocess.run(["git", "-C", repository, "update-ref", layout.code_ref(made), made], check=True)
    hostile = job(2, sent.code._replace(oid=made), None)
    hostile.end()
    found = fetched(mate, here, sent.code)
    assert list(found.codeless) == [hostile.id] and sorted(found.home) == [sent.id, hostile.id]
    assert "missing" in found.codeless[hostile.id], "git's own word"
    assert layout.code_ref(made) not in refs(mate, "refs/track/code")


def test_a_commit_that_is_too_large_is_not_taken_and_that_is_said(sent, here, mate, git, track):
    sent.end()
    repository = f"{here.folder()}/repos/{sent.code.project}.git"
    ann = "Ann <ann@example.org> 1700000000 +0000"
    large = f"tree {git('rev-parse', 'HEAD^{tree}')}\nauthor {ann}\ncommitter {ann}\n\n{'x' * (1 << 21)}\n"
    argv = ["git", "-C", repository, "hash-object", "-t", "commit", "-w", "--stdin"]
    made = subprocess.run(argv, input=large.encode(), capture_output=True, check=True).stdout.decode().strip()
    subprocess.run(["git", "-C", repository, "update-ref", layout.code_ref(made), made], check=True)
    odd = job(2, sent.code._replace(oid=made), None)
    odd.end()
    (mate / "gittrack.yaml").write_text("hosts: {lab: {host: here}}\n")
    done = track("fetch", "lab", cwd=mate)
    assert "2 runs came" in done.stdout
    assert "lab gave no code of 1 run: its commit has 2,097," in done.stderr
    assert refs(mate, "refs/track/code") == [layout.code_ref(sent.code.oid)]


@pytest.mark.parametrize("whole", [True, False])
def test_code_without_its_history_is_not_taken_and_other_code_is(sent, here, repo, mate, git, tmp_path, whole):
    """A shallow clone, as of a CI system, has sent it; the teammate has the commit before it, or not."""
    sent.end()
    (repo / "more.py").write_text("1\n")
    git("add", ".")
    git("commit", "-q", "-m", "one that is pushed nowhere")
    for _ in range(2):
        git("commit", "-q", "--allow-empty", "-m", "another one")
    if whole:
        subprocess.run(["git", "-C", str(mate), "fetch", "-q", str(repo), "+refs/heads/*:refs/remotes/a/*"], check=True)
    shallow = tmp_path / "shallow"
    subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{repo}", str(shallow)], check=True)
    (shallow / "new.py").write_text("2\n")
    code = code_of(shallow)._replace(project=sent.code.project)
    snapshots.send_code(here, code)
    other = job(2, code, git("rev-parse", "HEAD"))
    other.end()
    found = fetched(mate, here, sent.code)
    assert sorted(found.home) == [sent.id, other.id]
    assert list(found.codeless) == ([] if whole else [other.id])
    assert all("shallow" in why or "history" in why for why in found.codeless.values())
    assert (layout.code_ref(code.oid) in refs(mate, "refs/track/code")) is whole
    assert layout.code_ref(sent.code.oid) in refs(mate, "refs/track/code")
    subprocess.run(["git", "-C", str(mate), "fsck", "--strict"], check=True, capture_output=True)
    subprocess.run(["git", "-C", str(mate), "gc", "-q", "--prune=now"], check=True)


@pytest.mark.parametrize("what", ["HEAD^{tree}", "HEAD:train.py"])
def test_what_is_here_and_no_commit_becomes_no_code(repo, sent, here, mate, git, what):
    (repo / "train.py").write_text("1\n")
    git("add", ".")
    git("commit", "-q", "-m", "a file")
    subprocess.run(["git", "-C", str(mate), "fetch", "-q", str(repo)], check=True)
    odd = job(2, sent.code._replace(oid=git("rev-parse", what)), None)
    odd.end()
    assert odd.id in fetched(mate, here, sent.code).home
    assert layout.code_ref(odd.code.oid) not in refs(mate, "refs/track/code")


def test_hooks_and_settings_at_the_host_have_no_say(sent, here, mate, monkeypatch, tmp_path):
    config = tmp_path / "config"
    config.write_text(f"[uploadpack]\n\tpackObjectsHook = touch {tmp_path}/ran;\n\thideRefs = refs/track\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    sent.end()
    assert fetched(mate, here, sent.code).codeless == {}
    assert not (tmp_path / "ran").exists()


def test_nothing_is_asked_for_where_the_code_is_here(repo, sent, here, monkeypatch):
    sent.end()
    monkeypatch.setattr(here, "socket", None)
    assert fetched(repo, here, sent.code).codeless == {}


def test_across_ssh(repo, ssh, mate):
    (repo / "new.py").write_text("print('uncommitted')\n")
    code = code_of(repo)
    snapshots.send_code(ssh, code)
    clone = opened(mate)
    other = "f" * 40
    assert fetching_code.bring(ssh, clone, code.project, [code.oid, other]) == {other: fetching_code.GONE}
    assert clone.exists(code.oid)
    clone.close()


def test_a_host_without_git_gives_the_code_by_that_of_an_image(
    repo, here, mate, dockerd, python_image, slim_image, tmp_path, monkeypatch
):
    (repo / "new.py").write_text("print('uncommitted')\n")
    code = code_of(repo)
    snapshots.send_code(here, code)
    clone = opened(mate)
    helper = snapshots.Helper(dockerd.command, python_image)
    without(("git",), tmp_path / "bin", monkeypatch)
    for image in ("", slim_image):
        with pytest.raises(errors.RemoteFailed):
            fetching_code.bring(here, clone, code.project, [code.oid], helper._replace(image=image))
    assert fetching_code.bring(here, clone, code.project, [code.oid], helper) == {}
    assert clone.exists(code.oid)
    clone.close()
