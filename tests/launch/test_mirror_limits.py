"""What a host may not do to a home: fill its disk, make records that nobody takes, speak for another host."""

import json
import os
import shutil

import keeping
import pytest
from host_journal import ID, PROJECT, cloned, opened, send_off, tip

from gittrack import errors
from gittrack.core import events, layout
from gittrack.launch.home import claims
from gittrack.launch.home.fetching_host import fetch_host
from gittrack.launch.home.journal import Copy
from gittrack.launch.home.mirror import Mirror
from gittrack.runs import away, folding, live, reader

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


MAD = "1700000000900-78-bcde.jsonl"  # the journal of a process that logs without end


@pytest.fixture
def limit(monkeypatch):
    monkeypatch.setattr(claims, "LARGEST_JOURNALS", 20_000)


def logs(job, first, last):
    job.write(*map(keeping.point, range(first, last)), file=MAD)


def here_now(home):
    directory = live.folder(home.paths, ID)
    return sum(os.path.getsize(os.path.join(directory, name)) for name in live.process_files(directory))


def test_a_job_that_logs_without_end_fills_no_disk_and_ends_as_it_ended(
    job, home, here, mirror, repo, tmp_path, track, limit
):
    """In every home alike: also in one that looks for the first time when all is over."""
    job.write(keeping.header(), file=MAD)
    logs(job, 0, 50)
    job.write(keeping.checkpoint(1, 1))
    job.keep(1, {"f": b"x"})
    job.cut()
    job.cut(1000.0)
    assert not mirror.sync().cut_short
    logs(job, 50, 70)
    mirror.sync()
    logs(job, 70, 5000)
    job.cut(1000.0)
    news = mirror.sync()
    assert news.cut_short and not news.is_final
    logs(job, 5000, 9000)
    job.say(b"the last words\n")
    job.end()
    assert here_now(home) < 20_000 < os.path.getsize(job.run / MAD)
    assert mirror.sync().is_final
    other = opened(cloned(repo, tmp_path / "other"))
    send_off(other.paths)
    assert Mirror(here, other.paths, ID).sync().is_final
    assert tip(other) == tip(home)
    other.close()
    record = reader.read(home, ID)
    assert (record.status["status"], record.status["exit_code"]) == ("completed", 0)
    assert record.summary["metrics"]["loss"]["last_step"] == 49
    (warning,) = record.status["warnings"]
    whole = sum(os.path.getsize(job.run / name) for name in live.process_files(str(job.run)))
    assert warning.startswith(f"its journals have {whole:,} bytes") and warning.endswith("was left out")
    assert "the last words" in track("logs", ID).stdout


def test_a_home_that_was_killed_before_it_had_folded_the_end_needs_no_host_for_it(job, home, here, mirror, limit):
    job.write(keeping.header(), file=MAD)
    job.cut()
    logs(job, 0, 5000)
    job.end()
    copy = Copy(here, f"{here.folder()}/jobs/{ID}/run", live.folder(home.paths, ID))
    copy.bring()
    copy.accept()
    assert copy.cuts[-1].reason == "final"
    shutil.rmtree(job.run)
    assert mirror.sync().is_final
    assert "was left out" in reader.read(home, ID).status["warnings"][0]


def test_what_is_told_of_it_by_the_command(job, repo, track, git):
    (repo / "gittrack.yaml").write_text("hosts: {lab: {host: here}}\n")
    job.cut()
    with (job.run / MAD).open("ab") as file:
        file.truncate(5 << 30)
    job.end()
    start = {name: keeping.start(job.id)[name] for name in ("run", "goals")}
    document = {"format": 1, "id": job.id, "project": git("rev-list", "--max-parents=0", "HEAD"), "start": start}
    (job.path / "job.json").write_text(json.dumps(document))
    done = track("fetch", "lab")
    assert "has logged more than 4.3 GB" in done.stderr and "1 run came" in done.stdout


def test_a_run_of_which_nothing_is_within_the_limit_is_refused(job, home, mirror, limit):
    logs(job, 0, 5000)
    files = {name: os.path.getsize(job.run / name) for name in (events.STARTER, MAD)}
    (job.run / events.CUTS).write_bytes(events.cut_line(events.Cut(0, files, "final", "crashed", 1000.0)))
    refuses(mirror, "its journals have [0-9,]+ bytes")
    assert tip(home) is None and here_now(home) == 0


def test_a_run_whose_folder_is_removed_here_is_not_waited_for_for_ever(job, home, mirror):
    mirror.sync()
    live.remove(live.folder(home.paths, ID))
    with pytest.raises(errors.HostFailed, match="not waited for here any more") as caught:
        mirror.sync()
    assert "git track fetch here" in caught.value.hint
