"""What a host may not do to a home: fill its disk, make records that nobody takes, speak for another host."""

import json
import os
import shutil

import keeping
import pytest
from host_journal import ID, PROJECT, opened, tip

from gittrack import errors
from gittrack.core import layout
from gittrack.launch.home.fetching_host import fetch_host
from gittrack.launch.home.mirror import Mirror
from gittrack.runs import away, folding, live

OURS, THEIRS = "0" * 32, "1" * 32  # tickets


def refuses(mirror, why):
    with pytest.raises(errors.HostFailed, match=why) as caught:
        mirror.sync()
    assert caught.value.kind == "refused"


@pytest.fixture
def clone(repo):
    found = opened(repo)
    yield found
    found.close()


def placed(clone, job, host, ticket=OURS):
    """The clone has sent the job to that host; which this one is, job.json at this one says."""
    directory = live.folder(clone.paths, job.id)
    start = {name: keeping.start(job.id)[name] for name in ("run", "goals")}
    away.create(directory, away.Away(host, away.RUNNING, since=1000.0, project=PROJECT, start=start))
    with open(os.path.join(directory, "job.json"), "w") as file:
        json.dump({"id": job.id, **({"ticket": ticket} if ticket else {})}, file)
    job_json(job)
    return directory


def job_json(job, **more):
    start = {name: keeping.start(job.id)[name] for name in ("run", "goals")}
    document = {"format": 1, "id": job.id, "project": PROJECT, "start": start, **more}
    (job.path / "job.json").write_text(json.dumps(document))


@pytest.mark.parametrize("host", ["gpu1", "here"], ids=["another name", "a name that is given to another machine"])
@pytest.mark.parametrize("said", [{}, {"ticket": THEIRS}, {"ticket": 7}, {"ticket": OURS + "\n"}])
def test_no_host_gives_results_of_a_run_that_was_sent_to_another(clone, here, job, host, said):
    directory = placed(clone, job, host)
    job_json(job, **said)
    before = sorted(os.listdir(directory))
    job.end()
    found = fetch_host(here, clone, PROJECT)
    assert "0123456 was not sent to here" in found.refused[job.id]
    assert found.home == found.going == [] and clone.refs(layout.RUNS) == {}
    assert set(os.listdir(directory)) - set(before) <= {"lock"}


def test_its_own_host_gives_them_whatever_it_is_called_by_now(clone, here, job):
    placed(clone, job, "old-name")
    job_json(job, ticket=OURS)
    job.end()
    assert fetch_host(here, clone, PROJECT).home == [job.id]


def test_of_a_run_without_a_ticket_the_name_decides_and_the_way_out_is_said(clone, here, job):
    placed(clone, job, "gpu1", ticket=None)
    job.end()
    with pytest.raises(errors.HostFailed, match="not sent to here but to gpu1") as caught:
        Mirror(here, clone.paths, job.id).sync()
    assert "hosts:" in caught.value.hint
    away.update(live.folder(clone.paths, job.id), host="here")
    assert Mirror(here, clone.paths, job.id).sync().is_final


def test_nor_of_a_run_that_a_teammate_has_sent(clone, here, job):
    job_json(job, ticket=OURS)
    assert fetch_host(here, clone, PROJECT).going == [job.id]
    job.end()
    job_json(job, ticket=THEIRS)
    assert job.id in fetch_host(here, clone, PROJECT).refused
    job_json(job, ticket=OURS)
    assert fetch_host(here, clone, PROJECT).home == [job.id]


def test_a_job_that_is_not_there_yet_is_looked_for_again(clone, here, job):
    placed(clone, job, "here")
    (job.path / "job.json").unlink()
    job.end()
    mirror = Mirror(here, clone.paths, job.id)
    assert not mirror.sync().grown
    job_json(job, ticket=OURS)
    assert mirror.sync().is_final


def swell(job):
    """Parameters of more than any other clone would take, and the end of the run."""
    for number in range(5):
        job.write({"e": "params", "source": "code", "t": 1.0, "values": {f"p{number}": "x" * 7_000_000}, "w": 1001.0})
    job.end()


@pytest.mark.parametrize("is_killed", [False, True], ids=["brought and folded", "killed in between"])
@pytest.mark.parametrize("in_part", [False, True])
def test_no_way_leads_to_a_record_that_nobody_else_would_take(job, home, mirror, is_killed, in_part):
    if in_part:
        job.write(keeping.point(1))
        job.cut()
        mirror.sync()
    before = tip(home)
    swell(job)
    directory = live.folder(home.paths, ID)
    if is_killed:  # the last cut is here, and the next command folds it
        mirror.close()
        shutil.copytree(job.run, directory, dirs_exist_ok=True)
        with pytest.raises(errors.RefConflict, match=r"no sound record: its params.json has 35,"):
            folding.fold_dead(home, 2000.0)
        assert folding.fold_dead(home, 2000.0) == folding.Dead([], []), "said once"
    else:
        refuses(mirror, r"no sound record: its params.json has 35,")
    assert os.listdir(live.root(home.paths)) == [f"{ID}.refused"]
    assert tip(home) == before and (before is not None) is in_part, "what came before stays"
