"""A run comes home from a host: the same commits as if it had been folded there, whoever brings it and however often
that is interrupted."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import keeping
import pytest
from common import noise, wait_until
from host_journal import ID, Job, cloned, opened, send_off, tip

from gittrack import errors
from gittrack.core import events, layout, parcels
from gittrack.launch.home.mirror import Mirror
from gittrack.runs import away, live, overlay, writer
from gittrack.runs.own_store import own_store
from gittrack.store.local import open_local

LARGE = noise(1, 5_000_000)


def everything(job):
    """A run that did all that a run can do."""
    job.say(b"epoch 1\n")
    job.write(keeping.point(1), keeping.checkpoint(1, 1))
    job.keep(1, {"a/config.json": b"{}", "empty": b""})
    job.cut()
    job.write(keeping.point(2), keeping.checkpoint(2, 2), keeping.artifact(3, "table.csv"))
    job.keep(2, {"model.pt": LARGE}, "store")
    job.keep(3, {"table.csv": b"a,b\n", "again.json": b"{}"})
    job.write(keeping.header(), keeping.point(3), file="1700000000900-78-bcde.jsonl")
    job.cut(70)
    job.say(b"done\n")
    job.end()


def test_all_that_a_run_left_comes_home_and_is_what_a_local_fold_makes_of_it(job, home, mirror, git, repo, tmp_path):
    everything(job)
    news = mirror.sync()
    assert news.is_final and not news.missing
    assert tip(home) == job.folded(cloned(repo, tmp_path / "other"))
    assert git("fsck", "--strict") == ""
    kept = own_store(home.paths)
    assert kept.read(keeping.kept(2, "model.pt", LARGE)["sha256"], len(LARGE)) == LARGE
    assert git("show", f"{layout.run_ref(ID)}:files/000/00/00/a/config.json") == "{}"
    assert not os.path.exists(live.folder(home.paths, ID))
    assert os.listdir(job.path / "fetched") == [writer.writer_id(home.paths)]
    assert mirror.sync().is_final


def test_what_goes_on_there_is_seen_here_before_it_is_cut(job, home, mirror):
    assert not mirror.sync().is_final
    job.write(keeping.point(5))
    job.say(b"epoch 5\n")
    assert mirror.sync().grown
    row = overlay.rows(home.paths, [ID], {})[ID]
    assert (row.status, row.metrics["loss"]["last_step"]) == ("running", 5)
    assert (Path(live.folder(home.paths, ID)) / events.CONSOLE).read_text() == "epoch 5\n"
    assert tip(home) is None
    assert not mirror.sync().grown


def test_a_run_that_has_not_begun_there_has_nothing_to_bring(home, mirror, here):
    here.folder()
    news = mirror.sync()
    assert not news.began and not news.is_final
    assert overlay.rows(home.paths, [ID], {})[ID].status == "running"


def test_a_checkpoint_is_committed_here_when_it_is_cut_there(job, home, mirror, git):
    job.write(keeping.point(1), keeping.checkpoint(1, 1))
    job.keep(1, {"f": b"x"})
    job.cut()
    mirror.sync()
    assert git("log", "--format=%s", layout.run_ref(ID)).splitlines()[0].startswith("checkpoint at step 1")
    assert git("show", f"{layout.run_ref(ID)}:files/000/00/00/f") == "x"


def test_two_clones_that_look_at_different_moments_have_the_same_commits(job, home, here, repo, tmp_path):
    other = opened(cloned(repo, tmp_path / "other"))
    send_off(other.paths)
    mirrors = [Mirror(here, one.paths, ID) for one in (home, other)]
    rng = random.Random(5)
    for step in range(1, 30):
        job.write(keeping.point(step))
        if step % 4 == 0:
            job.write(keeping.checkpoint(step, step))
            job.keep(step, {"f": noise(step % 8, 500)}, "git" if step % 8 else "store")
        if rng.random() < 0.5:
            job.cut(rng.choice([1, 70]))
        for one in mirrors:
            if rng.random() < 0.3:
                one.sync()
            if rng.random() < 0.1:
                one.close()
    job.end()
    assert all(one.sync().is_final for one in mirrors)
    assert tip(home) == tip(other) == job.folded(cloned(repo, tmp_path / "third"))
    assert len(os.listdir(job.path / "fetched")) == 2
    other.close()


def test_a_second_process_leaves_the_run_to_the_first_and_takes_over_when_that_is_gone(job, home, here, mirror):
    mirror.sync()
    second = Mirror(here, home.paths, ID)
    assert second.sync().elsewhere
    everything(job)
    mirror.close()
    assert second.sync().is_final
    assert mirror.sync().is_final


KILLED = """
import os, sys
from gittrack.git.discover import discover
from gittrack.launch.link.hosts import HERE
from gittrack.launch.reached import open_link
from gittrack.launch.home.mirror import Mirror
calls = 0
left = int(sys.argv[1])
def trace(frame, event, arg):
    global calls
    if event == "call" and frame.f_code.co_filename.rpartition("/gittrack/")[2].startswith(("launch", "runs", "store")):
        calls += 1
        if calls == left:
            os.kill(os.getpid(), 9)
    return None
link = open_link(HERE)
mirror = Mirror(link, discover(".", os.environ), sys.argv[2])
sys.setprofile(trace)
mirror.sync()
sys.setprofile(None)
print(calls)
"""


def test_killed_anywhere_the_next_look_goes_on_to_the_same_commits(job, home, here, git, repo, tmp_path):
    everything(job)
    wanted = job.folded(cloned(repo, tmp_path / "other"))
    spare = tmp_path / "spare"
    shutil.copytree(repo, spare)
    argv = [sys.executable, "-c", KILLED]
    calls = int(subprocess.run([*argv, "0", ID], cwd=spare, check=True, capture_output=True).stdout)
    for share in range(1, 13):
        clone = tmp_path / f"clone{share}"
        shutil.copytree(repo, clone)
        for after in (calls * share // 13, calls * share // 26):
            done = subprocess.run([*argv, str(after), ID], cwd=clone, check=False, capture_output=True)
            assert done.returncode in (-signal.SIGKILL, 0), done.stderr
        found = opened(clone)
        if os.path.exists(live.folder(found.paths, ID)):
            assert Mirror(here, found.paths, ID).sync().is_final
        assert tip(found) == wanted, f"killed after {share} of 13"
        assert own_store(found.paths).has(keeping.kept(2, "model.pt", LARGE)["sha256"], len(LARGE))
        subprocess.run(["git", "fsck", "--strict"], cwd=clone, check=True, capture_output=True)
        found.close()


def test_what_of_a_large_file_has_come_does_not_come_again(job, home, here, mirror):
    """However often the connection breaks, and wherever."""
    data = noise(3, 20_000_000)
    job.write(keeping.checkpoint(1, 1))
    job.keep(1, {"model.pt": data}, "store")
    job.end()
    reading, came = here.reading, []

    @contextlib.contextmanager
    def a_while(path, offset):
        with reading(path, offset) as read:
            assert offset == sum(came)
            came.append(0)

            def some(size):
                if came[-1] > 3_000_000:
                    raise errors.LinkLost("cut", "")
                found = read(size)
                came[-1] += len(found)
                return found

            yield some

    here.reading = a_while
    while len(came) < 6:
        with pytest.raises(errors.LinkLost):
            mirror.sync()
    here.reading = reading
    assert mirror.sync().is_final
    assert own_store(home.paths).read(keeping.kept(1, "f", data)["sha256"], len(data)) == data


@pytest.mark.parametrize("kind", ["noise", "archive", "safetensors"])
def test_a_large_file_is_cut_into_chunks_while_it_still_comes(job, home, here, mirror, tmp_path, kind):
    """An archive too, as torch writes it: where its tensors are is said at its end, and before each of them."""
    data = noise(3, 60_000_000)
    if kind == "archive":
        with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
            for number in range(30):
                archive.writestr(f"model/data/{number}", data[number * 2_000_000 : (number + 1) * 2_000_000])
        data = (tmp_path / "model.pt").read_bytes()
    elif kind == "safetensors":
        index = json.dumps({f"t{n}": {"data_offsets": [n * 2_000_000, (n + 1) * 2_000_000]} for n in range(30)})
        data = len(index).to_bytes(8, "little") + index.encode() + data
    job.write(keeping.checkpoint(1, 1))
    job.keep(1, {"model.pt": data}, "store")
    job.end()
    incoming = Path(live.track_dir(home.paths)) / "objects" / "incoming"
    reading = here.reading

    @contextlib.contextmanager
    def in_two_halves(path, offset):
        with reading(path, offset) as read:
            left = 30_000_000

            def some(size):
                nonlocal left
                if not left:
                    assert any(incoming.iterdir())
                found = read(min(size, left) if left else size)
                left = max(0, left - len(found))
                return found

            yield some

    here.reading = in_two_halves
    assert mirror.sync().is_final
    other = open_local(str(tmp_path))
    wanted = other.put_bytes(data)
    assert own_store(home.paths).chunks(wanted.sha256, len(data)) == other.chunks(wanted.sha256, len(data))


def test_metrics_are_seen_while_a_large_file_still_comes(job, home, here, mirror, repo, tmp_path, monkeypatch):
    monkeypatch.setattr("gittrack.launch.home.mirror.GLANCE", 0.0)
    job.write(keeping.point(1), keeping.checkpoint(1, 1))
    job.keep(1, {"model.pt": LARGE}, "store")
    job.cut()
    known = len(live.read_cuts(str(job.run)))
    seen = []
    reading = here.reading

    @contextlib.contextmanager
    def meanwhile(path, offset):
        job.write(keeping.point(7), keeping.checkpoint(2, 7))
        job.keep(2, {"late.txt": b"kept while the other one came"})
        job.cut(120)
        with reading(path, offset) as read:

            def some(size):
                found = read(size)
                row = overlay.rows(home.paths, [ID], {})[ID]
                seen.append((row.metrics["loss"]["last_step"], len(live.read_cuts(live.folder(home.paths, ID)))))
                return found

            yield some

    here.reading = meanwhile
    mirror.sync()
    assert seen[-1] == (7, 0)
    assert len(live.read_cuts(str(job.run))) > known
    assert len(live.read_cuts(live.folder(home.paths, ID))) == known  # nobody has looked for the later one's file yet
    here.reading = reading
    job.end()
    assert mirror.sync().is_final
    assert tip(home) == job.folded(cloned(repo, tmp_path / "other"))


@pytest.mark.parametrize("left", ["other bytes", "too much", "no list", "a chunk that is gone"])
def test_what_a_power_cut_has_spoilt_of_a_large_file_is_fetched_anew(job, home, mirror, left):
    data = noise(3, 9_000_000)
    job.write(keeping.checkpoint(1, 1))
    job.keep(1, {"model.pt": data}, "store")
    job.end()
    kept = own_store(home.paths).put_bytes(noise(4, 9_000_000 if left == "too much" else 100_000))
    chunks = own_store(home.paths).chunks(kept.sha256, kept.size)
    text = "".join(f"{chunk.sha256} {chunk.size}\n" for chunk in chunks).encode()
    part = os.path.join(live.folder(home.paths, ID), "files", keeping.kept(1, "f", data)["sha256"] + ".part")
    os.makedirs(os.path.dirname(part))
    with open(part, "wb") as file:
        file.write({"no list": bytes(5_000_000), "a chunk that is gone": b"0" * 64 + b" 1000000\n"}.get(left, text))
    news = mirror.sync()
    assert news.is_final and not news.missing
    assert own_store(home.paths).read(keeping.kept(1, "f", data)["sha256"], len(data)) == data


def test_a_file_that_the_store_has_is_not_fetched(job, home, here, mirror):
    own_store(home.paths).put_bytes(LARGE)
    here.reading = lambda *_: pytest.fail("it was fetched")
    everything(job)
    assert mirror.sync().is_final


def test_the_end_of_a_journal_that_a_power_cut_took_comes_again(job, home, here, mirror, repo, tmp_path):
    job.write(keeping.point(1), keeping.checkpoint(1))
    job.cut()
    mirror.sync()
    mirror.close()
    starter = os.path.join(live.folder(home.paths, ID), events.STARTER)
    os.truncate(starter, os.path.getsize(starter) - 20)
    job.end()
    assert Mirror(here, home.paths, ID).sync().is_final
    assert tip(home) == job.folded(cloned(repo, tmp_path / "other"))


def test_a_full_disk_here_loses_nothing(job, home, here, mirror, monkeypatch):
    everything(job)
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1000))
    with pytest.raises(errors.CannotWrite, match="no room"):
        mirror.sync()
    monkeypatch.undo()
    assert mirror.sync().is_final


def test_a_torn_cut_that_was_written_again_counts_once(job, home, mirror, repo, tmp_path):
    job.cut()
    with (job.run / events.CUTS).open("ab") as file:
        file.write(b'{"files":{"run.jso')
    mirror.sync()
    with (job.run / events.CUTS).open("ab") as file:
        file.write(b"\n")
    job.cutter = None
    job.write(keeping.checkpoint(1))
    job.end()
    assert mirror.sync().is_final
    assert tip(home) == job.folded(cloned(repo, tmp_path / "other"))


def test_the_code_of_the_run_gets_its_ref_where_it_is_here(home, here, git):
    head = git("rev-parse", "HEAD")
    job = Job(snapshot=head).start()
    job.end()
    away.update(live.folder(home.paths, ID), start={"run": {**keeping.start()["run"], "snapshot": head}, "goals": {}})
    Mirror(here, home.paths, ID).sync()
    assert git("rev-parse", layout.code_ref(head)) == head


def test_files_go_on_to_the_stores_of_the_run_and_the_run_to_the_remote(home, mirror, repo, git, track, tmp_path):
    bucket, remote = tmp_path / "bucket", tmp_path / "remote.git"
    subprocess.run(["git", "init", "-q", "--bare", str(remote)], check=True)
    git("remote", "add", "origin", str(remote))
    track("run", "true")
    track("push", "--yes")
    (repo / "gittrack.yaml").write_text(f"store: file://{bucket}\npush: auto\n")
    everything(Job(writer=writer.writer_id(home.paths)).start())
    assert mirror.sync().is_final
    digest = keeping.kept(2, "model.pt", LARGE)["sha256"]
    wait_until(lambda: list(bucket.rglob(digest)))
    ref = layout.run_ref(ID)
    wait_until(lambda: subprocess.run(["git", "rev-parse", ref], cwd=remote, capture_output=True).returncode == 0)


def test_small_files_come_many_at_a_time(job, home, here, mirror):
    job.write(keeping.checkpoint(1, 1))
    job.keep(1, {f"f{number}": noise(number, 100) for number in range(500)})
    job.end()
    asked = []
    run = here.run
    here.run = lambda *args, **more: asked.append(args) or run(*args, **more)
    assert mirror.sync().is_final
    assert len(asked) < 12
    assert parcels.BLOBS in str(asked)


def test_a_look_at_a_run_of_which_nothing_is_new_asks_the_host_once(job, home, here, mirror):
    job.cut()
    mirror.sync()
    asked = []
    run = here.run
    here.run = lambda *args, **more: asked.append(args) or run(*args, **more)
    mirror.sync()
    assert len(asked) == 1
    job.write(keeping.point(1))
    job.say(b"x")
    mirror.sync()
    assert len(asked) == 3, "a listing, and all that has grown"
