"""What is left at hosts is removed when nobody needs it any more, and nothing else ever."""

import fcntl
import os
import time
from pathlib import Path

import pytest
from sending_rig import code_of, fsck, job

from gittrack.launch import cleaning
from gittrack.launch.cleaning import CODE, CONTAINER, INPUTS, JOB, REST, SNAPSHOTS, WORK, Wish
from gittrack.launch.engine.state import Container
from gittrack.launch.sending import inputs, placing

OVER, GOING, UNFETCHED, QUEUED = ("0" * 19 + digit for digit in "1234")
MONTH = 30 * 86400
A_WEEK = Wish()


def container(run: str, state: str) -> Container:
    return Container(f"c{run}", f"gittrack-{run}", state, 0, False, None, None, {"gittrack.run": run}, "", "")


@pytest.fixture
def host(repo, here):
    """A host with jobs in all states, a repository and a cache."""
    (repo / ".gitignore").write_text("data/\n")
    (repo / "data").mkdir()
    (repo / "data" / "set.bin").write_bytes(os.urandom(200_000))
    code = code_of(repo)
    for run in (OVER, GOING, UNFETCHED, QUEUED):
        placing.bring(here, code, run, inputs.find(code, ["data"], []))
        folder = Path(job(here, run))
        (folder / "env").write_text("SECRET=1")
        if run != QUEUED:
            (folder / "run").mkdir()
            (folder / "run" / "run.jsonl").write_text("{}\n")
        if run in (OVER, UNFETCHED):
            (folder / "run" / "cuts.jsonl").write_text('{"n":0,"reason":"start"}\n{"n":1,"reason":"final"}\n')
        if run == OVER:
            (folder / "fetched").mkdir()
            (folder / "fetched" / "0123456789abcdef").write_text("")
    (Path(here.folder()) / "repos" / "new.abc").mkdir()
    return here


def age(*paths: str) -> None:
    then = time.time() - MONTH
    for path in paths:
        os.utime(path, (then, then))


def kinds(host, wish: Wish = A_WEEK, containers=()) -> set[tuple[str, str]]:
    found = cleaning.survey(host, wish.days)
    return {(one.kind, one.name) for one in cleaning.plan(found, containers, wish)}


def test_what_is_there_is_known_with_its_sizes(host):
    found = cleaning.survey(host, 7)
    jobs = {one.id: one for one in found.jobs}
    assert set(jobs) == {OVER, GOING, UNFETCHED, QUEUED}
    assert (jobs[OVER].begun, jobs[OVER].over, jobs[OVER].home) == (True, True, True)
    assert (jobs[GOING].begun, jobs[GOING].over, jobs[GOING].home) == (True, False, False)
    assert (jobs[QUEUED].begun, jobs[QUEUED].over) == (False, False)
    assert 200_000 < jobs[OVER].work < 300_000 and jobs[OVER].size >= jobs[OVER].work
    assert 200_000 < found.inputs < 300_000 and found.old_inputs == 0
    assert len(found.code) == 1 and found.code[0].age < 1
    assert found.disk > found.free > 0


def test_of_a_job_whose_results_are_home_only_these_stay_for_a_while(host):
    plan = kinds(host, containers=[container(OVER, "exited"), container(GOING, "running")])
    assert plan == {(WORK, OVER), (CONTAINER, f"c{OVER}"), (REST, "rest")}


def test_results_that_no_clone_has_stay_whatever_their_age(host):
    age(*(job(host, run) for run in (OVER, GOING, UNFETCHED, QUEUED)))
    assert kinds(host) == {(JOB, OVER), (JOB, QUEUED), (REST, "rest")}
    everything = kinds(host, Wish(everything=True))
    assert {name for kind, name in everything if kind == JOB} == {OVER, QUEUED}
    assert (JOB, UNFETCHED) in kinds(host, Wish(everything=True, unfetched=True))
    assert (JOB, GOING) not in kinds(host, Wish(everything=True, unfetched=True))


def test_a_job_that_is_going_on_or_about_to_is_left_alone(host):
    age(*(job(host, run) for run in (OVER, GOING, UNFETCHED, QUEUED)))
    running = [container(run, state) for run, state in ((OVER, "running"), (QUEUED, "created"))]
    assert kinds(host, Wish(everything=True), running) == {(REST, "rest"), (INPUTS, "all")}


def test_a_job_that_somebody_is_just_sending_is_left_alone(host):
    assert (JOB, QUEUED) not in kinds(host, Wish(everything=True))
    assert (JOB, QUEUED) not in kinds(host, Wish(days=0))


def test_code_and_inputs_go_when_nothing_was_sent_for_long(host):
    folder = Path(host.folder())
    repository = next((folder / "repos").glob("*.git"))
    cached = [str(path) for path in (folder / "cache" / "files").rglob("*") if path.is_file()]
    age(*cached, str(repository / "used"))
    assert (INPUTS, "old") in kinds(host)
    assert not {kind for kind, _ in kinds(host)} & {CODE}  # a job is there whose snapshot may be nowhere else
    for run in (GOING, UNFETCHED, QUEUED):
        Path(job(host, run)).rename(Path(job(host, run)).with_name("elsewhere"))
        os.rename(folder / "jobs" / "elsewhere", folder / f"moved-{run}")
    assert (CODE, repository.name.removesuffix(".git")) in kinds(host)


def test_what_is_planned_goes_and_all_else_stays(host):
    folder = Path(host.folder())
    outside = folder.parent / "mine"
    outside.write_text("the user's own")
    age(job(host, OVER))
    found = cleaning.survey(host, 7)
    with open(folder / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        cleaning.act(host, cleaning.plan(found, [], Wish()), 7)
    assert sorted(os.listdir(folder / "jobs")) == sorted([GOING, UNFETCHED, QUEUED])
    assert os.path.exists(f"{job(host, UNFETCHED)}/run/cuts.jsonl")
    assert len(os.listdir(folder / "repos")) == 2  # what somebody is sending just now stays as well
    assert outside.exists()
    cleaning.act(host, cleaning.plan(found, [], Wish(everything=True)), 7)  # again, and some is gone already
    assert len(os.listdir(folder / "repos")) == 1
    assert not (folder / "cache" / "files").exists()


def test_a_job_that_came_home_leaves_its_results_and_no_secrets(host):
    folder = Path(host.folder())
    cleaning.tidy(host, OVER, 7)
    assert sorted(os.listdir(job(host, OVER))) == ["fetched", "run"]
    age(job(host, OVER), job(host, UNFETCHED))
    cleaning.tidy(host, GOING, 7)
    assert sorted(os.listdir(folder / "jobs")) == sorted([GOING, UNFETCHED, QUEUED])


@pytest.mark.parametrize("old", [False, True])
def test_a_job_that_came_home_takes_no_inputs_from_one_that_is_being_sent(repo, host, old):
    code = code_of(repo)
    sent = Path(host.folder()) / "cache" / "files"
    if old:  # no job has used them for long, and they are known to be there
        age(*map(str, sent.rglob("*")))
    else:
        (repo / "data" / "set.bin").write_bytes(os.urandom(1000))
    found = inputs.find(code, ["data"], [])
    assert placing.send(host, code, found.files) == (0 if old else 1000)
    cleaning.tidy(host, OVER, 7)
    work = Path(job(host, GOING), "work.new")
    Path(job(host, GOING), "work").rename(work)
    placing.put(host, GOING, found.files)
    assert (work.with_name("work") / "data" / "set.bin").read_bytes() == (repo / "data" / "set.bin").read_bytes()


def test_of_many_snapshots_the_newest_stay_and_the_next_one_is_sent_by_them(repo, here, monkeypatch):
    monkeypatch.setattr(cleaning, "NEWEST", 3)
    for number in range(6):
        (repo / "train.py").write_text(f"print({number})\n" + "x" * 5000)
        last = code_of(repo)
        placing.bring(here, last, f"{number:020x}", inputs.NONE)
    (repo / "train.py").write_text("print(6)\n" + "x" * 5000)
    needed = cleaning.survey(here, 7)
    assert SNAPSHOTS not in {one.kind for one in cleaning.plan(needed, [], A_WEEK)}  # jobs that are nowhere else
    for number in range(6):
        (Path(job(here, f"{number:020x}")) / "fetched").mkdir()
        (Path(job(here, f"{number:020x}")) / "fetched" / "me").touch()
    removals = cleaning.plan(cleaning.survey(here, 7), [], A_WEEK)
    assert [(one.kind, one.name) for one in removals] == [(SNAPSHOTS, last.project)]
    cleaning.act(here, removals, 7)
    refs = list((Path(here.folder()) / "repos" / f"{last.project}.git" / "refs/track/code").rglob("*"))
    assert len([path for path in refs if path.is_file()]) == 3
    fsck(here, last.project)
    assert placing.bring(here, code_of(repo), "f" * 20, inputs.NONE).size < 700


def test_never_is_never(host):
    age(job(host, OVER), job(host, QUEUED))
    assert kinds(host, Wish(days=None)) == {(WORK, OVER), (REST, "rest")}
    cleaning.tidy(host, GOING, None)
    assert os.path.isdir(job(host, OVER))


def test_a_host_that_lies_names_nothing_that_could_be_removed():
    said = b"job ../../etc 1 1 1 1 5 5\njob x 1\ncode .. 1 5\ninputs all $(x)\nnow 9\nrest " + b"9" * 400 + b"\n\xff\n"
    found = cleaning.read(said)
    assert (found.jobs, found.code, found.inputs, found.rest) == ((), (), 0, 0)
