"""What is at a host comes to every clone that asks: that of a teammate, too, and what nobody closed."""

import json
import os
import shutil

import keeping
import pytest
from host_journal import PROJECT, Job, cloned, opened, send_off, tip

from gittrack import errors
from gittrack.core import layout
from gittrack.launch.home import fetching_host
from gittrack.launch.home.fetching_host import Fetched, fetch_host
from gittrack.launch.home.mirror import Mirror
from gittrack.runs import away, live, overlay, writer
from gittrack.runs.annotations import Author
from gittrack.share import purge


@pytest.fixture
def clone(repo):
    found = opened(repo)
    yield found
    found.close()


def job(number, project=PROJECT, **facts):
    """A whole job: with its job.json."""
    made = Job(f"{number:020x}", **facts).start()
    start = keeping.start(made.id)
    start["run"].update(facts)
    document = {"format": 1, "id": made.id, "project": project, "start": {"run": start["run"], "goals": {}}}
    (made.path / "job.json").write_text(json.dumps(document))
    return made


def nothing_but(**changes):
    return Fetched([], [], 0, 0, {}, {}, {}, [])._replace(**changes)


def test_a_teammate_gets_the_jobs_of_others_the_same_commits_as_they(clone, here, repo, tmp_path):
    over, going = job(1), job(2)
    over.write(keeping.checkpoint(1, 1))
    over.keep(1, {"f": b"x"})
    over.end()
    going.write(keeping.point(3))
    found = fetch_host(here, clone, PROJECT)
    assert found == nothing_but(home=[over.id], going=[going.id])
    assert tip(clone, over.id) == over.folded(cloned(repo, tmp_path / "other"))
    row = overlay.rows(clone.paths, [going.id], {})[going.id]
    assert (row.status, row.metrics["loss"]["last_step"]) == ("running", 3)
    assert away.read(live.folder(clone.paths, going.id)).host == "here"
    going.end()
    assert fetch_host(here, clone, PROJECT) == nothing_but(home=[going.id], before=1)
    assert fetch_host(here, clone, PROJECT) == nothing_but(before=2)


def test_jobs_that_are_home_cost_nothing_however_many_there_are(clone, here):
    for number in range(20):
        job(number).end()
    assert len(fetch_host(here, clone, PROJECT).home) == 20
    asked = []
    run = here.run
    here.run = lambda *args, **more: asked.append(args) or run(*args, **more)
    assert fetch_host(here, clone, PROJECT).before == 20
    assert len(asked) == 2


def test_a_host_without_jobs_has_nothing(clone, here):
    assert fetch_host(here, clone, PROJECT) == nothing_but()


def test_jobs_of_other_projects_are_left_alone(clone, here):
    job(1, project="b" * 40).end()
    assert fetch_host(here, clone, PROJECT) == nothing_but(others=1)
    assert clone.refs(layout.RUNS) == {}
    assert live.ids(clone.paths) == []


def test_a_job_that_a_teammate_is_still_sending_is_no_run_yet(clone, here):
    made = job(1)
    shutil.rmtree(made.run)
    assert fetch_host(here, clone, PROJECT) == nothing_but()
    assert live.ids(clone.paths) == []


def test_what_a_sending_that_broke_off_has_left_is_no_run_and_nothing_odd(clone, here):
    made = job(1)
    (made.path / "job.json").unlink()  # it is sent last
    assert fetch_host(here, clone, PROJECT) == nothing_but()
    assert live.ids(clone.paths) == []


def test_one_that_this_clone_is_sending_stays(clone, here):
    made = job(1)
    shutil.rmtree(made.run)
    send_off(clone.paths, made.id)
    assert fetch_host(here, clone, PROJECT).going == [made.id]
    assert live.ids(clone.paths) == [made.id]


def test_a_job_whose_container_is_gone_is_closed_there_first(clone, here):
    made = job(1)
    made.write(keeping.point(1))
    asked = []

    def close(run_id):
        asked.append(run_id)
        made.end("crashed")
        return True

    assert fetch_host(here, clone, PROJECT, close).home == [made.id]
    assert asked == [made.id]
    assert b'"crashed"' in clone.read_path(tip(clone, made.id), "status.json")


def test_one_that_came_by_another_way_is_marked_and_not_brought_again(clone, here, repo, tmp_path):
    made = job(1)
    made.end()
    before = made.folded(cloned(repo, tmp_path / "other"))
    clone.git.call("fetch", "-q", str(tmp_path / "other"), "+refs/track/*:refs/track/*")
    assert tip(clone, made.id) == before
    assert fetch_host(here, clone, PROJECT) == nothing_but()
    assert os.listdir(made.path / "fetched") == [writer.writer_id(clone.paths)]


@pytest.mark.parametrize("is_slow", [False, True], ids=["it has begun", "it is about to"])
def test_what_another_process_brings_is_left_to_it(clone, here, is_slow):
    """`git track attach -H HOST` of a teammate's job, which has just made the folder of the run."""
    made = job(1)
    attached, read = [], here.read

    def meanwhile(*args):
        here.read = read
        fetching_host.take_up(here, clone, PROJECT, made.id)
        attached.append(Mirror(here, clone.paths, made.id))
        if not is_slow:
            attached[0].sync()
        return read(*args)

    here.read = meanwhile
    assert fetch_host(here, clone, PROJECT).going == [made.id]
    made.end()
    assert attached[0].sync().is_final
    assert tip(clone, made.id)


def test_a_purged_run_does_not_come_again(clone, here):
    made = job(1)
    made.end()
    fetch_host(here, clone, PROJECT)
    author = Author("Ann <ann@example.org>", 2000.0, "purge")
    plan = purge.plan(clone, [made.id], {})
    purge.say(clone, plan, author)
    clone.git.call("update-ref", "-d", layout.run_ref(made.id))
    shutil.rmtree(made.path / "fetched")
    assert fetch_host(here, clone, PROJECT) == nothing_but()
    assert tip(clone, made.id) is None


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{" * 100_000, b'{"id":"%s"}', b'{"id":"%s","start":{"run":{"id":"%s","tags":5}}}']
)
def test_one_odd_job_stops_no_other(clone, here, content):
    odd, good = job(1), job(2)
    (odd.path / "job.json").write_bytes(content.replace(b"%s", odd.id.encode()))
    good.end()
    found = fetch_host(here, clone, PROJECT)
    assert (found.home, list(found.refused)) == ([good.id], [odd.id])
    assert live.ids(clone.paths) == []


def test_a_job_that_claims_to_be_another_run_is_refused(clone, here):
    odd = job(1)
    document = json.loads((odd.path / "job.json").read_text())
    document["start"]["run"]["id"] = "f" * 20
    (odd.path / "job.json").write_text(json.dumps(document))
    assert "of another run" in fetch_host(here, clone, PROJECT).refused[odd.id]


def test_a_job_description_that_is_too_long_is_not_read_to_its_end(clone, here):
    odd = job(1)
    with (odd.path / "job.json").open("ab") as file:
        file.truncate(1 << 40)
    assert "job.json is none" in fetch_host(here, clone, PROJECT).refused[odd.id]


def test_a_journal_that_is_refused_at_once_leaves_no_run(clone, here):
    odd = job(1)
    odd.write(keeping.point(1))
    odd.cut()
    with (odd.run / "cuts.jsonl").open("a") as file:
        file.write('{"files":{"run.jsonl":99999999},"n":1,"reason":"final","status":null,"w":2000.0}\n')
    assert "covers more" in fetch_host(here, clone, PROJECT).refused[odd.id]
    assert live.ids(clone.paths) == [] and clone.refs(layout.RUNS) == {}


def test_a_run_of_this_machine_is_not_taken_for_one_of_the_host(clone, here):
    made = job(1)
    os.makedirs(live.folder(clone.paths, made.id))
    made.end()
    assert fetch_host(here, clone, PROJECT) == nothing_but()


def test_the_command_fetches_from_a_host_and_says_what_came(repo, here, track, git):
    (repo / "gittrack.yaml").write_text("hosts: {lab: {host: here}}\n")
    root = git("rev-list", "--max-parents=0", "HEAD")
    made, going = job(1, project=root), job(2, project=root)
    made.write(keeping.checkpoint(1, 1))
    made.keep(1, {"m.pt": b"x" * 100_000}, "store")
    made.end()
    document = json.loads(track("fetch", "lab", "--json").stdout)
    assert (document["host"], document["home"], document["going"]) == ("lab", [made.id], [going.id])
    assert track("fetch", "lab").stdout == "lab: 1 run goes on there; 1 was here already\n"
    assert made.id[:7] in track("ls").stdout
    assert "lab" in track("ps").stdout
    assert len(track("cat", f"{made.id}:m.pt").stdout) == 100_000


def test_a_word_that_is_no_host_is_a_remote(repo, track, git, tmp_path):
    git("remote", "add", "lab", str(tmp_path))
    assert "lab" in track("fetch", "lab", code=None).stderr
    unknown = track("fetch", "nowhere", code=None)
    assert errors.HostFailed.exit_code != unknown.returncode
    assert "`hosts:` in gittrack.yaml" in unknown.stderr and "no remote of that name" in unknown.stderr
